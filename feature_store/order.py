"""The order as the OMS tells it: validated, immutable, the same for every decision type.

Field names and units are the public contract: ``_g`` per piece, ``_cm3`` per piece, times RFC 3339, money as decimal text with its
currency. Unknown fields are refused; a sender's own fields go into ``attributes``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from feature_store.times import Millis, format_time, parse_time

MICRO = 1_000_000
"""Money is computed in millionths of the currency's unit: whole numbers, so sums and comparisons are exact."""

LARGEST_TOTAL = 10**12
"""Amounts and orders stay below so many units of the currency."""

_PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?")


FROM_WIRE = {"wire": True}
"""The validation context of what came from outside: there a time is a text, never a number."""


def _read_time(value: object, info: ValidationInfo) -> object:
    if isinstance(value, bool) or (info.context is FROM_WIRE and not isinstance(value, str)):
        raise ValueError("a time is an RFC 3339 text such as 2026-11-11T00:00:03.120Z")
    return parse_time(value) if isinstance(value, str) else value


Moment = Annotated[
    int,
    BeforeValidator(_read_time, json_schema_input_type=str),
    PlainSerializer(format_time, return_type=str),
    Field(json_schema_extra={"format": "date-time", "examples": ["2026-11-11T00:00:03.120Z"]}),
]
"""RFC 3339 on the wire, :data:`~feature_store.times.Millis` inside."""


def _plain_text(value: object, info: ValidationInfo) -> object:
    if info.context is FROM_WIRE and not isinstance(value, str):  # a number may have lost its last digits on the way
        raise ValueError('an amount is a text such as "129.99"')
    if isinstance(value, str) and _PLAIN.fullmatch(value) is None:  # Decimal reads underscores, blanks and the digits of every script
        raise ValueError("an amount is a plain decimal number such as 129.99")
    return value


def _plain_decimal(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("an amount is a finite decimal number")
    if exponent < -6:
        raise ValueError("an amount has at most six decimals")
    if abs(value) >= LARGEST_TOTAL:
        raise ValueError("an amount stays below a million millions")
    return value


Amount = Annotated[
    Decimal, BeforeValidator(_plain_text), AfterValidator(_plain_decimal), PlainSerializer(lambda d: format(d, "f"), return_type=str)
]
Identifier = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Latitude = Annotated[float, Field(ge=-90, le=90, strict=True)]
Longitude = Annotated[float, Field(ge=-180, le=180, strict=True)]


def _misplaced(at: tuple[str | int, ...], msg: str) -> PydanticCustomError:
    """What is wrong between the parts of a value; ``at`` is the place below it, for whoever tells the sender."""
    return PydanticCustomError("misplaced", "{msg}", {"at": at, "msg": msg})


class Strict(BaseModel):
    """Immutable, and refuses fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Money(Strict):
    """An amount with its currency."""

    amount: Amount = Field(examples=["129.99"])
    currency: Currency = Field(examples=["CNY"])

    @property
    def micros(self) -> int:
        """The amount in millionths, exact."""
        return int(self.amount * MICRO)


class Customer(Strict):
    """Who buys."""

    customer_id: Identifier
    segment: Text | None = None
    registered_at: Moment | None = None


class Place(Strict):
    """Where it goes."""

    address_id: Identifier | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    region: Identifier
    city: Text | None = None
    postcode: Text | None = None
    street: Text | None = None
    lat: Latitude | None = None
    lon: Longitude | None = None


class BillTo(Strict):
    """Who pays: a different address is a fact worth knowing."""

    address_id: Identifier | None = None
    street: Text | None = None


class Device(Strict):
    """What the order was placed with."""

    device_id: Identifier | None = None
    ip: Annotated[str, Field(max_length=64)] | None = None


class Payment(Strict):
    """How it is paid; ``token`` stands for the card or account."""

    method: Text | None = None
    status: Text | None = None
    token: Identifier | None = None


class Line(Strict):
    """One line of the order: a SKU and how many pieces."""

    line_id: Identifier
    sku: Identifier
    qty: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
    unit_price: Money
    weight_g: Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False, strict=True)] | None = None
    volume_cm3: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, strict=True)] | None = None
    category: Text | None = None
    ship_together_group: Identifier | None = None
    temp_class: Text | None = None
    pinned_node: Identifier | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)

    @property
    def supplier_id(self) -> str | None:
        """The supplier, where the OMS sends one in ``attributes.supplier_id``."""
        supplier = self.attributes.get("supplier_id")
        return supplier if isinstance(supplier, str) and supplier else None


class Order(Strict):
    """The OMS's order at one version."""

    order_id: Identifier
    order_version: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    placed_at: Moment
    channel: Text | None = None
    currency: Currency
    tags: tuple[Text, ...] = Field(default=(), max_length=64)
    promised_by: Moment | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    customer: Customer
    ship_to: Place
    bill_to: BillTo | None = None
    device: Device | None = None
    payment: Payment | None = None
    lines: tuple[Line, ...] = Field(min_length=1, max_length=500)

    @model_validator(mode="after")
    def _consistent(self) -> Order:
        seen: set[str] = set()
        for index, line in enumerate(self.lines):
            if line.line_id in seen:
                raise _misplaced(("lines", index, "line_id"), f"line_id {line.line_id!r} occurs twice")
            seen.add(line.line_id)
            if line.unit_price.amount < 0:
                raise _misplaced(("lines", index, "unit_price", "amount"), f"line {line.line_id!r} has a negative price")
            if line.unit_price.currency != self.currency:
                place = ("lines", index, "unit_price", "currency")
                raise _misplaced(place, f"line {line.line_id!r} is priced in {line.unit_price.currency}, the order in {self.currency}")
        if self.total_micros >= LARGEST_TOTAL * MICRO:  # beyond it a database has no whole number for the millionths
            raise _misplaced(("lines",), "the order's amount stays below a million millions")
        return self

    @property
    def total_micros(self) -> int:
        """Σ qty × unit price, in millionths of the currency."""
        return sum(line.qty * line.unit_price.micros for line in self.lines)

    @property
    def placed(self) -> Millis:
        """When it was placed."""
        return self.placed_at
