"""The list of decisions and its filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from feature_store.times import Millis, format_time
from models.specs import SPECS, Outcome
from serving.console import texts
from serving.console.contexts import Chip, DecisionRow, DecisionsPage, Filter, Frame, Option
from serving.console.messages import say, say_or
from serving.console.ports import DecisionFilters, DecisionLine, DecisionSlice
from serving.console.views import words
from serving.console.views.decision import order_href

FIELDS = (
    "type",
    "outcome",
    "status",
    "order_id",
    "customer_id",
    "reason",
    "channel",
    "region",
    "tag",
    "policy_version",
    "overridden",
    "since",
    "until",
)
PER_PAGE = 50
_CHANNELS = ("app", "mini_program", "web", "marketplace", "store")
_REGIONS = ("north", "east", "south", "west", "central")
_STATUSES = ("decided", "fallback", "abstained")
_WHEN = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the reader asked the list for, as typed; ``problem`` says what could not be understood."""

    typed: Mapping[str, str]
    filters: DecisionFilters
    problem: str


def read(language: str, query: Mapping[str, str]) -> Asked:
    """Read the filters from a query string; what cannot be read is left out and named."""
    typed = {name: query[name].strip()[:256] for name in FIELDS if query.get(name, "").strip()}
    problem = ""
    values: dict[str, Any] = {name: text for name, text in typed.items() if name not in {"since", "until"}}
    if (version := values.pop("policy_version", None)) is not None and version.isascii() and version.isdecimal() and len(version) < 10:
        values["policy_version"] = int(version)
    elif version is not None:
        problem = say(language, "list.bad_version", text=version)
    if (overridden := values.pop("overridden", None)) in {"true", "false"}:
        values["overridden"] = overridden == "true"
    for name in ("since", "until"):
        if (text := typed.get(name)) is None:
            continue
        if (at := _when(text, end=name == "until")) is None:
            problem = say(language, "list.bad_time", text=text)
        else:
            values[name] = at
    return Asked(typed, DecisionFilters(**values), problem)


def build(
    frame: Frame,
    asked: Asked,
    found: DecisionSlice,
    types: Sequence[str],
    *,
    cursor: str | None,
    problem: str,
    reason_text: Callable[[str], str],
    exports: bool = False,
) -> DecisionsPage:
    """The page of one slice of the list; ``reason_text`` says what a reason code stands for in the reader's language."""
    language = frame.language
    return DecisionsPage(
        frame=frame,
        filters=tuple(_filters(language, asked, types)),
        open_filters=bool(asked.typed),
        chips=tuple(_chips(language, asked)),
        problem=problem or asked.problem,
        rows=tuple(row(language, line, reason_text) for line in found.lines),
        next_href=href(asked.typed, cursor=found.next_cursor) if found.next_cursor else None,
        previous_href=href(asked.typed) if cursor else None,
        export_href=href(asked.typed).replace("/console/decisions", "/console/decisions/export", 1) if exports else "",
    )


def as_query(filters: DecisionFilters) -> dict[str, str]:
    """The filters as the API's search takes them."""
    told = {one.name: getattr(filters, one.name) for one in fields(filters)}
    written = {name: format_time(value) if name in {"since", "until"} else str(value) for name, value in told.items() if value is not None}
    return {name: value.lower() if name == "overridden" else value for name, value in written.items()}


def href(typed: Mapping[str, str], **more: str) -> str:
    """The list with these filters."""
    query = urlencode({**typed, **more})
    return "/console/decisions" + (f"?{query}" if query else "")


def row(language: str, line: DecisionLine, reason_text: Callable[[str], str]) -> DecisionRow:
    """One decision as a row."""
    why = [line.columns.get(code) or _named(language, texts.gist(reason_text(code)), rank) for rank, code in enumerate(line.reasons[:2])]
    where = " · ".join(part for part in (words.channel_name(language, line.channel), words.region_name(language, line.region)) if part)
    return DecisionRow(
        href=f"/console/decisions/{line.record_id}",
        badge=words.outcome_badge(language, line.outcome),
        type=words.type_name(language, line.type),
        order=line.order_id or "",
        order_href=order_href(line.order_id) if line.order_id else "",
        why=("；" if language == "zh" else "; ").join(why),
        where=where,
        probability=texts.percent(line.probability) if line.probability is not None else "",
        when=texts.moment(line.decided_at, language),
        when_machine=format_time(line.decided_at),
        model=f"{line.model_name} v{line.model_version}" if line.model_name else "",
        status=say_or(language, f"status.{line.status}", line.status) if line.status != "decided" else "",
    )


def _named(language: str, label: str, rank: int) -> str:
    """A reason's label as it stands in a sentence."""
    return texts.lower_first(label) if rank and language == "en" else label


def _filters(language: str, asked: Asked, types: Sequence[str]) -> list[Filter]:
    def choice(name: str, options: Sequence[tuple[str, str]]) -> Filter:
        chosen = asked.typed.get(name, "")
        if chosen and chosen not in dict(options):
            options = [*options, (chosen, chosen)]
        every = Option("", say(language, "list.any"), not chosen)
        return Filter(
            name,
            say(language, f"list.{name}"),
            chosen,
            "choice",
            (every, *(Option(value, label, value == chosen) for value, label in options)),
        )

    def typing(name: str, kind: str = "text") -> Filter:
        return Filter(name, say(language, f"list.{name}"), asked.typed.get(name, ""), kind)

    return [
        choice("type", [(kind, words.type_name(language, kind)) for kind in types]),
        choice("outcome", [(outcome, words.outcome_badge(language, outcome).text) for outcome in _outcomes(asked.typed.get("type"))]),
        choice("status", [(status, say(language, f"status.{status}")) for status in _STATUSES]),
        typing("order_id"),
        typing("customer_id"),
        typing("reason"),
        choice("channel", [(channel, words.channel_name(language, channel)) for channel in _CHANNELS]),
        choice("region", [(region, words.region_name(language, region)) for region in _REGIONS]),
        typing("tag"),
        typing("policy_version"),
        choice("overridden", [(value, say(language, f"list.overridden.{value}")) for value in ("true", "false")]),
        typing("since", "when"),
        typing("until", "when"),
    ]


def _outcomes(decision_type: str | None) -> list[str]:
    specs = [SPECS[decision_type]] if decision_type in SPECS else list(SPECS.values())
    return list(dict.fromkeys([outcome.value for spec in specs for outcome in spec.outcomes] + [Outcome.REVIEW.value]))


def _chips(language: str, asked: Asked) -> list[Chip]:
    chips = []
    for name, value in asked.typed.items():
        shown = {
            "type": lambda v: words.type_name(language, v),
            "outcome": lambda v: words.outcome_badge(language, v).text,
            "status": lambda v: say_or(language, f"status.{v}", v),
            "region": lambda v: words.region_name(language, v),
            "channel": lambda v: words.channel_name(language, v),
            "overridden": lambda v: say_or(language, f"list.overridden.{v}", v),
        }.get(name, str)(value)
        chips.append(
            Chip(f"{say(language, f'list.{name}')}: {shown}", href({key: text for key, text in asked.typed.items() if key != name}))
        )
    return chips


def _when(text: str, *, end: bool) -> Millis | None:
    """A day, or a time to the minute or finer, in UTC where no offset is given; a whole day's end is the next midnight."""
    if not _WHEN.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return at + 86_400_000 if end and len(text) == 10 else at
