"""Approvals of policies, allow and block lists, the kill switch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "approvals",
        sa.Column("approval_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="policy or model"),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False, comment="of what is approved"),
        sa.Column("author", sa.String(length=255), nullable=False, comment="who made the version"),
        sa.Column("submitted_by", sa.String(length=255), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="open, approved, refused"),
        sa.Column("decided_by", sa.String(length=255)),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("decision_note", sa.Text()),
        sa.Column("record_id", sa.String(length=36), nullable=False, comment="of the submission"),
        sa.PrimaryKeyConstraint("approval_id", name=op.f("pk_approvals")),
    )
    op.create_index(op.f("ix_approvals_kind_name_version"), "approvals", ["kind", "name", "version"])
    op.create_table(
        "list_entries",
        sa.Column("entry_id", sa.String(length=36), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=False, comment="the last change of any list; grows"),
        sa.Column("list", sa.String(length=8), nullable=False, comment="allow or block"),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="customer, device, address, ip, card, sku, supplier"),
        sa.Column("value", sa.String(length=128), nullable=False),
        sa.Column("types", sa.Text(), nullable=False, comment="decision types, |a|b|"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("added_by", sa.String(length=255), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_by", sa.String(length=255)),
        sa.Column("removed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_list_entries")),
        sa.UniqueConstraint("change_id", name=op.f("uq_list_entries_change_id")),
    )
    op.create_index(op.f("ix_list_entries_kind_value"), "list_entries", ["kind", "value"])
    op.create_index(op.f("ix_list_entries_added_at_entry_id"), "list_entries", ["added_at", "entry_id"])
    op.create_table(
        "switches",
        sa.Column("change_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False, comment="decision type"),
        sa.Column("mode", sa.String(length=16), nullable=False, comment="normal, rules_only, hold_all"),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(length=255), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_switches")),
    )
    op.create_index(op.f("ix_switches_type_change_id"), "switches", ["type", "change_id"])
