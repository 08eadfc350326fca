"""The parity check over recorded decisions: a seeded sample, rebuilt from raw events, and the result kept for the health page."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import orjson
from pydantic import ValidationError
from sqlalchemy import Engine, delete, insert, select

from feature_store.database import reading
from feature_store.network import Stock
from feature_store.order import FROM_WIRE
from feature_store.parity import ParityReport, Recorded, Told, check, from_json, to_json
from feature_store.parity_tables import parity_checks
from feature_store.reservations import Reserved
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.times import DAY, Millis, now
from feature_store.views import SERVICES
from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import numbers
from governance.ledger.store import DecisionLine, DecisionReader, Filters, StoredDecision
from serving.admission import BODIES
from serving.api.schemas import OrderBody, SplitBody
from serving.keeper import Keeper

log = logging.getLogger(__name__)

WINDOW = 1_000
"""The newest decisions of each type from which the schedule's sample is taken."""

SAMPLE = 40
"""Decisions in the schedule's sample."""

KEPT: Millis = 30 * DAY
"""How long results are kept."""

LOOKED = ("decided", "abstained")
"""Decisions that looked at the feature store: also those that were too uncertain. A fallback may not have."""

_STOCK = tuple(one.name for one in fields(Stock))
"""The columns of recorded stock, as :mod:`serving.recording` writes them."""

SCHEDULE, COMMAND = "schedule", "command"


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that was made, as it is kept.

    Attributes:
        since, until: when the first and last of the decisions in the window was made.
        seed: repeats the sample, as long as no decision is added to the window.
    """

    started_at: Millis
    asked_by: str
    since: Millis
    until: Millis
    seed: int
    report: ParityReport


def check_parity(
    engine: Engine, *, window: int = WINDOW, sample: int | None = SAMPLE, seed: int | None = None, by: str = SCHEDULE, rest: float = 0.0
) -> Checked | None:
    """Check a sample of the newest decisions and keep what was found.

    Args:
        engine: of the database.
        window: the newest decisions of each built-in type.
        sample: how many of these are checked; ``None`` for all.
        seed: of the sample; by default another one each time.
        by: who asked.
        rest: seconds of rest between two pages of events.

    Returns:
        What was found; ``None`` when there is no decision yet.
    """
    started_at = now()
    seed = random.SystemRandom().getrandbits(31) if seed is None else seed
    reader = DecisionReader(engine)
    lines = [line for kind in SERVICES for line in _newest_of(reader, kind, window)]
    if not lines:
        return None
    chosen = lines if sample is None or sample >= len(lines) else random.Random(seed).sample(lines, sample)  # noqa: S311 - a sample, not a secret
    recorded, unreadable = [], 0
    for line in chosen:
        stored = reader.get(line.record_id)
        one = None if stored is None else read(stored)
        if one is None:
            unreadable += 1
        elif one.snapshots:
            recorded.append(one)
    report = check(engine, recorded, unreadable=unreadable, rest=partial(time.sleep, rest) if rest else None)
    times = [line.decided_at for line in lines]
    checked = Checked(started_at, by, min(times), max(times), seed, report)
    _keep(engine, checked)
    return checked


def _newest_of(reader: DecisionReader, kind: str, window: int) -> list[DecisionLine]:
    found = [line for status in LOOKED for line in reader.newest(Filters(type=kind, status=status), window)]
    return sorted(found, key=lambda line: (-line.decided_at, line.record_id))[:window]


def newest(engine: Engine) -> Checked | None:
    """The newest result that is kept."""
    statement = select(parity_checks).order_by(parity_checks.c.started_at.desc(), parity_checks.c.check_id.desc()).limit(1)
    with reading(engine).connect() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return Checked(row.started_at, row.asked_by, row.since, row.until, row.seed, from_json(orjson.loads(row.report)))


def read(stored: StoredDecision) -> Recorded | None:
    """What a record says that its decision knew; ``None`` where the record does not tell it any more."""
    try:
        groups = stored.groups
        asked = groups["circumstances"]["asked"]
        body = BODIES[asked].model_validate(orjson.loads(groups["request"]), context=FROM_WIRE)
        if not isinstance(body, OrderBody):
            return None
        as_of = groups["circumstances"]["decided_at_ms"]
        return Recorded(stored.line.record_id, stored.line.type, body.order, as_of, snapshots(groups), _told(body), _reserved(groups))
    except (RecordCorrupt, ValidationError, ValueError, KeyError, TypeError) as error:
        log.warning("decision %s cannot be read for the parity check: %s", stored.line.record_id, type(error).__name__)
        return None


def snapshots(groups: Mapping[str, Any]) -> dict[str, FeatureSnapshot]:
    """Every snapshot of a record, by lane ``node|service``; of types without lanes one, under an empty name."""
    told = groups.get("snapshot")
    if told is None:
        return {}
    lanes = [f"{node_id}|{service}" for node_id, service in told["lanes"]] if "lanes" in told else [""]
    rows = numbers(groups["values"]).reshape(len(lanes), -1)
    times, origins = (told[name] if "lanes" in told else [told[name]] for name in ("event_times", "origins"))
    names = tuple(told["names"])
    return {
        lane: FeatureSnapshot(names, np.array(row), tuple(at), tuple(map(Origin, origin)), told["view_version"], told["as_of"])
        for lane, row, at, origin in zip(lanes, rows, times, origins, strict=True)
    }


def _told(body: OrderBody) -> Told:
    if not isinstance(body, SplitBody):
        return Told()
    parts: Sequence[Any] = (body.nodes, body.stock, body.rates)
    return Told(*(None if part is None else [one.value() for one in part] for part in parts))


def _reserved(groups: Mapping[str, Any]) -> Reserved:
    """What other orders' plans held, from the stock that the record shows."""
    stock = (groups["order"].get("network") or {}).get("stock") or ()
    rows = (dict(zip(_STOCK, row, strict=False)) for row in stock)
    return Reserved((row["node_id"], row["sku"], None, row["reserved"]) for row in rows if row.get("reserved"))


def _keep(engine: Engine, checked: Checked) -> None:
    row = {
        "started_at": checked.started_at, "asked_by": checked.asked_by, "since": checked.since, "until": checked.until,
        "seed": checked.seed, "report": orjson.dumps(to_json(checked.report)),
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(delete(parity_checks).where(parity_checks.c.started_at < checked.started_at - KEPT))
        connection.execute(insert(parity_checks), row)


class ParityKeeper(Keeper):
    """Checks every now and then; of several processes one checks at a time.

    Args:
        engine: of the database.
        every_s: seconds between two checks.
    """

    def __init__(self, engine: Engine, every_s: float) -> None:
        super().__init__("parity", every_s, partial(check_when_due, engine, every_s))


def check_when_due(engine: Engine, every_s: float) -> float:
    """Check when it is time; returns for how many seconds to wait."""
    before = newest(engine)
    due = 0.0 if before is None else every_s - (now() - before.started_at) / 1000
    if due > 0:
        return min(due, every_s)
    done = check_parity(engine, rest=0.02)
    return min(every_s, 60.0) if done is None else every_s
