"""What each past order would have been decided on: one pass over history, with the feature code that answers requests.

Events change the states as they become known; when an order comes, its features are computed from the states as they are, which is what
was known at that moment and nothing else. Labels lie beside the features with the time when they were settled.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from feature_store.entities import EntityKey
from feature_store.events import Event
from feature_store.folding import apply
from feature_store.network import Network, Rate
from feature_store.state import EntityState
from feature_store.times import Millis
from feature_store.views import SERVICES, Situation
from feature_store.views.definition import Row
from feature_store.views.plan import Joint
from governance.costs import CANCELLED, CAUSES
from governance.facts import Case
from models.specs import DecisionType
from training.world import SimulatedOrder
from training.world.values import SimulatedShipment

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LANES = "split-order"


@dataclass(frozen=True, slots=True)
class HistoryFrame:
    """The training rows of one decision type, oldest first.

    Attributes:
        features: float64, (rows, features); NaN where not known.
        names: of the features, as the model gets them.
        label: 0 or 1, (rows,).
        time: when it had to be decided, (rows,).
        label_known_at: when its label was settled, (rows,); before that no training may use the row.
        p_knowable: for judging a model, never for training one, (rows,); NaN where nobody knows it.
        group: rows that must not be torn apart by a split, here the customer, (rows,).
        keys: order id, or ``shipment id`` for split-order, (rows,).
        view_version: of the definitions that made it.
        cause: why the event came about, (rows,): an index into :data:`governance.costs.CAUSES`, -1 where it did not or nobody knows.
        cases: what a policy would have known of each order besides the features, (rows,).
    """

    features: Floats
    names: tuple[str, ...]
    label: Ints
    time: Ints
    label_known_at: Ints
    p_knowable: Floats
    group: tuple[str, ...]
    keys: tuple[str, ...]
    view_version: str
    cause: Ints | None = None
    cases: tuple[Case, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: Ints) -> HistoryFrame:
        """Some of the rows, in this order."""
        return HistoryFrame(
            self.features[rows],
            self.names,
            self.label[rows],
            self.time[rows],
            self.label_known_at[rows],
            self.p_knowable[rows],
            tuple(self.group[row] for row in rows),
            tuple(self.keys[row] for row in rows),
            self.view_version,
            None if self.cause is None else self.cause[rows],
            tuple(self.cases[row] for row in rows) if self.cases else (),
        )


@dataclass(frozen=True, slots=True)
class History:
    """What a pass over history leaves behind: the frames, and the states as they are at its end."""

    frames: Mapping[str, HistoryFrame]
    states: Mapping[EntityKey, EntityState]


@dataclass(slots=True)
class _Rows:
    """Rows of one type as they come."""

    features: list[Floats] = field(default_factory=list)
    facts: list[tuple[int, Millis, Millis, float]] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cause: list[int] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    def add(self, row: Sequence[Row], facts: tuple[int, Millis, Millis, float], group: str, key: str) -> None:
        self.features.append(np.array([one[0] for one in row], dtype=np.float64))
        self.facts.append(facts)
        self.group.append(group)
        self.keys.append(key)

    def frame(self, decision_type: str) -> HistoryFrame:
        service = SERVICES[decision_type]
        label, time, known_at, p_knowable = ([fact[i] for fact in self.facts] for i in range(4))
        features = np.array(self.features, dtype=np.float64).reshape(len(self.keys), len(service.names))
        return HistoryFrame(
            features,
            service.names,
            np.array(label, dtype=np.int64),
            np.array(time, dtype=np.int64),
            np.array(known_at, dtype=np.int64),
            np.array(p_knowable, dtype=np.float64),
            tuple(self.group),
            tuple(self.keys),
            service.view_version,
            np.array(self.cause, dtype=np.int64) if self.cause else None,
            tuple(self.cases),
        )


def build_history(stream: Iterable[Event | SimulatedOrder], types: Iterable[str] = SERVICES, until: Millis | None = None) -> History:
    """Play a stream once.

    Args:
        stream: events by ``known_at`` and orders by ``placed_at``, merged, as a world tells them.
        types: the decision types to make frames for.
        until: stop before the first thing that becomes known later than this.

    Returns:
        a frame for each type, and the states at the end, ready for :meth:`feature_store.online.OnlineStore.load_states`.
    """
    states: dict[EntityKey, EntityState] = {}
    rows = {decision_type: _Rows() for decision_type in types}
    joint = Joint(SERVICES[decision_type] for decision_type in rows)
    with collector_resting():
        for item in stream:
            if until is not None and (item.known_at if isinstance(item, Event) else item.placed_at) > until:
                break
            if isinstance(item, Event):
                apply(states, item)
            else:
                _enter(rows, joint, item, states)
    return History({decision_type: found.frame(decision_type) for decision_type, found in rows.items()}, states)


@contextmanager
def collector_resting() -> Iterator[None]:
    """States hold no cycles but very many objects: walking them again and again would take longer than all the rest."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def build_frames(stream: Iterable[Event | SimulatedOrder], types: Iterable[str] = SERVICES) -> Mapping[str, HistoryFrame]:
    """The frames alone; see :func:`build_history`."""
    return build_history(stream, types).frames


def _enter(rows: Mapping[str, _Rows], joint: Joint, simulated: SimulatedOrder, states: Mapping[EntityKey, EntityState]) -> None:
    order, as_of = simulated.order, simulated.placed_at
    situation = Situation(order, states, as_of)
    used = list(_used(simulated, situation.network)) if _LANES in rows else []
    customer = order.customer.customer_id
    case = Case.of(order, situation.network, as_of)
    for decision_type, found in joint.run(situation, [lane for lane, _ in used]).items():
        if decision_type == _LANES:
            for (_, one), row in zip(used, found, strict=True):
                rows[_LANES].add(row, (one.late, as_of, one.known_at, one.p_knowable), customer, one.shipment_id)
                rows[_LANES].cases.append(case)
        else:
            label = simulated.labels[decision_type]
            rows[decision_type].add(found[0], (label.label, as_of, label.known_at, label.p_knowable), customer, order.order_id)
            rows[decision_type].cases.append(case)
            if decision_type == DecisionType.ACCEPTANCE:
                rows[decision_type].cause.append(_cause(simulated.failure))


def _used(simulated: SimulatedOrder, network: Network) -> Iterator[tuple[Rate, SimulatedShipment]]:
    """The shipments of an order whose lane is known, each with it."""
    lanes = {(lane.node_id, lane.service): lane for lane in network.lanes(simulated.order.ship_to.region)}
    for shipment in simulated.shipments:
        lane = lanes.get((shipment.node_id, shipment.service))
        if lane is not None:
            yield lane, shipment


def _cause(failure: str | None) -> int:
    """The cause as the models know it: what is neither late nor returned was cancelled by us, for one reason or another."""
    if failure is None:
        return -1
    return CAUSES.index(failure) if failure in CAUSES else CAUSES.index(CANCELLED)
