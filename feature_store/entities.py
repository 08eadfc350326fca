"""The entities whose history the feature store keeps, and how an order names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Entity(StrEnum):
    """What a feature can be about."""

    __hash__ = str.__hash__  # keys are looked up dozens of times for each decision, and Enum's own hash is a function in Python

    CUSTOMER = "customer"
    DEVICE = "device"
    ADDRESS = "address"
    PAYMENT = "payment"
    IP = "ip"
    SKU = "sku"
    SUPPLIER = "supplier"
    NODE = "node"
    REGION = "region"
    """A destination region; holds the lanes that lead to it."""
    NETWORK = "network"
    """One row with all nodes, so that an order needs no list of nodes to read them."""
    CUSTOMER_DEVICE = "customer_device"
    CUSTOMER_ADDRESS = "customer_address"
    PAYMENT_DEVICE = "payment_device"


NETWORK_KEY = "all"

PAIRS: Final[Mapping[Entity, tuple[Entity, Entity]]] = {
    Entity.CUSTOMER_DEVICE: (Entity.CUSTOMER, Entity.DEVICE),
    Entity.CUSTOMER_ADDRESS: (Entity.CUSTOMER, Entity.ADDRESS),
    Entity.PAYMENT_DEVICE: (Entity.PAYMENT, Entity.DEVICE),
}
"""Entities whose key is made of two: what this customer did on this device."""

_BETWEEN: Final = "\x1f"
_LONGEST: Final = 255


class EntityKey(NamedTuple):
    """One entity: its kind and its key, as the OMS names it; of a pair, as :func:`pair_key` joins the two."""

    entity: Entity
    key: str


def pair_key(first: str, second: str) -> str:
    """The key of a pair, in the order of :data:`PAIRS`: both joined by a unit separator, or a digest where that would be too long."""
    joined = f"{first}{_BETWEEN}{second}"
    return joined if len(joined) <= _LONGEST else "sha256:" + hashlib.sha256(joined.encode()).hexdigest()
