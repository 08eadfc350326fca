"""Passes over all events: rebuilding states, and what arrives meanwhile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of passes, and two more for states."""
    op.create_table(
        "event_passes",
        sa.Column("pass_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False, comment="rebuild, erasure"),
        sa.Column("version", sa.String(length=32), nullable=False, comment="of the definitions that a rebuild follows"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="open, live, before, over"),
        sa.Column("known_at", sa.BigInteger(), nullable=False, comment="place: the events up to here were looked at"),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False, comment="events looked at"),
        sa.Column("total", sa.BigInteger(), nullable=False, comment="events there were when it began"),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pass_id", name=op.f("pk_event_passes")),
    )
    op.create_table(
        "event_notes",
        sa.Column("pass_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False, comment="of an event that arrived behind the place of the pass"),
        sa.PrimaryKeyConstraint("pass_id", "event_id", name=op.f("pk_event_notes")),
    )
    for name in ("entity_states_next", "entity_states_before"):
        op.create_table(
            name,
            sa.Column("entity", sa.String(length=16), nullable=False),
            sa.Column("key", sa.String(length=255), nullable=False),
            sa.Column("state", sa.LargeBinary(), nullable=False, comment="bounded history of one entity, as feature_store.state writes it"),
            sa.Column("updated_at", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("entity", "key", name=op.f(f"pk_{name}")),
        )
