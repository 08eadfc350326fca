"""An uploaded file: what it holds, what is wrong with it, and what may be trained on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from feature_store.leakage import speaks_of_outcome
from feature_store.times import TimeUnreadable, parse_time
from serving.console import texts
from serving.console.contexts import (
    Badge,
    Column,
    ColumnCard,
    CostRow,
    Crumb,
    DatasetPage,
    Frame,
    Option,
    RecentDataset,
    RecentTraining,
    Switch,
    TemplateChoice,
    TrainPage,
)
from serving.console.contexts import Problem as ProblemRow
from serving.console.messages import say, say_or
from serving.console.ports import DatasetFacts, TemplateFacts, TrainingFacts
from serving.console.views import words
from serving.console.views.problems import row as problem_row

BUDGETS = (20, 60, 180, 600)
NAME = re.compile(r"[a-z][a-z0-9-]{1,62}[a-z0-9]")
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_STATES = {"queued": "plain", "running": "hold", "stopping": "hold", "done": "ok", "failed": "bad", "cancelled": "plain"}


def hand_in(
    frame: Frame,
    templates: Sequence[TemplateFacts],
    datasets: Sequence[DatasetFacts],
    trainings: Sequence[TrainingFacts],
    *,
    limit: int,
    template: str = "custom",
    problem: str = "",
    problems: Sequence[ProblemRow] = (),
) -> TrainPage:
    """The page where a file is handed in."""
    language = frame.language
    return TrainPage(
        frame=frame,
        problem=problem,
        problems=tuple(problems),
        templates=tuple(
            TemplateChoice(it.name, texts.speak(it.title, language), texts.speak(it.description, language), it.name == template)
            for it in templates
        ),
        limit=say(language, "train.limit", size=texts.size(limit)),
        trainings=tuple(_recent_training(language, it) for it in trainings),
        datasets=tuple(
            RecentDataset(
                f"/console/train/datasets/{it.dataset_id}",
                it.name,
                f"{say(language, 'train.rows', rows=f'{it.rows:,}')} · {texts.size(it.bytes)}",
                texts.moment(it.uploaded_at, language, millis=False),
            )
            for it in datasets
        ),
    )


def state_badge(language: str, state: str) -> Badge:
    """A training's state as a coloured word."""
    return Badge(say_or(language, f"training.state.{state}", state), _STATES.get(state, "plain"))


def build(
    frame: Frame,
    dataset: DatasetFacts,
    report: Mapping[str, Any],
    template: TemplateFacts,
    *,
    time: str | None = None,
    name: str = "",
    budget: int = 60,
    problem: str = "",
) -> DatasetPage:
    """The page of one file, checked for one purpose.

    Args:
        frame: of the page.
        dataset: the file.
        report: the check report as JSON, with ``distributions`` by column.
        template: what is to be trained.
        time: the column that is offered as the time of decision; it is checked once a target is chosen.
        name: of the model, as the reader wrote it.
        budget: seconds, as the reader chose.
        problem: why it could not be started.
    """
    language = frame.language
    problems = [(error, problem_row(language, error)) for error in report.get("problems") or ()]
    blocking = tuple(row for error, row in problems if error.get("severity") != "warning")
    warnings = tuple(row for error, row in problems if error.get("severity") == "warning")
    target = report.get("target")
    verdict, told = _verdict(language, bool(blocking), bool(warnings), bool(target))
    columns = report.get("columns") or ()
    return DatasetPage(
        frame=frame,
        crumbs=(Crumb(say(language, "train.title"), "/console/train"), Crumb(dataset.name)),
        dataset_id=dataset.dataset_id,
        name=dataset.name,
        summary=_summary(language, dataset, report),
        template=template.name,
        verdict=verdict,
        verdict_text=told,
        blocking=blocking,
        warnings=warnings,
        columns=tuple(_column(language, it, report, dataset.rows) for it in sorted(columns, key=_weight)),
        targets=_targets(language, columns, template, target),
        times=_times(language, columns, template, report.get("time") or time),
        model_name=name or (template.type or suggested_name(dataset.name, target)),
        budgets=tuple(Option(str(it), _budget(language, it), it == budget) for it in BUDGETS),
        can_start=bool(target) and not blocking,
        problem=problem,
    )


def suggested_time(report: Mapping[str, Any]) -> str | None:
    """The column that most likely says when each decision was made: the first time that is filled in every row and names no outcome."""
    times = [it for it in report.get("columns") or () if it.get("kind") == "time" and not it.get("missing") and not it.get("unread")]
    return next((str(it["name"]) for it in times if not speaks_of_outcome(str(it["name"]))), None)


def suggested_name(filename: str, target: str | None) -> str:
    """A usable name from a file's name and the target."""
    stem = re.sub(r"(\.(csv|tsv|txt|gz|zip))+$", "", filename.lower())
    words_ = re.sub(r"[^a-z0-9]+", "-", f"{stem} {target or ''}".lower()).strip("-")[:60].strip("-")
    return words_ if NAME.fullmatch(words_) else f"model-{words_}".strip("-")[:60]


def _summary(language: str, dataset: DatasetFacts, report: Mapping[str, Any]) -> str:
    facts = report.get("file") or {}
    delimiter = _DELIMITERS.get(str(facts.get("delimiter", ",")), "")
    return say(
        language,
        "dataset.summary",
        rows=f"{dataset.rows:,}",
        columns=len(report.get("columns") or ()),
        size=texts.size(dataset.bytes),
        encoding=facts.get("encoding", "–"),
        delimiter=say(language, f"dataset.delimiter.{delimiter}") if delimiter else repr(facts.get("delimiter")),
    )


def _verdict(language: str, blocked: bool, warned: bool, chosen: bool) -> tuple[Badge, str]:
    key, tone = ("blocked", "bad") if blocked else ("pick", "plain") if not chosen else ("care", "hold") if warned else ("ready", "ok")
    return Badge(say(language, f"dataset.{key}"), tone), say(language, f"dataset.{key}_text")


def _targets(language: str, columns: Sequence[Mapping[str, Any]], template: TemplateFacts, target: str | None) -> tuple[Option, ...]:
    if template.target:
        return (Option(template.target, template.target, True),)
    usable = [str(it["name"]) for it in columns if it.get("kind") not in {"time", "empty"}]
    return (Option("", say(language, "dataset.target_none"), not target), *(Option(it, it, it == target) for it in usable))


def _times(language: str, columns: Sequence[Mapping[str, Any]], template: TemplateFacts, time: str | None) -> tuple[Option, ...]:
    if template.time:
        return (Option(template.time, template.time, True),)
    usable = [str(it["name"]) for it in columns if it.get("kind") == "time" or it["name"] == time]
    return (Option("", say(language, "dataset.time_none"), not time), *(Option(it, it, it == time) for it in usable))


def _budget(language: str, seconds: int) -> str:
    if seconds < 120:
        return say(language, "dataset.budget_s", count=seconds)
    return say(language, "dataset.budget_min", count=seconds // 60)


def _column(language: str, column: Mapping[str, Any], report: Mapping[str, Any], rows: int) -> ColumnCard:
    spread = (report.get("distributions") or {}).get(column["name"]) or {}
    missing = int(column.get("missing") or 0)
    role = str(column.get("role") or "feature")
    chosen = bool(report.get("target"))
    top = spread.get("top") or ()
    largest = max((count for _, count in top), default=1)
    return ColumnCard(
        switch=_switch(language, column, role) if chosen else None,
        name=str(column["name"]),
        type=say_or(language, f"dataset.type.{column.get('kind')}", str(column.get("kind", ""))),
        role=say_or(language, f"dataset.role.{role}", role) if role != "feature" else "",
        missing=say(language, "dataset.missing", share=texts.percent(missing / max(rows, 1)))
        if missing
        else say(language, "dataset.complete"),
        distinct=say(language, "dataset.distinct", count=f"{int(column.get('distinct') or 0):,}"),
        examples=say(language, "dataset.examples", examples=", ".join(column.get("examples") or ()))
        if not top and column.get("examples")
        else "",
        span=_span(language, spread.get("low") or column.get("min"), spread.get("high") or column.get("max")),
        bars=_histogram(spread.get("bins") or ()),
        top=tuple(CostRow(str(text), texts.percent(count / max(rows, 1)), words.length(count / largest)) for text, count in top),
        note=texts.in_language(column, "reason", language),
        tone={"target": "ok", "time": "ok", "excluded": "hold", "group": "hold"}.get(role, "plain") if chosen else "plain",
    )


def _weight(column: Mapping[str, Any]) -> int:
    """What the reader has to look at first: what is predicted, when, and what stays out."""
    return {"target": 0, "time": 1, "known_at": 2, "excluded": 3, "group": 3}.get(str(column.get("role")), 4)


def _switch(language: str, column: Mapping[str, Any], role: str) -> Switch | None:
    """What the reader may decide about a column: leave a used one out, or use one that the check would leave out."""
    kept = column.get("code") == "kept"
    if role == "feature":
        return Switch(
            "keep" if kept else "exclude", str(column["name"]), kept, say(language, "dataset.keep" if kept else "dataset.exclude")
        )
    if role != "excluded":
        return None
    by_user = column.get("code") == "excluded_by_user"
    return Switch(
        "exclude" if by_user else "keep", str(column["name"]), by_user, say(language, "dataset.exclude" if by_user else "dataset.keep")
    )


def _span(language: str, low: Any, high: Any) -> str:
    if low is None or high is None:
        return ""
    return say(language, "dataset.span", low=_end(language, str(low)), high=_end(language, str(high)))


def _end(language: str, text: str) -> str:
    try:
        return texts.number(float(text))
    except ValueError:
        pass
    try:
        return texts.day(parse_time(text), language)
    except TimeUnreadable:
        return text


def _histogram(bins: Sequence[int]) -> tuple[Column, ...]:
    highest, count = max(bins, default=0), len(bins)
    if not highest:
        return ()
    columns = []
    for index, rows in enumerate(bins):
        height = max(rows / highest, 0.03) if rows else 0.0
        columns.append(
            Column(words.length(index / count), words.length(1 - height), words.length(0.86 / count), words.length(height), f"{rows:,}")
        )
    return tuple(columns)


def _recent_training(language: str, training: TrainingFacts) -> RecentTraining:
    target = training.spec.get("target")
    version = f"v{training.model_version}" if training.model_version else ""
    return RecentTraining(
        href=f"/console/train/runs/{training.training_id}",
        name=training.name,
        badge=state_badge(language, training.state),
        when=texts.moment(training.created_at, language, millis=False),
        note=" · ".join(part for part in (version, str(target or "")) if part),
    )
