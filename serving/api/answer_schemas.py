"""What the routes answer, as schemas for ``/openapi.json``. Nothing is validated by them at run time: tests hold real answers against them.

Members may be added to an answer at any time, so the schemas leave objects open; what is named here stays.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from feature_store.order import Money
from governance.values import Confidence, ModelUse, PolicyResult

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Texts = Annotated[dict[str, str], Field(description="A text by language: en, zh.", examples=[{"en": "...", "zh": "..."}])]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
DecisionStatus = Literal["decided", "fallback", "abstained"]


class ReasonAnswer(BaseModel):
    """One reason: a stable code, its text, and the number behind it."""

    rank: int
    code: str
    text: Texts
    direction: Annotated[str, Field(description="What it does to the probability: raises or lowers; decides for a rule.")]
    contribution: Annotated[float | None, Field(description="In the model's margin; null for a rule.")] = None
    feature: str | None = None
    value: float | str | bool | None = None


class PolicyAnswer(BaseModel):
    """The policy version that judged, with the result of every rule and hard constraint."""

    id: str
    version: int
    digest: Digest
    results: list[PolicyResult]


class SnapshotAnswer(BaseModel):
    """The feature vector that the decision used, by its digest."""

    digest: Digest
    oldest_feature_age_s: float | None


class ReviewAnswer(BaseModel):
    """Where a held decision waits, until when, and what it becomes then."""

    queue: str
    due_at: Time
    expires_to: str


class ReceiptAnswer(BaseModel):
    """Our signed promise that the record is in the ledger: Ed25519 over record_id, leaf_hash, promised_at and publish_by."""

    record_id: str
    leaf_hash: Annotated[str, Field(description="base64 of 32 bytes")]
    promised_at: Time
    publish_by: Time
    key_id: str
    signature: Annotated[str, Field(description="base64 of 64 bytes")]


class DecisionAnswer(BaseModel):
    """What every decision answers, whatever its type."""

    decision_id: Annotated[str | None, Field(description="null for a dry run")]
    type: str
    outcome: str
    status: DecisionStatus
    fallback_reason: str | None
    recorded: bool
    order_id: str | None
    order_version: int | None
    decided_at: Time
    latency_ms: float
    confidence: Annotated[Confidence | None, Field(description="null where no model was asked, or the answer is a number")]
    reasons: Annotated[list[ReasonAnswer], Field(description="The strongest, at most four; all are in the record.")]
    model: ModelUse | None
    policy: PolicyAnswer | None
    snapshot: SnapshotAnswer | None
    review: ReviewAnswer | None
    links: dict[str, str]
    receipt: Annotated[ReceiptAnswer | None, Field(description="absent for a dry run")] = None


class Arrival(BaseModel):
    """When it arrives: as likely before as after, and nine times in ten before."""

    p50: Time
    p90: Time


class ExpectedCosts(BaseModel):
    """What each outcome is expected to cost, against an order that goes well, by the policy's money figures."""

    accept: Money
    hold: Money
    reject: Money
    hold_from: Annotated[float, Field(description="from this probability of failure on holding is cheaper, within the policy's bounds")]
    reject_from: Annotated[float, Field(description="from this one on rejecting is the cheapest; 1 where it never is")]


class AcceptanceAnswer(DecisionAnswer):
    """Whether the order can be kept."""

    outcome: Literal["ACCEPT", "ACCEPT_PARTIAL", "HOLD", "REJECT"]
    accepted_lines: Annotated[list[str] | None, Field(description="with ACCEPT_PARTIAL: the line ids that can be kept")] = None
    promise: Arrival | None = None
    causes: Annotated[
        dict[str, float] | None, Field(description="the probability of failure by cause (late, cancelled, returned); they add up to it")
    ] = None
    costs: ExpectedCosts | None = None


class UnusualFact(BaseModel):
    """A fact that counts others, repetitions or disputes, and counts some."""

    feature: str
    value: int
    unit: str | None


class FraudAnswer(DecisionAnswer):
    """Whether the order is fraudulent."""

    outcome: Literal["ALLOW", "REVIEW", "BLOCK"]
    expected_loss: Money | None = None
    facts: Annotated[list[UnusualFact] | None, Field(description="what is out of the ordinary, whatever the model made of it")] = None


class PlannedLine(BaseModel):
    """Pieces of one line of the order."""

    line_id: str
    qty: int


class ShipmentCost(BaseModel):
    """What one shipment costs."""

    fixed: Money
    variable: Money
    processing: Money


class ObjectiveTerms(BaseModel):
    """The objective term by term, each already multiplied by its weight."""

    cost: Money
    lateness: Money
    carbon: Money
    split: Money
    scarcity: Annotated[Money | None, Field(description="shadow price of the pieces of scarce stock that the plan takes")] = None


class Contribution(BaseModel):
    """What one feature adds to the model's margin."""

    feature: str
    contribution: float


class Lateness(BaseModel):
    """How a shipment's predicted lateness is priced, and what the model made it from: base + contributions + others = margin."""

    probability: Annotated[float, Field(description="calibrated from the margin; times the price it is the shipment's lateness term")]
    price: Annotated[Money, Field(description="of a shipment that is certainly late, weighted")]
    margin: float | None = None
    base: float | None = None
    link: str | None = None
    contributions: Annotated[list[Contribution] | None, Field(description="the strongest")] = None
    others: Annotated[float | None, Field(description="sum of all other contributions")] = None


class TariffStep(BaseModel):
    """The step of the tariff that charges a shipment."""

    up_to_g: Annotated[float | None, Field(description="null for the rate's own price, which holds for any weight")]
    weight_g: float


class Shipment(BaseModel):
    """What one node ships by one service."""

    node_id: str
    service: str
    lines: list[PlannedLine]
    ship_at: Time
    deliver: Arrival
    p_on_time: float
    cost: ShipmentCost
    co2e_g: float
    terms: Annotated[
        ObjectiveTerms | None, Field(description="its part of the objective; those of all shipments add up to the objective's terms")
    ] = None
    lateness: Lateness | None = None
    step: Annotated[TariffStep | None, Field(description="where a rate of the region has steps or a heaviest weight")] = None


class Objective(BaseModel):
    """What was minimised; the terms add up to the total."""

    total: Money
    terms: ObjectiveTerms


class Optimality(BaseModel):
    """Whether the plan is proven to be the best there is, and how much was searched for that."""

    proven: bool
    gap: Annotated[float, Field(description="(total - lower bound) / total; 0 when proven")]
    lower_bound: Annotated[Money | None, Field(description="no plan that ships as much costs less; null where nothing may ship")] = None
    nodes_explored: int
    ms: float
    method: str


class PlanDelta(BaseModel):
    """How another plan differs from the chosen one: positive is more."""

    cost: Money
    objective: Money
    lateness_h: float
    co2e_g: float
    unfilled_qty: int
    terms: Annotated[ObjectiveTerms | None, Field(description="the difference in each term of the objective")] = None
    drops: Annotated[list[str] | None, Field(description="nodes that ship in the chosen plan only")] = None
    adds: Annotated[list[str] | None, Field(description="nodes that ship in the other plan only")] = None


class BriefShipment(BaseModel):
    """A shipment without its figures."""

    node_id: str
    service: str
    lines: list[PlannedLine]


class RunnerUp(BaseModel):
    """The best plan that differs by at least one shipment."""

    shipments: list[BriefShipment]
    delta: PlanDelta
    proven: bool


class RejectedNode(BaseModel):
    """Why a node ships nothing."""

    node_id: str
    reason: str
    text: Texts
    delta: Money | None = None
    rules: list[str] | None = None


class UnfilledLine(BaseModel):
    """Pieces that stay behind, and why."""

    line_id: str
    qty: int
    reason: str
    text: Texts
    delta: Money | None = None
    rules: Annotated[list[str] | None, Field(description="every constraint whose lifting would help")] = None


class Infeasible(BaseModel):
    """Why the order cannot ship in full."""

    constraints: Annotated[
        list[str],
        Field(description="a smallest set without which all ships that stock permits; empty where stock or lanes are the cause"),
    ]
    qty_with_them_lifted: Annotated[int, Field(description="so many more pieces would ship")]


class ReservationHeld(BaseModel):
    """The plan's pieces are held until then, unless they are settled or released before."""

    id: Annotated[str, Field(description="that of the decision")]
    expires_at: Time


class ReservedPieces(BaseModel):
    """Pieces of one SKU at one node."""

    node_id: str
    sku: str
    qty: int


class ReservationAnswer(BaseModel):
    """A reservation as it stands."""

    id: str
    order_id: str
    order_version: int
    state: Literal["held", "expired", "settled", "released", "superseded"]
    reserved_at: Time
    expires_at: Time
    ended_at: Annotated[Time | None, Field(description="null while it holds, and after it expired")]
    pieces: list[ReservedPieces]
    links: dict[str, str]


class SplitAnswer(DecisionAnswer):
    """From where the order ships. Of a fallback, what belongs to a plan is null or empty, and every line unfilled."""

    outcome: str
    shipments: list[Shipment] | None = None
    objective: Objective | None = None
    optimality: Optimality | None = None
    runner_up: RunnerUp | None = None
    rejected_nodes: list[RejectedNode] | None = None
    unfilled: list[UnfilledLine] | None = None
    infeasible: Annotated[Infeasible | None, Field(description="only where something stays behind")] = None
    network_ages_s: Annotated[dict[str, float] | None, Field(description="age of what the store or the request told of the network")] = None
    delta_vs_oms_choice: dict[str, Any] | None = None
    reservation: Annotated[ReservationHeld | None, Field(description="null where nothing ships, for a fallback and for a dry run")] = None


class Prediction(BaseModel):
    """What the model of a custom type predicts: a label with the probability of each, or a number with its interval."""

    label: str | None = None
    probabilities: dict[str, float] | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None


class CustomAnswer(DecisionAnswer):
    """A custom type's answer: ``outcome`` is the predicted label, or ``REVIEW``."""

    prediction: Prediction | None = None


class Skipped(BaseModel):
    """A decision that was not made, and why."""

    skipped: str


class OrderDecisions(BaseModel):
    """The decisions on one order, each as it would have been answered alone."""

    fraud: FraudAnswer | Skipped
    acceptance: AcceptanceAnswer | Skipped
    split_order: SplitAnswer | Skipped


class OrderAnswer(BaseModel):
    """What the decisions on one order come to."""

    decision_id: str | None
    order_id: str
    order_version: int
    outcome: Literal["PROCEED", "HOLD", "STOP"]
    precedence: Annotated[list[str], Field(description="strongest first: which outcome of which type wins")]
    decided_by: str | None
    recorded: bool
    decisions: OrderDecisions
    links: dict[str, str]
    receipt: ReceiptAnswer | None = None


class ProblemError(BaseModel):
    """One fault: where, and what."""

    loc: list[str | int]
    msg: str
    row: int | None = None
    column: str | None = None


class ProblemDetails(BaseModel):
    """A refusal, by RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemError]


class BatchAnswerItem(BaseModel):
    """One item's answer: ``body`` with status 200, else ``problem``."""

    status: int
    body: dict[str, Any] | None = None
    problem: ProblemDetails | None = None


class BatchAnswer(BaseModel):
    """The answers in the order of the items."""

    items: list[BatchAnswerItem]
