"""``/openapi.json`` and ``/docs``: everything the console serves is there, for those who may read it."""

from __future__ import annotations

import html
import re
import shlex
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import create_engine

from governance.access import Role
from serving.api import contract, erasures, exports, ledger, populations, system, webhooks
from serving.api.operations import CONSOLE
from serving.console.views.fields import rows
from serving.console.views.reference import curl

ELSEWHERE = "https://ordinance.example"


def add_the_rest(app: Any) -> None:
    """The routes that are wired to a home beside the console; none of them is called here."""
    nothing: Any = None
    engine = create_engine("sqlite://")
    app.include_router(populations.routes(nothing, engine, nothing))
    app.include_router(ledger.routes(nothing, nothing, nothing))
    app.include_router(erasures.routes(nothing, nothing))
    app.include_router(webhooks.routes(nothing, nothing))
    app.include_router(exports.routes(nothing, exports.Office(engine, nothing), nothing))


@pytest.fixture
def document(world: Any, browser: Any) -> dict[str, Any]:
    """The document of a console with every route, where one custom type is published."""
    world.models.publish("scms-late", 1, "local-approver")
    browser.app.include_router(system.routes(None))  # type: ignore[arg-type]
    answer = browser.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    told: dict[str, Any] = answer.json()
    return told


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Every JSON route of an application."""
    found = [route for route in walk(app.routes) if route.include_in_schema]
    return {(method, route.path) for route in found for method in route.methods - {"HEAD"}}


def walk(listed: Any) -> list[APIRoute]:
    found: list[APIRoute] = []
    for route in listed:
        if isinstance(route, APIRoute):
            found.append(route)
        elif hasattr(route, "original_router"):
            found += walk(route.original_router.routes)
    return found


def test_every_route_of_the_console_is_documented_and_every_documented_one_exists(browser: Any, document: dict[str, Any]) -> None:
    served = routes(browser.app)
    plain = {(method, path) for method, path, _ in contract.operations(contract.openapi(FastAPI()))}
    told = {(method, path) for method, path, _ in contract.operations(document)}
    assert served
    assert {path for _, path in served} >= {"/healthz", "/openapi.json", "/docs", "/v1/datasets", "/v1/models"}
    assert told - plain == served | {("POST", "/v1/decisions/scms-late")}


def test_the_table_describes_routes_that_exist_and_all_of_them(browser: Any, document: dict[str, Any]) -> None:
    add_the_rest(browser.app)
    served = {f"{method} {path}".replace(":path}", "}") for method, path in routes(browser.app)}
    assert served == set(CONSOLE), "serving/api/operations.py has an entry for each"


def test_the_console_s_routes_have_roles_and_examples(document: dict[str, Any]) -> None:
    for method, path, told in contract.operations(document):
        route = contract.route_of(method, path)
        assert route is not None, f"{method} {path} is not in governance.access.ROUTES"
        assert bool(told["x-roles"]) == bool(told["security"]) == (route.action is not None)
        response = next(response for status, response in told["responses"].items() if status < "400")
        content = next(iter(response["content"].values()))
        assert "example" in content, f"{method} {path}"
        whole = {**content["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(content["example"])
    names = {told["$ref"].rpartition("/")[2] for told in re_refs(document)}
    assert {name for name in names if name not in document["components"]["schemas"]} <= {
        *document["components"]["examples"], "IdempotencyKey", "RequestId"
    }  # fmt: skip
    assert "HTTPValidationError" not in str(document)


def re_refs(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    here = [value] if isinstance(value, dict) and isinstance(value.get("$ref"), str) else []
    return here + [one for item in inner for one in re_refs(item)]


def test_the_console_answers_with_the_members_that_are_documented(browser: Any) -> None:
    browser.headers = {"authorization": "Bearer ord_trainer_key"}
    dataset = browser.send("POST", "/v1/datasets", content=b"late,price\n1,2\n")
    wanted = {"dataset_id": dataset.json()["dataset_id"], "target": "late", "name": "scms-late"}
    started = browser.send("POST", "/v1/trainings", json=wanted)
    address = f"/v1/trainings/{started.json()['training_id']}"
    answers = {
        "POST /v1/datasets": dataset,
        "POST /v1/trainings": started,
        "GET /v1/trainings/{training_id}": browser.get(address),
        "DELETE /v1/trainings/{training_id}": browser.send("DELETE", address),
        "GET /v1/models": browser.get("/v1/models"),
        "GET /v1/models/{name}/versions/{version}": browser.get(browser.get("/v1/models").json()["items"][0]["links"]["self"]),
    }
    for name, answer in answers.items():
        operation = CONSOLE[name]
        assert answer.status_code == operation.status, name
        assert operation.answer is not None
        members = set(operation.answer.model_fields)
        assert set(answer.json()) == members, name
        assert set(contract.answer_example(operation.example)) == members, name


def test_a_type_joins_the_document_when_it_is_published_and_leaves_it_again(world: Any, browser: Any) -> None:
    def told() -> dict[str, Any]:
        paths: dict[str, Any] = browser.get("/openapi.json").json()["paths"]
        return paths

    assert "/v1/decisions/scms-late" not in told()
    world.models.publish("scms-late", 1, "local-approver")
    body = told()["/v1/decisions/scms-late"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["row"]["value"]["row"] == world.models.example("scms-late", 1)
    world.models.versions = world.models.versions[:1]
    assert "/v1/decisions/scms-late" not in told()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_shows_every_operation(browser: Any, document: dict[str, Any], language: str) -> None:
    page = browser.get(f"/docs?lang={language}")
    assert page.status_code == 200
    assert f'<html lang="{language}">' in page.text
    cards = page.text.split('<details class="operation"')[1:]
    assert len(cards) == len(list(contract.operations(document)))
    for method, path, described in contract.operations(document):
        heading = f"{method}</span><code>{path}</code>"
        card = next((card for card in cards if heading in card), None)
        assert card is not None, heading
        assert html.escape(described["summary"], quote=False) in card
        assert all(f'<span class="tag">{role}</span>' in card for role in described["x-roles"])
        assert all(f"<dt>{status}</dt>" in card for status in described["responses"] if status >= "400" and described["x-roles"])
        assert card.count("<pre ") >= 2, "a call and an answer"
    assert not re.search(r"""(?:src|href)="(?:https?:)?//""", page.text), "nothing from elsewhere"


def test_the_calls_are_ready_to_be_run(service: Any, document: dict[str, Any]) -> None:
    ran = 0
    for method, path, told in contract.operations(document):
        line = curl(method, path, told, document["components"], "http://ordinance")
        words = shlex.split(line)
        assert words[0] == "curl", path
        headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
        of_the_oms = path.startswith(("/v1/decisions", "/v1/orders")) and not path.startswith("/v1/decisions/{id}/")
        if method != "POST" or not of_the_oms:
            continue
        if path.endswith("scms-late"):
            assert "Côte d'Ivoire" in words[words.index("-d") + 1]
            continue
        assert headers.pop("Authorization") == "Bearer $ORDINANCE_KEY"
        headers["Idempotency-Key"] = path
        address = next(word for word in words if word.startswith("http://ordinance")).removeprefix("http://ordinance")
        answer = service.call("POST", address, role=Role.OMS, content=words[words.index("-d") + 1].encode(), headers=headers)
        assert answer.status == 200, (line, answer.content)
        ran += 1
    assert ran == 6


def test_beyond_this_machine_a_key_or_a_session_is_needed(world: Any, make_browser: Any) -> None:
    far = make_browser(world, base_url=ELSEWHERE)
    assert far.get("/openapi.json").status_code == 401
    assert far.get("/openapi.json", headers={"authorization": "Bearer guess"}).status_code == 401
    assert far.get("/openapi.json", headers={"authorization": "Bearer ord_oms_key"}).status_code == 200
    assert far.get("/docs").headers["location"] == "/console/docs"
    assert far.get("/console/docs").headers["location"] == "/console/login?target=%2Fconsole%2Fdocs"
    assert 'class="operation"' in far.login("trainer").get("/console/docs").text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", ""])
def test_an_address_alone_opens_nothing(world: Any, make_browser: Any, host: str) -> None:
    far = make_browser(world, base_url="http://localhost:8000", bound_host=host)
    assert far.get("/openapi.json").status_code == 401
    assert far.get("/console/docs").headers["location"].startswith("/console/login")


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://[::1]:8000", "http://127.0.0.1"])
def test_on_this_machine_no_key_is_needed(world: Any, make_browser: Any, url: str) -> None:
    near = make_browser(world, base_url=url)
    assert near.get("/openapi.json").status_code == near.get("/docs").status_code == near.get("/console/docs").status_code == 200


def test_members_are_told_with_their_limits(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    told = {row.name: row for row in rows({"$ref": "#/components/schemas/SplitBody"}, schemas)}
    assert told["order"].required
    assert (told["order.lines[].qty"].type, told["order.lines[].qty"].required) == ("integer 1–1,000,000", True)
    assert told["mode"].type == "live | dry_run"
    assert told["order.placed_at"].type == "time"
    assert told["order.lines"].type == "object[] 1–500"
    assert not told["nodes"].required
    assert told["rates[].per_kg.currency"].required
