"""The entities whose history the feature store keeps, and how an order names them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Entity(StrEnum):
    """What a feature can be about."""

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


NETWORK_KEY = "all"


class EntityKey(NamedTuple):
    """One entity: its kind and its key, as the OMS names it."""

    entity: Entity
    key: str
