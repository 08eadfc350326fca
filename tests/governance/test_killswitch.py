"""The kill switch: turned by one person at once, and recorded."""

from __future__ import annotations

from sqlalchemy import Engine, select

from governance.changes import Scribe, marks
from governance.controls import Mode, Switch
from governance.killswitch import off_normal, standing, turn, turns
from governance.ledger.opened import check, read_groups
from governance.ledger.receipt import Signer
from governance.ledger.tables import records

SCRIBE = Scribe(Signer("ordinance.test/log", b"s" * 32))


def test_each_turn_is_a_record_and_the_last_one_counts(engine: Engine) -> None:
    assert (standing(engine), off_normal(standing(engine))) == ({}, {})
    for number, (kind, mode) in enumerate((("fraud", Mode.HOLD_ALL), ("acceptance", Mode.RULES_ONLY), ("fraud", Mode.NORMAL)), start=1):
        made = turn(engine, SCRIBE, decision_type=kind, mode=mode, note=f"note {number}", principal="grace")
        assert made.change_id == marks(engine).switches == number
    assert {kind: one.mode for kind, one in standing(engine).items()} == {"fraud": Mode.NORMAL, "acceptance": Mode.RULES_ONLY}
    assert off_normal(standing(engine)) == {"acceptance": Switch(Mode.RULES_ONLY, 2)}
    assert [one.note for one in turns(engine)] == ["note 3", "note 2", "note 1"]
    with engine.connect() as connection:
        rows = connection.execute(select(records).order_by(records.c.record_id)).all()
    for row in rows:
        check(bytes(row.entry), bytes(row.leaf_hash), bytes(row.body), bytes(row.seeds))
    told = [read_groups(bytes(row.body)) for row in rows]
    assert [(one["change"]["type"], one["change"]["before"], one["change"]["mode"]) for one in told] == [
        ("fraud", "normal", "hold_all"),
        ("acceptance", "normal", "rules_only"),
        ("fraud", "hold_all", "normal"),
    ]
    assert {one["people"]["principal"] for one in told} == {"grace"}
