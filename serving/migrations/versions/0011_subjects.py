"""Records that speak of a person are found by the person's pseudonym, to be erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column; records that are there are not sealed and have none."""
    op.add_column(
        "records",
        sa.Column(
            "subject", sa.String(length=23), nullable=True, comment="pseudonym of the person that a record other than a decision speaks of"
        ),
    )
    there = sa.text("subject IS NOT NULL")
    op.create_index("ix_records_subject", "records", ["subject"], unique=False, sqlite_where=there, postgresql_where=there)
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        for table, column, comment in _COMMENTS:
            op.alter_column(table, column, comment=comment)


_COMMENTS = (
    ("records", "body", "zstd of the JSON of all groups but the response; sealed where it speaks of a person"),
    ("records", "seeds", "one random 256-bit seed per subject and one for the rest; likewise"),
    ("decisions", "response", "zstd of the answered bytes; likewise"),
    ("decisions", "customer_id", "a random pseudonym; the mapping is beside the keys"),
)
