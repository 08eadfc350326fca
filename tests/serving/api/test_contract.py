"""The document against itself, against the models that validate requests, and against real answers of the decision routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI

from governance.access import MATRIX, ROUTES, Action, Role
from serving.admission import BODIES, ORDERS
from serving.api import answer_schemas, contract, refusals
from serving.api.again_operations import AGAIN_CONSOLE, AGAIN_DECISIONS
from serving.api.control_operations import CONTROLS
from serving.api.erasure_operations import PRIVACY
from serving.api.export_operations import EXPORTS
from serving.api.operations import CUSTOM_TYPE, DECISIONS, FILTER_TEXTS, LEAST, Operation, bodies
from serving.api.review_operations import OVERRIDE_EXAMPLE
from serving.api.schemas import CUSTOM_EXAMPLE, CustomBody
from serving.api.webhook_operations import WEBHOOKS
from serving.errors import TABLE, ProblemKind
from serving.search_query import FLAG_FILTERS, REAL_FILTERS, TEXT_FILTERS, TIME_FILTERS, WHOLE_FILTERS

ROW = {"type": "object", "properties": {"Country": {"type": "string"}}, "required": ["Country"], "additionalProperties": False}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return contract.openapi(FastAPI(), {"scms-late": (ROW, {"Country": "Kenya"})})


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    for told in walk({**document, "components": {**document["components"], "examples": {}}}):
        if isinstance(told.get("$ref"), str):
            found: Any = document
            for part in told["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            assert found


def test_every_schema_is_a_json_schema_and_is_used(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    asked = {told["$ref"].rpartition("/")[2] for told in walk(document) if isinstance(told.get("$ref"), str)}
    only_by_the_console = {
        "Alive",
        "DatasetAnswer",
        "EventsAnswer",
        "EventsBody",
        "FeatureAnswer",
        "FeatureSpread",
        "FeaturesAnswer",
        "LiveFigures",
        "LookedAt",
        "ModelAnswer",
        "ModelVersion",
        "ModelsAnswer",
        "Readiness",
        "KeptLabel",
        "LedgerStatus",
        "OutcomeBody",
        "OutcomesAnswer",
        "OutcomesBody",
        "OverrideReason",
        "OverrideReasons",
        "RefusedLabel",
        "ReservationAnswer",
        "ReviewCase",
        "ReviewCount",
        "ReviewsAnswer",
        "TrainedModel",
    }
    of_controls = {
        model.__name__
        for one in (*CONTROLS, *AGAIN_CONSOLE, *WEBHOOKS, *PRIVACY, *EXPORTS)
        for model in (one.body, one.answer)
        if model is not None
    }
    assert set(document["components"]["schemas"]) - asked <= only_by_the_console | of_controls | {"TrainingAnswer", "TrainingStarted"}


def test_what_openapi_asks_of_an_operation(document: dict[str, Any]) -> None:
    ids = [told["operationId"] for _, _, told in contract.operations(document)]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    templates = [re.sub(r"\{[^}]*\}", "{}", path) for path in document["paths"]]
    assert len(templates) == len(set(templates)), "paths that differ in a placeholder's name only are the same path"
    for method, path, told in contract.operations(document):
        name = f"{method} {path}"
        assert told["responses"], name
        assert all(re.fullmatch(r"[1-5]\d\d", status) and response["description"] for status, response in told["responses"].items()), name
        assert set(told["tags"]) <= tags, name
        placed = {one["name"] for one in told["parameters"] if one.get("in") == "path"}
        assert placed == set(re.findall(r"\{([^}]*)\}", path)), name
        assert (method == "POST") == ("requestBody" in told), name
        assert told["summary"], name
        assert told["security"] == [{"key": []}], name


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    for method, path, told in contract.operations(document):
        for content in told.get("requestBody", {}).get("content", {}).values():
            assert content["examples"], path
            for example in content["examples"].values():
                check(document, content["schema"], example["value"])
        for status, response in told["responses"].items():
            for content in response["content"].values():
                examples = [content["example"]] if status < "400" else [
                    document["components"]["examples"][name]["value"] for name in content["examples"]
                ]  # fmt: skip
                assert examples, (method, path, status)
                for example in examples:
                    check(document, content["schema"], example)
                    assert status < "400" or example["status"] == int(status)


def test_every_example_passes_the_model_that_validates_it() -> None:
    models = {"orders": BODIES[ORDERS], **BODIES, "custom": CustomBody}
    for operation in DECISIONS:
        for value in operation.requests.values():
            assert operation.body is not None
            operation.body.model_validate(value)
            assert models.get(operation.example, operation.body) is operation.body


def test_a_published_type_has_its_own_row(document: dict[str, Any]) -> None:
    told = document["paths"]["/v1/decisions/scms-late"]["post"]
    content = told["requestBody"]["content"]["application/json"]
    assert next(iter(content["examples"].values()))["value"]["row"] == {"Country": "Kenya"}
    with pytest.raises(jsonschema.ValidationError):
        check(document, content["schema"], {"row": {"Weight": 3}})
    check(document, {"$ref": "#/components/schemas/CustomBody"}, CUSTOM_EXAMPLE)
    assert "scms-late" not in str(contract.openapi(FastAPI())["paths"].keys())


def test_a_custom_type_s_name_never_breaks_a_component(document: dict[str, Any]) -> None:
    made = contract.openapi(FastAPI(), {"später": (ROW, {"Country": "Kenya"})})
    for kind in made["components"].values():
        assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in kind)


def test_roles_are_those_of_the_matrix(document: dict[str, Any]) -> None:
    decide, read = document["paths"]["/v1/decisions/fraud"]["post"], document["paths"]["/v1/decisions/{id}"]["get"]
    assert decide["x-roles"] == ["oms"]
    assert read["x-roles"] == list(Role)
    for method, path, told in contract.operations(document):
        route = contract.route_of(method, path)
        assert route is not None, f"{method} {path} is not in governance.access.ROUTES"
        assert route.action is not None, f"{method} {path} needs a key"
        assert set(told["x-roles"]) == MATRIX[route.action]
        assert f"Roles: {', '.join(told['x-roles'])}." in told["description"]


def test_every_user_s_actions_are_somewhere() -> None:
    listed = [action for _, _, actions in contract.USERS for action in actions]
    assert sorted(listed, key=str) == sorted([*Action, None], key=str)


def test_every_kind_of_refusal_has_an_example_worded_by_the_table() -> None:
    assert set(refusals.EXAMPLES) == set(ProblemKind) == set(TABLE)
    for kind, told in refusals.components().items():
        answer_schemas.ProblemDetails.model_validate(told["value"])
        assert told["value"]["type"].endswith(kind)
    waits = refusals.responses([ProblemKind.TOO_MANY, ProblemKind.NOT_FOUND, ProblemKind.UNAVAILABLE])
    assert {status for status, response in waits.items() if "Retry-After" in response.get("headers", {})} == {"429", "503"}


def test_every_filter_of_the_search_is_documented(document: dict[str, Any]) -> None:
    told = {one["name"] for one in document["paths"]["/v1/decisions"]["get"]["parameters"] if "name" in one}
    assert told == {
        *TEXT_FILTERS,
        *WHOLE_FILTERS,
        *REAL_FILTERS,
        *TIME_FILTERS,
        *FLAG_FILTERS,
        "cursor",
        "limit",
        "count",
        "feature.{name}",
    }
    assert set(FILTER_TEXTS) == told - {"cursor", "limit", "count", "feature.{name}"}


def named(value: Any) -> Any:
    """Names of members only, so that an answer can be held against what its model kept of it."""
    if isinstance(value, dict):
        return {name: named(item) for name, item in value.items()}
    return [named(item) for item in value] if isinstance(value, list) else None


def fits(operation: Operation, told: Any) -> None:
    """An answer has every member that its model names, and none that the model does not."""
    assert operation.answer is not None
    kept = operation.answer.model_validate(told).model_dump(mode="json", exclude_unset=True)
    if operation.example != "decision":  # the answer of any type, and the record
        assert named(kept) == named(told)


@pytest.mark.parametrize("operation", [one for one in DECISIONS if one.example], ids=lambda one: one.example)
def test_the_examples_have_the_members_that_are_documented(operation: Operation) -> None:
    fits(operation, contract.answer_example(operation.example))


def settle(service: Any, decision_id: str) -> dict[str, Any]:
    """An override that is refused by a second person, and one that comes into force."""
    path = f"/v1/decisions/{decision_id}/override"
    decided = service.get(f"/v1/decisions/{decision_id}").json["outcome"]
    wanted = {**OVERRIDE_EXAMPLE, "outcome": "REJECT" if decided == "ACCEPT" else "ACCEPT"}
    small = service.call("POST", path, role=Role.REVIEWER, json=wanted)
    assert small.status == 200, small.content
    line = {"line_id": "1", "sku": "SKU-1", "qty": 9, "unit_price": {"amount": "90000.00", "currency": "CNY"}}
    large = service.decide("fraud", {"order": {**LEAST["order"], "order_id": "SO-L", "lines": [line]}}, key="large").json
    path = f"/v1/decisions/{large['decision_id']}/override"
    outcome = "BLOCK" if large["outcome"] != "BLOCK" else "ALLOW"
    assert service.call("POST", path, role=Role.REVIEWER, json={**OVERRIDE_EXAMPLE, "outcome": outcome}).status == 202
    return {"override": small.json, "override_refused": service.call("DELETE", path, role=Role.REVIEWER).json}


def test_real_answers_have_the_members_that_are_documented(service: Any) -> None:
    by_example = {operation.example: operation for operation in DECISIONS}
    ids = {}
    for name, path, body in bodies():
        answer = service.call(
            "POST", path, json={**body, "deadline_ms": None} if name != "batch" else body, headers={"idempotency-key": name}
        )
        assert answer.status == 200, answer.content
        fits(by_example[name], answer.json)
        ids[name] = answer.json.get("decision_id")
    looks = {"decision": f"/{ids['acceptance']}", "search": "?limit=2", "explanation": f"/{ids['fraud']}/explanation"}
    for name, path in looks.items():
        fits(by_example[name], service.get(f"/v1/decisions{path}").json)
    settled = settle(service, ids["acceptance"])
    for name, told in settled.items():
        fits(by_example[name], told)
    fits(by_example["timeline"], service.get("/v1/orders/SO-1001/timeline").json)
    again = {operation.example for operation in AGAIN_DECISIONS}  # tests/serving/test_again.py holds their answers
    assert set(ids) | set(looks) | set(settled) | {"timeline"} | again == set(by_example), "every documented decision route was called"


def test_a_fallback_and_a_dry_run_are_documented_answers(service: Any) -> None:
    by_example = {operation.example: operation for operation in DECISIONS}
    for name in ("acceptance", "fraud"):
        late = service.decide(name, {**LEAST, "deadline_ms": 1}, key=f"late-{name}")
        dry = service.decide(name, {**LEAST, "mode": "dry_run"}, key=None)
        fits(by_example[name], late.json)
        fits(by_example[name], dry.json)


def test_every_decision_route_that_is_implemented_is_documented(service: Any, document: dict[str, Any]) -> None:
    made = service.decide("fraud", LEAST).json
    fill = {"id": made["decision_id"], "type": "fraud", "order_id": "SO-1001", "record_id": made["decision_id"]}
    documented = {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path, _ in contract.operations(document)}
    documented.add(("POST", "/v1/decisions/{}"))
    checked = 0
    for route in ROUTES:
        if not route.path.startswith(("/v1/decisions", "/v1/orders")):
            continue
        path = re.sub(r"\{([^}]*)\}", lambda found: fill[found[1]], route.path)
        role = Role.OMS if route.action is Action.DECIDE else Role.AUDITOR
        implemented = service.call(route.method, path, role=role).status not in {403, 404, 405}
        if implemented:
            checked += 1
            assert (route.method, re.sub(r"\{[^}]*\}", "{}", route.path)) in documented, f"{route.method} {route.path} is not documented"
    assert checked == 7


def test_the_custom_type_of_the_examples_is_the_one_that_is_tested(service: Any) -> None:
    assert CUSTOM_TYPE in service.edges.force().models
