"""Messages are made from records, tell no person, and can be made again."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from governance import killswitch, lists, outbox
from governance.changes import Scribe
from governance.controls import Mode
from governance.ledger.receipt import Signer
from governance.lists import NewEntry
from governance.outbox import Notice

SCRIBE = Scribe(Signer("ordinance.test/log", b"s" * 32))
AT_HAND = "INSERT INTO log_entries (seq, record_id) SELECT row_number() OVER (ORDER BY record_id) - 1, record_id FROM promises"


def test_controls_are_told_without_notes_people_or_values(engine: Engine) -> None:
    killswitch.turn(engine, SCRIBE, decision_type="fraud", mode=Mode.RULES_ONLY, note="secret note", principal="secret person")
    entry = NewEntry("block", "customer", "C-secret", "secret reason", None, ())
    lists.add_entries(engine, SCRIBE, [entry], "secret person")
    with engine.begin() as connection:
        connection.execute(text(AT_HAND))
        told = outbox.read(connection, 0, (), 10)
        again = outbox.at_places(connection, [0, 1])
        assert outbox.read(connection, 0, {Notice.LIST_CHANGED}, 10).messages == told.messages[1:]
        assert outbox.place_at(connection, told.messages[0].at) == 0
        assert outbox.place_at(connection, told.messages[1].at + 1) == 2
    assert [one.notice for one in told.messages] == [Notice.KILLSWITCH_CHANGED, Notice.LIST_CHANGED]
    assert (told.next_seq, told.more) == (2, False)
    assert [(one.message_id, one.body) for one in again] == [(one.message_id, one.body) for one in told.messages]
    switched, listed = (orjson.loads(one.body)["data"] for one in told.messages)
    assert (switched["type"], switched["mode"], switched["before"]) == ("fraud", "rules_only", "normal")
    assert (listed["list"], listed["kind"]) == ("block", "customer")
    assert b"secret" not in b"".join(one.body for one in told.messages)


@given(st.uuids(), st.sampled_from(Notice))
def test_a_message_id_names_record_and_notice(record_id: object, notice: Notice) -> None:
    message = outbox.Message(str(record_id), notice, 0, 0, {})
    assert "." not in message.message_id
    assert outbox.parse_message_id(message.message_id) == (str(record_id), notice)


@given(st.text(max_size=120))
def test_anything_else_names_nothing(text: str) -> None:
    assert outbox.parse_message_id(text) is None
