"""Webhooks: endpoints with their place in the log, and what could not be delivered yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False, comment="|a|b|; empty for all"),
        sa.Column("secret", sa.LargeBinary(), nullable=False, comment="sealed with AES-256-GCM: it signs, so it cannot be a hash"),
        sa.Column("secret_before", sa.LargeBinary(), comment="signs beside it until secret_until"),
        sa.Column("secret_until", sa.BigInteger()),
        sa.Column("state", sa.String(length=8), nullable=False, comment="active, disabled"),
        sa.Column("disabled_at", sa.BigInteger()),
        sa.Column("disabled_because", sa.Text()),
        sa.Column("next_seq", sa.BigInteger(), nullable=False, comment="the first place of the log that it was not told of"),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False, comment="messages that it took"),
        sa.Column("delivered_at", sa.BigInteger(), comment="when it took the last one"),
        sa.Column("failed_at", sa.BigInteger(), comment="when it last did not"),
        sa.Column("failure", sa.Text()),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("message_id", sa.String(length=96), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the place of its record in the log"),
        sa.Column("state", sa.String(length=8), nullable=False, comment="waiting, dead"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False, comment="when it is tried again"),
        sa.Column("status", sa.Integer(), comment="what was answered last; empty where nothing was"),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.endpoint_id"], name=op.f("fk_webhook_deliveries_endpoint_id")),
        sa.PrimaryKeyConstraint("endpoint_id", "message_id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index("ix_webhook_deliveries_due", "webhook_deliveries", ["state", "next_at"])
