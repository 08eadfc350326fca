"""The states of entities in the database: read in one round trip, changed in one transaction with the events that change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from sqlalchemy import Engine

from feature_store.database import Reads
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event
from feature_store.ingest import IngestResult, ingest, load_events, write_states
from feature_store.state import EntityState

__all__ = ["IngestResult", "OnlineStore"]

_SHARED = frozenset({Entity.SKU, Entity.SUPPLIER, Entity.REGION, Entity.NETWORK})
"""Entities that many orders name; between two of their events the same bytes are read again and again."""

_KEPT = 20_000
"""Decoded states that are kept at most: a shop's SKUs, its suppliers, its regions."""

_NAMED: Mapping[str, Entity] = {entity.value: entity for entity in Entity}


class OnlineStore:
    """What is known of every entity at this moment."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = Reads(engine)
        self._kept: dict[EntityKey, EntityState] = {}

    def read(self, keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
        """Read the states of entities in one round trip; those never seen are left out.

        A state whose bytes have not changed may be the one that was returned before, with all that was derived from it: do not change it.

        Raises:
            StateCorrupt: a stored state cannot be read.
        """
        if not keys:
            return {}
        statement, values = _selection(keys, self._reads.mark)
        found = {}
        for entity, name, raw in self._reads.rows(statement, values):
            key = EntityKey(_NAMED[entity], name)
            found[key] = self._decoded(key, raw) if key.entity in _SHARED else EntityState.from_bytes(raw)
        return found

    def _decoded(self, key: EntityKey, raw: bytes) -> EntityState:
        """The state in these bytes, decoded once: comparing the bytes costs a hundredth of decoding them."""
        kept = self._kept.get(key)
        if kept is not None and kept.was(raw):
            return kept
        state = EntityState.from_bytes(raw)
        if kept is None and len(self._kept) >= _KEPT:
            self._kept.clear()  # rare, and soon filled again
        self._kept[key] = state
        return state

    def ingest(self, batch: Iterable[Event]) -> IngestResult:
        """Take events in, once each; all of them are durable and count in the next read, or none is.

        See :func:`feature_store.ingest.ingest`.
        """
        return ingest(self._engine, batch)

    def load_states(self, states: Mapping[EntityKey, EntityState], told: Sequence[Event] = ()) -> None:
        """Store whole states, over what was there: for filling an empty home from a replayed history.

        Args:
            states: as the history leaves them.
            told: the events that made them, so that they can be rebuilt and checked; whoever leaves them out says so with
                :func:`feature_store.gaps.note_gap`.
        """
        with self._engine.begin() as connection:
            write_states(connection, states)
            load_events(connection, told)


@lru_cache(maxsize=512)
def _select(shape: tuple[tuple[Entity, int], ...], mark: str, suffix: str) -> str:
    """One statement for so many keys of such kinds. Row values in a list would make SQLite scan the whole table."""
    parts = [f"(entity = '{entity.value}' AND key IN ({', '.join([mark] * count)}))" for entity, count in shape]
    return f"SELECT entity, key, state FROM entity_states WHERE {' OR '.join(parts)}{suffix}"  # noqa: S608 - entities are our own words


def _selection(keys: Iterable[EntityKey], mark: str, suffix: str = "") -> tuple[str, tuple[str, ...]]:
    """The statement that reads the states of these keys, and its values."""
    by_entity: dict[Entity, list[str]] = {}
    for entity, key in keys:
        by_entity.setdefault(entity, []).append(key)
    statement = _select(tuple((entity, len(named)) for entity, named in by_entity.items()), mark, suffix)
    return statement, tuple(key for named in by_entity.values() for key in named)
