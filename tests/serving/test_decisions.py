"""The routes from outside: what is refused and how, roles, batches, and what can be looked up."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.access import MATRIX, ROUTES, Action, Role
from serving.api import decisions as routes
from serving.api.schemas import ACCEPTANCE_EXAMPLE, CUSTOM_EXAMPLE

SPLIT_PARTS: dict[str, Any] = {
    "nodes": [{"node_id": "A", "region": "east"}, {"node_id": "B", "region": "east", "processing_cost": {"amount": "1.50", "currency": "CNY"}}],
    "stock": [{"node_id": "A", "sku": "SKU-1", "available": 1}, {"node_id": "B", "sku": "SKU-1", "available": 9}],
    "rates": [
        {
            "node_id": node, "region": "east", "service": "std", "fixed": {"amount": "6.00", "currency": "CNY"},
            "per_kg": {"amount": "1.255", "currency": "CNY"}, "transit_days": 2,
        }
        for node in ("A", "B")
    ],
}  # fmt: skip


def kind(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    return str(answer.json["type"]).rpartition(":")[2]


@pytest.mark.parametrize("content", [b"", b"{", b'{"order": NaN}', b"\xff\xfe", b"[" * 5000])
def test_what_is_not_json_is_a_400(service: Any, content: bytes) -> None:
    answer = service.call("POST", "/v1/decisions/fraud", content=content, headers={"idempotency-key": "k"})
    assert (answer.status, kind(answer)) == (400, "malformed-json")


@pytest.mark.parametrize(
    ("key", "told"), [(None, "idempotency-key-missing"), ("", "idempotency-key-missing"), ("x" * 256, "idempotency-key-unusable")]
)
def test_a_key_is_required(service: Any, body: Any, key: str | None, told: str) -> None:
    answer = service.decide("fraud", body(), key=key)
    assert (answer.status, kind(answer)) == (400, told)


def test_any_text_of_255_characters_is_a_key(service: Any, body: Any) -> None:
    assert service.decide("fraud", body(), key="k" * 255).status == 200


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        (lambda b: b.update(surprise=1), ["surprise"]),
        (lambda b: b["order"].update(surprise=1), ["order", "surprise"]),
        (lambda b: b["order"]["lines"][0].update(qty=-1), ["order", "lines", 0, "qty"]),
        (lambda b: b["order"].pop("customer"), ["order", "customer"]),
        (lambda b: b["order"].update(placed_at="yesterday"), ["order", "placed_at"]),
        (lambda b: b["order"].update(order_id="a\x00b"), ["order", "order_id"]),
        (lambda b: b["order"]["attributes"].update({"x": ["\x00"]}), ["order", "attributes", "x", 0]),
        (lambda b: b.update(mode="later"), ["mode"]),
        (lambda b: b.update(deadline_ms=0), ["deadline_ms"]),
        (lambda b: b.update(nodes=[]), ["nodes"]),
    ],
)
def test_an_invalid_payload_is_a_422_with_the_place(service: Any, body: Any, change: Any, loc: list[str | int]) -> None:
    made = body()
    change(made)
    answer = service.decide("acceptance", made)
    assert (answer.status, kind(answer)) == (422, "invalid-request")
    assert loc in [error["loc"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        (
            lambda lines: lines.append({**lines[0], "sku": "SKU-2"}),
            [{"loc": ["order", "lines", 1, "line_id"], "msg": "line_id '1' occurs twice"}],
        ),
        (
            lambda lines: lines[0].update(unit_price={"amount": "1.00", "currency": "USD"}),
            [{"loc": ["order", "lines", 0, "unit_price", "currency"], "msg": "line '1' is priced in USD, the order in CNY"}],
        ),
        (
            lambda lines: lines[0].update(qty=-1),
            [{"loc": ["order", "lines", 0, "qty"], "msg": "Input should be greater than or equal to 1"}],
        ),
        (lambda lines: lines.clear(), [{"loc": ["order", "lines"], "msg": "at least 1 required"}]),
    ],
)
def test_each_error_is_told_once_and_where_it_is(service: Any, body: Any, change: Any, errors: list[dict[str, Any]]) -> None:
    made = body()
    change(made["order"]["lines"])
    assert service.decide("acceptance", made).json["errors"] == errors


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"constraints": {"forbid_nodes": ["Z"]}}, ["constraints", "forbid_nodes", 0]),
        ({"constraints": {"require_nodes": ["A", "Z"]}}, ["constraints", "require_nodes", 1]),
        ({"stock": [{"node_id": "Z", "sku": "SKU-1", "available": 1}]}, ["stock", 0, "node_id"]),
        ({"oms_choice": {"shipments": [{"node_id": "Z"}]}}, ["oms_choice", "shipments", 0, "node_id"]),
    ],
)
def test_an_unknown_node_is_a_422(service: Any, body: Any, change: dict[str, Any], loc: list[str | int]) -> None:
    answer = service.decide("split-order", {**body(), "oms_choice": None, **SPLIT_PARTS, **change})
    assert (answer.status, kind(answer)) == (422, "invalid-request")
    assert loc in [error["loc"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    ("shipment", "at"),
    [
        ({"node_id": "A", "service": {"a": 1}}, ["service"]),
        ({"node_id": "A", "service": "rocket"}, ["service"]),
        ({"node_id": "A", "lines": True}, ["lines"]),
        ({"node_id": "A", "lines": [5]}, ["lines", 0]),
        ({"node_id": "A", "lines": [{"line_id": "1", "qty": "2"}]}, ["lines", 0, "qty"]),
        ({"node_id": ["A"]}, ["node_id"]),
    ],
)
def test_a_choice_of_the_oms_that_cannot_be_read_is_the_caller_s_mistake(
    service: Any, body: Any, shipment: dict[str, Any], at: list[str | int]
) -> None:
    """It must not count as a failure of the model: some of them would rest it for everybody."""
    for number in range(8):
        answer = service.decide("split-order", {**body(), **SPLIT_PARTS, "oms_choice": {"shipments": [shipment]}}, f"wrong-{number}")
        assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["oms_choice", "shipments", 0, *at])
    assert service.decide("split-order", {**body(), "oms_choice": None, **SPLIT_PARTS}, "right").json["status"] == "decided"


def test_a_pinned_node_that_is_unknown_is_a_422(service: Any, body: Any) -> None:
    made = {**body(), **SPLIT_PARTS}
    made["order"]["lines"][0]["pinned_node"] = "Z"
    answer = service.decide("split-order", made)
    assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["order", "lines", 0, "pinned_node"])


def test_a_plan_from_the_request_s_own_network(service: Any, body: Any) -> None:
    told = service.decide("split-order", {**body(), **SPLIT_PARTS}).json
    assert told["outcome"] == "PLANNED"
    assert sum(line["qty"] for shipment in told["shipments"] for line in shipment["lines"]) == 2
    assert told["optimality"]["proven"] is True
    assert {node["node_id"] for node in told["rejected_nodes"]} == {"A"}
    assert told["confidence"]["event"] == "late"
    total = float(told["objective"]["total"]["amount"])
    assert total == pytest.approx(sum(float(term["amount"]) for term in told["objective"]["terms"].values()))


def test_an_unknown_type_is_a_404_that_names_the_known(service: Any, body: Any) -> None:
    answer = service.decide("returns", body())
    assert (answer.status, kind(answer)) == (404, "not-found")
    assert "parcel-late" in answer.json["detail"]
    assert service.decide("order_decision", body()).status == 404


def test_a_custom_type_answers_by_its_columns(service: Any) -> None:
    told = service.decide("parcel-late", {**CUSTOM_EXAMPLE, "order_id": "SO-9"}).json
    assert told["status"] == "decided"
    assert told["outcome"] == told["prediction"]["label"]
    assert sum(told["prediction"]["probabilities"].values()) == pytest.approx(1)
    assert (told["order_id"], told["model"]["name"], told["policy"]["id"]) == ("SO-9", "parcel-late", "custom")


def test_a_custom_row_that_does_not_fit_names_the_column(service: Any) -> None:
    answer = service.decide("parcel-late", {"row": {**CUSTOM_EXAMPLE["row"], "weight_g": "heavy", "wieght": 3}})
    assert answer.status == 422
    assert {error["column"] for error in answer.json["errors"]} == {"weight_g", "wieght"}


def test_too_large_is_a_413_announced_or_not(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_BODY", 1000)

    async def pieces() -> Any:
        for _ in range(5):
            yield b" " * 400

    headers = {"idempotency-key": "k"}
    announced = service.call("POST", "/v1/decisions/fraud", content=b" " * 1001, headers=headers)
    streamed = service.call("POST", "/v1/decisions/fraud", content=pieces(), headers=headers)
    assert [announced.status, streamed.status] == [413, 413]


def test_the_caller_s_request_id_comes_back_and_is_kept(service: Any, body: Any) -> None:
    answer = service.decide("fraud", body(), headers={"x-request-id": "req-7"})
    assert answer.headers["x-request-id"] == "req-7"
    assert service.reader.get(answer.json["decision_id"]).line.request_id == "req-7"
    assert service.decide("fraud", {}, headers={"x-request-id": "req-8"}).headers["x-request-id"] == "req-8"
    behind = replace(service, app=service.made_app(service.edges, echoes=False))
    assert "x-request-id" not in behind.decide("fraud", {}, headers={"x-request-id": "req-9"}).headers


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic abc", "bearer \x7f"])
def test_without_a_valid_key_nothing_is_served(service: Any, body: Any, header: str | None) -> None:
    headers = {"idempotency-key": "k", **({} if header is None else {"authorization": header})}
    answer = service.call("POST", "/v1/decisions/fraud", json=body(), role=None, headers=headers)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


SERVED = {
    "POST /v1/decisions/{type}": ("POST", "/v1/decisions/fraud"),
    "POST /v1/decisions/{type}/batch": ("POST", "/v1/decisions/fraud/batch"),
    "POST /v1/orders/decide": ("POST", "/v1/orders/decide"),
    "GET /v1/decisions": ("GET", "/v1/decisions"),
    "GET /v1/decisions/{id}": ("GET", "/v1/decisions/none"),
    "GET /v1/decisions/{id}/explanation": ("GET", "/v1/decisions/none/explanation"),
    "GET /v1/orders/{order_id}/timeline": ("GET", "/v1/orders/none/timeline"),
}


def test_every_role_meets_every_route_as_the_matrix_says(service: Any) -> None:
    actions = {f"{route.method} {route.path}": route.action for route in ROUTES}

    async def walk() -> None:
        for name, (method, path) in SERVED.items():
            action = actions[name]
            assert isinstance(action, Action)
            for role in Role:
                answer = await service.send(method, path, role=role, content=b"{}" if method == "POST" else None)
                assert (answer.status != 403) == (role in MATRIX[action]), (name, role, answer.status)

    asyncio.run(walk())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/orders/decide", "POST"),
        ("PUT", "/v1/decisions/fraud", "GET"),
        ("DELETE", "/v1/decisions", "GET"),
        ("GET", "/v1/decisions/fraud/batch", "POST"),
    ],
)
def test_another_method_is_a_405(service: Any, method: str, path: str, allowed: str) -> None:
    answer = service.call(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_nothing_else_is_there(service: Any) -> None:
    assert service.call("GET", "/v1/other").status == 404
    assert service.call("GET", "/v1/decisions/x/y").status == 404


def test_a_batch_answers_each_item_for_itself(service: Any, body: Any) -> None:
    items: list[Any] = [{"idempotency_key": f"k{i}", **body(order_id=f"SO-{i}")} for i in range(5)]
    items[1]["order"]["lines"][0]["qty"] = 0
    items[2].pop("idempotency_key")
    items[3] = 7
    items.append({**items[0]})
    items.append({**items[4], "idempotency_key": "k0"})
    answer = service.call("POST", "/v1/decisions/fraud/batch", json={"items": items})
    told = answer.json["items"]
    assert [item["status"] for item in told] == [200, 422, 400, 422, 200, 200, 422]
    assert told[0]["body"]["order_id"] == "SO-0"
    assert told[5] == told[0]
    assert told[6]["problem"]["type"].endswith("idempotency-key-reused")
    assert told[1]["problem"]["errors"][0]["loc"] == ["order", "lines", 0, "qty"]
    alone = service.decide("fraud", body(order_id="SO-0"), key="k0")
    assert alone.json == told[0]["body"]


@pytest.mark.parametrize("batch", [{}, {"items": []}, {"items": "x"}, {"items": [{}], "more": 1}, {"items": [{}] * 1001}])
def test_a_batch_that_is_none_is_refused_whole(service: Any, batch: Any) -> None:
    assert service.call("POST", "/v1/decisions/fraud/batch", json=batch).status == 422


def test_a_batch_of_a_type_that_nobody_decides_is_not_found(service: Any, body: Any) -> None:
    answer = service.call("POST", "/v1/decisions/no-such-type/batch", json={"items": [body()]})
    assert (answer.status, "fraud" in answer.json["detail"]) == (404, True)


def test_the_age_of_stock_that_the_request_tells_is_reported(service: Any, body: Any) -> None:
    told = [{**stock, "as_of": "2020-01-01T00:00:00.000Z"} for stock in SPLIT_PARTS["stock"]]
    answer = service.decide("split-order", {**body(), **SPLIT_PARTS, "stock": told}).json
    assert answer["snapshot"]["oldest_feature_age_s"] > 5 * 365 * 24 * 3600
    other = [*SPLIT_PARTS["stock"], {"node_id": "A", "sku": "ANOTHER", "available": 1, "as_of": "2020-01-01T00:00:00.000Z"}]
    unasked = service.decide("split-order", {**body(order_id="SO-other"), **SPLIT_PARTS, "stock": other}, key="other").json
    assert (unasked["snapshot"]["oldest_feature_age_s"] or 0) < 365 * 24 * 3600


def test_an_oms_sees_its_own_decisions_only_and_not_the_record(service: Any, body: Any) -> None:
    from governance.access import create_key

    decided = service.decide("fraud", body()).json
    path = f"/v1/decisions/{decided['decision_id']}"
    own = service.get(path, role=Role.OMS)
    assert own.status == 200
    assert "record" not in own.json
    assert {name: own.json[name] for name in decided} == decided
    service.keys = {**service.keys, Role.OMS: create_key(service.engine, Role.OMS, "another")}
    assert service.get(path, role=Role.OMS).status == 404
    assert service.get(path).json["record"]["request"]["order"]["order_id"] == "SO-1001"


@pytest.mark.parametrize(("query", "status"), [("wait=30", 200), ("wait=0", 200), ("wait=soon", 422), ("wait=600", 422), ("x=1", 422)])
def test_waiting_is_asked_for_in_seconds(service: Any, body: Any, query: str, status: int) -> None:
    decided = service.decide("fraud", body()).json
    assert service.get(f"/v1/decisions/{decided['decision_id']}?{query}").status == status


@pytest.mark.parametrize("decision_type", ["acceptance", "fraud", "split-order"])
def test_an_explanation_adds_up_to_the_margin(service: Any, body: Any, decision_type: str) -> None:
    decided = service.decide(decision_type, body()).json
    told = service.get(f"/v1/decisions/{decided['decision_id']}/explanation").json
    assert told["base"] + sum(c["contribution"] for c in told["contributions"]) == pytest.approx(told["margin"], abs=1e-9)
    origins = {c["origin"] for c in told["contributions"]}
    assert origins <= {"store", "request", "default"}
    for part in told["contributions"]:
        assert (part["event_time"] is None) == (part["age_s"] is None)
    assert service.get("/v1/decisions/none/explanation").status == 404


def test_a_timeline_tells_an_order_s_decisions_oldest_first(service: Any, body: Any) -> None:
    ids = [service.decide(t, body(), key=t).json["decision_id"] for t in ("fraud", "acceptance")]
    told = service.get("/v1/orders/SO-1001/timeline").json
    assert [item["decision_id"] for item in told["items"]] == ids
    assert service.get("/v1/orders/SO-2/timeline").status == 404


def test_an_order_id_with_slashes_has_a_timeline(service: Any, body: Any) -> None:
    service.decide("fraud", body(order_id="EU/7"))
    assert service.get("/v1/orders/EU/7/timeline").json["order_id"] == "EU/7"


def test_a_search_pages_newest_first_without_gaps(service: Any, body: Any) -> None:
    for i in range(7):
        service.decide("fraud", body(order_id=f"SO-{i}", channel="app" if i % 2 else "web"), key=f"k{i}")
    seen, cursor = [], ""
    while cursor is not None:
        page = service.get(f"/v1/decisions?limit=3{'&cursor=' + cursor if cursor else ''}").json
        seen += [item["order_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [f"SO-{i}" for i in range(6, -1, -1)]
    assert len(service.get("/v1/decisions?channel=web").json["items"]) == 4
    assert service.get("/v1/decisions?order_id=SO-3&type=fraud").json["items"][0]["order_id"] == "SO-3"
    assert service.get("/v1/decisions?tag=presale&limit=500").status == 200


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "since=yesterday", "min_confidence=2", "model_version=x", "nonsense=1", "cursor=abc", "type="],
)
def test_a_search_that_makes_no_sense_is_a_422_with_the_parameter(service: Any, query: str) -> None:
    answer = service.get(f"/v1/decisions?{query}")
    assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["query", query.partition("=")[0]])


def test_a_bug_is_a_500_that_tells_nothing(service: Any) -> None:
    class Broken:
        async def search(self, query: Any) -> Any:
            raise RuntimeError("secret")

    service.app._lookups = Broken()
    answer = service.get("/v1/decisions")
    assert (answer.status, kind(answer)) == (500, "internal-error")
    assert b"secret" not in answer.content


def test_lifespan_starts_and_stops(service: Any) -> None:
    async def story() -> list[str]:
        told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        said: list[str] = []

        async def receive() -> Any:
            return next(told)

        async def send(message: Any) -> None:
            said.append(message["type"])

        await service.app({"type": "lifespan"}, receive, send)
        return said

    assert asyncio.run(story()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=JSON,
    place=st.sampled_from([("order",), ("order", "lines"), ("order", "attributes"), ("order", "ship_to"), ("deadline_ms",), ()]),
)
def test_no_body_breaks_it(service: Any, body: Any, value: Any, place: tuple[str, ...]) -> None:
    made: Any = body()
    if not place:
        made = value
    else:
        target = made
        for part in place[:-1]:
            target = target[part]
        target[place[-1]] = value
    if isinstance(made, dict):
        made = {**made, "idempotency_key": str(uuid4())}
    try:
        content = orjson.dumps(made)
    except TypeError:  # an integer beyond 64 bits
        return
    answer = service.call("POST", "/v1/decisions/acceptance/batch", content=b'{"items":[%b]}' % content)
    assert answer.status in {200, 400, 422}
    if answer.status == 200:
        assert answer.json["items"][0]["status"] in {200, 409, 422}


def test_the_decision_path_loads_none_of_the_heavy_libraries() -> None:
    heavy = ("pandas", "lightgbm", "mlflow", "shap", "great_expectations", "sklearn", "fastapi", "duckdb", "ray")
    code = f"import sys, serving.api.decisions, serving.edges, serving.loading; print([m for m in {heavy} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("depth", [101, 300, 900])
def test_deep_nesting_is_refused_with_its_limit(service: Any, depth: int) -> None:
    body = copy.deepcopy(ACCEPTANCE_EXAMPLE)
    nested: Any = "x\x00"
    for _ in range(depth):
        nested = [nested]
    body["order"]["attributes"] = {"x": nested}
    refused = service.decide("acceptance", body)
    assert refused.status == 422
    assert "levels deep" in refused.json["detail"]


def test_a_lower_version_of_an_order_is_late_for_every_type(service: Any) -> None:
    body = copy.deepcopy(ACCEPTANCE_EXAMPLE)
    body["order"]["order_version"] = 3
    assert service.decide("acceptance", body, key="v3").status == 200
    older = copy.deepcopy(body)
    older["order"]["order_version"] = 2
    del older["fallback"]
    assert service.decide("fraud", older, key="v2").status == 409


def test_a_time_is_a_text_not_a_number_of_unknown_unit(service: Any) -> None:
    body = copy.deepcopy(ACCEPTANCE_EXAMPLE)
    body["order"]["placed_at"] = 1_762_819_203
    refused = service.decide("acceptance", body)
    assert refused.status == 422
    assert ["order", "placed_at"] in [error["loc"] for error in refused.json["errors"]]


def test_one_item_that_no_database_keeps_leaves_its_batch_alone(service: Any) -> None:
    good, bad = copy.deepcopy(ACCEPTANCE_EXAMPLE), copy.deepcopy(ACCEPTANCE_EXAMPLE)
    bad["order"]["channel"] = "a\x00b"
    items = [{"idempotency_key": "n-1", **bad}, {"idempotency_key": "n-2", **good}]
    told = service.call("POST", "/v1/decisions/acceptance/batch", json={"items": items}).json["items"]
    assert [item["status"] for item in told] == [422, 200]


def test_a_record_names_the_code_and_the_libraries_that_made_it(service: Any) -> None:
    decided = service.decide("acceptance", ACCEPTANCE_EXAMPLE).json
    stored = service.reader.get(decided["decision_id"])
    assert stored is not None
    digests = orjson.loads(stored.entry)["digests"]
    assert digests["build"] == "test"
    assert digests["environment"] == "test"


def test_a_tariff_with_steps_is_charged_by_the_weight(service: Any, body: Any) -> None:
    def price(amount: str) -> dict[str, str]:
        return {"amount": amount, "currency": "CNY"}

    steps = [
        {"up_to_g": 1500.5, "fixed": price("2.00"), "per_kg": price("0")},
        {"up_to_g": 500, "fixed": price("0.50"), "per_kg": price("0")},
    ]
    rates = [{**rate, "steps": steps, "max_weight_g": 9000} for rate in SPLIT_PARTS["rates"]]
    stock = [{**entry, "expected_demand": 40} for entry in SPLIT_PARTS["stock"]]
    made = {**body(), **SPLIT_PARTS, "rates": rates, "stock": stock}
    made["order"]["lines"][0] |= {"qty": 2, "weight_g": 500}
    told = service.decide("split-order", made).json
    (shipment,) = told["shipments"]
    assert shipment["step"] == {"up_to_g": 1500.5, "weight_g": 1000.0}
    assert shipment["cost"]["fixed"]["amount"] == "2.00"
    assert float(told["objective"]["terms"]["scarcity"]["amount"]) > 0
    rates[0]["steps"] = [{"up_to_g": 0, "fixed": price("1.00"), "per_kg": price("0")}]
    assert service.decide("split-order", {**made, "rates": rates}, key="wrong").status == 422
