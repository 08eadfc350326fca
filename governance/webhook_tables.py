"""Tables of webhooks: who is told, how far each has come in the log, and what could not be delivered yet.

What is told lies in the log already, in its order. An endpoint is a cursor over it, so that nothing is written for an event when it happens,
and nothing when it is delivered at once but the cursor; only what failed gets a row.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from feature_store.tables import metadata

endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("endpoint_id", String(36), primary_key=True),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("events", Text, nullable=False, comment="|a|b|; empty for all"),
    Column("secret", LargeBinary, nullable=False, comment="sealed with AES-256-GCM: it signs, so it cannot be a hash"),
    Column("secret_before", LargeBinary, comment="signs beside it until secret_until"),
    Column("secret_until", BigInteger),
    Column("state", String(8), nullable=False, comment="active, disabled"),
    Column("disabled_at", BigInteger),
    Column("disabled_because", Text),
    Column("next_seq", BigInteger, nullable=False, comment="the first place of the log that it was not told of"),
    Column("created_by", String(255), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False, comment="messages that it took"),
    Column("delivered_at", BigInteger, comment="when it took the last one"),
    Column("failed_at", BigInteger, comment="when it last did not"),
    Column("failure", Text),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("endpoint_id", String(36), ForeignKey("webhook_endpoints.endpoint_id"), primary_key=True),
    Column("message_id", String(96), primary_key=True),
    Column("event", String(40), nullable=False),
    Column("seq", BigInteger, nullable=False, comment="the place of its record in the log"),
    Column("state", String(8), nullable=False, comment="waiting, dead"),
    Column("attempts", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False, comment="when it is tried again"),
    Column("status", Integer, comment="what was answered last; empty where nothing was"),
    Column("error", Text, nullable=False),
    Index("ix_webhook_deliveries_due", "state", "next_at"),
)
