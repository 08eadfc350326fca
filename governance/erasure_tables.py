"""Tables of erasures and legal holds. Whom they are about is sealed under the person's own key, and gone with it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table, text

from feature_store.tables import metadata

_IN_FORCE = text("lifted_at IS NULL")

erasures = Table(
    "erasures",
    metadata,
    Column("erasure_id", String(36), primary_key=True),
    Column("pseudonym", String(23), nullable=False),
    Column("subject", LargeBinary, nullable=False, comment="TYPE:ID, sealed; empty once erased"),
    Column("state", String(12), nullable=False, comment="requested, withdrawn, confirmed, done"),
    Column("requested_by", String(255), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("settled_by", String(255), comment="who confirmed or withdrew it"),
    Column("settled_at", BigInteger),
    Column("done_at", BigInteger),
    Column("record_id", String(36), comment="of the record that says what was erased"),
    Index(None, "requested_at"),
)

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("hold_id", String(36), primary_key=True),
    Column("pseudonym", String(23), nullable=False),
    Column("subject", LargeBinary, nullable=False, comment="TYPE:ID, sealed"),
    Column("placed_by", String(255), nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("lifted_by", String(255)),
    Column("lifted_at", BigInteger, comment="empty while it holds"),
    Index("ix_legal_holds_pseudonym", "pseudonym", sqlite_where=_IN_FORCE, postgresql_where=_IN_FORCE),
)
