"""Fingerprints: the same for the same request in every process of a home, and useless without its key."""

from __future__ import annotations

from hashlib import sha256

import pytest

from governance.ledger.errors import KeyFileInvalid
from governance.ledger.fingerprint import KEY_FILE, load_fingerprint


def test_is_the_same_for_every_process_of_a_home(tmp_path):
    first, second = load_fingerprint(tmp_path), load_fingerprint(tmp_path)
    assert first(b"body") == second(b"body") != first(b"other")
    assert first(b"body") != sha256(b"body").digest()
    assert len(first(b"")) == 32
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_homes_differ(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert load_fingerprint(tmp_path / "a")(b"body") != load_fingerprint(tmp_path / "b")(b"body")


def test_a_damaged_key_is_refused(tmp_path):
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(KeyFileInvalid, match="damaged"):
        load_fingerprint(tmp_path)
