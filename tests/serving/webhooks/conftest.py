"""A receiver on a real port that takes, fails, is slow, wants no more, or goes away; and a log that is led by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine

from governance import webhooks
from governance.changes import Scribe
from governance.ledger.high_water import HighWater
from governance.ledger.ids import new_record_id
from governance.ledger.leader import Leader
from governance.ledger.log import append
from governance.ledger.receipt import Signer
from governance.ledger.record import Draft, Kind, seal
from governance.ledger.rows import DecisionRow, Facets
from governance.outbox import Notice
from governance.waiting import Waiting
from governance.webhooks import Endpoint
from serving.webhooks.addresses import read_networks
from serving.webhooks.keeper import Courier, Patience
from serving.webhooks.secrets import Vault, new_secret

SIGNER = Signer("ordinance.test/log", b"s" * 32)
LOOPBACK = read_networks("127.0.0.0/8,::1/128")
Answer = Callable[[dict[str, Any]], int]


@dataclass
class Receiver:
    """Notes what arrives and answers as it is told."""

    port: int = 0
    answer: Answer = lambda _message: 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [orjson.loads(body) for _, body in self.got]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status = receiver.answer(orjson.loads(body))
                if status == 0:  # dies: nothing is answered
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                return

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    one.start()
    yield one
    one.stop()


@dataclass
class Post:
    """A database with a log, whose time stands still until it is moved."""

    engine: Engine
    folder: Path
    at: int = 1_762_819_203_000

    def __post_init__(self) -> None:
        self.leader = Leader(self.engine, SIGNER, self.folder / "ledger", HighWater(self.folder / "state", SIGNER.verifier.name))
        self.scribe = Scribe(SIGNER, clock=lambda: self.at)
        self.vault = Vault(b"v" * 32)

    def courier(self, **more: Any) -> Courier:
        given = {"patience": Patience(timeout_s=2.0), "chance": lambda: 0.5, **more}
        return Courier(self.engine, self.scribe, self.vault, LOOPBACK, **given)

    def endpoint(self, url: str, *events: Notice) -> Endpoint:
        endpoint_id = new_record_id()
        self.secret = new_secret()
        sealed = self.vault.seal(endpoint_id, self.secret)
        made = webhooks.create(
            self.engine, self.scribe, endpoint_id=endpoint_id, url=url, events=events, description="", sealed=sealed, principal="test-admin"
        )
        self.leader.turn()
        with self.engine.begin() as connection:  # that it was made is no part of what is tested
            connection.exec_driver_sql("UPDATE webhook_endpoints SET next_seq = next_seq + 1")
        return webhooks.find(self.engine, made.endpoint_id)

    def decide(self, count: int = 1, *, held: bool = False, lead: bool = True) -> list[str]:
        rows = []
        for _ in range(count):
            record_id = new_record_id()
            answer = orjson.dumps({"decision_id": record_id, "outcome": "HOLD" if held else "ACCEPT"})
            draft = Draft(Kind.DECISION, "acceptance", {}, {"response": answer.decode()}, record_id=record_id)
            facets = Facets(
                "acceptance", "live", "HOLD" if held else "ACCEPT", "decided", self.at, 900, order_id="SO-1", order_version=1,
                customer_id="C-secret", reasons=("SUPPLIER_CAPACITY_LOW",), probability=0.3, model_name="acceptance", model_version=3,
                model_digest="sha256:" + "0" * 64,
            )  # fmt: skip
            waits = Waiting(record_id, "acceptance", "presale", "SO-1", 1, 5, "CNY", self.at, self.at + 1_000, "REJECT") if held else None
            rows.append(DecisionRow(seal(draft, SIGNER, self.at), facets, "oms", record_id, b"f" * 32, answer, waits=waits))
        with self.engine.begin() as connection:
            append(connection, rows)
        if lead:
            self.leader.turn()
        return [row.sealed.record_id for row in rows]


@pytest.fixture
def post(sqlite_engine: Engine, tmp_path: Path) -> Post:
    return Post(sqlite_engine, tmp_path)


@pytest.fixture
def each_post(engine: Engine, tmp_path: Path) -> Post:
    """On each supported server."""
    return Post(engine, tmp_path)


def until(done: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Wait for something that other threads or processes do."""
    end = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
