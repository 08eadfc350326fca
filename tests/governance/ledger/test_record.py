"""Records: what an outsider needs to check one, and that no change of one goes unnoticed."""

from __future__ import annotations

import hmac
import json
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import rfc8785
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.ledger import merkle
from governance.ledger.compression import decompress
from governance.ledger.errors import RecordCorrupt, RecordInvalid
from governance.ledger.ids import RecordIds, new_record_id
from governance.ledger.opened import check, numbers, read_groups, read_seeds
from governance.ledger.receipt import Signer, attach, verify
from governance.ledger.record import CUSTOMER_GROUPS, GROUPS, MAX_ENTRY, Draft, Kind, Numbers, about_customer, disclosure, seal

AT = 1_794_000_000_123
SIGNER = Signer("ordinance.test/log", bytes(range(32)))
ANSWER = b'{"outcome":"ALLOW"}'
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def b64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def draft(**changes) -> Draft:
    groups = {
        "request": '{"order":{"order_id":"SO-1"}}',
        "order": {"order_id": "SO-1", "order_version": 1, "customer_id": "C-9"},
        "values": Numbers.of([1.0, -0.0, float("nan"), 5e-324]),
        "confidence": {"probability": 0.31},
        "response": ANSWER.decode(),
        "people": {"principal": "oms-1"},
    }
    base = Draft(
        Kind.DECISION,
        "fraud",
        {"model": "sha256:" + "a" * 64},
        groups,
        about_customer("C-9", groups),
        record_id="0193a5a0-0000-7000-8000-000000000001",
    )
    return replace(base, **changes)


def outsider_root(sealed, values: dict[str, object]) -> str:
    """The commitment root as the ledger's document describes it, with nothing of ours but the stored seeds."""
    seeds = json.loads(sealed.seeds)
    seed_of = dict.fromkeys(GROUPS, seeds["rest"]) | {
        group: facts["seed"] for facts in seeds["subjects"].values() for group in facts["groups"]
    }
    leaves = []
    for name in GROUPS:
        salt = hmac.new(unb64url(seed_of[name]), name.encode(), "sha256").digest()[:16]
        text = b64url(rfc8785.dumps([b64url(salt), name, values.get(name)]))
        leaves.append(sha256(b"\x00" + sha256(text.encode()).digest()).digest())
    while len(leaves) > 1:
        leaves = [sha256(b"\x01" + left + right).digest() for left, right in zip(leaves[::2], leaves[1::2], strict=True)]
    return b64url(leaves[0])


def test_an_outsider_computes_the_same_commitment():
    sealed = seal(draft(), SIGNER, AT)
    values = {**draft().groups, "values": b64url(np.array([1.0, -0.0, float("nan"), 5e-324], "<f8").tobytes())}
    assert json.loads(sealed.entry)["commitment"] == outsider_root(sealed, values)


def test_the_entry_is_canonical_and_names_no_person():
    sealed = seal(draft(), SIGNER, AT)
    entry = json.loads(sealed.entry)
    assert sealed.entry == rfc8785.dumps(entry)
    assert set(entry) == {"schema", "record_id", "kind", "tenant", "time", "type", "digests", "commitment"}
    assert entry["time"] == "2026-11-06T21:20:00.123Z"
    for personal in (b"C-9", b"SO-1", b"oms-1", b"ALLOW"):
        assert personal not in sealed.entry
    assert sealed.leaf_hash == sha256(b"\x00" + sealed.entry).digest()


def test_the_receipt_is_for_this_leaf():
    sealed = seal(draft(), SIGNER, AT)
    verify(sealed.receipt, SIGNER.verifier)
    assert (sealed.receipt.record_id, sealed.receipt.leaf_hash, sealed.receipt.promised_at) == (sealed.record_id, sealed.leaf_hash, AT)


def test_a_disclosure_is_made_as_in_rfc_9901():
    """Section 4.2.3 of RFC 9901: the digest of a disclosure is the SHA-256 of its base64url text."""
    text = b"WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert b64url(sha256(text).digest()) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"
    seed = bytes(32)
    ours = disclosure(seed, "order", b'{"a":"M\xc3\xb6bius"}')
    assert json.loads(unb64url(ours.decode())) == [b64url(hmac.digest(seed, b"order", "sha256")[:16]), "order", {"a": "Möbius"}]


def test_equal_records_of_two_people_look_unrelated():
    first, second = (json.loads(seal(draft(), SIGNER, AT).entry) for _ in range(2))
    assert first.pop("commitment") != second.pop("commitment")
    assert first == second


def test_seeds_are_apart_by_subject():
    seeds = read_seeds(seal(draft(), SIGNER, AT).seeds)
    assert seeds.subjects == ("customer:C-9",)
    assert len({seeds.of(group) for group in CUSTOMER_GROUPS & set(draft().groups)}) == 1
    assert seeds.of("people") == seeds.rest != seeds.of("request")
    assert len(seeds.rest) == 32


def test_numbers_come_back_bit_for_bit():
    values = np.array([1.0, -0.0, float("nan"), float("inf"), 5e-324, 0.1])
    sealed = seal(draft(groups={"values": Numbers.of(values)}, subjects={}), SIGNER, AT)
    assert numbers(read_groups(sealed.body)["values"]).tobytes() == values.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(set(GROUPS) - {"response"})), json_values, max_size=6))
def test_what_was_recorded_is_read_and_checks(groups):
    sealed = seal(draft(groups={**groups, "response": ANSWER.decode()}, subjects={}), SIGNER, AT)
    response = attach(ANSWER, sealed.receipt)
    check(sealed.entry, sealed.leaf_hash, sealed.body, sealed.seeds, response)
    read = read_groups(sealed.body, response)
    assert {name: rfc8785.dumps(value) for name, value in read.items()} == {
        name: rfc8785.dumps(value) for name, value in {**groups, "response": ANSWER.decode()}.items()
    }


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_changed_byte_goes_unnoticed(data):
    sealed = seal(draft(), SIGNER, AT)
    parts = {
        "entry": sealed.entry,
        "body": decompress(sealed.body),
        "response": attach(ANSWER, sealed.receipt)[: len(ANSWER) - 1],
        "leaf_hash": sealed.leaf_hash,
    }
    which = data.draw(st.sampled_from(sorted(parts)))
    place = data.draw(st.integers(0, len(parts[which]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda other: other != parts[which][place]))
    changed = {**parts, which: parts[which][:place] + bytes([byte]) + parts[which][place + 1 :]}
    response = changed["response"] + attach(ANSWER, sealed.receipt)[len(ANSWER) - 1 :]
    with pytest.raises(RecordCorrupt):
        check(changed["entry"], changed["leaf_hash"], zstandard.compress(changed["body"]), sealed.seeds, response)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_column_has_one_error(data):
    sealed = seal(draft(), SIGNER, AT)
    columns = [sealed.entry, sealed.leaf_hash, sealed.body, sealed.seeds, attach(ANSWER, sealed.receipt)]
    i = data.draw(st.integers(0, len(columns) - 1))
    columns[i] = data.draw(st.binary(max_size=60) | st.just(columns[i][:-1]) | st.just(columns[i] + b"x") | st.just(b"{}") | st.just(b"[]"))
    with pytest.raises(RecordCorrupt):
        check(*columns)


def test_a_leaf_whose_entry_was_made_to_fit_is_caught_by_its_groups():
    sealed = seal(draft(), SIGNER, AT)
    other = seal(draft(groups={**draft().groups, "confidence": {"probability": 0.99}}), SIGNER, AT)
    with pytest.raises(RecordCorrupt, match="commits to"):
        check(sealed.entry, sealed.leaf_hash, other.body, sealed.seeds, attach(ANSWER, sealed.receipt))
    assert merkle.leaf_hash(sealed.entry) == sealed.leaf_hash


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"groups": {"colour": 1}}, "no group 'colour'"),
        ({"groups": {"order": {"n": 2**53}}}, "group 'order'"),
        ({"groups": {"order": {"when": object()}}}, "group 'order'"),
        ({"groups": {"values": Numbers("<f4", np.zeros(1))}}, "dtype"),
        ({"digests": {"customer": "C-9"}}, "digest"),
        ({"digests": {"model": "Jane Doe"}}, "digest"),
        ({"decision_type": "Fraud!"}, "decision type"),
        ({"tenant": "x" * MAX_ENTRY}, "65535"),
        ({"subjects": {"a": ["order"], "b": ["order"]}}, "one data subject"),
        ({"subjects": {"": ["order"]}}, "has a name"),
    ],
)
def test_refuses_what_does_not_belong_into_a_record(changes, says):
    with pytest.raises(RecordInvalid, match=says):
        seal(draft(**changes), SIGNER, AT)


def test_groups_keep_their_places():
    """Their order is part of the format: a change makes old records unverifiable."""
    assert GROUPS[:16] == (
        "request", "order", "circumstances", "snapshot", "values", "explanation", "scores", "contributions",
        "model", "confidence", "policy", "alternatives", "outcome", "response", "people", "change",
    )  # fmt: skip


def test_record_ids_are_uuid_7():

    value = uuid.UUID(new_record_id())
    assert (value.version, value.variant) == (7, uuid.RFC_4122)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60), st.binary(min_size=10, max_size=10))
def test_record_ids_only_grow(steps, noise):
    """Also when the clock stands still or goes back, and whatever the random bits are."""
    moment = 1_794_000_000_000
    clock = iter([moment := moment + step for step in steps])
    ids = RecordIds(lambda: next(clock), lambda _: noise)
    made = [ids.new() for _ in steps]
    assert made == sorted(set(made))


def test_record_ids_do_not_run_out_within_a_millisecond():
    ids = RecordIds(lambda: 1_794_000_000_000)
    made = [ids.new() for _ in range(10_000)]
    assert made == sorted(set(made))
