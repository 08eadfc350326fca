"""A training: how far it is, and what came of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.console import texts
from serving.console.contexts import (
    Bar,
    CalibrationPlot,
    CostRow,
    Crumb,
    Dot,
    Endpoint,
    Frame,
    Metric,
    Pair,
    SliceRow,
    Stage,
    Tick,
    TrainingPage,
    TrainingReport,
)
from serving.console.messages import say, say_or
from serving.console.ports import DriverFact, ModelFacts, ProgressFacts, TrainingFacts
from serving.console.views import plan, words, worth
from serving.console.views.dataset import state_badge
from serving.console.views.problems import row as problem_row

STAGES = ("reading", "checking", "splitting", "tuning", "building", "calibrating", "evaluating", "registering")
_SHOWN = {
    "binary": ("auc", "average_precision", "ece", "calibration_slope", "brier"),
    "multiclass": ("accuracy", "auc", "ece", "log_loss"),
    "regression": ("mae", "rmse", "r2", "coverage"),
}
_SHARES = {"auc", "average_precision", "ece", "accuracy", "coverage"}
_THREE_DIGITS = {"auc", "calibration_slope", "brier", "log_loss", "r2"}
_SLICES = 16
_DRIVERS = 10


@dataclass(frozen=True, slots=True)
class Watched:
    """A training and what stands around it.

    Attributes:
        progress: every step so far, oldest first.
        filename: of its dataset; empty where there is none.
        model: the version that came of it.
        example: a first row to ask about, for a custom type.
        drivers: what the version learnt from most, as its artifact says; a report that holds drivers of its own is preferred.
        can_publish: whether the reader alone may put the model in service.
    """

    training: TrainingFacts
    progress: Sequence[ProgressFacts]
    filename: str
    model: ModelFacts | None
    example: Mapping[str, Any] | None
    drivers: Sequence[DriverFact]
    base_url: str
    can_publish: bool

    @property
    def live(self) -> bool:
        """Whether the version answers now."""
        return bool(self.model and "champion" in self.model.aliases)


def build(frame: Frame, watched: Watched) -> TrainingPage:
    """The page of one training."""
    language, training, progress, filename = frame.language, watched.training, watched.progress, watched.filename
    latest = progress[-1].data if progress else {}
    stage = str(latest.get("stage", ""))
    error = training.error or {}
    return TrainingPage(
        frame=frame,
        crumbs=(Crumb(say(language, "train.title"), "/console/train"), *_file_crumb(training, filename), Crumb(training.name)),
        training_id=training.training_id,
        name=training.name,
        badge=state_badge(language, training.state),
        summary=_summary(language, training, filename),
        running=not training.over,
        stages=tuple(_stages(language, stage, training)),
        share=f"{100 * float(latest.get('share') or 0):.0f}",
        message=texts.in_language(latest, "message", language) if training.state != "queued" else say(language, "training.waiting"),
        problem=_failure(language, error) if training.state == "failed" else "",
        problems=tuple(problem_row(language, it) for it in error.get("errors") or ()),
        report=_report(language, watched) if training.report else None,
    )


def event(language: str, training: TrainingFacts, step: ProgressFacts | None) -> dict[str, Any]:
    """One server-sent step for the page's script: texts in the reader's language."""
    data = step.data if step else {}
    return {
        "state": training.state,
        "badge": state_badge(language, training.state).text,
        "stage": data.get("stage", ""),
        "share": round(100 * float(data.get("share") or 0)),
        "message": texts.in_language(data, "message", language),
    }


def _failure(language: str, error: Mapping[str, Any]) -> str:
    """Why a training failed: told by its code, with what it was about; what is listed below is not told twice."""
    key = "training.failed.data_refused" if error.get("errors") else f"training.failed.{error.get('code')}"
    detail = texts.in_language(error, "detail", language)
    return say_or(language, key, detail).replace("{detail}", detail)


def _file_crumb(training: TrainingFacts, filename: str) -> tuple[Crumb, ...]:
    return (Crumb(filename, f"/console/train/datasets/{training.dataset_id}"),) if training.dataset_id and filename else ()


def _summary(language: str, training: TrainingFacts, filename: str) -> str:
    when = texts.moment(training.created_at, language, millis=False)
    target = training.spec.get("target")
    if not target or not filename:
        return say(language, "training.summary_bare", when=when, who=training.started_by)
    return say(language, "training.summary", target=target, file=filename, when=when, who=training.started_by)


def _stages(language: str, stage: str, training: TrainingFacts) -> list[Stage]:
    reached = len(STAGES) if training.state == "done" or stage == "done" else STAGES.index(stage) if stage in STAGES else -1
    states = ["done" if index < reached else "now" if index == reached else "todo" for index in range(len(STAGES))]
    return [Stage(key, say(language, f"training.stage.{key}"), state) for key, state in zip(STAGES, states, strict=True)]


def _report(language: str, watched: Watched) -> TrainingReport:
    report = watched.training.report or {}
    card: Mapping[str, Any] = report.get("card") or {}
    evaluation = evaluation_of(report)
    metrics: Mapping[str, Any] = evaluation.get("metrics") or {}
    task = str(report.get("task") or "binary")
    excluded = (card.get("data") or {}).get("excluded") or ()
    judged: Sequence[Mapping[str, Any]] = report.get("drivers") or card.get("drivers") or ()
    may_publish = watched.can_publish and watched.model and not watched.live
    return TrainingReport(
        verdict=_verdict(language, metrics, task),
        judged=_judged(language, card, evaluation),
        metrics=tuple(_metric(language, name, metrics) for name in _SHOWN[task] if (metrics.get(name) or {}).get("value") is not None),
        calibration=_calibration(language, evaluation.get("reliability") or ()),
        calibration_text=_calibration_text(language, metrics),
        slices=tuple(_slices(evaluation)),
        slice_metric=say(language, "metric.auc"),
        drivers=_told_drivers(language, judged) if judged else _learnt_drivers(language, watched.drivers),
        drivers_hint=say(language, "training.drivers_judged" if judged else "training.drivers_learnt"),
        excluded=tuple(Pair(str(it.get("column", "")), texts.in_language(it, "reason", language)) for it in excluded),
        rows=tuple(_rows(language, card)),
        limits=tuple(texts.polished(texts.speak(it, language)) for it in card.get("limits") or ()),
        endpoint=_endpoint(language, watched),
        publish_href=f"/console/train/runs/{watched.training.training_id}/publish" if may_publish else None,
        publish_note=_publish_note(language, watched),
        worth=worth.worth(language, evaluation),
        gaps=worth.gaps(language, evaluation),
    )


def evaluation_of(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """The evaluation in a training's report."""
    found: Mapping[str, Any] = (report.get("card") or {}).get("evaluation") or {}
    return found


def _judged(language: str, card: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    key = "training.metrics_hint_random" if (card.get("split") or {}).get("method") == "hash" else "training.metrics_hint"
    return say(language, key, rows=f"{int(evaluation.get('rows') or 0):,}")


def _verdict(language: str, metrics: Mapping[str, Any], task: str) -> str:
    low = (metrics.get("auc") or {}).get("low")
    if task == "regression" or low is None:
        return say(language, "verdict.trained")
    return say(language, "verdict.strong" if low >= 0.8 else "verdict.fair" if low >= 0.6 else "verdict.weak")


def _metric(language: str, name: str, metrics: Mapping[str, Any]) -> Metric:
    figure = metrics[name]
    value, low, high = figure["value"], figure.get("low"), figure.get("high")
    show = _share if name in _SHARES else _plain
    base = (metrics.get("base_rate") or {}).get("value")
    return Metric(
        label=say(language, f"metric.{name}"),
        value=f"{value:.3f}" if name in _THREE_DIGITS else show(value),
        interval=_interval(language, name, low, high) if None not in (low, high) else "",
        meaning=say(language, f"metric.{name}.meaning", share=texts.percent(value), base=texts.percent(base) if base is not None else "–"),
    )


def _interval(language: str, name: str, low: float, high: float) -> str:
    if name in _SHARES and name not in _THREE_DIGITS and 0 <= low <= high <= 1:
        return texts.percent_range(low, high)
    return say(language, "training.interval", low=_digits(name, low), high=_digits(name, high))


def _digits(name: str, value: float) -> str:
    return f"{value:.3f}" if name in _THREE_DIGITS else (_share if name in _SHARES else _plain)(value)


def _share(value: float) -> str:
    return texts.percent(value) if 0 <= value <= 1 else texts.number(value)


def _plain(value: float) -> str:
    return texts.number(value)


def _calibration(language: str, bins: Sequence[Mapping[str, Any]]) -> CalibrationPlot | None:
    """Dots on a square of 240 × 240 units; both axes end a little above the largest share."""
    if len(bins) < 2:
        return None
    end = _nice(max(max(float(it["predicted"]), float(it["observed"])) for it in bins))
    dots = []
    for it in bins:
        rows, x, y = int(it["rows"]), float(it["predicted"]), float(it["observed"])
        half = 1.645 * ((y * (1 - y) + 1 / (4 * rows)) / rows) ** 0.5 if rows else 0.0
        label = say(language, "training.calibration_dot", x=texts.percent(x), y=texts.percent(y), rows=f"{rows:,}")
        low, high = _y(max(0.0, y - half), end), _y(min(end, y + half), end)
        dots.append(Dot(_unit(240 * x / end), _y(y, end), low, high, "4.5", label))
    line = " ".join(f"{dot.x},{dot.y}" for dot in dots)
    steps = [end * step / 4 for step in range(5)]
    return CalibrationPlot(
        label=say(language, "training.calibration_plot"),
        dots=tuple(dots),
        line=line,
        x_ticks=tuple(Tick(_unit(240 * at / end), texts.percent(at)) for at in steps),
        y_ticks=tuple(Tick(_y(at, end), texts.percent(at)) for at in steps),
    )


def _y(share: float, end: float) -> str:
    return _unit(240 * (1 - share / end))


def _unit(value: float) -> str:
    return f"{value:.1f}"


def _nice(share: float) -> float:
    return next((end for end in (0.02, 0.04, 0.08, 0.2, 0.4, 0.6, 0.8) if share <= end), 1.0)


def _calibration_text(language: str, metrics: Mapping[str, Any]) -> str:
    slope = metrics.get("calibration_slope") or {}
    low, high, base = slope.get("low"), slope.get("high"), (metrics.get("base_rate") or {}).get("value")
    if low is None or high is None:
        return ""
    if high < 0.95:
        return say(language, "calibration.over")
    if low > 1.05:
        return say(language, "calibration.under")
    error = (metrics.get("ece") or {}).get("value")
    if error is not None and base and error > 0.2 * base:
        return say(language, "calibration.rough", error=texts.percent(error))
    return say(language, "calibration.good", example=texts.percent(base if base is not None else 0.2))


def _slices(evaluation: Mapping[str, Any]) -> list[SliceRow]:
    found: Sequence[Mapping[str, Any]] = [it for it in evaluation.get("slices") or () if it.get("auc") is not None][:_SLICES]
    whole = ((evaluation.get("metrics") or {}).get("auc") or {}).get("value")
    rows = []
    for it in found:
        value = float(it["auc"])
        tone = "down" if whole is None or value >= whole else "up" if value < whole - 0.05 else "base"
        note = f"{texts.percent(float(it['predicted']))} → {texts.percent(float(it['observed']))}"
        bar = Bar("0%", words.length(max(0.0, (value - 0.5) * 2)), tone)
        rows.append(SliceRow(f"{it['slice']}: {it['segment']}", f"{int(it['rows']):,}", f"{value:.3f}", note, bar, tone))
    return rows


def _told_drivers(language: str, drivers: Sequence[Mapping[str, Any]]) -> tuple[CostRow, ...]:
    """By the mean size of their contribution on the rows that the model was judged on."""
    shown = drivers[:_DRIVERS]
    largest = max((float(it["importance"]) for it in shown), default=0.0) or 1.0
    return tuple(
        CostRow(
            texts.capital(texts.speak(it.get("label") or str(it["name"]), language)),
            texts.number(float(it["importance"])),
            words.length(float(it["importance"]) / largest),
        )
        for it in shown
    )


def _learnt_drivers(language: str, drivers: Sequence[DriverFact]) -> tuple[CostRow, ...]:
    """By their share of what all splits together improved."""
    shown = drivers[:_DRIVERS]
    largest = max((it.share for it in shown), default=0.0) or 1.0
    return tuple(
        CostRow(texts.capital(texts.speak(it.label, language)), texts.percent(it.share), words.length(it.share / largest)) for it in shown
    )


def _rows(language: str, card: Mapping[str, Any]) -> list[Pair]:
    rows, split = card.get("rows") or {}, card.get("split") or {}
    found = []
    for part, span in (("learnt_from", "learnt"), ("judged_on", "judged"), ("left_out", "")):
        if not rows.get(part):
            continue
        told = say(language, "train.rows", rows=f"{int(rows[part]):,}")
        if ends := split.get(span):
            told += f" · {plan.day(language, ends[0])} – {plan.day(language, ends[1])}"
        found.append(Pair(say(language, f"training.part.{part}"), told))
    return found


def _endpoint(language: str, watched: Watched) -> Endpoint | None:
    if watched.model is None:
        return None
    path = f"/v1/decisions/{watched.model.type}"
    note = say(language, "training.endpoint_live" if watched.live else "training.endpoint_later")
    if watched.example is None:
        return Endpoint(path, "", watched.live, note)
    body = json.dumps({"row": watched.example}, ensure_ascii=False)
    lines = (
        f"curl -s {watched.base_url}{path}",
        '-H "Authorization: Bearer $ORDINANCE_KEY"',
        '-H "Idempotency-Key: $(date +%s%N)"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(body)}",
    )
    return Endpoint(path, " \\\n  ".join(lines), watched.live, note)


def _publish_note(language: str, watched: Watched) -> str:
    if watched.live and watched.model:
        return say(language, "training.published", type=watched.model.type)
    return say(language, "training.publish_alone" if watched.can_publish else "training.publish_two")
