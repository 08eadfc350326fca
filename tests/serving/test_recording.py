"""What a record keeps of the network is what the decision saw, whatever was written once for earlier records."""

from __future__ import annotations

import orjson
import pytest

from feature_store import network as networks
from feature_store.database import make_engine
from feature_store.entities import EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import apply
from feature_store.network import read_network
from feature_store.online import OnlineStore
from feature_store.order import Order
from feature_store.state import EntityState
from feature_store.times import DAY, HOUR, parse_time
from feature_store.views import SERVICES, FeatureService, build_snapshot, entity_keys, snapshot_of
from governance.decision import decide
from governance.decision_groups import decision_groups, network_json
from governance.inputs import Inputs
from governance.ledger.canonical import canonical
from governance.ledger.compression import compress
from governance.ledger.record import Numbers
from governance.policy_document import default_policies
from governance.values import Stage
from serving.migrate import migrate
from training.world import simulate

NOW = parse_time("2026-03-02T06:00:00Z")
ORDER = Order.model_validate(
    {
        "order_id": "O-1",
        "placed_at": "2026-03-02T06:00:00Z",
        "currency": "CNY",
        "customer": {"customer_id": "C-1"},
        "ship_to": {"region": "east"},
        "lines": [{"line_id": "1", "sku": "S-1", "qty": 1, "unit_price": {"amount": "10", "currency": "CNY"}}],
    }
)


def told(kind: EventType, at: int, **data: object) -> Event:
    return Event(f"{kind}-{at}-{data}", kind, at, at, data)


HISTORY = (
    *(told(EventType.NODE_STATUS, NOW - DAY, node_id=node, region="east", backlog=5, capacity=50) for node in ("N1", "N2")),
    *(told(EventType.STOCK_LEVEL, NOW - 2 * HOUR, node_id=node, sku="S-1", available=5) for node in ("N1", "N2")),
    *(
        told(EventType.LANE_RATE, NOW - DAY, node_id=node, region="east", service="std", fixed=5.0, transit_days=days)
        for node, days in (("N1", 1), ("N2", 2))
    ),
)
NEWS = (
    told(EventType.NODE_STATUS, NOW - HOUR, node_id="N1", status="down"),
    told(EventType.LANE_RATE, NOW - HOUR, node_id="N2", region="east", service="std", fixed=7.0, transit_days=4),
    told(EventType.STOCK_LEVEL, NOW - HOUR, node_id="N2", sku="S-1", available=2),
)


def test_a_snapshot_of_sixty_features_takes_less_than_a_kilobyte() -> None:
    """Values, times and origins of orders of a world, as they are stored: with names and digest, compressed with the body's dictionary."""
    more = [one for one in SERVICES["fraud"].features if one.name not in SERVICES["acceptance"].names]
    sixty = FeatureService("sixty", (*SERVICES["acceptance"].features, *more)[:60])
    states: dict[EntityKey, EntityState] = {}
    sizes = []
    for item in simulate(orders=300, seed=5, days=60).stream():
        if isinstance(item, Event):
            apply(states, item)
        elif len(states) > 500:
            snapshot = snapshot_of(sixty, item.order, states, item.placed_at)
            inputs = Inputs("acceptance", Stage.LIVE, item.placed_at, order=item.order, snapshot=snapshot)
            sizes.append(len(compress(canonical(_kept(inputs)))))
    assert len(sizes) > 100
    assert max(sizes) < 1_000


def _kept(inputs: Inputs) -> dict[str, object]:
    """What a record keeps of a snapshot."""
    policy = default_policies()["acceptance"]
    groups = decision_groups(inputs, decide(inputs, {}, policy), policy, (), None)
    values = groups["values"]
    assert isinstance(values, Numbers)
    return {"snapshot": groups["snapshot"], "values": values.text}


def seen(store: OnlineStore) -> tuple[bytes, bytes]:
    """The network as a record keeps it, and the bytes of the features."""
    states = store.read(entity_keys(ORDER, "acceptance"))
    network = read_network(ORDER, states, NOW)
    values = build_snapshot("acceptance", ORDER, states, NOW, network).values
    return canonical(network_json(network)), values.tobytes()


@pytest.mark.parametrize("news", NEWS, ids=[event.type.value for event in NEWS])
def test_news_of_the_network_reach_the_next_record(news: Event, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'home.db'}")
    migrate(engine)
    store = OnlineStore(engine)
    store.ingest(HISTORY)
    before = seen(store)
    assert seen(store) == before
    store.ingest([news])
    after = seen(store)
    monkeypatch.setattr(networks, "_frames", {})
    assert after == seen(OnlineStore(engine))
    assert after != before
    assert len(orjson.loads(after[0])["nodes"]) == 2
    engine.dispose()
