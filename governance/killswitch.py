"""The kill switch of each decision type: set by one person at once, recorded, in force in every replica within a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, Select, func, insert, select

from feature_store.database import reading
from feature_store.times import Millis
from governance.changes import Scribe, in_turn
from governance.controls import Mode, Switch
from governance.ledger.record import Kind
from governance.tables import switches


@dataclass(frozen=True, slots=True)
class SwitchChange:
    """One turn of a switch."""

    change_id: int
    type: str
    mode: Mode
    note: str
    changed_by: str
    changed_at: Millis
    record_id: str | None = None


def turn(engine: Engine, scribe: Scribe, *, decision_type: str, mode: Mode, note: str, principal: str) -> SwitchChange:
    """Set the switch of a type and record who did and why; turning it to where it stands is recorded as well."""
    with engine.begin() as connection:
        in_turn(connection)
        at = scribe.clock()
        before = _newest(connection, decision_type)
        change_id = int(connection.execute(select(func.coalesce(func.max(switches.c.change_id), 0))).scalar_one()) + 1
        row = {"change_id": change_id, "type": decision_type, "mode": mode.value, "note": note, "changed_by": principal, "changed_at": at}
        connection.execute(insert(switches), row)
        change = {
            "what": "switch_turned",
            "type": decision_type,
            "mode": mode.value,
            "before": before.value,
            "change_id": change_id,
            "note": note,
        }
        sealed = scribe.record(connection, Kind.SWITCH_CHANGED, change, principal=principal, at=at, decision_type=decision_type)
    return SwitchChange(change_id, decision_type, mode, note, principal, at, sealed.record_id)


def standing(engine: Engine) -> Mapping[str, SwitchChange]:
    """Where each switch stands that was ever turned, by decision type."""
    with reading(engine).connect() as connection:
        return {row.type: _change(row) for row in connection.execute(_standing())}


def off_normal(changes: Mapping[str, SwitchChange]) -> dict[str, Switch]:
    """The switches that a decision has to look at."""
    return {kind: Switch(one.mode, one.change_id) for kind, one in changes.items() if one.mode is not Mode.NORMAL}


def turns(engine: Engine, limit: int = 100) -> list[SwitchChange]:
    """Who turned which switch, newest first."""
    with reading(engine).connect() as connection:
        return [_change(row) for row in connection.execute(select(switches).order_by(switches.c.change_id.desc()).limit(limit))]


def _standing() -> Select[tuple[object, ...]]:
    newest = select(func.max(switches.c.change_id)).group_by(switches.c.type)
    return select(switches).where(switches.c.change_id.in_(newest))


def _newest(connection: Connection, decision_type: str) -> Mode:
    query = select(switches.c.mode).where(switches.c.type == decision_type).order_by(switches.c.change_id.desc()).limit(1)
    return Mode(connection.execute(query).scalar_one_or_none() or Mode.NORMAL)


def _change(row: Row[tuple[object, ...]]) -> SwitchChange:
    return SwitchChange(row.change_id, row.type, Mode(row.mode), row.note, row.changed_by, row.changed_at)
