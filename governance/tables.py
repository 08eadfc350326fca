"""Tables of governance: who may do what, which policy and which model version is in force, and how trainings went."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from feature_store.tables import metadata

principals = Table(
    "principals",
    metadata,
    Column("principal", String(255), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", String(64), primary_key=True, comment="SHA-256 of the key; the key itself is never stored"),
    Column("principal", String(255), ForeignKey("principals.principal"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("hint", String(16), nullable=False, comment="the first characters, to tell keys apart"),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

login_tokens = Table(
    "login_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True, comment="SHA-256 of the one-time login token; the token itself is never stored"),
    Column("principal", String(255), ForeignKey("principals.principal"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

policies = Table(
    "policies",
    metadata,
    Column("policy_id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(80), nullable=False),
    Column("document", LargeBinary, nullable=False, comment="canonical JSON"),
    Column("created_by", String(255), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(80), nullable=False),
    Column("type", String(64), nullable=False, comment="decision type it answers"),
    Column("template", String(32), nullable=False),
    Column("signature", LargeBinary(64), nullable=False, comment="Ed25519 over name, version and digest: the allow-list"),
    Column("report", LargeBinary, nullable=False, comment="metrics and model card, JSON"),
    Column("mlflow_run_id", String(64)),
    Column("created_by", String(255), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

alias_history = Table(
    "alias_history",
    metadata,
    Column("change_id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False, comment="model or policy"),
    Column("type", String(64), nullable=False, comment="decision type"),
    Column("alias", String(16), nullable=False, comment="champion, challenger, shadow"),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_by", String(255), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Index(None, "kind", "type", "alias", "change_id"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("approval_id", String(36), primary_key=True),
    Column("kind", String(8), nullable=False, comment="policy or model"),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(80), nullable=False, comment="of what is approved"),
    Column("author", String(255), nullable=False, comment="who made the version"),
    Column("submitted_by", String(255), nullable=False),
    Column("submitted_at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("state", String(16), nullable=False, comment="open, approved, refused"),
    Column("decided_by", String(255)),
    Column("decided_at", BigInteger),
    Column("decision_note", Text),
    Column("record_id", String(36), nullable=False, comment="of the submission"),
    Index(None, "kind", "name", "version"),
)

list_entries = Table(
    "list_entries",
    metadata,
    Column("entry_id", String(36), primary_key=True),
    Column("change_id", BigInteger, nullable=False, unique=True, comment="the last change of any list; grows"),
    Column("list", String(8), nullable=False, comment="allow or block"),
    Column("kind", String(16), nullable=False, comment="customer, device, address, ip, card, sku, supplier"),
    Column("value", String(128), nullable=False),
    Column("types", Text, nullable=False, comment="decision types, |a|b|"),
    Column("reason", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("added_by", String(255), nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("removed_by", String(255)),
    Column("removed_at", BigInteger),
    Index(None, "kind", "value"),
    Index(None, "added_at", "entry_id"),
)

switches = Table(
    "switches",
    metadata,
    Column("change_id", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(64), nullable=False, comment="decision type"),
    Column("mode", String(16), nullable=False, comment="normal, rules_only, hold_all"),
    Column("note", Text, nullable=False),
    Column("changed_by", String(255), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index(None, "type", "change_id"),
)

trainings = Table(
    "trainings",
    metadata,
    Column("training_id", String(36), primary_key=True),
    Column("dataset_id", String(36)),
    Column("name", String(64), nullable=False),
    Column("template", String(32), nullable=False),
    Column("spec", LargeBinary, nullable=False, comment="target, time, budget, JSON"),
    Column("state", String(16), nullable=False, comment="queued, running, done, failed, cancelled"),
    Column("error", LargeBinary, comment="problem as JSON when failed"),
    Column("model_version", Integer),
    Column("started_by", String(255), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
)

training_progress = Table(
    "training_progress",
    metadata,
    Column("training_id", String(36), ForeignKey("trainings.training_id"), nullable=False),
    Column("step", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False, comment="stage, share done, message, JSON"),
    UniqueConstraint("training_id", "step"),
)
