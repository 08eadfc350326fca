"""What checks of the log found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ledger_checks",
        sa.Column("check_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=16), nullable=False, comment="schedule or command"),
        sa.Column("whole", sa.Boolean(), nullable=False, comment="whether every record was read again"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="leaves that the checkpoint covered; 0 when something was found"),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="that were read"),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("overdue", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=True, comment="what was found wrong; empty when nothing was"),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("check_id", name=op.f("pk_ledger_checks")),
    )
    op.create_index(op.f("ix_ledger_checks_started_at"), "ledger_checks", ["started_at"], unique=False)
