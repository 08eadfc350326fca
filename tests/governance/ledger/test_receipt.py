"""Receipts: signed text, note keys as other tools write them, key files that keep their secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.ledger.errors import KeyFileInvalid, NoteInvalid, ReceiptInvalid
from governance.ledger.receipt import KEY_FILE, PUBLISH_WITHIN, Receipt, Signer, Verifier, attach, detach, load_signer, verify

# From the documentation of Go's golang.org/x/mod/sumdb/note: a key pair made by other software.
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TESSERA_VERIFIER = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


@pytest.fixture
def signer():
    return Signer("ordinance.test/log", bytes(range(32)))


@pytest.fixture
def receipt(signer):
    return signer.promise("0193a5a0-0000-7000-8000-000000000001", b"\x07" * 32, 1_794_000_000_123)


def test_a_promise_holds_and_says_when(receipt, signer):
    assert receipt.publish_by == receipt.promised_at + PUBLISH_WITHIN
    verify(receipt, signer.verifier)
    assert receipt.signed_text == (
        b"ordinance/receipt/v1\n0193a5a0-0000-7000-8000-000000000001\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"
        b"2026-11-06T21:20:00.123Z\n2026-11-06T21:20:01.123Z\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"record_id": "0193a5a0-0000-7000-8000-000000000002"},
        {"leaf_hash": b"\x08" * 32},
        {"promised_at": 1_794_000_000_122},
        {"publish_by": 1_794_000_009_123},
        {"signature": b"\x00" * 64},
        {"signature": b""},
        {"key_id": "00000000"},
    ],
)
def test_any_change_breaks_it(receipt, signer, change):
    with pytest.raises(ReceiptInvalid):
        verify(replace(receipt, **change), signer.verifier)


def test_another_key_did_not_sign_it(receipt):
    other = Signer("ordinance.test/log", bytes(32))
    with pytest.raises(ReceiptInvalid):
        verify(replace(receipt, key_id=other.key_id), other.verifier)


@pytest.mark.parametrize("text", [GO_VERIFIER, TESSERA_VERIFIER])
def test_verifier_keys_of_other_software(text):
    assert str(Verifier.parse(text)) == text


def test_a_key_file_of_other_software(tmp_path):
    path = tmp_path / KEY_FILE
    path.write_text(GO_SIGNER + "\n")
    path.chmod(0o600)
    signer = load_signer(tmp_path)
    assert str(signer.verifier) == GO_VERIFIER


@pytest.mark.parametrize(
    "text", ["", "a+b", "name+00000000+" + GO_VERIFIER.rsplit("+", 1)[1], "PeterNeumann+c74f20a3+!!", "x+c74f20a3+AAAA"]
)
def test_malformed_verifier_keys(text):
    with pytest.raises(NoteInvalid):
        Verifier.parse(text)


def test_survives_json(receipt):
    assert Receipt.from_json(orjson.loads(orjson.dumps(receipt.to_json()))) == receipt


@pytest.mark.parametrize("name", ["record_id", "leaf_hash", "promised_at", "publish_by", "key_id", "signature"])
@pytest.mark.parametrize("value", [None, 1, "ä?"])
def test_malformed_json_is_one_error(receipt, name, value):
    broken = {**receipt.to_json(), name: value}
    if value == "ä?" and name in {"record_id", "key_id"}:
        assert getattr(Receipt.from_json(broken), name) == value  # a text like any other; the signature will tell
        return
    with pytest.raises(ReceiptInvalid):
        Receipt.from_json(broken)


@given(st.dictionaries(st.text(max_size=5), st.text() | st.integers(0, 9), min_size=1))
def test_what_was_attached_can_be_detached(answer):
    receipt = Signer("n", bytes(32)).promise("r", b"\x00" * 32, 0)
    text = orjson.dumps(answer)
    response = attach(text, receipt)
    assert orjson.loads(response) == {**answer, "receipt": receipt.to_json()}
    assert detach(response) == (text, receipt)


@pytest.mark.parametrize("response", [b"", b"{}", b'{"a":1,"receipt":}', b'{"a":1,"receipt":{}}', b'{"a":1,"receipt":[1]'])
def test_a_response_without_a_receipt(response):
    with pytest.raises(ReceiptInvalid):
        detach(response)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        keys = {str(signer.verifier) for signer in pool.map(lambda _: load_signer(tmp_path), range(8))}
    assert len(keys) == 1
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    load_signer(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(KeyFileInvalid, match="chmod 600"):
        load_signer(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", GO_SIGNER[:-4].encode(), GO_SIGNER.replace("c74f20a3", "c74f20a4").encode(), b"a+b+c+d+e"]
)
def test_a_damaged_key_is_refused(tmp_path, content):
    path = tmp_path / KEY_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileInvalid, match="damaged"):
        load_signer(tmp_path)


@pytest.mark.parametrize("name", ["with space", "with+plus", "日志"])
def test_a_name_that_notes_cannot_carry_is_refused(tmp_path, name):
    with pytest.raises(KeyFileInvalid):
        load_signer(tmp_path, name)
    assert not (tmp_path / KEY_FILE).exists()
