"""The served contract: one OpenAPI 3.1 document of every JSON route, made from the models and tables that the code itself uses."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from governance.access import MATRIX, ROUTES, Action, Role, Route
from serving.api import refusals
from serving.api.answer_schemas import ProblemDetails
from serving.api.operation import Operation, Parameter
from serving.api.operations import CONSOLE, DECISIONS
from serving.api.schemas import MAX_KEY, CustomBody

EXAMPLES = Path(__file__).parent / "examples"
"""Real answers of a demo home, one file each."""

Custom = Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
"""Published custom types by name: the JSON schema of a row, and a row."""

USERS: tuple[tuple[str, str, tuple[Action | None, ...]], ...] = (
    ("OMS engineer", "Asks for decisions inside checkout and order drop.", (Action.DECIDE, Action.READ_DECISION)),
    ("Auditor", "Finds out why something was decided, and checks it.", (Action.INSPECT, Action.WHAT_IF, Action.WATCH)),
    ("Business user", "Trains models from tables.", (Action.TRAIN, Action.CONSULT)),
    ("Reviewer", "Works the queue of held decisions.", (Action.REVIEW,)),
    ("Policy owner", "Sets thresholds, hard constraints and lists.", (Action.WRITE_POLICY,)),
    ("Approver", "Approves what somebody else submitted, and puts it in service.", (Action.APPROVE, Action.ROLL_OUT)),
    ("Operator", "Runs the service.", (Action.ADMINISTER, None)),
)
"""Who uses what: name, what for, and the actions of their routes."""

_INTRODUCTION = (
    "Decisions on orders that can be explained, replayed and proved. JSON is UTF-8 in snake_case; times are RFC 3339 in UTC with "
    "milliseconds; money is a decimal text with its currency. Members may be added to answers at any time. Errors are RFC 9457 problem "
    "details."
)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Names this request, the same on every retry; belongs to the caller's principal. A dry run needs none.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
    "example": "SO-1001-1",
}
_REQUEST_ID = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "The caller's own name for the request; stored with the decision and sent back.",
    "schema": {"type": "string", "maxLength": 255},
    "example": "checkout-7f3a",
}
_REFERENCE = "#/components/schemas/{model}"
_FASTAPI_ONLY = ("HTTPValidationError", "ValidationError")


def openapi(console: FastAPI, custom: Custom | None = None) -> dict[str, Any]:
    """The whole contract as one OpenAPI 3.1 document.

    Args:
        console: the application whose JSON routes FastAPI describes.
        custom: the published custom types; each gets a path of its own with the schema of its row.
    """
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in DECISIONS:
        _add(paths, operation, _decision(operation))
    for name, (row, example) in sorted((custom or {}).items()):
        body = copy.deepcopy(schemas[CustomBody.__name__])
        body["properties"]["row"] = dict(row)
        title = f"{CustomBody.__name__}.{re.sub(r'[^A-Za-z0-9._-]', '-', name)}"
        schemas[title] = body | {"title": title}
        _add(paths, *_typed(name, title, example))
    generated = get_openapi(title="", version="", openapi_version="3.1.0", routes=console.routes)
    generated_schemas = generated.get("components", {}).get("schemas", {})
    schemas |= {name: schema for name, schema in generated_schemas.items() if name not in _FASTAPI_ONLY}
    for path, methods in generated["paths"].items():
        for method, described in methods.items():
            operation = CONSOLE.get(f"{method.upper()} {path}") or Operation(method.upper(), path, described.get("summary", path))
            _add(paths, operation, _completed(operation, described))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ordinance", "version": version("ordinance"), "summary": "The decision service of an OMS", "description": _INTRODUCTION},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text, _ in USERS],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "examples": refusals.components(),
            "parameters": {"IdempotencyKey": _KEY, "RequestId": _REQUEST_ID},
            "headers": {"RequestId": {"description": "The X-Request-Id of the request.", "schema": {"type": "string"}}},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: `ordinance keys create --role ROLE` makes one."}
            },
        },
    }  # fmt: skip


def route_of(method: str, path: str) -> Route | None:
    """The entry of the access matrix's routes that a documented path belongs to: the one with the fewest placeholders that fits."""
    fitting = [route for route in ROUTES if route.method == method and _pattern(route.path).fullmatch(path)]
    return min(fitting, key=lambda route: route.path.count("{"), default=None)


def roles_of(action: Action) -> list[str]:
    """The roles that may do something, in the order in which they are told everywhere."""
    return [role.value for role in Role if role in MATRIX[action]]


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", path)))


def _schemas() -> dict[str, Any]:
    """Components of every model that a request or an answer names."""
    models: set[type[BaseModel]] = {ProblemDetails, CustomBody}
    for operation in (*DECISIONS, *CONSOLE.values()):
        models |= {model for model in (operation.body, operation.answer) if model is not None}
    wanted = [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)]
    _, made = models_json_schema(wanted, ref_template=_REFERENCE)  # type: ignore[arg-type]
    schemas: dict[str, Any] = made["$defs"]
    return schemas


def _add(paths: dict[str, dict[str, Any]], operation: Operation, described: dict[str, Any]) -> None:
    paths.setdefault(operation.path, {})[operation.method.lower()] = described


def _typed(name: str, title: str, example: Mapping[str, Any]) -> tuple[Operation, dict[str, Any]]:
    """The operation of one published custom type."""
    generic = next(operation for operation in DECISIONS if operation.body is CustomBody)
    operation = Operation(
        generic.method, f"/v1/decisions/{name}", f"Decide by the custom type {name}", generic.text, answer=generic.answer,
        requests={"row": {"mode": "live", "row": dict(example)}}, example=generic.example, problems=generic.problems, key=True,
    )  # fmt: skip
    described = _decision(operation)
    described["requestBody"] = _body({"$ref": _REFERENCE.format(model=title)}, operation)
    return operation, described


def _decision(operation: Operation) -> dict[str, Any]:
    """A route of the plain application, described in full."""
    parameters: list[dict[str, Any]] = [_parameter(one) for one in operation.parameters]
    if operation.key:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    parameters.append({"$ref": "#/components/parameters/RequestId"})
    described = _head(operation) | {"parameters": parameters}
    if operation.body is not None:
        described["requestBody"] = _body({"$ref": _REFERENCE.format(model=operation.body.__name__)}, operation)
    described["responses"] = _responses(operation)
    for response in described["responses"].values():
        response["headers"] = {**response.get("headers", {}), "X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    return described


def _completed(operation: Operation, described: Mapping[str, Any]) -> dict[str, Any]:
    """A route of FastAPI: its parameters and body, with what FastAPI cannot know."""
    made = _head(operation, described.get("description", ""))
    if "parameters" in described:
        made["parameters"] = described["parameters"]
    if operation.parameters:  # of routes that read their query themselves
        known = {one["name"] for one in made.get("parameters", ())}
        more = [_parameter(one) for one in operation.parameters if one.name not in known]
        made["parameters"] = [*made.get("parameters", ()), *more]
    if operation.raw is not None:
        made["requestBody"] = _body({"type": "string"}, operation)
    elif operation.body is not None:
        made["requestBody"] = _body({"$ref": _REFERENCE.format(model=operation.body.__name__)}, operation)
    elif "requestBody" in described:
        schema = next(iter(described["requestBody"]["content"].values()))["schema"]
        made["requestBody"] = _body(schema, operation)
    made["responses"] = _responses(operation)
    if operation.name not in CONSOLE:
        made["responses"] = {status: told for status, told in described["responses"].items() if status != "422"} | refusals.responses(
            operation.problems
        )
    if operation.path == "/readyz":
        made["responses"]["503"] = {**made["responses"]["200"], "description": "Not ready; the reasons are told."}
    return made


def _head(operation: Operation, otherwise: str = "") -> dict[str, Any]:
    """What identifies an operation, and who may call it."""
    words = re.findall(r"[a-z]+", operation.path.removeprefix("/v1"))
    route = route_of(operation.method, operation.path)
    action = route.action if route is not None else None
    roles = [] if action is None else roles_of(action)
    said = f"Roles: {', '.join(roles)}." if roles else "No key is needed on loopback." if route is not None else ""
    user = next(name for name, _, actions in USERS if action in actions)
    return {
        "operationId": "_".join([operation.method.lower(), *words]),
        "tags": [user],
        "summary": operation.summary,
        "description": "\n\n".join(part for part in (operation.text or otherwise, said) if part),
        "security": [{"key": []}] if roles or route is None else [],
        "x-roles": roles,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.text,
        "schema": dict(parameter.schema),
    }
    return told if parameter.example is None else told | {"example": parameter.example}


def _body(schema: Mapping[str, Any], operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if operation.requests:
        content["examples"] = {name: {"value": value} for name, value in operation.requests.items()}
    return {"required": True, "content": {operation.raw or "application/json": content}}


def _responses(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.answer is not None:
        content["schema"] = {"$ref": _REFERENCE.format(model=operation.answer.__name__)}
    elif operation.media == "application/json":
        content["schema"] = {"type": "object"}
    else:
        content["schema"] = {"type": "string"}
    example = answer_example(operation.example)
    if example is not None:
        content["example"] = example
    described = (operation.answer.__doc__ or "").split("\n", 1)[0] if operation.answer else operation.summary
    return {str(operation.status): {"description": described, "content": {operation.media: content}}} | refusals.responses(
        operation.problems
    )


@cache
def answer_example(name: str) -> Any:
    """A real answer by its name; ``None`` where there is none, as for this document itself."""
    for path in (EXAMPLES / f"{name}.json", EXAMPLES / f"{name}.txt"):
        if name and path.exists():
            text = path.read_text(encoding="utf-8")
            return json.loads(text) if path.suffix == ".json" else text
    return None


def operations(document: Mapping[str, Any]) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """Every operation of a document: method in capitals, path, what is said of it."""
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            yield method.upper(), path, described
