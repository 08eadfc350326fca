"""Tables of the feature store, and the metadata to which every package adds its own."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

events = Table(
    "events",
    metadata,
    Column("event_id", String(255), primary_key=True),
    Column("type", String(40), nullable=False),
    Column("event_time", BigInteger, nullable=False),
    Column("known_at", BigInteger, nullable=False),
    Column("valid_from", BigInteger),
    Column("data", LargeBinary, nullable=False, comment="the type's own fields, JSON"),
    Index(None, "known_at"),
)


def _states(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("entity", String(16), primary_key=True),
        Column("key", String(255), primary_key=True),
        Column("state", LargeBinary, nullable=False, comment="bounded history of one entity, as feature_store.state writes it"),
        Column("updated_at", BigInteger, nullable=False),
    )


entity_states = _states("entity_states")
"""The states in use."""
entity_states_next = _states("entity_states_next")
"""Where a rebuild grows; it changes places with those in use when it is done."""
entity_states_before = _states("entity_states_before")
"""What was in use before the last rebuild."""

datasets = Table(
    "datasets",
    metadata,
    Column("dataset_id", String(36), primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("template", String(32), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("report", LargeBinary, nullable=False, comment="CheckReport as JSON"),
    Column("uploaded_by", String(255), nullable=False),
    Column("uploaded_at", BigInteger, nullable=False),
)

reservations = Table(
    "reservations",
    metadata,
    Column("reservation_id", String(36), primary_key=True, comment="of the decision whose plan reserves the pieces"),
    Column("node_id", Text, primary_key=True),
    Column("sku", String(255), primary_key=True),
    Column("qty", Integer, nullable=False),
    Column("order_id", String(128), nullable=False, index=True),
    Column("order_version", Integer, nullable=False),
    Column("principal", String(255), nullable=False),
    Column("reserved_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ending", String(10), comment="settled, released, superseded; empty while it holds or after it expired"),
    Column("ended_at", BigInteger),
    Column("counts_until", BigInteger, nullable=False, comment="until when the pieces are missing from the usable stock"),
    Index(None, "sku", "counts_until"),
)

reserved_stock = Table(
    "reserved_stock",
    metadata,
    Column("sku", String(255), primary_key=True),
    Column("until", BigInteger, primary_key=True, comment="until when these pieces count"),
    Column("node_id", Text, primary_key=True),
    Column("settled_at", BigInteger, primary_key=True, comment="0 for pieces that are held"),
    Column("qty", BigInteger, nullable=False),
)
"""Sums over reservations, so that a SKU with thousands of them is read like any other."""

expiry_runs = Table(
    "expiry_runs",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=True),
    Column("started_at", BigInteger, nullable=False),
    Column("asked_by", String(16), nullable=False, comment="schedule or command"),
    Column("ended_at", BigInteger, comment="empty while it runs, and when it was killed"),
    Column("report", LargeBinary, comment="Forgotten as JSON"),
    Column("problem", Text, comment="why it failed"),
    Index(None, "started_at"),
)
"""What was done about what is past its time."""
