"""``ordinance verify``: a home, an address, a receipt; what it says, and its exit codes."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from governance.ledger.findings import Part
from governance.ledger.receipt import Signer
from models.artifact import ModelArtifact
from serving.checks import newest
from serving.force import Force
from serving.settings import Settings
from serving.verify_command import Asked, VerifyRefused, verify
from serving.verifying import verify_when_due
from tests.serving.ledger_home import LedgerHome, make_home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, artifacts: Mapping[str, ModelArtifact], force: Force) -> tuple[LedgerHome, list[bytes]]:
    home = make_home(tmp_path_factory.mktemp("verify"), force, artifacts)
    answers = home.decide(10)
    home.settle()
    home.lead()
    return home, answers


@pytest.fixture
def home(made: tuple[LedgerHome, list[bytes]]) -> LedgerHome:
    return made[0]


@pytest.fixture
def answer(made: tuple[LedgerHome, list[bytes]], tmp_path: Path) -> Path:
    path = tmp_path / "answer.json"
    path.write_bytes(made[1][0])
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def url(home: LedgerHome) -> Iterator[str]:
    """The log's files behind any web server: they are all that an outsider needs, but for the key."""
    served = home.base.home.ledger
    (served / "key").write_text(f"{home.base.signer.verifier}\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served.parent)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/ledger"
    server.shutdown()
    thread.join()
    server.server_close()
    (served / "key").unlink()


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(home: LedgerHome) -> Run:
    def run(**asked: Any) -> tuple[int, str]:
        said: list[str] = []
        return verify(home.base.settings, Asked(**asked), said.append), "\n".join(said)

    return run


def test_a_home_in_order(run: Run, home: LedgerHome) -> None:
    code, told = run()
    assert (code, told.split(":")[0]) == (0, "In order")
    assert home.base.signer.verifier.name in told
    kept = newest(home.base.engine)
    assert kept is not None
    assert kept.whole
    assert kept.finding is None


def test_a_changed_record_is_named(run: Run, home: LedgerHome) -> None:
    with sqlite3.connect(home.folder / "ordinance.db") as sql:
        name, was = sql.execute("SELECT record_id, outcome FROM decisions LIMIT 1").fetchone()
        sql.execute("UPDATE decisions SET outcome = 'FREE' WHERE record_id = ?", (name,))
    code, told = run()
    with sqlite3.connect(home.folder / "ordinance.db") as sql:
        sql.execute("UPDATE decisions SET outcome = ? WHERE record_id = ?", (was, name))
    sql.close()
    assert code == 1
    assert told.startswith(f"NOT IN ORDER  column {name}")
    assert "column outcome says 'FREE'" in told


def test_the_schedule_goes_on_from_what_was_in_order(home: LedgerHome) -> None:
    first = home.verify()
    home.decide(3, start=500)
    home.lead()
    verify_when_due(home.base, 0.0, 3_600.0)
    kept = newest(home.base.engine)
    assert kept is not None
    assert (kept.whole, kept.asked_by, kept.finding) == (False, "schedule", None)
    assert 0 < kept.verified.records < 256
    assert kept.verified.size > first.verified.size


def test_an_address_is_remembered(run: Run, url: str, home: LedgerHome) -> None:
    code, told = run(url=url)
    assert (code, "compare it with what you were given" in told) == (0, True)
    code, told = run(url=url)
    assert (code, "it extends the tree of" in told) == (0, True)
    log = home.base.home.ledger
    kept = (log / "checkpoint").read_bytes()
    older = home.base.signer.sign_note(f"{home.base.signer.verifier.name}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").to_bytes()
    (log / "checkpoint").write_bytes(older)
    code, told = run(url=url)
    (log / "checkpoint").write_bytes(kept)
    assert code == 1
    assert told.startswith("NOT IN ORDER  fork")


def test_a_receipt_is_looked_for(run: Run, url: str, answer: Path, home: LedgerHome) -> None:
    for asked in ({"receipt": answer}, {"receipt": answer, "url": url}, {"receipt": answer, "key": str(home.base.signer.verifier)}):
        code, told = run(**asked)
        assert code == 0, told
        assert "is at place" in told


def test_a_promise_that_was_not_kept_is_told(run: Run, url: str, tmp_path: Path, home: LedgerHome) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(orjson.dumps(home.base.signer.promise("01900000-0000-7000-8000-000000000000", b"l" * 32, 1_794_000_000_000).to_json()))
    code, told = run(receipt=path, url=url)
    assert (code, "MISSING" in told) == (1, True)
    code, told = run(receipt=path)
    assert (code, "no such record" in told) == (1, True)
    path.write_bytes(orjson.dumps(Signer("other", b"o" * 32).promise("x", b"l" * 32, 1_794_000_000_000).to_json()))
    assert run(receipt=path)[0] == 1


def test_another_answer_than_was_recorded_is_told(run: Run, answer: Path) -> None:
    told = orjson.loads(answer.read_bytes())
    told["outcome"] = "ACCEPT" if told["outcome"] != "ACCEPT" else "REJECT"
    answer.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    code, said = run(receipt=answer)
    assert (code, "another one than was recorded" in said) == (1, True)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"receipt": 1}'])
def test_what_is_no_receipt_is_refused(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.json").write_bytes(content)
    with pytest.raises(VerifyRefused, match=r"no\.json"):
        run(receipt=tmp_path / "no.json")


def test_no_home_is_made_to_be_checked(tmp_path: Path) -> None:
    with pytest.raises(VerifyRefused, match="There is no home"):
        verify(Settings(home=tmp_path / "none"), Asked(), print)
    assert not (tmp_path / "none").exists()


def test_a_model_that_is_gone_is_named(home: LedgerHome) -> None:
    folder = next((home.base.home.models / "sha256").iterdir())
    shutil.move(folder, folder.with_suffix(".gone"))
    result = home.verify()
    shutil.move(folder.with_suffix(".gone"), folder)
    assert result.finding is not None
    assert result.finding.part is Part.MODEL
