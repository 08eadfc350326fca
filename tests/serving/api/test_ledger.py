"""``/v1/ledger`` over a log that was really led: what an outsider downloads is enough to check everything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, insert

from feature_store.times import now
from governance.access import Role, create_key
from governance.ledger import merkle
from governance.ledger.checkpoint import TlogProof, read_checkpoint
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.log import append
from governance.ledger.notes import NoteKey
from governance.ledger.published import PublishedLog
from governance.ledger.receipt import Signer
from governance.ledger.record import Draft, Kind, seal
from governance.ledger.rows import DecisionRow, Facets, RecordRow
from governance.ledger.tables import promises
from governance.ledger.tiles import Tile, TiledTree, unbundle
from serving.api import ledger
from serving.console.app import create_console
from serving.console.joined.wire import join

SIGNER = Signer("ordinance.test/log", b"s" * 32)
ROWS = 300


class Client:
    """Asks the console's application, with the log's routes in it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.leader = Leader(engine, SIGNER, folder / "ledger", HighWater(folder / "state", SIGNER.verifier.name))
        self.keys = {role.value: create_key(engine, role, f"test-{role}") for role in (Role.OMS, Role.AUDITOR, Role.TRAINER)}
        self.keys["stranger"] = create_key(engine, Role.OMS, "another-oms")
        folders = {name: folder / name for name in ("keys", "models", "datasets_folder")}
        for one in folders.values():
            one.mkdir()
        wiring = join(engine, **folders, launch=lambda _id: None, publish=None, base_url="http://127.0.0.1:8000")  # type: ignore[arg-type]
        self.app = create_console(wiring)
        self.app.include_router(ledger.routes(wiring, PublishedLog(engine, folder / "ledger", SIGNER.verifier)))

    def get(self, path: str, who: str | None = None) -> httpx.Response:
        async def once() -> httpx.Response:
            headers = {} if who is None else {"authorization": f"Bearer {self.keys[who]}"}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://127.0.0.1:8000") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(once())

    def decide(self, count: int) -> list[str]:
        rows = []
        for number in range(count):
            answer = b'{"outcome":"ACCEPT"}'
            draft = Draft(Kind.DECISION, "acceptance", {}, {"response": answer.decode(), "order": {"order_id": f"SO-{number}"}}, {})
            sealed = seal(draft, SIGNER, now())
            facets = Facets("acceptance", "live", "ACCEPT", "decided", now(), 1)
            rows.append(DecisionRow(sealed, facets, "test-oms", sealed.record_id, b"f" * 32, answer))
        with self.engine.begin() as connection:
            append(connection, rows)
        return [row.sealed.record_id for row in rows]


@pytest.fixture
def client(sqlite_engine: Engine, tmp_path: Path) -> Client:
    return Client(sqlite_engine, tmp_path)


def test_an_outsider_checks_the_whole_log_without_a_key(client: Client) -> None:
    client.decide(ROWS)
    client.leader.turn()
    key = NoteKey.parse(client.get("/v1/ledger/key").text)
    assert key == SIGNER.verifier
    answer = client.get("/v1/ledger/checkpoint")
    checkpoint, _ = read_checkpoint(answer.content, [key])
    assert (checkpoint.size, answer.headers["cache-control"]) == (ROWS, "public, max-age=1")

    def read(tile: Tile) -> bytes:
        answer = client.get(f"/v1/ledger/{tile.path}")
        assert answer.status_code == 200, answer.text
        assert "immutable" in answer.headers["cache-control"]
        return answer.content

    assert TiledTree(ROWS, read).root() == checkpoint.root
    entries = [*unbundle(read(Tile(-1, 0)), 256), *unbundle(read(Tile(-1, 1, ROWS - 256)), ROWS - 256)]
    assert merkle.root([merkle.leaf_hash(entry) for entry in entries]) == checkpoint.root


def test_a_proof_stands_by_itself_for_the_one_who_asked(client: Client) -> None:
    record_id = client.decide(3)[1]
    early = client.get(f"/v1/ledger/proof/{record_id}", "oms")
    assert (early.status_code, early.headers["retry-after"]) == (503, "1")
    client.leader.turn()
    for who in ("oms", "auditor", "trainer"):
        answer = client.get(f"/v1/ledger/proof/{record_id}", who)
        proof = TlogProof.parse(answer.content)
        with client.engine.connect() as connection:
            entry = connection.exec_driver_sql("SELECT entry FROM records WHERE record_id = ?", (record_id,)).scalar_one()
        assert proof.verify(merkle.leaf_hash(entry), [SIGNER.verifier]).size == 3
    assert client.get(f"/v1/ledger/proof/{record_id}", "stranger").status_code == 404
    assert client.get(f"/v1/ledger/proof/{record_id}").status_code == 401
    assert client.get("/v1/ledger/proof/nothing", "auditor").status_code == 404


def test_the_status_says_how_blind_the_log_is(client: Client) -> None:
    client.decide(2)
    client.leader.turn()
    client.decide(3)
    told = client.get("/v1/ledger/status", "auditor").json()
    assert (told["size"], told["records_not_integrated"]) == (2, 3)
    client.leader.turn()
    assert client.get("/v1/ledger/status", "auditor").json()["records_not_integrated"] == 0
    assert client.get("/v1/ledger/status", "oms").status_code == 403


def test_a_promise_that_passed_is_counted(client: Client) -> None:
    old = seal(Draft(Kind.EXPORT, None, {}, {"change": {}}, {}), SIGNER, now() - 60_000)
    with client.engine.begin() as connection:
        append(connection, [RecordRow(old)])
    assert client.get("/v1/ledger/status", "auditor").json()["records_overdue"] == 1


@pytest.mark.parametrize("path", ["tile/0/001", "tile/0/0", "tile/%2e%2e/checkpoint", "tile/0/000.p/4", "tile/9/000"])
def test_what_is_not_there_is_a_404(client: Client, path: str) -> None:
    client.decide(3)
    client.leader.turn()
    answer = client.get(f"/v1/ledger/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_before_the_first_checkpoint_there_is_none(client: Client) -> None:
    assert client.get("/v1/ledger/checkpoint").status_code == 503


def test_tampered_files_are_no_proof(client: Client, tmp_path: Path) -> None:
    record_id = client.decide(3)[0]
    client.leader.turn()
    path = tmp_path / "ledger" / "tile/0/000.p/3"
    path.write_bytes(bytes(96))
    answer = client.get(f"/v1/ledger/proof/{record_id}", "auditor")
    assert answer.status_code == 500
    assert "ordinance verify" in answer.json()["detail"]
    with client.engine.begin() as connection:
        connection.execute(insert(promises), {"record_id": "x"})
    assert client.get("/v1/ledger/key").status_code == 200
