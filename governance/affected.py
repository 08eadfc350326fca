"""Who is touched by what turned out wrong: the past decisions that a model, a policy or a feature had a part in; and fair samples of decisions."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from sqlalchemy import Engine, select

from feature_store.database import reading
from feature_store.times import Millis
from governance.ledger.store import Counted, DecisionLine, DecisionReader, Filters, Page
from governance.tables import model_versions
from models.artifact import CARD_FILE, artifact_folder

METHOD = "the n decisions with the smallest SHA-256 of '<seed>:<decision id>', in that order"
"""How a sample is drawn: anybody can draw it again from the ids alone, and one more decision moves at most one place of it."""


@dataclass(frozen=True, slots=True)
class ModelRead:
    """A model version that reads a feature."""

    name: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class Affected:
    """The decisions that something had a part in.

    Attributes:
        counted: all of them, by type and outcome.
        page: some of them, newest first.
        models: for a feature, the versions that read it.
    """

    counted: tuple[Counted, ...]
    page: Page
    models: tuple[ModelRead, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Decisions drawn at random, so that the draw can be repeated.

    Attributes:
        population: from how many they were drawn.
        digest: ``sha256:`` over the drawn ids, a line each.
    """

    lines: tuple[DecisionLine, ...]
    population: int
    digest: str


def models_reading(engine: Engine, models: Path, feature: str) -> tuple[ModelRead, ...]:
    """The registered model versions that read a feature, by name and version; an artifact that is gone is taken to read it not.

    Args:
        engine: of the database.
        models: the home's folder of artifacts.
        feature: its name.
    """
    columns = (model_versions.c.name, model_versions.c.version, model_versions.c.digest)
    with reading(engine).connect() as connection:
        known = connection.execute(select(*columns).order_by(*columns[:2])).all()
    return tuple(ModelRead(*row) for row in known if feature in _features(models, row.digest))


def affected(
    reader: DecisionReader, filters: Filters, models: Sequence[ModelRead] = (), cursor: str | None = None, limit: int = 50
) -> Affected:
    """The decisions that pass the filters and, where models are given, were answered by one of them.

    Raises:
        governance.ledger.errors.CursorInvalid: the cursor is none of this search.
    """
    if models:
        filters = replace(filters, model_digests=tuple(model.digest for model in models))
    return Affected(tuple(reader.count(filters)), reader.search(filters, cursor, limit), tuple(models))


def sample(reader: DecisionReader, filters: Filters, count: int, seed: str) -> Sample:
    """Draw decisions; the same seed and the same decisions give the same sample, on every database. See :data:`METHOD`.

    Args:
        reader: of the decisions.
        filters: from which ones; name an ``until`` to draw it again later.
        count: how many.
        seed: any text.
    """
    population = 0

    def keyed() -> Iterator[tuple[bytes, str]]:
        nonlocal population
        for record_id in reader.ids(filters):
            population += 1
            yield hashlib.sha256(f"{seed}:{record_id}".encode()).digest(), record_id

    drawn = [record_id for _, record_id in heapq.nsmallest(count, keyed())]
    digest = hashlib.sha256("".join(f"{record_id}\n" for record_id in drawn).encode()).hexdigest()
    return Sample(tuple(reader.lines(drawn)), population, f"sha256:{digest}")


def latest(filters: Filters, now: Millis) -> Filters:
    """The same filters with an end, so that a sample can be drawn again."""
    return filters if filters.until is not None else replace(filters, until=now)


def _features(models: Path, digest: str) -> frozenset[str]:
    try:
        card = orjson.loads((artifact_folder(models, digest) / CARD_FILE).read_bytes())
        return frozenset(feature["name"] for feature in card["features"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
