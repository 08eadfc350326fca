"""The API's page, made from the document that ``/openapi.json`` serves: neither can say what the other does not."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from serving.api.contract import operations
from serving.console.contexts import Block, FieldRow, Frame, OperationCard, OperationGroup, ReferencePage, RefusalRow, Span
from serving.console.messages import say, say_or
from serving.console.views.fields import rows, type_text

_TONES = {"GET": "ok", "POST": "hold", "DELETE": "bad"}
Told = Mapping[str, Any]


def build(frame: Frame, document: Told, base_url: str) -> ReferencePage:
    """The page: every operation of the document, by user."""
    groups = []
    for tag in document["tags"]:
        slug = _slug(tag["name"])
        cards = tuple(
            _card(frame.language, document["components"], (method, path, told), base_url)
            for method, path, told in operations(document)
            if tag["name"] in told["tags"]
        )
        if cards:
            label, text = say(frame.language, f"reference.user.{slug}"), say(frame.language, f"reference.use.{slug}")
            groups.append(OperationGroup(slug, label, text, cards))
    return ReferencePage(frame, base_url, tuple(groups))


def curl(method: str, path: str, told: Told, components: Told, base_url: str) -> str:
    """A line that can be run as it is, with the key in ``ORDINANCE_KEY``."""
    parameters = [_resolved(one, components) for one in told.get("parameters", ())]
    for one in parameters:
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one.get("example", f"${one['name'].upper()}")))
    command = ["curl -sN" if "text/event-stream" in next(iter(told["responses"].values())).get("content", {}) else "curl -s"]
    if method not in {"GET", "POST"}:
        command[0] += f" -X {method}"
    parts = [f'{command[0]} "{base_url}{path}"' if "$" in path else f"{command[0]} {base_url}{path}"]
    if told["security"]:
        parts.append('-H "Authorization: Bearer $ORDINANCE_KEY"')
    if any(one["name"] == "Idempotency-Key" for one in parameters):
        parts.append('-H "Idempotency-Key: $(date +%s%N)"')
    for media, content in told.get("requestBody", {}).get("content", {}).items():
        value = next(reversed(content.get("examples", {"": {"value": {}}}).values()))["value"]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts += [f"-H 'Content-Type: {media}'", f"{'--data-binary' if isinstance(value, str) else '-d'} {shlex.quote(text)}"]
    return " \\\n  ".join(parts)


def _card(language: str, components: Told, operation: tuple[str, str, Told], base_url: str) -> OperationCard:
    method, path, told = operation
    bodies = told.get("requestBody", {}).get("content", {})
    body: Told = next(iter(bodies.values()), {})
    return OperationCard(
        anchor=_slug(f"{method}-{path}"),
        method=method,
        tone=_TONES.get(method, "plain"),
        path=path,
        summary=told["summary"],
        description=tuple(_spans(part) for part in told["description"].split("\n\n") if not part.startswith(("Roles:", "No key"))),
        roles=tuple(told["x-roles"]),
        parameters=tuple(_parameter(language, _resolved(one, components), components) for one in told.get("parameters", ())),
        fields=rows(body["schema"], components["schemas"]) if "application/json" in bodies else (),
        requests=tuple(_request(language, name, example["value"]) for name, example in body.get("examples", {}).items()),
        curl=curl(method, path, told, components, base_url),
        answer=_answer(language, told["responses"]),
        refusals=tuple(_refusal(status, response) for status, response in told["responses"].items() if status >= "400"),
    )


def _request(language: str, name: str, value: Any) -> Block:
    return Block(say_or(language, f"reference.request.{name}", say(language, "reference.request")), _text(value))


def _answer(language: str, responses: Told) -> Block:
    status, response = next((status, response) for status, response in responses.items() if status < "400")
    content: Told = next(iter(response.get("content", {}).values()), {})
    return Block(say(language, "reference.answer", status=status), _text(content["example"]) if "example" in content else "")


def _refusal(status: str, response: Told) -> RefusalRow:
    content: Told = next(iter(response.get("content", {}).values()), {})
    return RefusalRow(status, response["description"], tuple(content.get("examples", ())))


def _parameter(language: str, told: Told, components: Told) -> FieldRow:
    schema = told.get("schema", {})
    text = told.get("description") or schema.get("description", "")
    place = say(language, f"reference.place.{told['in']}")
    return FieldRow(told["name"], type_text(schema, components["schemas"]), place, bool(told.get("required")), text)


def _resolved(told: Told, components: Told) -> Told:
    if "$ref" not in told:
        return told
    _, _, kind, name = told["$ref"].split("/")
    found: Told = components[kind][name]
    return found


def _spans(text: str) -> tuple[Span, ...]:
    return tuple(Span(part, index % 2 == 1) for index, part in enumerate(re.split(r"`+", text)) if part)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
