"""``ordinance witness``: follows logs and cosigns what they publish, as a process of its own with its own key and memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from governance.ledger.checkpoint import read_checkpoint
from governance.ledger.errors import LedgerError, NoteInvalid, ProofInvalid, TileInvalid
from governance.ledger.mirror import Seen, extends
from governance.ledger.notes import NoteKey
from governance.ledger.witness import SIZE_TYPE, Witness, WitnessRefused, load_witness_key
from serving.log_client import LogClient, LogUnreachable

Say = Callable[[str], None]
MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Watched:
    """What a witness is told to watch.

    Attributes:
        folder: of its key and memory.
        name: of a new witness.
        keys: of logs, as notes write them.
        follow: addresses of logs whose checkpoints it fetches by itself; their keys are among ``keys``.
        port: where it takes checkpoints that are sent to it; ``None`` for not at all.
        every_s: seconds between two looks at the followed logs.
        once: look once and end.
    """

    folder: Path
    name: str | None
    keys: tuple[str, ...]
    follow: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int | None = None
    every_s: float = 5.0
    once: bool = False


class WatchRefused(Exception):
    """It cannot witness as it is told to; the message says why."""


def witness(watched: Watched, say: Say) -> int:
    """Witness until interrupted, or once; returns 1 when a fork was seen or a log could not be looked at once.

    Raises:
        WatchRefused: a key cannot be read, or there is nothing to do.
        KeyFileInvalid: its own key cannot be used.
    """
    made = make_witness(watched)
    say(f"Witness key: {made.key.verifier}")
    if not watched.follow and watched.port is None:
        raise WatchRefused("Name logs to follow with --follow URL, or a port for checkpoints that are sent with --port.")
    clients = [LogClient(url) for url in watched.follow]
    if watched.once:
        return max((look(made, client, say) for client in clients), default=0)
    if watched.port is not None:
        server = serve(made, watched.host, watched.port)
        say(f"Takes checkpoints at http://{watched.host}:{server.server_address[1]}/add-checkpoint")
        threading.Thread(target=server.serve_forever, name="witness", daemon=True).start()
    while True:
        for client in clients:
            look(made, client, say)
        time.sleep(watched.every_s)


def make_witness(watched: Watched) -> Witness:
    """The witness with its key.

    Raises:
        WatchRefused: a log's key cannot be read, or there is none.
    """
    logs: dict[str, list[NoteKey]] = {}
    for text in watched.keys:
        try:
            key = NoteKey.parse(Path(text).read_text("ascii") if Path(text).is_file() else text)
        except (NoteInvalid, OSError, UnicodeDecodeError) as error:
            raise WatchRefused(f"The key {text!r} of a log cannot be read: {error}.") from error
        logs.setdefault(key.name, []).append(key)
    if not logs:
        raise WatchRefused(
            "Name the key of each log with --log KEY; the log tells it at /v1/ledger/key, and its operator should confirm it."
        )
    return Witness(load_witness_key(watched.folder, watched.name), watched.folder, logs)


def look(made: Witness, client: LogClient, say: Say) -> int:
    """Look at one log and cosign what is new; returns 1 when that was not possible."""
    try:
        raw = client.fetch("checkpoint")
        origin = raw.split(b"\n", 1)[0].decode(errors="replace")
        if origin not in made.logs:
            say(f"{client.address} is the log {origin!r}, whose key was not given")
            return 1
        checkpoint, note = read_checkpoint(raw, made.logs[origin], origin)
        seen = made.seen(origin)
        if seen is not None and (seen.size, seen.root) == (checkpoint.size, checkpoint.root):
            return 0
        if seen is not None and seen.size > checkpoint.size:
            say(f"NOT COSIGNED  {origin}: it shows a tree of {checkpoint.size}, and {seen.size} were cosigned before")
            return 1
        before = None if seen is None else Seen(origin, "", seen.size, seen.root)
        proof = [] if before is None else extends(client.fetch, checkpoint, before)
        made.cosign(checkpoint, note, 0 if seen is None else seen.size, proof)
        say(f"cosigned {origin} at {checkpoint.size}")
    except (WitnessRefused, ProofInvalid) as error:
        say(f"NOT COSIGNED  {client.address}: {error}")
        return 1
    except (LogUnreachable, NoteInvalid, TileInvalid) as error:
        say(f"{client.address}: {error}")
        return 1
    return 0


def serve(made: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """A server for ``POST /add-checkpoint``, not yet started."""

    class Handler(_Handler):
        witness: ClassVar[Witness] = made

    return ThreadingHTTPServer((host, port), Handler)


class _Handler(BaseHTTPRequestHandler):
    witness: ClassVar[Witness]
    timeout = 20

    def do_POST(self) -> None:
        if self.path != "/add-checkpoint":
            self._answer(404, "there is only /add-checkpoint\n")
            return
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            self._answer(413, f"a request has at most {MOST_BYTES} bytes and says how many\n")
            return
        try:
            cosignature = self.witness.add_checkpoint(self.rfile.read(int(length)))
        except WitnessRefused as error:
            if error.size is not None:
                self._answer(error.status, f"{error.size}\n", SIZE_TYPE)
            else:
                self._answer(error.status, f"{error}\n")
        except LedgerError as error:
            self._answer(400, f"{error}\n")
        else:
            self._answer(200, cosignature.line + "\n")

    def _answer(self, status: int, text: str, media: str = "text/plain; charset=utf-8") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: who asks is no news."""
