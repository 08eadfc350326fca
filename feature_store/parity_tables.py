"""Tables of the parity check: what it found, and which events it cannot expect to find."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from feature_store.tables import metadata

parity_checks = Table(
    "parity_checks",
    metadata,
    Column("check_id", Integer, primary_key=True, autoincrement=True),
    Column("started_at", BigInteger, nullable=False),
    Column("asked_by", String(16), nullable=False, comment="schedule or command"),
    Column("since", BigInteger, nullable=False, comment="of the decisions that were looked at"),
    Column("until", BigInteger, nullable=False),
    Column("seed", BigInteger, nullable=False, comment="of the sample"),
    Column("report", LargeBinary, nullable=False, comment="ParityReport as JSON"),
    Index(None, "started_at"),
)

event_gaps = Table(
    "event_gaps",
    metadata,
    Column("gap_id", Integer, primary_key=True, autoincrement=True),
    Column("until", BigInteger, nullable=False, comment="events that became known by then may be missing"),
    Column("cause", String(16), nullable=False, comment="loaded or retention"),
    Column("noted_at", BigInteger, nullable=False),
)
