"""Records to store: sealed as in service, with whatever facets a test cares about."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from governance.ledger.receipt import Signer, attach
from governance.ledger.record import Draft, Kind, Numbers, about_customer, seal
from governance.ledger.rows import DecisionRow, Facets, RecordRow

AT = 1_794_000_000_000

MakeRow = Callable[..., DecisionRow]


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer("ordinance.test/log", bytes(range(32)))


@pytest.fixture
def make_row(signer) -> MakeRow:
    """A decision's row; every call makes another record with a key of its own, unless told otherwise."""
    numbers = itertools.count(1)

    def make(
        key: str | None = None, *, principal: str = "oms-1", fingerprint: bytes = b"\x01" * 32, answer: bytes | None = None, **facets
    ) -> DecisionRow:
        number = next(numbers)
        given = {
            "type": "fraud",
            "mode": "live",
            "outcome": "ALLOW",
            "status": "decided",
            "decided_at": AT + number,
            "latency_us": 900,
            **facets,
        }
        text = answer or b'{"outcome":"%b","n":%d}' % (given["outcome"].encode(), number)
        groups = {
            "request": '{"order":{}}',
            "order": {"order_id": given.get("order_id"), "customer_id": given.get("customer_id")},
            "values": Numbers.of([0.1, float(number)]),
            "response": text.decode(),
        }
        draft = Draft(Kind.DECISION, given["type"], {"build": "1"}, groups, about_customer(given.get("customer_id"), groups))
        sealed = seal(draft, signer, given["decided_at"])
        return DecisionRow(sealed, Facets(**given), principal, key or f"key-{number}", fingerprint, attach(text, sealed.receipt))

    return make


@pytest.fixture
def make_record(signer) -> Callable[..., RecordRow]:
    """The row of a record that is no decision."""
    return lambda **change: RecordRow(seal(Draft(Kind.MODEL_REGISTERED, None, {}, {"change": change or {"name": "m"}}), signer, AT))
