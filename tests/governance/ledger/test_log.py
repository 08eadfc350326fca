"""The recorder: together or not at all, durable before told, one answer to a key, and a thread that outlives every failure."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, text

from feature_store.database import make_engine
from governance.ledger.errors import KeyReused, NotDurable
from governance.ledger.log import Recorder, append
from governance.ledger.rows import Facets, pack, unpack
from governance.ledger.store import DecisionReader
from governance.ledger.tables import decisions, records

OTHER = b"\x02" * 32


@pytest.fixture
def recorder(engine):
    recorder = Recorder(engine)
    yield recorder
    recorder.close()


def count(engine) -> tuple[int, int]:
    with engine.connect() as connection:
        return tuple(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (records, decisions))


async def outcome(recorder, rows):
    try:
        return await recorder.commit(rows)
    except (KeyReused, NotDurable) as refusal:
        return refusal


def test_what_was_committed_is_there(engine, recorder, make_row):
    row = make_row(order_id="SO-1", customer_id="C-9", tags=("a|b", "c"), reasons=("X",), probability=0.25, latency_us=7)
    committed = recorder.commit_blocking([row])
    assert (committed.won, committed.response) == (True, row.response)
    stored = DecisionReader(engine).get(row.sealed.record_id)
    stored.check()
    assert stored.response == row.response
    assert (stored.entry, stored.body, stored.seeds, stored.receipt, stored.seq) == (
        row.sealed.entry,
        row.sealed.body,
        row.sealed.seeds,
        row.sealed.receipt,
        None,
    )
    facts = {name: getattr(stored.line, name) for name in Facets.__dataclass_fields__}
    assert facts == {name: getattr(row.facets, name) for name in facts}


def test_a_repeated_request_gets_the_first_answer(engine, recorder, make_row):
    first, second = make_row("k"), make_row("k")
    recorder.commit_blocking([first])
    again = recorder.commit_blocking([second])
    assert (again.won, again.response) == (False, first.response)
    assert count(engine) == (1, 1)


def test_another_request_under_the_same_key_is_refused(engine, recorder, make_row):
    recorder.commit_blocking([make_row("k")])
    with pytest.raises(KeyReused, match="'k'"):
        recorder.commit_blocking([make_row("k", fingerprint=OTHER)])
    assert count(engine) == (1, 1)


def test_a_key_belongs_to_a_principal(recorder, make_row):
    assert recorder.commit_blocking([make_row("k", principal="a")]).won
    assert recorder.commit_blocking([make_row("k", principal="b", fingerprint=OTHER)]).won


def test_the_rows_of_a_request_are_recorded_together(engine, recorder, make_row):
    parts = [make_row("order"), make_row("order/fraud"), make_row("order/acceptance", type="acceptance")]
    committed = recorder.commit_blocking(parts)
    assert (committed.won, committed.response) == (True, parts[0].response)
    assert count(engine) == (3, 3)
    loser = [make_row("order"), make_row("order/fraud"), make_row("order/new")]
    assert recorder.commit_blocking(loser).response == parts[0].response
    assert count(engine) == (3, 3)


def test_a_part_whose_key_is_taken_takes_the_request_with_it(engine, recorder, make_row):
    recorder.commit_blocking([make_row("order/fraud")])
    with pytest.raises(KeyReused):
        recorder.commit_blocking([make_row("order"), make_row("order/fraud")])
    assert count(engine) == (1, 1)


def test_records_that_are_no_decisions(engine, recorder, make_record, make_row):
    committed = recorder.commit_blocking([make_record()])
    assert (committed.won, committed.response) == (True, b"")
    row = make_row()
    assert recorder.commit_blocking([row, make_record()]).response == row.response
    assert count(engine) == (3, 1)


def test_appends_in_the_callers_transaction(engine, make_record):
    with engine.connect() as connection:
        append(connection, [make_record()])
        connection.rollback()
        assert count(engine) == (0, 0)
        append(connection, [make_record()])
        connection.commit()
    assert count(engine) == (1, 0)


def test_those_who_wait_share_commits(engine, recorder, make_row, monkeypatch):
    batches: list[int] = []
    write = recorder._writer.write
    monkeypatch.setattr(recorder._writer, "write", lambda batch: (batches.append(len(batch)), write(batch)))
    rows = [make_row() for _ in range(60)]

    async def all_at_once():
        return await asyncio.gather(*(recorder.commit([row]) for row in rows))

    done = asyncio.run(all_at_once())
    assert [one.response for one in done] == [row.response for row in rows]
    assert count(engine) == (60, 60)
    assert sum(batches) == 60
    assert len(batches) < 30


@pytest.mark.parametrize("spoil", ["text", "number", "surrogate"])
def test_a_request_that_the_database_refuses_does_not_take_others_with_it(engine, recorder, make_row, spoil):
    """Whatever the driver makes of it: an error of the database, of the driver, or of Python."""
    bad = {"text": {"order_id": None, "outcome": None}, "number": {"order_version": 2**70}, "surrogate": {"order_id": "\ud800"}}[spoil]
    spoilt = make_row("bad")
    spoilt = replace(spoilt, facets=replace(spoilt.facets, **bad))
    good = [make_row() for _ in range(3)]

    async def all_at_once():
        return await asyncio.gather(*(outcome(recorder, [row]) for row in (good[0], spoilt, *good[1:])))

    first, refused, *rest = asyncio.run(all_at_once())
    assert isinstance(refused, NotDurable)
    assert [one.response for one in (first, *rest)] == [row.response for row in good]
    assert count(engine) == (3, 3)
    assert recorder.commit_blocking([make_row()]).won


def test_the_same_request_twice_at_once_in_one_process(engine, recorder, make_row):
    rows = [make_row("same") for _ in range(5)] + [make_row("same", fingerprint=OTHER)]

    async def all_at_once():
        return await asyncio.gather(*(outcome(recorder, [row]) for row in rows))

    *same, other = asyncio.run(all_at_once())
    assert [one.won for one in same].count(True) == 1
    assert {one.response for one in same} == {rows[0].response}
    assert isinstance(other, KeyReused)
    assert count(engine) == (1, 1)


def test_two_recorders_and_many_threads_agree_on_every_key(engine, database_url, make_row):
    """As two processes would: engines of their own, the same keys at the same time, in other orders."""
    other = make_engine(database_url)
    recorders = [Recorder(engine), Recorder(other)]
    keys = [f"key-{i}" for i in range(12)]
    jobs = []
    for turn in range(8):
        order = keys[turn:] + keys[:turn]
        for key in order if turn % 2 else reversed(order):
            rows = [make_row(key), make_row(f"{key}/part")]
            jobs.append((recorders[turn % 2], rows))
    barrier = threading.Barrier(8)

    def run(part):
        barrier.wait(30)
        return [(rows[0].idempotency_key, recorder.commit_blocking(rows, 60), rows[0].response) for recorder, rows in part]

    with ThreadPoolExecutor(8) as pool:
        told = [one for part in pool.map(run, [jobs[i::8] for i in range(8)]) for one in part]
    for recorder in recorders:
        recorder.close()
    other.dispose()
    for key in keys:
        answers = [(committed, own) for told_key, committed, own in told if told_key == key]
        winners = [own for committed, own in answers if committed.won]
        assert len(winners) == 1
        assert {committed.response for committed, _ in answers} == set(winners)
    assert count(engine) == (24, 24)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from([b"\x01" * 32, OTHER]), st.integers(0, 2)),
        min_size=1,
        max_size=12,
    )
)
def test_a_key_has_one_answer_whatever_comes_in_which_order(sqlite_engine, make_row, requests):
    """A dictionary is the model: the first request under a key fixes what everybody is told."""
    with sqlite_engine.begin() as connection:
        connection.execute(delete(decisions))
        connection.execute(delete(records))
    recorder = Recorder(sqlite_engine)
    rows = [make_row(key, principal=principal, fingerprint=fingerprint) for principal, key, fingerprint, _ in requests]
    parts = [[make_row() for _ in range(extra)] for *_, extra in requests]

    async def all_at_once():
        return await asyncio.gather(*(outcome(recorder, [row, *more]) for row, more in zip(rows, parts, strict=True)))

    told = asyncio.run(all_at_once())
    recorder.close()
    model: dict[tuple[str, str], int] = {}
    expected = 0
    for i, (row, what) in enumerate(zip(rows, told, strict=True)):
        winner = model.setdefault(row.key, i)
        if rows[winner].fingerprint != row.fingerprint:
            assert isinstance(what, KeyReused)
            continue
        assert (what.won, what.response) == (winner == i, rows[winner].response)
        expected += (1 + len(parts[i])) if winner == i else 0
    assert count(sqlite_engine) == (expected, expected)


def test_nothing_is_told_while_the_database_fails_and_it_recovers(engine, recorder, make_row):
    first = make_row()
    recorder.commit_blocking([first])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE decisions RENAME TO elsewhere"))
    row = make_row("k")
    with pytest.raises(NotDurable):
        recorder.commit_blocking([row])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO decisions"))
    assert count(engine) == (1, 1)
    assert recorder.commit_blocking([row]).won


@pytest.mark.parametrize("kind", ["decision", "record"])
@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_commit_whose_fate_is_unknown_is_settled_by_asking(engine, recorder, make_row, make_record, monkeypatch, lost, kind):
    """The connection breaks before or after the database has committed, and nobody says which."""
    writer = recorder._writer
    write = writer.write
    calls: list[int] = []

    def break_once(batch):
        calls.append(1)
        if len(calls) > 1:
            return write(batch)
        if lost == "after":
            write(batch)
        writer.close()
        raise engine.dialect.loaded_dbapi.OperationalError("the connection was lost")

    monkeypatch.setattr(writer, "write", break_once)
    rows = [make_row("k"), make_row("k/part")] if kind == "decision" else [make_record()]
    committed = recorder.commit_blocking(rows)
    assert (committed.won, committed.response) == (True, rows[0].response if kind == "decision" else b"")
    assert count(engine) == ((2, 2) if kind == "decision" else (1, 0))


def test_nothing_is_told_when_the_fate_stays_unknown_and_the_retry_finds_out(engine, recorder, make_row, monkeypatch):
    writer = recorder._writer
    write = writer.write

    def commit_and_lose(batch):
        write(batch)
        raise engine.dialect.loaded_dbapi.OperationalError("disk I/O error")

    row = make_row("k")
    with monkeypatch.context() as patched:
        patched.setattr(writer, "write", commit_and_lose)
        with pytest.raises(NotDurable, match="disk I/O error"):
            recorder.commit_blocking([row])
    retried = recorder.commit_blocking([make_row("k")])
    assert (retried.won, retried.response) == (False, row.response)
    assert count(engine) == (1, 1)


def test_a_writer_that_others_keep_out_says_so_and_goes_on(sqlite_engine, make_row):
    recorder = Recorder(sqlite_engine)
    recorder.commit_blocking([make_row()])
    recorder._writer._connection.execute("PRAGMA busy_timeout=20")
    with sqlite_engine.begin(), pytest.raises(NotDurable, match="locked"):
        recorder.commit_blocking([make_row()])
    assert recorder.commit_blocking([make_row()]).won
    recorder.close()


@pytest.mark.postgres
def test_a_server_that_goes_away_and_comes_back(postgres_server, make_row):
    url = postgres_server.new_database(migrated=True)
    engine = make_engine(url)
    recorder = Recorder(engine)
    try:
        recorder.commit_blocking([make_row()])
        name = engine.url.database
        postgres_server._admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert recorder.commit_blocking([make_row()], 60).won  # on a new connection
        postgres_server._admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres_server._admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(NotDurable):
            recorder.commit_blocking([make_row()], 60)
        postgres_server._admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert recorder.commit_blocking([make_row()], 60).won
        assert count(engine) == (3, 3)
    finally:
        recorder.close()
        engine.dispose()
        postgres_server.release(url)


def test_a_failed_batch_leaves_no_cursor_to_the_garbage_collector(sqlite_engine, make_row):
    """Freed by another thread it would wait for the connection, and that for the thread: for as long as a writer waits for its lock."""
    recorder = Recorder(sqlite_engine)
    recorder.commit_blocking([make_row("k")])
    with pytest.raises(sqlite3.IntegrityError) as caught:
        recorder._writer.write([make_row("k")])
    frame = caught.traceback[-1].frame
    assert frame.code.name == "_write"
    with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
        frame.f_locals["cursor"].execute("SELECT 1")
    recorder.close()


def test_closing_writes_what_waits_and_refuses_what_comes(engine, make_row):
    recorder = Recorder(engine)
    rows = [make_row() for _ in range(20)]

    async def close_while_waiting():
        waiting = [asyncio.ensure_future(recorder.commit([row])) for row in rows]
        await asyncio.sleep(0)
        await asyncio.to_thread(recorder.close)
        return await asyncio.gather(*waiting)

    assert all(one.won for one in asyncio.run(close_while_waiting()))
    with pytest.raises(NotDurable, match="closing"):
        recorder.commit_blocking([make_row()])
    assert count(engine) == (20, 20)


def test_a_queue_that_is_full_refuses_at_once(sqlite_engine, make_row):
    recorder = Recorder(sqlite_engine, max_waiting=2)

    async def too_many():
        with sqlite_engine.begin():  # nobody else can write now
            tasks = [asyncio.ensure_future(outcome(recorder, [make_row()])) for _ in range(12)]
            await asyncio.sleep(0)
            told_at_once = sum(task.done() for task in tasks)
        return told_at_once, await asyncio.gather(*tasks)

    told_at_once, results = asyncio.run(too_many())
    recorder.close()
    refused = [one for one in results if isinstance(one, NotDurable)]
    assert len(refused) == told_at_once >= 8  # two wait, and two more may be under way
    assert count(sqlite_engine) == (12 - len(refused),) * 2


def test_a_caller_that_gave_up_disturbs_nobody(engine, recorder, make_row):
    given_up, patient = make_row(), make_row()

    async def cancel_one():
        first = asyncio.ensure_future(recorder.commit([given_up]))
        second = asyncio.ensure_future(recorder.commit([patient]))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(cancel_one()).won
    assert recorder.commit_blocking([replace(given_up)]).response == given_up.response  # recorded all the same


def test_a_commit_of_nothing_is_a_mistake(recorder):
    with pytest.raises(ValueError, match="at least one"):
        recorder.commit_blocking([])


def test_a_large_batch_fits(engine, recorder, make_row):
    rows = [make_row() for _ in range(700)]
    assert recorder.commit_blocking(rows).won
    assert count(engine) == (700, 700)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), max_size=5))
def test_packed_lists(items):
    assert unpack(pack(items)) == tuple(items)
    for item in items:
        assert pack([item]) in pack(items)
