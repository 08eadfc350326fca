"""Tables of what happens to a decision after it was answered: it waits for a person, it is overridden or expires, its truth is told.

Each row is what a record of the ledger said, laid out to be found; texts that people wrote stay in the record alone.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, text

from feature_store.tables import metadata

_OPEN = text("closed_at IS NULL")
_CLOSED = text("closed_at IS NOT NULL")
_STANDS = text("state IN ('pending', 'in_force')")

reviews = Table(
    "reviews",
    metadata,
    Column("record_id", String(36), primary_key=True, comment="of the decision that waits"),
    Column("type", String(64), nullable=False),
    Column("queue", String(64), nullable=False),
    Column("order_id", String(128)),
    Column("order_version", Integer),
    Column("rank", BigInteger, nullable=False, comment="what is at stake in millionths of the currency, negative: the most comes first"),
    Column("currency", String(3)),
    Column("opened_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("expires_to", String(128), nullable=False),
    Column("state", String(12), nullable=False, comment="open, pending; overridden, expired, superseded, cancelled"),
    Column("closed_at", BigInteger, comment="empty while it waits"),
    Column("closed_by", String(36), comment="the record that closed it"),
    Column("claimed_by", String(255)),
    Column("claimed_until", BigInteger),
    Index("ix_reviews_rank", "rank", "due_at", "record_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_reviews_due", "due_at", "record_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_reviews_order", "order_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_reviews_closed", "closed_at", "record_id", sqlite_where=_CLOSED, postgresql_where=_CLOSED),
)
"""Held decisions; a row comes with its decision, in the same transaction."""

overrides = Table(
    "overrides",
    metadata,
    Column("override_id", String(36), primary_key=True, comment="of its record"),
    Column("decision_id", String(36), nullable=False),
    Column("kind", String(8), nullable=False, comment="override by a person, expiry by the clock"),
    Column("type", String(64), nullable=False),
    Column("was", String(128), nullable=False, comment="the outcome as decided"),
    Column("outcome", String(128), nullable=False),
    Column("accepted_lines", Text, nullable=False, server_default="", comment="of ACCEPT_PARTIAL: |1|2|"),
    Column("reason_code", String(64)),
    Column("principal", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("state", String(8), nullable=False, comment="pending, in_force, refused, lapsed"),
    Column("settled_at", BigInteger, comment="when it came into force, was refused or lapsed"),
    Column("second", String(255), comment="who confirmed or refused it"),
    Column("second_id", String(36), comment="of the record that says so"),
    Index("ix_overrides_decision", "decision_id", "made_at"),
    Index("uq_overrides_stands", "decision_id", unique=True, sqlite_where=_STANDS, postgresql_where=_STANDS),
    Index("ix_overrides_made_at", "made_at"),
)
"""What took the place of an outcome. Of one decision at most one stands: a unique index decides every race."""

outcome_labels = Table(
    "outcome_labels",
    metadata,
    Column("label_id", String(36), primary_key=True, comment="of its record"),
    Column("decision_id", String(36), nullable=False),
    Column("type", String(64), nullable=False),
    Column("label", String(128), nullable=False),
    Column("positive", Boolean, comment="whether the event that the probability speaks of came; empty for numbers"),
    Column("observed_at", BigInteger, nullable=False),
    Column("known_at", BigInteger, nullable=False),
    Column("principal", String(255), nullable=False),
    Column("event", String(128), comment="what the decision's probability is that of"),
    Column("low", Float, comment="of the decision's interval, as in its record"),
    Column("high", Float),
    Column("level", Float),
    Column("segment", String(128), comment="of the customer, as in the request"),
    Index("ix_outcome_labels_decision", "decision_id", "known_at"),
    Index("ix_outcome_labels_type", "type", "known_at"),
)
"""What really happened; of one decision's labels the one that became known last counts."""

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),
)
"""Who of several processes does a thing that one should do."""
