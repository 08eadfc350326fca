"""What the pages need from below, as small protocols and values: a page can be rendered and tested without a database.

Readers here are read-only by type: a page that writes does not type-check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import Response

from feature_store.events import Event
from feature_store.ingest import IngestResult
from feature_store.reservations import Held
from feature_store.times import Millis
from governance.aftermath import Aftermath
from governance.labelling import NotTaken, Taken, Told
from governance.reviews import Case, Count, Slice, Wanted
from serving.console.ledger import Ledger
from serving.console.session import SessionSigner
from serving.console.watching import Features, Health
from serving.controls import Controls
from serving.errors import Problem


@dataclass(frozen=True, slots=True)
class Account:
    """Who is asking, and in which role.

    Attributes:
        key_hash: the hash of the API key that was shown; ``None`` where there was none.
    """

    principal: str
    role: str
    key_hash: str | None = None


class Accounts(Protocol):
    """Who may come in, and what they may do."""

    def authenticate(self, key: str) -> Account | None:
        """Whose API key it is; ``None`` for an unknown or revoked one."""

    def still_valid(self, key_hash: str) -> bool:
        """Whether the key that opened a session may still be used."""

    def consume_login(self, token: str) -> Account | None:
        """Use a one-time login token up; ``None`` when it is unknown, too old or was used."""

    def may(self, role: str, action: str) -> bool:
        """Whether a role may do something, by the matrix of routes and roles."""


@dataclass(frozen=True, slots=True)
class DecisionFilters:
    """What the list is narrowed to; ``None`` lets everything through."""

    type: str | None = None
    outcome: str | None = None
    status: str | None = None
    order_id: str | None = None
    customer_id: str | None = None
    reason: str | None = None
    channel: str | None = None
    region: str | None = None
    tag: str | None = None
    policy_version: int | None = None
    overridden: bool | None = None
    since: Millis | None = None
    until: Millis | None = None


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """One decision as a list shows it.

    Attributes:
        reasons: codes.
        columns: of a custom type the columns behind the codes, as their file writes them.
    """

    record_id: str
    type: str
    outcome: str
    status: str
    decided_at: Millis
    order_id: str | None = None
    order_version: int | None = None
    customer_id: str | None = None
    region: str | None = None
    channel: str | None = None
    reasons: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    probability: float | None = None
    model_name: str | None = None
    model_version: int | None = None


@dataclass(frozen=True, slots=True)
class DecisionSlice:
    """One page of the list, newest first, and the cursors beside it."""

    lines: tuple[DecisionLine, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureFact:
    """One feature of a decision: what was known, what is usual, and what it did to the margin.

    Attributes:
        label: how people call it, by language.
        event_time: the newest fact in it; ``None`` where there is none.
        usual: the training median.
        value_text: the value as the model's card writes it, by language; ``None`` where there is no card.
        usual_text: the usual value likewise.
    """

    name: str
    label: Mapping[str, str]
    value: Any
    unit: str | None = None
    usual: Any = None
    contribution: float | None = None
    origin: str | None = None
    event_time: Millis | None = None
    value_text: Mapping[str, str] | None = None
    usual_text: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DecisionFacts:
    """One decision with everything that its page tells.

    Attributes:
        answer: what was answered, in the shape of the API.
        features: of the snapshot, in its order, with their contributions.
        base: of the explanation, in the margin; ``None`` where no model was asked.
        marks: probabilities at which the policy changes its mind.
        checks: what each check of the policy says, by id and language, from the document that judged.
        after: what happened to it since.
        notes: what people wrote about that, by the record that holds it.
    """

    line: DecisionLine
    answer: Mapping[str, Any]
    reasons: Sequence[Mapping[str, Any]] = ()
    features: Sequence[FeatureFact] = ()
    base: float | None = None
    margin: float | None = None
    link: str = "logit"
    as_of: Millis | None = None
    view_version: str | None = None
    marks: Sequence[float] = ()
    checks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    order: Mapping[str, Any] | None = None
    sequence: int | None = None
    leaf_hash: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    after: Aftermath | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


class Decisions(Protocol):
    """The decisions that were recorded. Read-only."""

    def search(self, filters: DecisionFilters, cursor: str | None, limit: int) -> DecisionSlice:
        """One page, newest first. Raises :class:`CursorRefused`."""

    def get(self, record_id: str) -> DecisionFacts | None:
        """One decision with everything; ``None`` where there is none."""

    def of_order(self, order_id: str) -> Sequence[DecisionFacts]:
        """Every decision of one order, oldest first."""

    def types(self) -> Sequence[str]:
        """The decision types that exist."""

    def reason_text(self, code: str, language: str) -> str:
        """What a reason code stands for, in a few words."""


class Reading(Protocol):
    """Notes who read what."""

    def note_as(self, principal: str, role: str, what: str, of: Mapping[str, str]) -> None:
        """Remember a read; costs no more than an append."""


class CursorRefused(Exception):
    """A cursor that this list did not hand out."""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """An accepted file."""

    dataset_id: str
    name: str
    sha256: str
    rows: int
    bytes: int
    template: str
    uploaded_by: str
    uploaded_at: Millis


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What a business user can train; ``target`` and ``time`` where the template fixes them.

    Attributes:
        type: the decision type that its models answer; ``None`` where the model's name becomes one.
    """

    name: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    type: str | None = None
    target: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """One training: what was asked for, how far it is, what came of it.

    Attributes:
        spec: target, time, budget and the like, as asked.
        state: queued, running, stopping, done, failed or cancelled.
        error: a problem, when it failed.
        report: metrics and model card, when it is done.
    """

    training_id: str
    dataset_id: str | None
    name: str
    template: str
    spec: Mapping[str, Any]
    state: str
    started_by: str
    created_at: Millis
    finished_at: Millis | None = None
    model_version: int | None = None
    error: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {"done", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class ProgressFacts:
    """One step of a training; ``data`` holds stage, share done and message."""

    step: int
    at: Millis
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a file is to be used for.

    Attributes:
        exclude: columns to leave out.
        keep: columns to use although the check would leave them out.
    """

    template: str
    target: str | None = None
    time: str | None = None
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What a training is asked for."""

    dataset_id: str
    purpose: Purpose
    name: str | None
    budget_s: float


class Refused(Exception):
    """A request that cannot be carried out as it stands; nothing was changed by it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Upload(Protocol):
    """A file on its way in; nothing of it is kept unless it is finished."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises :class:`Refused` with 413 when there are too many."""

    def finish(self, filename: str, template: str, principal: str) -> DatasetFacts:
        """Read it as a table and keep it. Raises :class:`Refused` when it cannot be read."""

    def abort(self) -> None:
        """Forget it. Harmless after :meth:`finish`."""


class Workbench(Protocol):
    """Datasets and trainings."""

    def templates(self) -> Sequence[TemplateFacts]:
        """What can be trained, the most general first."""

    def receive(self) -> Upload:
        """Begin to take a file in."""

    def dataset(self, dataset_id: str) -> DatasetFacts | None:
        """One dataset."""

    def datasets(self, limit: int) -> Sequence[DatasetFacts]:
        """The newest datasets."""

    def check(self, dataset_id: str, purpose: Purpose) -> Mapping[str, Any]:
        """Check a dataset for one purpose: the report as JSON, with ``distributions`` by column. Raises :class:`Refused`."""

    def start(self, request: TrainingRequest, principal: str) -> TrainingFacts:
        """Queue a training and launch it outside this process. Raises :class:`Refused`."""

    def training(self, training_id: str) -> TrainingFacts | None:
        """One training."""

    def trainings(self, limit: int) -> Sequence[TrainingFacts]:
        """The newest trainings."""

    def progress(self, training_id: str, after_step: int) -> Sequence[ProgressFacts]:
        """The steps after one, oldest first."""

    def cancel(self, training_id: str) -> bool:
        """Ask a training to stop; ``False`` when it was over already."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One registered model version."""

    name: str
    version: int
    type: str
    template: str
    digest: str
    created_by: str
    created_at: Millis
    aliases: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriverFact:
    """What one feature did for a model: its label by language, and its share of what all did together."""

    label: Mapping[str, str]
    share: float


class Models(Protocol):
    """The model versions that exist, and what may be done with them."""

    def all(self) -> Sequence[ModelFacts]:
        """Every version, by name, newest first."""

    def get(self, name: str, version: int) -> ModelFacts | None:
        """One version."""

    def request_schema(self, name: str, version: int) -> Mapping[str, Any] | None:
        """JSON schema of a custom type's row; ``None`` for a built-in type."""

    def example(self, name: str, version: int) -> Mapping[str, Any] | None:
        """A row that a custom type can be asked about; ``None`` for a built-in type."""

    def drivers(self, name: str, version: int) -> Sequence[DriverFact]:
        """What a version learnt from most, the largest first; nothing where its artifact is not here."""

    @property
    def can_publish(self) -> bool:
        """Whether one person alone may put a version in service, as on a demo home."""

    def publish(self, name: str, version: int, principal: str) -> None:
        """Make a version the champion of its type. Raises :class:`Refused`."""


class Reservations(Protocol):
    """What becomes of the pieces that plans have promised (:class:`feature_store.reservations.ReservationStore`)."""

    def settle(self, reservation_id: str, principal: str) -> Held:
        """The pieces have left."""

    def release(self, reservation_id: str, principal: str) -> Held:
        """The pieces are not needed any more."""


class Reviews(Protocol):
    """The queue of held decisions (:class:`governance.reviews.ReviewQueue`)."""

    def page(self, wanted: Wanted, *, sort: str, cursor: str | None, limit: int, at: Millis) -> Slice:
        """One page, in the order of the queue."""

    def counts(self, at: Millis) -> Sequence[Count]:
        """How many decisions wait, by queue, type and state."""

    def claim(self, record_id: str, principal: str, at: Millis, until: Millis | None) -> Case | None:
        """Take a case for a while, or give it back."""

    def find(self, record_id: str) -> Case | None:
        """One decision that waits, or did."""


class Labels(Protocol):
    """Where outcome labels go in (:class:`governance.labelling.Labelling`)."""

    def take(self, told: Sequence[Told], principal: str, role: str, *, own_only: bool) -> tuple[list[Taken], list[NotTaken]]:
        """Make labels durable, each once."""


class Intake(Protocol):
    """Where business events go in."""

    @property
    def skew(self) -> Millis:
        """How far an event's time may lie ahead of our clock."""

    def now(self) -> Millis:
        """Our clock: when an event that comes now becomes known."""

    def take(self, events: Sequence[Event]) -> IngestResult:
        """Make events durable, each once. Raises :class:`Refused` with 503 when the database does not answer."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything the console works with; made once, at start.

    Attributes:
        base_url: how users reach the service, for examples; without a trailing slash.
        bound_host: the address that the service listens on.
        max_upload_bytes: a larger file is refused with 413 while it arrives.
        now: the clock.
        secure_cookies: cookies over TLS alone, bound to this host; where the service is reached by https.
        ledger: tells how the log is; ``None`` where none is kept.
        export: answers with a file of decisions; ``None`` where none is made.
        reads: notes what is read on pages; ``None`` where nobody keeps it.
        ledger: tells how the log is; ``None`` where none is kept.
        controls: changes policies, lists and switches; ``None`` where nothing of that kind is changed.
    """

    accounts: Accounts
    decisions: Decisions
    workbench: Workbench
    models: Models
    signer: SessionSigner
    now: Callable[[], Millis]
    features: Features
    health: Health
    ledger: Ledger | None = None
    base_url: str = "http://127.0.0.1:8000"
    bound_host: str = "127.0.0.1"
    max_upload_bytes: int = 512 * 1024 * 1024
    secure_cookies: bool = False
    intake: Intake | None = None
    reservations: Reservations | None = None
    controls: Controls | None = None
    reviews: Reviews | None = None
    labels: Labels | None = None
    reads: Reading | None = None
    export: Callable[[Account, Mapping[str, str]], Response] | None = None
