"""What the parity check found, and which events it cannot expect to find."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables; a home whose history came as finished states has a gap before its first event."""
    op.create_table(
        "event_gaps",
        sa.Column("gap_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="events that became known by then may be missing"),
        sa.Column("cause", sa.String(length=16), nullable=False, comment="loaded or retention"),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gap_id", name=op.f("pk_event_gaps")),
    )
    op.create_table(
        "parity_checks",
        sa.Column("check_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=16), nullable=False, comment="schedule or command"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="of the decisions that were looked at"),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False, comment="of the sample"),
        sa.Column("report", sa.LargeBinary(), nullable=False, comment="ParityReport as JSON"),
        sa.PrimaryKeyConstraint("check_id", name=op.f("pk_parity_checks")),
    )
    op.create_index(op.f("ix_parity_checks_started_at"), "parity_checks", ["started_at"], unique=False)
    op.execute(
        sa.text(
            "INSERT INTO event_gaps (until, cause, noted_at) "
            "SELECT newest, 'loaded', newest FROM (SELECT max(updated_at) AS newest FROM entity_states) AS states WHERE newest IS NOT NULL"
        )
    )
