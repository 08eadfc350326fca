"""What each page shows: one frozen value per page, texts already in the reader's language. A template gets nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the main navigation."""

    href: str
    label: str
    current: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds every page.

    Attributes:
        other_href: this page in the other language.
        who: the principal; ``None`` before login.
        form_token: what every form of the page carries.
        search: whether the reader may search decisions.
    """

    language: str
    title: str
    nav: tuple[NavItem, ...]
    other_href: str
    who: str | None
    role: str | None
    form_token: str
    search: bool = False


@dataclass(frozen=True, slots=True)
class Badge:
    """An outcome or a state; the tone is ``ok``, ``hold``, ``bad`` or ``plain``."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a list."""

    value: str
    label: str
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Crumb:
    """One step of the path to a page; the last has no link."""

    label: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """A probability on a line from 0 to 1; lengths in per cent of the line's width."""

    label: str
    tone: str
    left: str
    width: str
    point: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One of the few facts that matter most."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = "plain"
    scale: Scale | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar on a shared scale; ``x`` and ``width`` in per cent."""

    x: str
    width: str
    kind: str


@dataclass(frozen=True, slots=True)
class WaterfallRow:
    """One step from the usual order to this one."""

    label: str
    note: str
    kind: str
    bar: Bar
    text: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    x: str
    label: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """How the margin came about, largest steps first."""

    hint: str
    note: str
    ticks: tuple[Tick, ...]
    rows: tuple[WaterfallRow, ...]


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One feature of the snapshot."""

    label: str
    name: str
    value: str
    usual: str
    contribution: str
    direction: str
    origin: str
    origin_kind: str
    age: str
    since: str


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason, as it was told."""

    text: str
    code: str
    direction: str


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One rule or hard constraint and what came of it; the tone is ``pass``, ``hit`` or ``miss``."""

    title: str
    detail: str
    tone: str


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One moment in the life of an order."""

    when: str
    text: str
    note: str
    tone: str
    href: str | None
    current: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and what it stands for; ``code`` sets the value in a fixed-width face."""

    label: str
    value: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class ShipmentCard:
    """One shipment of a plan."""

    title: str
    service: str
    lines: tuple[str, ...]
    facts: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class CostRow:
    """One term of what a plan costs; the share of the total is a width in per cent."""

    label: str
    amount: str
    width: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A shipment plan and why it won."""

    shipments: tuple[ShipmentCard, ...]
    costs: tuple[CostRow, ...]
    total: str
    proof: str
    runner_up: str
    rejected: tuple[Pair, ...]
    unfilled: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """``/console/decisions/{id}``."""

    TEMPLATE: ClassVar[str] = "decision.html"
    frame: Frame
    crumbs: tuple[Crumb, ...]
    kind: str
    badge: Badge
    headline: str
    fallback: str
    facts: tuple[Fact, ...]
    reasons: tuple[ReasonRow, ...]
    waterfall: Waterfall | None
    no_waterfall: str
    plan: Plan | None
    prediction: tuple[CostRow, ...]
    snapshot: tuple[SnapshotRow, ...]
    snapshot_hint: str
    policy: tuple[PolicyRow, ...]
    policy_hint: str
    timeline: tuple[TimelineItem, ...]
    record: tuple[Pair, ...]
    raw_href: str
    similar_href: str


@dataclass(frozen=True, slots=True)
class Filter:
    """One field of the filter form: a list of choices, or a text where there are none."""

    name: str
    label: str
    value: str
    kind: str = "text"
    options: tuple[Option, ...] = ()
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision in a list."""

    href: str
    badge: Badge
    type: str
    order: str
    order_href: str
    why: str
    where: str
    probability: str
    when: str
    when_machine: str
    model: str
    status: str


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter in force, and the link that lifts it."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class DecisionsPage:
    """``/console/decisions``."""

    TEMPLATE: ClassVar[str] = "decisions.html"
    frame: Frame
    filters: tuple[Filter, ...]
    open_filters: bool
    chips: tuple[Chip, ...]
    problem: str
    rows: tuple[DecisionRow, ...]
    next_href: str | None
    previous_href: str | None


@dataclass(frozen=True, slots=True)
class OrderDecision:
    """One decision on the page of its order."""

    href: str
    type: str
    badge: Badge
    when: str
    version: str
    headline: str
    probability: str
    scale: Scale | None


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line of an order."""

    line_id: str
    sku: str
    category: str
    qty: str
    price: str


@dataclass(frozen=True, slots=True)
class OrderPage:
    """``/console/orders/{order_id}``."""

    TEMPLATE: ClassVar[str] = "order.html"
    frame: Frame
    crumbs: tuple[Crumb, ...]
    order_id: str
    summary: str
    facts: tuple[Pair, ...]
    lines: tuple[LineRow, ...]
    decisions: tuple[OrderDecision, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file: where, what, and what to do."""

    where: str
    message: str
    fix: str
    tone: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A choice about one column: the field, its value, whether it is on, and what it means."""

    name: str
    value: str
    on: bool
    label: str


@dataclass(frozen=True, slots=True)
class ColumnCard:
    """What one column holds; ``bars`` draw its distribution, heights in per cent."""

    name: str
    type: str
    role: str
    missing: str
    distinct: str
    examples: str
    span: str
    bars: tuple[Column, ...]
    top: tuple[CostRow, ...]
    note: str
    tone: str
    switch: Switch | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a small histogram, in per cent of the drawing."""

    x: str
    y: str
    width: str
    height: str
    label: str


@dataclass(frozen=True, slots=True)
class RecentTraining:
    """A training in the list of the newest."""

    href: str
    name: str
    badge: Badge
    when: str
    note: str


@dataclass(frozen=True, slots=True)
class RecentDataset:
    """A dataset in the list of the newest."""

    href: str
    name: str
    note: str
    when: str


@dataclass(frozen=True, slots=True)
class TemplateChoice:
    """A template: what it is for, and the columns it expects."""

    value: str
    label: str
    meaning: str
    selected: bool


@dataclass(frozen=True, slots=True)
class TrainPage:
    """``/console/train``: hand a file in."""

    TEMPLATE: ClassVar[str] = "train.html"
    frame: Frame
    problem: str
    problems: tuple[Problem, ...]
    templates: tuple[TemplateChoice, ...]
    limit: str
    trainings: tuple[RecentTraining, ...]
    datasets: tuple[RecentDataset, ...]


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """``/console/train/datasets/{id}``: what the file holds, what is wrong, what to predict."""

    TEMPLATE: ClassVar[str] = "dataset.html"
    frame: Frame
    crumbs: tuple[Crumb, ...]
    dataset_id: str
    name: str
    summary: str
    template: str
    verdict: Badge
    verdict_text: str
    blocking: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    columns: tuple[ColumnCard, ...]
    targets: tuple[Option, ...]
    times: tuple[Option, ...]
    model_name: str
    budgets: tuple[Option, ...]
    can_start: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a training; the state is ``done``, ``now`` or ``todo``."""

    key: str
    label: str
    state: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure with its interval and what it means in plain language."""

    label: str
    value: str
    interval: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One point of the calibration plot, in the plot's own units, with its interval as a line."""

    x: str
    y: str
    low: str
    high: str
    radius: str
    label: str


@dataclass(frozen=True, slots=True)
class CalibrationPlot:
    """Predicted against observed frequency."""

    label: str
    dots: tuple[Dot, ...]
    line: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class SliceRow:
    """How well the model does in one part of the data."""

    label: str
    rows: str
    value: str
    interval: str
    bar: Bar
    tone: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a model's decisions, and a ready call."""

    path: str
    curl: str
    live: bool
    note: str


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What came of a training."""

    verdict: str
    judged: str
    metrics: tuple[Metric, ...]
    calibration: CalibrationPlot | None
    calibration_text: str
    slices: tuple[SliceRow, ...]
    slice_metric: str
    drivers: tuple[CostRow, ...]
    excluded: tuple[Pair, ...]
    rows: tuple[Pair, ...]
    limits: tuple[str, ...]
    endpoint: Endpoint | None
    publish_href: str | None
    publish_note: str


@dataclass(frozen=True, slots=True)
class TrainingPage:
    """``/console/train/runs/{id}``: live progress, then the report."""

    TEMPLATE: ClassVar[str] = "training.html"
    frame: Frame
    crumbs: tuple[Crumb, ...]
    training_id: str
    name: str
    badge: Badge
    summary: str
    running: bool
    stages: tuple[Stage, ...]
    share: str
    message: str
    problem: str
    problems: tuple[Problem, ...]
    report: TrainingReport | None


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model version."""

    name: str
    version: str
    type: str
    badges: tuple[Badge, ...]
    quality: str
    when: str
    by: str
    digest: str
    decisions_href: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """``/console/models``."""

    TEMPLATE: ClassVar[str] = "models.html"
    frame: Frame
    rows: tuple[ModelRow, ...]


@dataclass(frozen=True, slots=True)
class LoginPage:
    """``/console/login``."""

    TEMPLATE: ClassVar[str] = "login.html"
    frame: Frame
    problem: str
    target: str


@dataclass(frozen=True, slots=True)
class SignedInPage:
    """The step between a login link and the first page: the cookie is sent along only from a page of our own."""

    TEMPLATE: ClassVar[str] = "signed_in.html"
    frame: Frame
    target: str


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Any page that could not be shown: what happened and what to do."""

    TEMPLATE: ClassVar[str] = "error.html"
    frame: Frame
    status: int
    heading: str
    text: str
    problems: tuple[Problem, ...]
    action_href: str
    action_label: str


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a sentence; ``code`` sets it in a fixed-width face."""

    text: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One parameter or one member of a body: its name, where it stands or how it must be, what it means."""

    name: str
    type: str
    place: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A text to be copied, under its title."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """One status of refusals, what it means and the ends of the problem types."""

    status: str
    text: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperationCard:
    """One operation of the API."""

    anchor: str
    method: str
    tone: str
    path: str
    summary: str
    description: tuple[tuple[Span, ...], ...]
    roles: tuple[str, ...]
    parameters: tuple[FieldRow, ...]
    fields: tuple[FieldRow, ...]
    requests: tuple[Block, ...]
    curl: str
    answer: Block
    refusals: tuple[RefusalRow, ...]


@dataclass(frozen=True, slots=True)
class OperationGroup:
    """The operations of one kind of user."""

    anchor: str
    label: str
    text: str
    operations: tuple[OperationCard, ...]


@dataclass(frozen=True, slots=True)
class ReferencePage:
    """``/docs``: every operation of the API."""

    TEMPLATE: ClassVar[str] = "reference.html"
    frame: Frame
    base_url: str
    groups: tuple[OperationGroup, ...]


PAGES = (DecisionPage, DecisionsPage, OrderPage, TrainPage, DatasetPage, TrainingPage, ModelsPage, LoginPage, SignedInPage, ErrorPage, ReferencePage)
