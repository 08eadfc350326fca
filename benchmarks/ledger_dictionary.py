"""Train the dictionary that the ledger compresses with, on the records of a demo home, and say what it saves.

Run it on a home that ``ordinance demo`` filled and some hundred decisions of each type were made in::

    python benchmarks/ledger_dictionary.py HOME governance/ledger/dictionaries/32769.zdict

Never overwrite a dictionary that records were written with, and train on simulated data only: pieces of it end up in the file.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import zstandard

from governance.ledger.compression import LEVEL, decompress
from governance.ledger.errors import RecordCorrupt
from governance.ledger.vault import load_vault

SIZE = 2**16
EACH = 400
"""Records of each type, newest first; every fourth is kept for measuring."""


def texts(home: Path) -> Iterator[tuple[str, bytes]]:
    """Bodies and answers with their decision type."""
    vault = load_vault(home / "keys")
    with sqlite3.connect(f"file:{home / 'ordinance.db'}?mode=ro", uri=True) as database:
        for (name,) in database.execute("SELECT DISTINCT type FROM decisions ORDER BY type").fetchall():
            stored = database.execute(
                "SELECT record_id, body, seeds, response FROM decisions JOIN records USING (record_id) WHERE type = ? ORDER BY record_id DESC LIMIT ?",
                (name, EACH),
            )
            for record_id, body, seeds, response in stored:
                with suppress(RecordCorrupt):  # of one who was erased
                    columns = vault.open_all(record_id, body, seeds, response)
                    yield name, decompress(columns.body)
                    yield name, decompress(columns.response or b"")


def main(home: Path, target: Path) -> None:
    """Train, write, measure."""
    found = list(texts(home))
    kept = [pair for index, pair in enumerate(found) if index // 2 % 4 == 0]
    training: list[bytes | bytearray | memoryview[int]] = [text for index, (_, text) in enumerate(found) if index // 2 % 4]
    dictionary = zstandard.train_dictionary(SIZE, training, k=1024, d=8, level=LEVEL, dict_id=int(target.stem))
    with target.open("xb") as file:
        file.write(dictionary.as_bytes())
    plain, helped = zstandard.ZstdCompressor(level=LEVEL), zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary)
    for name in sorted({name for name, _ in kept}):
        samples = [text for kind, text in kept if kind == name]
        before, after = (2 * sum(len(way.compress(text)) for text in samples) / len(samples) for way in (plain, helped))
        print(f"{name}: {before:.0f} bytes a decision without a dictionary, {after:.0f} with it")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
