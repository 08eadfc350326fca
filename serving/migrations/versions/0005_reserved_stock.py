"""Sums of what is reserved, by SKU and node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table of sums, and add up what is reserved now."""
    op.create_table(
        "reserved_stock",
        sa.Column("sku", sa.String(length=255), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="until when these pieces count"),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=False, comment="0 for pieces that are held"),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sku", "until", "node_id", "settled_at", name=op.f("pk_reserved_stock")),
    )
    op.execute(
        "INSERT INTO reserved_stock (sku, until, node_id, settled_at, qty) "
        "SELECT sku, counts_until, node_id, coalesce(ended_at, 0), sum(qty) FROM reservations "
        "WHERE ending IS NULL OR ending = 'settled' GROUP BY sku, counts_until, node_id, coalesce(ended_at, 0)"
    )
