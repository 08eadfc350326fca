"""Plans and the last piece: through the application, with many orders at once, on both databases and over several replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from feature_store.database import make_engine
from feature_store.events import Event, EventType
from feature_store.online import OnlineStore
from feature_store.reservations import NONE_RESERVED, ReservationStore, Reserved, State
from feature_store.tables import reservations
from feature_store.times import MINUTE, now
from governance.access import Access
from governance.ledger.log import Recorder
from serving.answer import Answerer
from serving.api.decisions import DecisionsApp
from serving.api.schemas import SPLIT_EXAMPLE
from serving.edges import reserved_from, runner, states_from
from serving.knowing import PLANS
from serving.lookups import Lookups

OMS = "test-oms"
Body = Callable[..., dict[str, Any]]


@pytest.fixture
def order(body: Body) -> Body:
    """An order of so many pieces of one SKU."""

    def make(order_id: str, qty: int = 1, sku: str = "SKU-L", **rest: Any) -> dict[str, Any]:
        line = {**body()["order"]["lines"][0], "sku": sku, "qty": qty, "pinned_node": None, "ship_together_group": None}
        return body(order_id=order_id, lines=[line], **rest)

    return make


def tell_stock(service: Any, available: int, sku: str = "SKU-L", nodes: tuple[str, ...] = ("N1",)) -> None:
    at = now()
    told = [
        Event(f"{sku}-{node}-{at}-{available}", EventType.STOCK_LEVEL, at, at, {"node_id": node, "sku": sku, "available": available})
        for node in nodes
    ]
    OnlineStore(service.engine).ingest(told)


def plan(service: Any, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    reply = service.decide("split-order", body, key=key or f"{body['order']['order_id']}-{body['order'].get('order_version', 1)}")
    assert reply.status == 200, reply.content
    return reply.json


def promised(engine: Engine) -> int:
    with engine.connect() as connection:
        held = select(func.sum(reservations.c.qty)).where(reservations.c.counts_until > now())
        return connection.execute(held).scalar_one() or 0


def test_a_plan_reserves_its_pieces_and_the_next_one_finds_them_gone(service_on: Any, order: Body) -> None:
    tell_stock(service_on, 3)
    first = plan(service_on, order("SO-1", 2))
    assert first["outcome"] == "PLANNED"
    assert first["reservation"]["id"] == first["decision_id"]
    held = ReservationStore(service_on.engine).get(first["decision_id"], OMS)
    assert [(piece.node_id, piece.sku, piece.qty) for piece in held.pieces] == [("N1", "SKU-L", 2)]
    assert 30 * MINUTE <= held.expires_at - held.reserved_at < 31 * MINUTE
    second = plan(service_on, order("SO-2", 2))
    assert (second["outcome"], second["unfilled"][0]["qty"], second["unfilled"][0]["reason"]) == ("PARTIAL", 1, "RESERVED")
    assert second["unfilled"][0]["text"]["en"] == "2 pieces of SKU-L are reserved for other orders"
    third = plan(service_on, order("SO-3"))
    assert (third["outcome"], third["reservation"]) == ("UNFULFILLABLE", None)
    assert {node["node_id"]: node["reason"] for node in third["rejected_nodes"]}["N1"] == "RESERVED"


def test_a_repeated_request_reserves_once(service: Any, order: Body) -> None:
    tell_stock(service, 5)
    assert plan(service, order("SO-1", 2), key="k") == plan(service, order("SO-1", 2), key="k")
    assert promised(service.engine) == 2
    again = plan(service, order("SO-1", 3), key="another")
    assert again["outcome"] == "PLANNED", "its own pieces are not in its way"
    assert promised(service.engine) == 3


def test_an_amendment_frees_what_the_earlier_version_held(service_on: Any, order: Body) -> None:
    tell_stock(service_on, 3)
    first = plan(service_on, order("SO-1", 3))
    amended = plan(service_on, order("SO-1", 1, order_version=2))
    assert amended["reservation"]["id"] == amended["decision_id"]
    assert ReservationStore(service_on.engine).get(first["decision_id"], OMS).state is State.SUPERSEDED
    assert plan(service_on, order("SO-2", 2))["outcome"] == "PLANNED"


def test_release_and_expiry_give_the_pieces_back(service: Any, order: Body) -> None:
    tell_stock(service, 1)
    store = ReservationStore(service.engine)
    first = plan(service, order("SO-1"))
    assert plan(service, order("SO-2"))["outcome"] == "UNFULFILLABLE"
    store.release(first["decision_id"], OMS)
    brief = service.with_edges(hold_ms=1)
    second = plan(brief, order("SO-3"))
    assert second["outcome"] == "PLANNED"
    while now() <= ReservationStore(service.engine).get(second["decision_id"], OMS).expires_at:
        pass
    assert plan(service, order("SO-4"))["outcome"] == "PLANNED"


def test_settled_pieces_are_gone_until_the_stock_is_told_again(service: Any, order: Body) -> None:
    tell_stock(service, 2)
    first = plan(service, order("SO-1"))
    settled = ReservationStore(service.engine).settle(first["decision_id"], OMS)
    assert plan(service, order("SO-2", 2))["outcome"] == "PARTIAL"
    while now() <= (settled.ended_at or 0):
        pass
    tell_stock(service, 2)
    assert plan(service, order("SO-2", 2, order_version=2))["outcome"] == "PLANNED"


def test_a_dry_run_and_a_fallback_reserve_nothing(service: Any, order: Body) -> None:
    tell_stock(service, 1)
    dry = service.decide("split-order", {**order("SO-1"), "mode": "dry_run"}, key=None).json
    assert (dry["outcome"], dry["reservation"]) == ("PLANNED", None)

    async def broken(skus: Any, order_id: str, at: int) -> Reserved:
        raise ConnectionError("down")

    fallen = plan(service.with_edges(reserved=broken), order("SO-2"))
    assert (fallen["status"], fallen["reservation"]) == ("fallback", None)
    assert fallen["fallback_reason"].startswith("feature_store: ")
    assert promised(service.engine) == 0


def test_stock_of_the_request_is_taken_at_its_word(service: Any, order: Body) -> None:
    parts = {name: SPLIT_EXAMPLE[name] for name in ("nodes", "rates")}
    told = {**parts, "stock": [{**SPLIT_EXAMPLE["stock"][0], "sku": "SKU-R", "available": 2, "safety": 0}]}
    for number in range(3):
        answer = plan(service, {**order(f"SO-{number}", 2, "SKU-R"), **told})
        assert (answer["outcome"], answer["reservation"]["id"]) == ("PLANNED", answer["decision_id"])
    assert promised(service.engine) == 6


def test_acceptance_sees_what_is_reserved(service: Any, order: Body) -> None:
    tell_stock(service, 1)
    plan(service, order("SO-1"))
    other = service.decide("acceptance", order("SO-2", tags=[]), key="a").json
    own = service.decide("acceptance", order("SO-1", tags=[]), key="b").json
    assert "OUT_OF_STOCK" in [reason["code"] for reason in other["reasons"]]
    assert "OUT_OF_STOCK" not in [reason["code"] for reason in own["reasons"]]


def test_an_order_decision_reserves_with_its_plan(service: Any, order: Body) -> None:
    tell_stock(service, 2)
    answer = service.decide("orders", order("SO-1", 2), key="k").json
    part = answer["decisions"]["split_order"]
    if "skipped" in part:
        pytest.fail(part["skipped"])
    assert part["reservation"]["id"] == part["decision_id"]
    assert promised(service.engine) == 2


@pytest.fixture
def replicas(service_on: Any, database_url: str) -> Iterator[list[Any]]:
    """Two more replicas on the same database, each with engine, recorder and threads of its own."""
    made, recorders, engines = [service_on], [], []
    for _ in range(2):
        engine = make_engine(database_url)
        recorder, run = Recorder(engine), runner(engine, ThreadPoolExecutor(4))
        edges = replace(
            service_on.edges,
            records=recorder,
            read=states_from(OnlineStore(engine), run),
            reserved=reserved_from(ReservationStore(engine), run),
        )
        app = DecisionsApp(Answerer(edges), Lookups(service_on.reader, run), Access(engine), edges.force)
        made.append(replace(service_on, edges=edges, app=app))
        recorders.append(recorder)
        engines.append(engine)
    yield made
    for recorder in recorders:
        recorder.close()
    for engine in engines:
        engine.dispose()


def decide_all(service: Any, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    async def story() -> list[Any]:
        return await asyncio.gather(
            *(
                service.send("POST", "/v1/decisions/split-order", json=body, headers={"idempotency-key": body["order"]["order_id"]})
                for body in bodies
            )
        )

    return [reply.json for reply in asyncio.run(story())]


def test_many_orders_at_once_never_get_more_than_there_is(replicas: list[Any], order: Body) -> None:
    """Orders of one and two pieces race for eleven, in three replicas; every other SKU is taken by one order alone."""
    tell_stock(replicas[0], 7, nodes=("N1",))
    tell_stock(replicas[0], 4, nodes=("N2",))
    for number in range(6):
        tell_stock(replicas[0], 1, f"SKU-{number}x")
    bodies = [
        [order(f"SO-{r}-{i}", 1 + i % 2) for i in range(8)] + [order(f"SO-{r}-x{i}", 1, f"SKU-{i}x") for i in range(6)] for r in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        answers = [one for many in pool.map(decide_all, replicas, bodies) for one in many]
    assert {one["status"] for one in answers} <= {"decided", "fallback"}
    by_place: dict[tuple[str, str], int] = {}
    for answer, body in zip(answers, [one for many in bodies for one in many], strict=True):
        sku = body["order"]["lines"][0]["sku"]
        for shipment in answer.get("shipments") or ():
            place = shipment["node_id"], sku
            by_place[place] = by_place.get(place, 0) + sum(line["qty"] for line in shipment["lines"])
    assert by_place["N1", "SKU-L"] <= 7
    assert by_place["N2", "SKU-L"] <= 4
    assert all(by_place.get(("N1", f"SKU-{number}x"), 0) <= 1 for number in range(6))
    assert promised(replicas[0].engine) == sum(by_place.values())
    if all(one["status"] == "decided" for one in answers):
        assert sum(by_place.values()) == 11 + 6, "nothing is left over while somebody goes without"


def test_who_comes_second_plans_again_from_what_is_left(service_on: Any, order: Body) -> None:
    """The first read sees no reservation although there is one: as if the other order had committed in between."""
    tell_stock(service_on, 1, nodes=("N1",))
    tell_stock(service_on, 1, nodes=("N2",))
    first = plan(service_on, order("SO-1"))
    read, seen = service_on.edges.reserved, []

    async def late(skus: Any, order_id: str, at: int) -> Reserved:
        seen.append(order_id)
        return NONE_RESERVED if len(seen) == 1 else await read(skus, order_id, at)

    second = plan(service_on.with_edges(reserved=late), order("SO-2"))
    assert len(seen) == 2
    assert second["status"] == "decided"
    assert {first["shipments"][0]["node_id"], second["shipments"][0]["node_id"]} == {"N1", "N2"}


def test_who_is_always_overtaken_gets_the_fallback(service: Any, order: Body) -> None:
    tell_stock(service, 1)
    plan(service, order("SO-1"))
    reads = []

    async def blind(skus: Any, order_id: str, at: int) -> Reserved:
        reads.append(order_id)
        return NONE_RESERVED

    answer = plan(service.with_edges(reserved=blind), order("SO-2"))
    assert len(reads) == PLANS + 1
    assert (answer["status"], answer["reservation"]) == ("fallback", None)
    assert answer["fallback_reason"].startswith("contention: ")
    assert promised(service.engine) == 1
