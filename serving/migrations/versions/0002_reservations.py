"""Pieces of stock that plans reserve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of reserved pieces."""
    op.create_table(
        "reservations",
        sa.Column("reservation_id", sa.String(length=36), nullable=False, comment="of the decision whose plan reserves the pieces"),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.String(length=255), nullable=False),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.String(length=128), nullable=False),
        sa.Column("order_version", sa.Integer(), nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("reserved_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "ending", sa.String(length=10), nullable=True, comment="settled, released, superseded; empty while it holds or after it expired"
        ),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("counts_until", sa.BigInteger(), nullable=False, comment="until when the pieces are missing from the usable stock"),
        sa.PrimaryKeyConstraint("reservation_id", "node_id", "sku", name=op.f("pk_reservations")),
    )
    op.create_index(op.f("ix_reservations_order_id"), "reservations", ["order_id"], unique=False)
    op.create_index(op.f("ix_reservations_sku_counts_until"), "reservations", ["sku", "counts_until"], unique=False)
