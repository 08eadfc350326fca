"""History: one pass gives what the online store would have given at each moment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Engine

from feature_store.events import Event
from feature_store.network import read_network
from feature_store.online import OnlineStore
from feature_store.times import DAY
from feature_store.views import SERVICES, build_snapshot, entity_keys, lane_snapshots
from training.history import History, build_frames, build_history
from training.world import SimulatedOrder, simulate

Item = Event | SimulatedOrder


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return list(simulate(orders=150, seed=11, days=40).stream())


@pytest.fixture(scope="module")
def history(items: list[Item]) -> History:
    return build_history(items)


def orders_of(items: list[Item]) -> list[SimulatedOrder]:
    return [item for item in items if isinstance(item, SimulatedOrder)]


def test_a_frame_has_a_row_for_each_order_and_shipment(history: History, items: list[Item]) -> None:
    orders = orders_of(items)
    for decision_type in ("acceptance", "fraud"):
        frame = history.frames[decision_type]
        assert len(frame) == len(orders)
        assert frame.keys == tuple(one.order.order_id for one in orders)
        assert frame.label.tolist() == [one.labels[decision_type].label for one in orders]
        assert frame.label_known_at.tolist() == [one.labels[decision_type].known_at for one in orders]
        assert frame.p_knowable.tolist() == [one.labels[decision_type].p_knowable for one in orders]
    lanes = history.frames["split-order"]
    assert lanes.keys == tuple(shipment.shipment_id for one in orders for shipment in one.shipments)
    for decision_type, frame in history.frames.items():
        assert frame.features.shape == (len(frame.label), len(SERVICES[decision_type].names))
        assert frame.names == SERVICES[decision_type].names
        assert (np.diff(frame.time) >= 0).all()
        assert (frame.label_known_at > frame.time).all()
        assert not np.isinf(frame.features).any()


def test_a_frame_holds_what_the_online_store_gives(history: History, items: list[Item], sqlite_engine: Engine) -> None:
    store, waiting = OnlineStore(sqlite_engine), []
    rows = {decision_type: iter(frame.features) for decision_type, frame in history.frames.items()}
    for number, item in enumerate(items):
        if isinstance(item, Event):
            waiting.append(item)
            continue
        check = number % 5 == 0
        if check:
            store.ingest(waiting)
            waiting = []
        _compare(store, item, rows, check=check)


def _compare(store: OnlineStore, item: SimulatedOrder, rows: dict[str, Iterator[np.ndarray]], *, check: bool) -> None:
    order, at = item.order, item.placed_at
    for decision_type in ("acceptance", "fraud"):
        row = next(rows[decision_type])
        if check:
            states = store.read(entity_keys(order, decision_type))
            assert build_snapshot(decision_type, order, states, at).values.tobytes() == row.tobytes()
    mine = [next(rows["split-order"]) for _ in item.shipments]
    if check:
        states = store.read(entity_keys(order, "split-order"))
        snapshots = lane_snapshots(order, read_network(order, states, at), states, at)
        by_lane = {(node, service): snapshot.values.tobytes() for node, service, snapshot in snapshots}
        assert [by_lane[one.node_id, one.service] for one in item.shipments] == [row.tobytes() for row in mine]


def test_the_states_at_the_end_are_those_of_the_events(history: History, items: list[Item], sqlite_engine: Engine) -> None:
    store = OnlineStore(sqlite_engine)
    store.load_states(history.states)
    keys = entity_keys(orders_of(items)[-1].order, "fraud")
    assert {key: state.to_bytes() for key, state in store.read(keys).items()} == {
        key: history.states[key].to_bytes() for key in keys if key in history.states
    }


def test_history_stops_at_a_moment(items: list[Item]) -> None:
    until = orders_of(items)[60].placed_at
    cut = build_history(items, until=until)
    assert len(cut.frames["fraud"]) == 61
    assert max(state.known_at for state in cut.states.values()) <= until
    later = build_history(items, types=("fraud",), until=until + 5 * DAY)
    assert list(later.frames) == ["fraud"]
    assert later.frames["fraud"].features[:61].tobytes() == cut.frames["fraud"].features.tobytes()


def test_frames_are_the_same_every_time(history: History, items: list[Item]) -> None:
    again = build_frames(items)
    assert {kind: frame.features.tobytes() for kind, frame in again.items()} == {
        kind: frame.features.tobytes() for kind, frame in history.frames.items()
    }


@pytest.mark.slow
def test_a_quick_model_comes_near_to_what_can_be_known() -> None:
    import lightgbm as lgb
    from sklearn.metrics import roc_auc_score

    frames = build_frames(simulate(orders=25_000, seed=7).stream())
    for decision_type, frame in frames.items():
        cut = np.quantile(frame.time, 0.7)
        train, test = (frame.time <= cut) & (frame.label_known_at <= cut), frame.time > cut
        parameters = {"objective": "binary", "num_leaves": 7, "max_depth": 6, "learning_rate": 0.05, "min_child_samples": 60, "lambda_l2": 10.0, "seed": 1, "num_threads": 1, "verbose": -1, "deterministic": True}  # fmt: skip
        model = lgb.train(parameters, lgb.Dataset(frame.features[train], frame.label[train]), 200)
        reached = roc_auc_score(frame.label[test], model.predict(frame.features[test]))
        possible = roc_auc_score(frame.label[test], frame.p_knowable[test])
        assert reached > possible - 0.06, decision_type
