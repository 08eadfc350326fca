"""Erasures and legal holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.String(length=36), nullable=False),
        sa.Column("pseudonym", sa.String(length=23), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False, comment="TYPE:ID, sealed; empty once erased"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="requested, withdrawn, confirmed, done"),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_by", sa.String(length=255), nullable=True, comment="who confirmed or withdrew it"),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("record_id", sa.String(length=36), nullable=True, comment="of the record that says what was erased"),
        sa.PrimaryKeyConstraint("erasure_id", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_requested_at"), "erasures", ["requested_at"], unique=False)
    op.create_table(
        "legal_holds",
        sa.Column("hold_id", sa.String(length=36), nullable=False),
        sa.Column("pseudonym", sa.String(length=23), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False, comment="TYPE:ID, sealed"),
        sa.Column("placed_by", sa.String(length=255), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_by", sa.String(length=255), nullable=True),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True, comment="empty while it holds"),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_legal_holds")),
    )
    held = sa.text("lifted_at IS NULL")
    op.create_index("ix_legal_holds_pseudonym", "legal_holds", ["pseudonym"], unique=False, sqlite_where=held, postgresql_where=held)
