"""What was once stored stays readable for ever: a record of every kind, in every schema version that ever was."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from governance.ledger.compression import decompress
from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import open_checked
from governance.ledger.receipt import Receipt, detach, verify
from governance.ledger.record import SCHEMA, Kind, Numbers
from tests.governance.ledger.golden import FOLDER, SIGNER, groups_of, read

FILES = sorted(FOLDER.glob("*.json"))


def test_every_kind_of_record_has_one() -> None:
    assert {path.name for path in FILES} >= {f"{kind.value}.v{SCHEMA}.json" for kind in Kind}


def test_no_file_was_changed() -> None:
    """Their digests, in one: whoever adds a kind adds a line, and changes none."""
    listed = dict(line.split()[::-1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    assert listed == {path.name: sha256(path.read_bytes()).hexdigest() for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_what_it_commits_to(path: Path) -> None:
    stored = read(path)
    response = decompress(stored["response"]) if "response" in stored else None
    opened = open_checked(stored["entry"], stored["leaf_hash"], stored["body"], stored["seeds"], response)
    expected: dict[str, Any] = {
        name: value.text if isinstance(value, Numbers) else value for name, value in groups_of(Kind(stored["kind"])).items()
    }
    assert opened.groups == expected
    if response is not None:
        assert urlsafe_b64decode(opened.groups["values"] + "==")[8:] == b"\x00" * 7 + b"\x80"  # minus zero, bit for bit
    receipt = Receipt(
        stored["record_id"], stored["leaf_hash"], stored["promised_at"], stored["publish_by"], SIGNER.verifier.key_id, stored["signature"]
    )
    verify(receipt, SIGNER.verifier)
    if response is not None:
        assert detach(response)[0].decode() == groups_of(Kind.DECISION)["response"]


@pytest.mark.parametrize("column", ["entry", "body", "seeds"])
def test_a_changed_byte_is_noticed(column: str) -> None:
    stored = read(FOLDER / f"{Kind.EXPORT.value}.v1.json")
    raw = bytearray(stored[column])
    raw[len(raw) // 2] ^= 1
    stored[column] = bytes(raw)
    with pytest.raises(RecordCorrupt):
        open_checked(stored["entry"], stored["leaf_hash"], stored["body"], stored["seeds"])
