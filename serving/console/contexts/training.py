"""Training: files, runs, reports, model versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from serving.console.contexts.common import Badge, Bar, CostRow, Crumb, Frame, Option, Pair, Problem, Tick


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
    drivers_hint: str
    excluded: tuple[Pair, ...]
    rows: tuple[Pair, ...]
    limits: tuple[str, ...]
    endpoint: Endpoint | None
    publish_href: str | None
    publish_note: str
    worth: tuple[Pair, ...] = ()
    gaps: tuple[str, ...] = ()


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
