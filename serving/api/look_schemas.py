"""What the routes that look, train and watch answer, as schemas for ``/openapi.json``; :mod:`serving.api.answer_schemas` says how they are meant."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from serving.api.answer_schemas import Digest, ReceiptAnswer, Texts, Time


class UsedModel(BaseModel):
    """A model version, by name and digest."""

    name: str
    version: int | None
    digest: str | None


class UsedPolicy(BaseModel):
    """A policy version, by id and digest."""

    id: str
    version: int | None
    digest: str | None


class DecisionLine(BaseModel):
    """One decision as a list shows it."""

    decision_id: str
    type: str
    outcome: str
    status: str
    decided_at: Time
    latency_ms: float
    order_id: str | None
    order_version: int | None
    customer_id: str | None
    region: str | None
    channel: str | None
    tags: list[str]
    reasons: list[str]
    probability: float | None
    model: UsedModel | None
    policy: UsedPolicy | None
    principal: str
    request_id: str | None
    links: dict[str, str]


class HowFar(BaseModel):
    """How far a page looked before it ended."""

    decisions: int
    back_to: Time | None
    """When the last of them was decided."""


class SearchAnswer(BaseModel):
    """One page, newest first; ``next_cursor`` is null on the last."""

    items: list[DecisionLine]
    next_cursor: str | None
    count: int | None = None
    """How many there are, where it was asked for."""
    count_exact: bool | None = None
    """Whether ``count`` is all of them; otherwise there are at least so many."""
    looked: HowFar | None = None
    """Of a page that ended because it had looked far enough, and of every one by feature values."""


class SupersededBy(BaseModel):
    """The decision on a later version of the order."""

    order_version: int
    decision_id: str
    decided_at: Time


class OverrideTold(BaseModel):
    """An override, whatever became of it; who and why is told to those who judge."""

    override_id: str
    at: Time
    was: str
    outcome: str
    accepted_lines: list[str] | None = None
    reason_code: str | None
    text: Texts
    state: Literal["in_force", "pending", "refused", "lapsed"]
    settled_at: Time | None
    by: str | None = None
    role: str | None = None
    note: str | None = None
    second: dict[str, Any] | None = None


class Expired(BaseModel):
    """What the clock made of a held decision."""

    at: Time
    record_id: str
    was: str
    outcome: str
    text: Texts


class Cancelled(BaseModel):
    """The order was cancelled while its decision waited."""

    at: Time
    record_id: str


class LabelTold(BaseModel):
    """What really happened; of several labels the last one counts."""

    label_id: str
    label: str
    positive: Annotated[bool | None, Field(description="whether the predicted event came; null where the label is a number")]
    observed_at: Time
    known_at: Time
    by: str


class Since(BaseModel):
    """What happened since the decision was made."""

    state: Literal["decided", "held", "pending", "overridden", "expired", "superseded", "cancelled"]
    outcome: Annotated[str, Field(description="the outcome that holds now")]
    resolved: Annotated[bool, Field(description="whether nobody is waited for")]
    superseded_by: SupersededBy | None
    overrides: list[OverrideTold]
    expired: Expired | None
    cancelled: Cancelled | None
    outcome_labels: list[LabelTold]
    parts: Annotated[dict[str, Any] | None, Field(description="of the decision on a whole order: the same of each part")] = None
    claimed: Annotated[dict[str, Any] | None, Field(description="who works on it, until when")] = None
    seen: Annotated[str | None, Field(description="digest of what is shown, to be sent with an override")] = None


class StoredAnswer(BaseModel):
    """The answer as it was given, what happened since and, for those who judge, the whole record."""

    decision_id: str
    type: Annotated[str | None, Field(description="absent for the decision on a whole order")] = None
    outcome: str
    since: Since
    record: Annotated[dict[str, Any] | None, Field(description="every group of the record; not shown to the OMS")] = None
    receipt: ReceiptAnswer


class FeatureSpread(BaseModel):
    """A histogram: values in each bin; ``edges`` has one more entry than ``counts``, or as many where few different values occur."""

    edges: list[float]
    counts: list[int]


class LiveFigures(BaseModel):
    """How a feature is doing over the newest decisions."""

    values: Annotated[int, Field(description="single values; split-order has one for each candidate lane")]
    defaults: Annotated[float, Field(description="share of values that are the default, as nothing was known")]
    requests: Annotated[float, Field(description="share of values that the request told")]
    newest_at: Annotated[Time | None, Field(description="when the newest fact in any of them happened")]
    age_s: Annotated[float | None, Field(description="median age of the newest fact in a value when it was used")]
    old_age_s: Annotated[float | None, Field(description="95 of 100 are younger")]
    quantiles: Annotated[dict[str, float] | None, Field(description="p05 to p95 of the known values; null where too few speak of persons")]
    histogram: FeatureSpread | None


class FeatureAnswer(BaseModel):
    """One feature of one decision type."""

    name: str
    type: Annotated[str, Field(description="the decision type")]
    dtype: Literal["number", "integer", "share", "flag"]
    unit: str | None
    meaning: Texts
    owner: Annotated[str, Field(description="who answers for the definition")]
    entities: Annotated[list[str], Field(description="whose histories it reads; request for the order alone")]
    source_events: Annotated[list[str], Field(description="the types of events that feed it")]
    window: Annotated[str | None, Field(description="how far back it looks, such as 30d; null for all that is remembered")]
    ttl_s: Annotated[float | None, Field(description="how old its newest fact may be; older ones count as not known")]
    default: Annotated[float | None, Field(description="its value when nothing is known; null for not known")]
    actionable: Annotated[bool, Field(description="whether somebody could change it for an order")]
    personal: Annotated[bool, Field(description="whether it speaks of a person")]
    reason: str
    group: str
    formula: str
    version: Annotated[str, Field(description="changes when its definition does")]
    view_version: Annotated[str, Field(description="changes when any definition of the type does")]
    usual: Annotated[float | None, Field(description="median of the rows that the champion learnt from")]
    live: LiveFigures | None


class LookedAt(BaseModel):
    """How far back the figures of a type look."""

    decisions: int
    others: Annotated[int, Field(description="further decisions by other definitions, left out")]
    since: Time | None


class ColumnFeature(BaseModel):
    """What a custom type's model gets of a column."""

    name: str
    meaning: Texts
    unit: str | None
    reason: str
    usual: Annotated[float | str | None, Field(description="median, or commonest text, of the rows that it learnt from")]
    categories: Annotated[list[str], Field(description="the texts that it tells apart, all others last; empty for numbers")]


class ColumnAnswer(BaseModel):
    """One column that requests of a custom decision type carry."""

    type: Annotated[str, Field(description="the decision type")]
    column: str
    kind: Literal["number", "integer", "category", "boolean", "time"]
    required: bool
    model: UsedModel
    features: list[ColumnFeature]


class FeaturesAnswer(BaseModel):
    """Every feature of every built-in decision type, with figures of the newest decisions; the columns of the custom types in service."""

    items: list[FeatureAnswer]
    columns: list[ColumnAnswer] = []
    looked_at: dict[str, LookedAt]
    at: Time


class Contribution(BaseModel):
    """What one feature did to the margin."""

    feature: str
    value: float | str | bool | None
    contribution: float
    group: str | None
    label: Texts
    unit: str | None
    usual: float | str | bool | None
    origin: Annotated[str | None, Field(description="store, request, default, or pending: of an order decided at the same moment")]
    event_time: Time | None
    age_s: float | None


class ReaderReason(BaseModel):
    """A reason in one reader's words. The customer is told topics, the agent reasons, the auditor their numbers too."""

    rank: int
    code: str
    text: Texts


class ReaderAnswer(BaseModel):
    """With ``reader``: the decision in the words of a customer, an agent or an auditor, each told only what it may see."""

    decision_id: str
    reader: Literal["customer", "agent", "auditor"]
    words: Annotated[str, Field(description="version of the words")]
    summary: Texts
    reasons: list[ReaderReason]


class ExplanationAnswer(BaseModel):
    """Every contribution: base + Σ contributions = margin."""

    decision_id: str
    base: float
    margin: float
    link: str
    contributions: list[Contribution]


class TimelineEntry(DecisionLine):
    """One moment in the life of an order."""

    at: Time
    kind: str


class TimelineMoment(BaseModel):
    """What became of a decision: override, override_confirmed, override_refused, expiry, outcome_label, supersession, cancellation."""

    at: Time
    kind: str
    decision_id: str
    override_id: str | None = None
    record_id: str | None = None
    label_id: str | None = None
    was: str | None = None
    outcome: str | None = None
    accepted_lines: list[str] | None = None
    reason_code: str | None = None
    text: Texts | None = None
    state: str | None = None
    settled_at: Time | None = None
    by: str | None = None
    role: str | None = None
    note: str | None = None
    second: dict[str, Any] | None = None
    label: str | None = None
    positive: bool | None = None
    observed_at: Time | None = None
    order_version: int | None = None
    by_decision: str | None = None


class TimelineAnswer(BaseModel):
    """What was decided about an order and what became of that, oldest first."""

    order_id: str
    items: list[TimelineEntry | TimelineMoment]


class DatasetAnswer(BaseModel):
    """An accepted file and what the check says of it."""

    dataset_id: str
    sha256: str
    rows: int
    report: dict[str, Any]


class TrainingStarted(BaseModel):
    """A training that was queued."""

    training_id: str
    state: str
    links: dict[str, str]


class TrainedModel(BaseModel):
    """The version that a training registered."""

    name: str
    version: int


class TrainingAnswer(BaseModel):
    """How far a training is, and what came of it."""

    training_id: str
    state: Literal["queued", "running", "stopping", "done", "failed", "cancelled"]
    name: str
    template: str
    dataset_id: str | None
    spec: dict[str, Any]
    progress: dict[str, Any] | None
    started_by: str
    created_at: Time
    finished_at: Time | None
    model: TrainedModel | None
    report: dict[str, Any] | None
    error: dict[str, Any] | None


class ModelVersion(BaseModel):
    """One model version and what it is used for."""

    name: str
    version: int
    type: str
    template: str
    digest: Digest
    aliases: list[str]
    created_by: str
    created_at: Time
    links: dict[str, str]


class ModelsAnswer(BaseModel):
    """Every version, newest first."""

    items: list[ModelVersion]


class ModelAnswer(ModelVersion):
    """One version with its report and, for a custom type, the schema of its rows."""

    report: dict[str, Any]
    request_schema: dict[str, Any] | None


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether decisions can be made, and if not, why."""

    status: Literal["ready", "not ready"]
    reasons: list[str]
    models: dict[str, Any]
    generation: int | None
    version: str
