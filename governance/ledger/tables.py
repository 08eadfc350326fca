"""Tables of the ledger: records of every kind, and what makes decisions searchable and their answers repeatable."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from feature_store.tables import metadata

_OF_SUBJECT = text("subject IS NOT NULL")

records = Table(
    "records",
    metadata,
    Column("record_id", String(36), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("entry", LargeBinary, nullable=False, comment="the canonical leaf: digests and the commitment root, no personal data"),
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Column(
        "body", LargeBinary, nullable=False, comment="zstd of the JSON of all groups but the response; sealed where it speaks of a person"
    ),
    Column("seeds", LargeBinary, nullable=False, comment="one random 256-bit seed per subject and one for the rest; likewise"),
    Column("promised_at", BigInteger, nullable=False),
    Column("publish_by", BigInteger, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("seq", BigInteger, unique=True, comment="index in the log once sequenced"),  # stays empty: log_entries has it
    Column("subject", String(23), comment="pseudonym of the person that a record other than a decision speaks of"),
    Index(None, "kind", "recorded_at"),
    Index("ix_records_subject", "subject", sqlite_where=_OF_SUBJECT, postgresql_where=_OF_SUBJECT),
)

decisions = Table(
    "decisions",
    metadata,
    Column("record_id", String(36), ForeignKey("records.record_id"), primary_key=True),
    Column("principal", String(255), nullable=False),
    Column("idempotency_key", String(320), nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False, comment="HMAC-SHA-256 of the request body"),
    Column("response", LargeBinary, nullable=False, comment="zstd of the answered bytes; likewise"),
    Column("type", String(64), nullable=False),
    Column("order_id", String(128)),
    Column("order_version", Integer),
    Column("customer_id", String(128), comment="a random pseudonym; the mapping is beside the keys"),
    Column("mode", String(8), nullable=False),
    Column("outcome", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("region", String(128)),
    Column("channel", String(256)),
    Column("tags", Text, nullable=False, comment="|a|b|"),
    Column("reasons", Text, nullable=False, comment="|CODE|CODE|"),
    Column("probability", Float),
    Column("model_name", String(64)),
    Column("model_version", Integer),
    Column("model_digest", String(80)),
    Column("policy_id", String(64)),
    Column("policy_version", Integer),
    Column("policy_digest", String(80)),
    Column("decided_at", BigInteger, nullable=False),
    Column("latency_us", Integer, nullable=False),
    Column("request_id", String(255)),
    UniqueConstraint("principal", "idempotency_key"),
    Index(None, "decided_at", "record_id"),
    Index(None, "order_id", "type", "order_version"),
    Index(None, "customer_id", "decided_at"),
    Index(None, "type", "decided_at"),
)

promises = Table(
    "promises",
    metadata,
    Column("record_id", String(36), primary_key=True),
    comment="records that have no place in the log yet",
)

log_entries = Table(
    "log_entries",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="index in the log, without gaps"),
    Column("record_id", String(36), ForeignKey("records.record_id"), nullable=False, unique=True),
)

log_state = Table(
    "log_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("size", BigInteger, nullable=False, comment="leaves of the tree that was published last"),
    Column("root", LargeBinary(32), nullable=False),
    Column("checkpoint", LargeBinary, nullable=False, comment="the signed note"),
    Column("published_at", BigInteger, nullable=False),
)

ledger_checks = Table(
    "ledger_checks",
    metadata,
    Column("check_id", Integer, primary_key=True, autoincrement=True),
    Column("started_at", BigInteger, nullable=False),
    Column("asked_by", String(16), nullable=False, comment="schedule or command"),
    Column("whole", Boolean, nullable=False, comment="whether every record was read again"),
    Column("size", BigInteger, nullable=False, comment="leaves that the checkpoint covered; 0 when something was found"),
    Column("root", LargeBinary(32), nullable=False),
    Column("records", BigInteger, nullable=False, comment="that were read"),
    Column("waiting", BigInteger, nullable=False),
    Column("overdue", BigInteger, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    Column("part", String(16), comment="what was found wrong; empty when nothing was"),
    Column("problem", Text),
    Index(None, "started_at"),
)
