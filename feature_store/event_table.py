"""The vocabulary of events as the table of docs/events.md: ``python -m feature_store.event_table`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from feature_store.folding import FOLDS
from feature_store.vocabulary import MEANINGS, VOCABULARY, EventType, Field


def markdown() -> str:
    """One row for each type: what it says, what it has to tell, what it may, whose history it enters."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "| type | says | has to tell | may tell | enters the history of |"
    yield "|---|---|---|---|---|"
    for kind in EventType:
        fields = VOCABULARY[kind]
        required = ", ".join(_told(name, field) for name, field in fields.items() if field.required)
        optional = ", ".join(_told(name, field) for name, field in fields.items() if not field.required)
        entities = ", ".join(dict.fromkeys(fold.entity.value.replace("_", " × ") for fold in FOLDS[kind]))
        forecast = " *Forecast.*" if MEANINGS[kind].forecast else ""
        yield f"| `{kind}` | {MEANINGS[kind].en}{forecast}<br>{MEANINGS[kind].zh} | {required} | {optional} | {entities} |"


def _told(name: str, field: Field) -> str:
    kind = "money" if field.money else field.kind.value
    return f"`{name}`" if kind == "text" else f"`{name}` {kind}"


if __name__ == "__main__":
    sys.stdout.write(markdown())
