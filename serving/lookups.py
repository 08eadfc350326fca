"""What was decided, read back: search, one decision, its explanation, an order's timeline. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from serving.answer import Reply


class Lookups(Protocol):
    """The routes that look."""

    async def search(self, query: Mapping[str, str]) -> Reply:
        """``GET /v1/decisions``."""

    async def decision(self, decision_id: str, principal: str, role: str, query: Mapping[str, str]) -> Reply:
        """``GET /v1/decisions/{id}``."""

    async def explanation(self, decision_id: str) -> Reply:
        """``GET /v1/decisions/{id}/explanation``."""

    async def timeline(self, order_id: str) -> Reply:
        """``GET /v1/orders/{id}/timeline``."""
