"""The handbook's transactions as the business would have told them: requests to decide, payments that follow, charge-backs a week later.

A terminal is the device, a card is its customer. A transaction's time is the second at which it happened by the wall clock; within a second
transactions arrive one millisecond after the other, in the order of their ids, so that each sees those before it and none after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.calendar import LOCAL_OFFSET, local_day
from feature_store.events import Event, EventType
from feature_store.order import Customer, Device, Line, Money, Order, Place
from feature_store.times import DAY, Millis

Integers = NDArray[np.int64]

LABEL_DELAY: Millis = 7 * DAY
"""How long after a transaction its fraud is known."""

_CURRENCY = "XXX"
"""ISO 4217 for no currency at all: the handbook names none."""
_PLACE = Place(region="everywhere")
_COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")


class HandbookMissing(Exception):
    """The folder does not hold the handbook's transactions; the message says what is needed."""


@dataclass(frozen=True, slots=True)
class Transactions:
    """Transactions in the order of their ids, which is that of their times; all columns int64 (n,).

    Attributes:
        ids: the handbook's ids.
        time: the second at which each happened, milliseconds; the handbook's wall clock is taken for China's.
        customer, terminal: numbers of who paid and where.
        cents: the amount.
        fraud: 0 or 1; known :data:`LABEL_DELAY` later.
    """

    ids: Integers
    time: Integers
    customer: Integers
    terminal: Integers
    cents: Integers
    fraud: Integers

    def __post_init__(self) -> None:
        if (np.diff(self.time) < 0).any() or (self.time % 1000).any():
            raise ValueError("transactions come by time, in whole seconds")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def arrival(self) -> Integers:
        """When each was told and decided: its second, and a millisecond for each transaction before it in that second."""
        _, first, which = np.unique(self.time, return_index=True, return_inverse=True)
        arrival: Integers = self.time + np.arange(len(self)) - first[which]
        return arrival

    @property
    def day(self) -> Integers:
        """The day of each by the wall clock, in days since 1970-01-01."""
        return np.array([local_day(at) for at in self.time.tolist()], dtype=np.int64)


def read_transactions(folder: Path) -> Transactions:
    """Read the Parquet files of a folder.

    Raises:
        HandbookMissing: there are none, or they lack a column.
    """
    import duckdb

    files = [str(path) for path in sorted(folder.glob("*.parquet"))]
    if not files:
        raise HandbookMissing(f"{folder} holds no Parquet file with the handbook's transactions ({', '.join(_COLUMNS)})")
    query = (
        "SELECT TRANSACTION_ID, epoch_ms(TX_DATETIME::TIMESTAMP) AS time, CUSTOMER_ID, TERMINAL_ID, round(TX_AMOUNT * 100) AS cents, TX_FRAUD"
        " FROM read_parquet($1) ORDER BY TRANSACTION_ID"
    )
    try:
        with duckdb.connect() as connection:
            found = connection.execute(query, [files]).fetchnumpy()
    except duckdb.Error as error:
        raise HandbookMissing(f"{folder} cannot be read as the handbook's transactions: {error}") from error
    ids, time, customer, terminal, cents, fraud = (np.asarray(column, dtype=np.int64) for column in found.values())
    return Transactions(ids, time - LOCAL_OFFSET, customer, terminal, cents, fraud)


def stream(transactions: Transactions) -> Iterator[Event | Order]:
    """What the business told, in the order of telling: a request to decide, its payment in the same millisecond, its charge-back a week later.

    Frauds become known as seconds begin; their events say when the payment was.
    """
    arrival = transactions.arrival.tolist()
    time = transactions.time.tolist()
    frauds = np.flatnonzero(transactions.fraud == 1).tolist()
    next_known = 0
    rows = zip(
        transactions.ids.tolist(), transactions.customer.tolist(), transactions.terminal.tolist(), transactions.cents.tolist(), strict=True
    )
    for row, (number, customer, terminal, cents) in enumerate(rows):
        while next_known < len(frauds) and time[frauds[next_known]] + LABEL_DELAY <= arrival[row]:
            yield _chargeback(transactions, frauds[next_known])
            next_known += 1
        order = _order(number, customer, terminal, cents, time[row])
        yield order
        yield Event(f"{order.order_id}-placed", EventType.ORDER_PLACED, time[row], arrival[row], _facts(number, customer, terminal, cents))


def _facts(number: int, customer: int, terminal: int, cents: int) -> dict[str, Any]:
    return {"order_id": f"TX-{number}", "customer_id": f"C-{customer}", "device_id": f"T-{terminal}", "amount": cents / 100}


def _chargeback(transactions: Transactions, row: int) -> Event:
    number, customer, terminal, cents, time = (
        int(column[row])
        for column in (transactions.ids, transactions.customer, transactions.terminal, transactions.cents, transactions.time)
    )
    return Event(f"TX-{number}-chargeback", EventType.CHARGEBACK, time, time + LABEL_DELAY, _facts(number, customer, terminal, cents))


def _order(number: int, customer: int, terminal: int, cents: int, time: Millis) -> Order:
    price = Money(amount=Decimal(cents).scaleb(-2), currency=_CURRENCY)
    return Order(
        order_id=f"TX-{number}",
        placed_at=time,
        currency=_CURRENCY,
        customer=Customer(customer_id=f"C-{customer}"),
        ship_to=_PLACE,
        device=Device(device_id=f"T-{terminal}"),
        lines=(Line(line_id="1", sku="payment", qty=1, unit_price=price),),
    )
