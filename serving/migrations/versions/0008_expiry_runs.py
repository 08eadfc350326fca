"""What was done about what is past its time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "expiry_runs",
        sa.Column("run_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=16), nullable=False, comment="schedule or command"),
        sa.Column("ended_at", sa.BigInteger(), nullable=True, comment="empty while it runs, and when it was killed"),
        sa.Column("report", sa.LargeBinary(), nullable=True, comment="Forgotten as JSON"),
        sa.Column("problem", sa.Text(), nullable=True, comment="why it failed"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_expiry_runs")),
    )
    op.create_index(op.f("ix_expiry_runs_started_at"), "expiry_runs", ["started_at"], unique=False)
