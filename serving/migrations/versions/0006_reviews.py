"""What happens to decisions after they were answered: reviews, overrides, outcome labels."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_OPEN: dict[str, Any] = {"sqlite_where": sa.text("closed_at IS NULL"), "postgresql_where": sa.text("closed_at IS NULL")}
_CLOSED: dict[str, Any] = {"sqlite_where": sa.text("closed_at IS NOT NULL"), "postgresql_where": sa.text("closed_at IS NOT NULL")}
_STANDS: dict[str, Any] = {
    "sqlite_where": sa.text("state IN ('pending', 'in_force')"),
    "postgresql_where": sa.text("state IN ('pending', 'in_force')"),
}


def upgrade() -> None:
    """Make the tables."""
    _reviews()
    _overrides()
    _outcome_labels()
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("record_id", sa.String(length=36), nullable=False, comment="of the decision that waits"),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=128), nullable=True),
        sa.Column("order_version", sa.Integer(), nullable=True),
        sa.Column(
            "rank",
            sa.BigInteger(),
            nullable=False,
            comment="what is at stake in millionths of the currency, negative: the most comes first",
        ),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_to", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False, comment="open, pending; overridden, expired, superseded, cancelled"),
        sa.Column("closed_at", sa.BigInteger(), nullable=True, comment="empty while it waits"),
        sa.Column("closed_by", sa.String(length=36), nullable=True, comment="the record that closed it"),
        sa.Column("claimed_by", sa.String(length=255), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_reviews")),
    )
    op.create_index("ix_reviews_rank", "reviews", ["rank", "due_at", "record_id"], **_OPEN)
    op.create_index("ix_reviews_due", "reviews", ["due_at", "record_id"], **_OPEN)
    op.create_index("ix_reviews_order", "reviews", ["order_id"], **_OPEN)
    op.create_index("ix_reviews_closed", "reviews", ["closed_at", "record_id"], **_CLOSED)


def _overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("override_id", sa.String(length=36), nullable=False, comment="of its record"),
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="override by a person, expiry by the clock"),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("was", sa.String(length=128), nullable=False, comment="the outcome as decided"),
        sa.Column("outcome", sa.String(length=128), nullable=False),
        sa.Column("accepted_lines", sa.Text(), server_default="", nullable=False, comment="of ACCEPT_PARTIAL: |1|2|"),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False, comment="pending, in_force, refused, lapsed"),
        sa.Column("settled_at", sa.BigInteger(), nullable=True, comment="when it came into force, was refused or lapsed"),
        sa.Column("second", sa.String(length=255), nullable=True, comment="who confirmed or refused it"),
        sa.Column("second_id", sa.String(length=36), nullable=True, comment="of the record that says so"),
        sa.PrimaryKeyConstraint("override_id", name=op.f("pk_overrides")),
    )
    op.create_index("ix_overrides_decision", "overrides", ["decision_id", "made_at"])
    op.create_index("ix_overrides_made_at", "overrides", ["made_at"])
    op.create_index("uq_overrides_stands", "overrides", ["decision_id"], unique=True, **_STANDS)


def _outcome_labels() -> None:
    op.create_table(
        "outcome_labels",
        sa.Column("label_id", sa.String(length=36), nullable=False, comment="of its record"),
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column(
            "positive", sa.Boolean(), nullable=True, comment="whether the event that the probability speaks of came; empty for numbers"
        ),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("event", sa.String(length=128), nullable=True, comment="what the decision's probability is that of"),
        sa.Column("low", sa.Float(), nullable=True, comment="of the decision's interval, as in its record"),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("level", sa.Float(), nullable=True),
        sa.Column("segment", sa.String(length=128), nullable=True, comment="of the customer, as in the request"),
        sa.PrimaryKeyConstraint("label_id", name=op.f("pk_outcome_labels")),
    )
    op.create_index("ix_outcome_labels_decision", "outcome_labels", ["decision_id", "known_at"])
    op.create_index("ix_outcome_labels_type", "outcome_labels", ["type", "known_at"])
