"""A JSON schema as a flat list of members that people read: ``order.lines[].qty · integer 1–1000000 · required``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serving.console.contexts import FieldRow

Schema = Mapping[str, Any]
DEEPEST = 8


def rows(schema: Schema, components: Mapping[str, Schema]) -> tuple[FieldRow, ...]:
    """Every member of an object, and of the objects in it, in the order of the schema."""
    return tuple(_members(_resolved(schema, components), components, "", 0))


def type_text(schema: Schema, components: Mapping[str, Schema]) -> str:
    """What a value may be, in a few words."""
    schema = _resolved(schema, components)
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    either = schema.get("anyOf") or schema.get("oneOf")
    if either:
        return " | ".join(dict.fromkeys(type_text(one, components) for one in either))
    kind = schema.get("const", schema.get("type", "any"))
    if kind == "array":
        return f"{type_text(schema.get('items', {}), components)}[]{_span(schema, 'minItems', 'maxItems')}"
    if kind == "string":
        return ("time" if schema.get("format") == "date-time" else "text") + _span(schema, "minLength", "maxLength")
    return " | ".join(kind) if isinstance(kind, list) else f"{kind}{_span(schema, 'minimum', 'maximum')}"


def _members(schema: Schema, components: Mapping[str, Schema], prefix: str, depth: int) -> Iterator[FieldRow]:
    required = schema.get("required", ())
    for name, told in schema.get("properties", {}).items():
        inner, path = _resolved(told, components), f"{prefix}{name}"
        item = _resolved(inner.get("items", {}), components) if inner.get("type") == "array" else {}
        text = told.get("description") or inner.get("description", "")
        yield FieldRow(path, type_text(told, components), "", name in required, text.split("\n", 1)[0].replace("``", ""))
        if depth < DEEPEST:
            yield from _members(inner, components, f"{path}.", depth + 1)
            yield from _members(item, components, f"{path}[].", depth + 1)


def _resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """The schema behind references and behind "or null"."""
    while True:
        if "$ref" in schema:
            schema = components[schema["$ref"].rpartition("/")[2]]
            continue
        others = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if len(others) != 1:
            return schema
        schema = {**{name: value for name, value in schema.items() if name != "anyOf"}, **others[0]}


def _span(schema: Schema, low: str, high: str) -> str:
    least, most = schema.get(low), schema.get(high)
    if least is None and most is None:
        return ""
    if least in {None, 0} and most is not None and low != "minimum":
        return f" ≤ {most:,}"
    if most is None:
        return f" ≥ {least:,}"
    return f" ≤ {most:,}" if least is None else f" {least:,}–{most:,}"
