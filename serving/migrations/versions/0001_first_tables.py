"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table of the first version."""
    op.create_table(
        "alias_history",
        sa.Column("change_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="model or policy"),
        sa.Column("type", sa.String(length=64), nullable=False, comment="decision type"),
        sa.Column("alias", sa.String(length=16), nullable=False, comment="champion, challenger, shadow"),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_by", sa.String(length=255), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_alias_history")),
    )
    op.create_index(
        op.f("ix_alias_history_kind_type_alias_change_id"), "alias_history", ["kind", "type", "alias", "change_id"], unique=False
    )
    op.create_table(
        "datasets",
        sa.Column("dataset_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("template", sa.String(length=32), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False, comment="CheckReport as JSON"),
        sa.Column("uploaded_by", sa.String(length=255), nullable=False),
        sa.Column("uploaded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", name=op.f("pk_datasets")),
    )
    op.create_index(op.f("ix_datasets_sha256"), "datasets", ["sha256"], unique=False)
    op.create_table(
        "entity_states",
        sa.Column("entity", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="bounded history of one entity, as feature_store.state writes it"),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entity", "key", name=op.f("pk_entity_states")),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("event_time", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="the type's own fields, JSON"),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_known_at"), "events", ["known_at"], unique=False)
    op.create_table(
        "model_versions",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False, comment="decision type it answers"),
        sa.Column("template", sa.String(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False, comment="Ed25519 over name, version and digest: the allow-list"),
        sa.Column("report", sa.LargeBinary(), nullable=False, comment="metrics and model card, JSON"),
        sa.Column("mlflow_run_id", sa.String(length=64), nullable=True),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_model_versions")),
    )
    op.create_table(
        "policies",
        sa.Column("policy_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="canonical JSON"),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("policy_id", "version", name=op.f("pk_policies")),
    )
    op.create_table(
        "principals",
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("principal", name=op.f("pk_principals")),
    )
    op.create_table(
        "records",
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "entry", sa.LargeBinary(), nullable=False, comment="the canonical leaf: digests and the commitment root, no personal data"
        ),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="zstd of the JSON of all groups but the response"),
        sa.Column("seeds", sa.LargeBinary(), nullable=False, comment="one random 256-bit seed per subject and one for the rest"),
        sa.Column("promised_at", sa.BigInteger(), nullable=False),
        sa.Column("publish_by", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True, comment="index in the log once sequenced"),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_records")),
        sa.UniqueConstraint("seq", name=op.f("uq_records_seq")),
    )
    op.create_index(op.f("ix_records_kind_recorded_at"), "records", ["kind", "recorded_at"], unique=False)
    op.create_table(
        "trainings",
        sa.Column("training_id", sa.String(length=36), nullable=False),
        sa.Column("dataset_id", sa.String(length=36), nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("template", sa.String(length=32), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False, comment="target, time, budget, JSON"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="queued, running, done, failed, cancelled"),
        sa.Column("error", sa.LargeBinary(), nullable=True, comment="problem as JSON when failed"),
        sa.Column("model_version", sa.Integer(), nullable=True),
        sa.Column("started_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("training_id", name=op.f("pk_trainings")),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.String(length=64), nullable=False, comment="SHA-256 of the key; the key itself is never stored"),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False, comment="the first characters, to tell keys apart"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principals.principal"], name=op.f("fk_api_keys_principal")),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "decisions",
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("idempotency_key", sa.String(length=320), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False, comment="HMAC-SHA-256 of the request body"),
        sa.Column("response", sa.LargeBinary(), nullable=False, comment="zstd of the answered bytes"),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=128), nullable=True),
        sa.Column("order_version", sa.Integer(), nullable=True),
        sa.Column("customer_id", sa.String(length=128), nullable=True),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("outcome", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("region", sa.String(length=128), nullable=True),
        sa.Column("channel", sa.String(length=256), nullable=True),
        sa.Column("tags", sa.Text(), nullable=False, comment="|a|b|"),
        sa.Column("reasons", sa.Text(), nullable=False, comment="|CODE|CODE|"),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("model_name", sa.String(length=64), nullable=True),
        sa.Column("model_version", sa.Integer(), nullable=True),
        sa.Column("model_digest", sa.String(length=80), nullable=True),
        sa.Column("policy_id", sa.String(length=64), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("policy_digest", sa.String(length=80), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("latency_us", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["records.record_id"], name=op.f("fk_decisions_record_id")),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("principal", "idempotency_key", name=op.f("uq_decisions_principal_idempotency_key")),
    )
    op.create_index(op.f("ix_decisions_customer_id_decided_at"), "decisions", ["customer_id", "decided_at"], unique=False)
    op.create_index(op.f("ix_decisions_decided_at_record_id"), "decisions", ["decided_at", "record_id"], unique=False)
    op.create_index(op.f("ix_decisions_order_id_type_order_version"), "decisions", ["order_id", "type", "order_version"], unique=False)
    op.create_index(op.f("ix_decisions_type_decided_at"), "decisions", ["type", "decided_at"], unique=False)
    op.create_table(
        "login_tokens",
        sa.Column(
            "token_hash",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the one-time login token; the token itself is never stored",
        ),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principals.principal"], name=op.f("fk_login_tokens_principal")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_login_tokens")),
    )
    op.create_table(
        "training_progress",
        sa.Column("training_id", sa.String(length=36), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="stage, share done, message, JSON"),
        sa.ForeignKeyConstraint(["training_id"], ["trainings.training_id"], name=op.f("fk_training_progress_training_id")),
        sa.UniqueConstraint("training_id", "step", name=op.f("uq_training_progress_training_id_step")),
    )
