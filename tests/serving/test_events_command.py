"""``ordinance events load``: what a file may look like, what is refused by its line, and that it may be repeated."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select, update

from feature_store.database import make_engine
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import replay
from feature_store.gaps import read_gaps
from feature_store.parity_tables import event_gaps
from feature_store.tables import entity_states, events
from feature_store.times import now, parse_time
from serving.cli import main
from serving.console.joined.intake import StoredIntake
from serving.events_command import AHEAD

AT = "2026-01-01T00:00:00.000Z"
HEADER = "event_id,type,event_time,known_at,order_id,customer_id,amount,skus,late,promised_by,node_id,sku,available\n"
ROWS = (
    f"E-1,order_placed,{AT},2026-01-01T00:00:05.000Z,O-1,C-1,9.50,S-1; S-2,,2026-01-03T00:00:00Z,,,\n"
    f'E-2,cancelled,{AT},2026-01-02T00:00:00.000Z,O-1,"C-1",,"S-1",,,,,\n'
    f"E-3,stock_level,{AT},2026-01-01T00:00:00.000Z,,,,,,,N-1,S-1,4\n"
)
STOCK = {"event_id": "E-3", "type": "stock_level", "event_time": AT, "known_at": AT, "node_id": "N-1", "sku": "S-1", "available": 4.0}

BROKEN_GZIP = gzip.compress(os.urandom(4_000))[:2_000] + b"\xff" * 2_000

Load = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def load(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Load:
    """Writes a file and loads it: exit code, standard output, standard error."""
    monkeypatch.setattr("serving.events_command.collect_less", lambda: None)  # for processes of their own
    monkeypatch.delenv("ORDINANCE_DATABASE_URL", raising=False)

    def run(content: bytes | str, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "told.data"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        code = main(["events", "load", str(path), "--home", str(home), *options])
        return (code, *capsys.readouterr())

    return run


def stored(home: Path) -> dict[str, tuple[str, int, object]]:
    engine = make_engine(f"sqlite:///{home / 'ordinance.db'}")
    with engine.connect() as connection:
        rows = connection.execute(select(events)).all()
    engine.dispose()
    return {row.event_id: (row.type, row.known_at, orjson.loads(row.data)) for row in rows}


def lines(*told: dict[str, object]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in told)


@pytest.mark.parametrize(
    "packed", [lambda raw: raw, gzip.compress, lambda raw: b"\xef\xbb\xbf" + raw, lambda raw: raw.replace(b",", b"\t").replace(b"; ", b";")]
)
def test_a_csv_is_read_by_the_kinds_of_its_fields(load: Load, home: Path, packed: Callable[[bytes], bytes]) -> None:
    code, out, error = load(packed((HEADER + ROWS).encode()))
    assert (code, error) == (0, "")
    assert "3 events taken, 0 known before, 0 refused" in out
    told = stored(home)
    placed = {
        "order_id": "O-1",
        "customer_id": "C-1",
        "amount": 9.5,
        "skus": ["S-1", "S-2"],
        "promised_by": parse_time("2026-01-03T00:00:00Z"),
    }
    assert told["E-1"] == ("order_placed", parse_time(AT) + 5_000, placed)
    assert told["E-3"][2] == {"node_id": "N-1", "sku": "S-1", "available": 4.0}


def test_json_lines_and_a_csv_of_the_same_events_are_the_same(load: Load) -> None:
    assert load(HEADER + ROWS)[0] == 0
    assert "0 events taken, 1 known before" in load(gzip.compress(lines(STOCK)))[1]


def test_refused_lines_are_told_by_their_number_and_the_rest_is_kept(load: Load, home: Path) -> None:
    content = b"\n" + lines(STOCK, STOCK | {"event_id": "E-4", "available": "many"}) + b"{broken\n\n[1]\n" + lines(STOCK | {"available": 5})
    code, out, error = load(content)
    assert code == 1
    assert "1 events taken, 0 known before, 4 refused" in out
    told = dict(line.strip().split(": ", 1) for line in error.splitlines())
    assert set(told) == {"line 3", "line 4", "line 6", "line 7"}
    assert told["line 3"] == "available: 'many' is not a number"
    assert "no JSON" in told["line 4"]
    assert "a correction is an event of its own" in told["line 7"]
    assert set(stored(home)) == {"E-3"}


def test_rows_of_a_csv_are_told_by_their_line(load: Load, home: Path) -> None:
    wrong = f"E-4,stock_level,{AT},,,,,,,,N-1,S-1,lots\nE-5,stock_level\nE-6,sold,{AT},,,,,,,,,,\n" + ROWS
    code, _, error = load(HEADER + wrong)
    assert code == 1
    assert [line.split(":")[0].strip() for line in error.splitlines()] == ["line 2", "line 3", "line 4"]
    assert len(stored(home)) == 3


def test_many_refused_lines_are_counted_and_not_all_shown(load: Load) -> None:
    _, out, error = load(b"{}\n" * 1_200)
    assert "1,200 refused" in out
    assert len(error.splitlines()) == 21
    assert error.splitlines()[-1].strip() == "and 1,180 more lines"


def test_a_file_may_be_repeated(load: Load, home: Path) -> None:
    many = lines(*(STOCK | {"event_id": f"E-{number}"} for number in range(1_300)))
    assert "500 events taken" in load(b"\n".join(many.split(b"\n")[:500]))[1]
    assert "800 events taken, 500 known before" in load(many)[1]
    assert "0 events taken, 1,300 known before" in load(many)[1]
    assert len(stored(home)) == 1_300


def test_without_known_at_an_event_is_known_from_now_on_unless_said(load: Load, home: Path) -> None:
    bare = {name: value for name, value in STOCK.items() if name != "known_at"}
    before = now()
    assert "1 without known_at: known from now on" in load(lines(bare))[1]
    assert stored(home)["E-3"][1] >= before
    assert "known from when they happened" in load(lines(bare | {"event_id": "E-7"}), "--known-when-happened")[1]
    assert stored(home)["E-7"][1] == parse_time(AT)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b\n1,2\n", "has no column event_id, type, event_time"),
        (b"event_id,type,event_time,type\n", "the same name"),
        (b"\x1f\x8bnonsense", "cannot be read"),
        (b"\xff\xfe{}", "cannot be read"),
        (b'event_id,type,event_time\n"E,x\n', "cannot be read as CSV"),
        (b"{" + b" " * (1 << 20), "longer than a million characters"),
        (HEADER.encode() + b"E" * (1 << 20), "Line 2 is longer than a million characters"),
        (b"x" * 200_000 + b"\n", "neither JSON nor the header of a CSV"),
        (BROKEN_GZIP, "cannot be read"),
    ],
)
def test_what_is_no_file_of_events_is_told_in_one_line(load: Load, content: bytes, told: str) -> None:
    code, _, error = load(content)
    assert code == 1
    assert error.startswith("ordinance: ")
    assert told in error
    assert error.count("\n") == 1


def test_a_history_that_cannot_be_read_is_named_and_nothing_is_lost(load: Load, home: Path) -> None:
    load(lines(STOCK))
    engine = make_engine(f"sqlite:///{home / 'ordinance.db'}")
    with engine.begin() as connection:
        connection.execute(update(entity_states).where(entity_states.c.key == "S-1").values(state=b"damaged"))
    code, out, error = load(lines(STOCK | {"event_id": "E-4", "available": 9.0}, STOCK | {"event_id": "E-5", "sku": "S-2"}))
    assert (code, "2 events taken" in out) == (1, True)
    assert "1 histories cannot be read: sku 'S-1'" in error
    assert "ordinance features rebuild" in error
    assert main(["features", "rebuild", "--home", str(home)]) == 0
    expected = {key: state.to_bytes() for key, state in replay(told(home)).items()}
    with engine.connect() as connection:
        rows = connection.execute(select(entity_states)).all()
    engine.dispose()
    assert {EntityKey(Entity(row.entity), row.key): row.state for row in rows} == expected


def told(home: Path) -> list[Event]:
    return [Event(name, EventType(kind), parse_time(AT), known_at, data) for name, (kind, known_at, data) in stored(home).items()]  # type: ignore[arg-type]


def test_a_load_that_is_cut_off_has_said_that_decisions_did_not_see_it(load: Load, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(Exception):
        """Stands for the end of the process."""

    def cut(_self: StoredIntake, _events: object) -> object:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(StoredIntake, "take", cut)
        with pytest.raises(Cut):
            load(lines(STOCK))
    engine = make_engine(f"sqlite:///{home / 'ordinance.db'}")
    late = read_gaps(engine).late
    assert late is not None
    assert late > now() + AHEAD // 4, "decisions while it ran are excused"
    load(lines(STOCK))
    with engine.connect() as connection:
        ends = list(connection.execute(select(event_gaps.c.until).order_by(event_gaps.c.gap_id)).scalars())
    engine.dispose()
    assert ends[0] == late
    assert ends[1] <= now(), "a load that ended says when"
    assert len(ends) == 2


def test_a_file_that_is_not_there_leaves_the_home_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "load", str(home / "none.jsonl"), "--home", str(home)]) == 1
    assert "No such file" in capsys.readouterr().err
    assert not home.exists()


def test_a_load_says_how_far_it_is(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.events_command.TELL_EVERY_S", 0.0)
    _, out, _ = load(lines(*(STOCK | {"event_id": f"E-{number}"} for number in range(1_200))))
    assert [line.split("%")[1].strip() for line in out.splitlines()[:-1]] == ["500 events", "1,000 events", "1,200 events"]
