"""What a training set is asked for: entities at moments, as tables of DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import duckdb
import numpy as np

from feature_store.entities import NETWORK_KEY, PAIRS, Entity, pair_key
from feature_store.offline_duckdb import append, texts
from feature_store.order import Order
from feature_store.state import code
from feature_store.times import Millis
from feature_store.views.situation import Own, Situation, keys_of

_BATCH: Final = 20_000

_ENTITY_OF: Final[Mapping[Own, Entity]] = {
    Own.CUSTOMER: Entity.CUSTOMER,
    Own.DEVICE: Entity.DEVICE,
    Own.ADDRESS: Entity.ADDRESS,
    Own.PAYMENT: Entity.PAYMENT,
    Own.IP: Entity.IP,
    Own.REGION: Entity.REGION,
}


@dataclass(frozen=True, slots=True)
class Request:
    """One row of a training set.

    Attributes:
        as_of: the moment of the decision; only what was known by then counts.
        order: the order, where features look at it; then ``keys`` and ``order_id`` are its own.
        keys: without an order, the keys of the entities that it is about; those of pairs follow from these.
        order_id: without an order, whose own items are left out.
        lane: for features of a lane, its node id and service.
    """

    as_of: Millis
    order: Order | None = None
    keys: Mapping[Entity, tuple[str, ...]] = field(default_factory=dict)
    order_id: str | None = None
    lane: tuple[str, str] | None = None

    def keys_of(self, entity: Entity) -> tuple[str, ...]:
        """The keys of an entity that it names."""
        if self.order is not None:
            return keys_of(self.order, entity)
        told = self.keys.get(entity)
        if told is not None:
            return tuple(dict.fromkeys(told))
        if entity is Entity.NETWORK:
            return (NETWORK_KEY,)
        pair = PAIRS.get(entity)
        if pair is None:
            return ()
        first, second = (self.keys.get(one, ()) for one in pair)
        return (pair_key(first[0], second[0]),) if first and second else ()

    def own(self, which: Own) -> str | None:
        """An identifier of its own; ``None`` when it names none."""
        if which in (Own.NODE, Own.SERVICE, Own.LANE):
            if self.lane is None:
                return None
            return "|".join(self.lane) if which is Own.LANE else self.lane[which is Own.SERVICE]
        if self.order is not None:
            return Situation(self.order, {}, self.as_of).own(which)
        keys = self.keys.get(_ENTITY_OF[which], ())
        return keys[0] if keys else None

    @property
    def its_order(self) -> str | None:
        """The id of its own order, whose items are left out; ``None`` when it names none."""
        return self.order_id if self.order is None else self.order.order_id


def stage(
    connection: duckdb.DuckDBPyConnection,
    requests: Iterable[Request],
    *,
    entities: Iterable[Entity],
    owns: Iterable[Own],
    bodies: bool,
) -> int:
    """Make the tables ``requests``, ``named`` and ``bodies``; ``rid`` counts the requests by ``as_of``, those of one moment as they came.

    Args:
        connection: where the tables are made.
        requests: consumed once, in batches.
        entities: whose keys are needed.
        owns: which of their own identifiers are needed.
        bodies: whether the orders themselves are needed later.

    Returns:
        how many there are.
    """
    entities, owns = tuple(entities), tuple(owns)
    extra = "".join(f", own_{one.value} VARCHAR, code_{one.value} BIGINT" for one in owns)
    connection.execute(f"CREATE TABLE staged_requests (row BIGINT, as_of BIGINT, order_id VARCHAR, own_ref BIGINT{extra})")
    connection.execute("CREATE TABLE staged_named (row BIGINT, entity VARCHAR, key VARCHAR)")
    connection.execute("CREATE TABLE staged_bodies (row BIGINT, body VARCHAR, node VARCHAR, service VARCHAR)")
    stream, count = iter(requests), 0
    while batch := list(islice(stream, _BATCH)):
        _stage_batch(connection, batch, count, entities, owns, bodies=bodies)
        count += len(batch)
    connection.execute(
        "CREATE TABLE requests AS SELECT row_number() OVER (ORDER BY as_of, row) - 1 AS rid, * FROM staged_requests ORDER BY as_of, row"
    )
    connection.execute("CREATE TABLE numbers AS SELECT rid, row FROM requests")
    ordered = "ORDER BY rid" if bodies else ""  # slice by slice they are read where orders are
    for name in ("named", "bodies"):
        connection.execute(f"CREATE TABLE {name} AS SELECT rid, s.* EXCLUDE row FROM staged_{name} s JOIN numbers USING (row) {ordered}")
    for name in ("staged_requests", "staged_named", "staged_bodies", "numbers"):
        connection.execute(f"DROP TABLE {name}")
    return count


def _stage_batch(
    connection: duckdb.DuckDBPyConnection,
    batch: list[Request],
    start: int,
    entities: tuple[Entity, ...],
    owns: tuple[Own, ...],
    *,
    bodies: bool,
) -> None:
    rows = np.arange(start, start + len(batch), dtype=np.int64)
    orders = [one.its_order for one in batch]
    columns: dict[str, Any] = {
        "row": rows,
        "as_of": np.array([one.as_of for one in batch], dtype=np.int64),
        "order_id": texts(orders),
        "own_ref": np.array([-1 if one is None else code(one) for one in orders], dtype=np.int64),
    }
    for own in owns:
        told = [one.own(own) for one in batch]
        columns[f"own_{own.value}"] = texts(told)
        codes = np.array([-1 if one is None else code(one) for one in told], dtype=np.int64)
        columns[f"code_{own.value}"] = np.ma.masked_array(codes, [one is None for one in told])
    append(connection, "INSERT INTO staged_requests SELECT * FROM rows", columns)
    named = [(at, entity.value, key) for at, one in enumerate(batch, start) for entity in entities for key in one.keys_of(entity)]
    if named:
        columns = {"row": np.array([one[0] for one in named], dtype=np.int64)}
        columns |= {"entity": texts([one[1] for one in named]), "key": texts([one[2] for one in named])}
        append(connection, "INSERT INTO staged_named SELECT * FROM rows", columns)
    if bodies:
        columns = {"row": rows, "body": texts([None if one.order is None else one.order.model_dump_json() for one in batch])}
        for i, name in enumerate(("node", "service")):
            columns[name] = texts([None if one.lane is None else one.lane[i] for one in batch])
        append(connection, "INSERT INTO staged_bodies SELECT * FROM rows", columns)
