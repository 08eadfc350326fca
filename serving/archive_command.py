"""``ordinance features archive`` and ``training-set``: from a service's events to what was known then, in files for those who train."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import orjson
from pydantic import ValidationError
from sqlalchemy import Engine

from feature_store.entities import Entity
from feature_store.offline import Archive, ArchiveRefused, OrderMissing, Request, write_training_set
from feature_store.order import FROM_WIRE, Order
from feature_store.times import parse_time
from feature_store.views import SERVICES
from governance.ledger.store import DecisionReader, Filters
from serving.features_command import FeaturesRefused, Say
from serving.migrate import require_current
from serving.parity import read
from serving.settings import Settings
from serving.wiring import wire_base

LANES = "split-order"
"""The type that looks at lanes."""
LONGEST_LINE = 1 << 22
"""Bytes of one request: an order with some thousand lines."""


def archive_events(settings: Settings, folder: Path, say: Say) -> int:
    """Take the events of the database into an archive, each once, and merge small segments; returns the exit code.

    Raises:
        FeaturesRefused: the archive cannot be used or written.
    """
    base = wire_base(settings)
    try:
        require_current(base.engine)
        archive = Archive(folder)
        began = time.monotonic()
        added = archive.add_database(base.engine)
        merged = archive.merge()
    except ArchiveRefused as error:
        raise FeaturesRefused(str(error)) from error
    except (OSError, duckdb.Error) as error:
        raise FeaturesRefused(f"{folder} cannot be used: {_cause(error)}.") from error
    finally:
        base.engine.dispose()
    said = f", {merged:,} small segments merged" if merged else ""
    say(f"{added.accepted:,} events archived in {time.monotonic() - began:.1f} s, {added.duplicates:,} were there before{said}")
    return 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A training set that somebody wants.

    Attributes:
        archive: folder of an archive.
        type: acceptance, fraud or split-order.
        requests: JSON lines; without it, the recorded decisions of this type.
        output: a folder that does not exist yet.
        features: names of some of its features; all where none is named.
    """

    archive: Path
    type: str
    requests: Path | None
    output: Path
    features: tuple[str, ...] = ()


def make_training_set(settings: Settings, wanted: Wanted, say: Say) -> int:
    """Write what each feature of a decision type was at the moments of requests; returns the exit code.

    Raises:
        FeaturesRefused: there is no such archive or type, a request cannot be read, or the output exists.
    """
    service = SERVICES.get(wanted.type)
    if service is None:
        raise FeaturesRefused(f"There is no built-in decision type {wanted.type!r}; there are {', '.join(SERVICES)}.")
    if unknown := [name for name in wanted.features if name not in service.names]:
        raise FeaturesRefused(f"{wanted.type} has no feature {unknown[0]!r}; /console/features lists them.")
    features = [one for one in service.features if not wanted.features or one.name in wanted.features]
    archive = Archive(wanted.archive)
    if not archive.exists:
        raise FeaturesRefused(f"There is no archive in {wanted.archive}; `ordinance features archive {wanted.archive}` makes one.")
    began = time.monotonic()
    asked = _decided(settings, wanted.type) if wanted.requests is None else _told(wanted.requests, wanted.type)
    try:
        written = write_training_set(archive, features, asked, wanted.output)
    except (ArchiveRefused, OrderMissing, FileExistsError) as error:
        raise FeaturesRefused(f"{str(error).rstrip('.')}.") from error
    except (OSError, duckdb.Error) as error:
        raise FeaturesRefused(f"The training set cannot be made: {_cause(error)}.") from error
    seconds = time.monotonic() - began
    say(f"{written.rows:,} rows of {len(features)} features in {written.files} files in {written.folder}, in {seconds:.1f} s")
    return 0


def _decided(settings: Settings, kind: str) -> Iterator[Request]:
    base = wire_base(settings)
    try:
        require_current(base.engine)
        yield from decided(base.engine, kind)
    finally:
        base.engine.dispose()


def decided(engine: Engine, kind: str) -> Iterator[Request]:
    """The recorded decisions of a type, newest first, as far as their records tell the order; of split-order one for each lane looked at."""
    reader, cursor = DecisionReader(engine), None
    while True:
        page = reader.search(Filters(type=kind, status="decided"), cursor, 500)
        for line in page.lines:
            stored = reader.get(line.record_id)
            one = None if stored is None else read(stored)
            if one is None:
                continue
            for lane in one.snapshots:
                node_id, _, service = lane.partition("|")
                yield Request(one.as_of, one.order, lane=(node_id, service) if lane else None)
        cursor = page.next_cursor
        if cursor is None:
            return


def _told(path: Path, kind: str) -> Iterator[Request]:
    """The requests of a file of JSON lines."""
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(LONGEST_LINE)
            if not line:
                return
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                raise FeaturesRefused(f"Line {number} of {path} is longer than 4 MiB: is this JSON lines, one request on each?")
            if line.strip():
                try:
                    one = request_of(orjson.loads(line))
                except ValueError as error:
                    raise FeaturesRefused(f"Line {number} of {path} is no request: {_reason(error)}.") from error
                if kind == LANES and one.lane is None:
                    raise FeaturesRefused(f'Line {number} of {path} names no lane: {kind} looks at one, such as "lane": ["N1", "std"].')
                yield one


def request_of(told: Any) -> Request:
    """One request as it is written in a file.

    An order as the decision endpoints take it (``{"order": {...}}``), at ``as_of`` or else when it was placed; or without an order the
    ``keys`` of entities, at ``as_of``. A ``lane`` is ``[node, service]``.

    Raises:
        ValueError: it is neither, or ``as_of`` is no time; pydantic's, for an order.
    """
    if not isinstance(told, dict):
        raise ValueError("not a JSON object")
    as_of = None if told.get("as_of") is None else parse_time(str(told["as_of"]))
    lane = told.get("lane")
    if lane is not None and not (isinstance(lane, list) and len(lane) == 2 and all(isinstance(part, str) for part in lane)):
        raise ValueError("lane is not [node, service]")
    place = None if lane is None else (lane[0], lane[1])
    if told.get("order") is not None:
        order = Order.model_validate(told["order"], context=FROM_WIRE)
        return Request(order.placed_at if as_of is None else as_of, order, lane=place)
    if as_of is None:
        raise ValueError("it has neither an order nor as_of")
    keys = told.get("keys")
    if not isinstance(keys, dict) or not keys:
        raise ValueError("it has neither an order nor keys")
    return Request(
        as_of, keys={_entity(kind): _keys(kind, several) for kind, several in keys.items()}, order_id=told.get("order_id"), lane=place
    )


def _entity(kind: str) -> Entity:
    try:
        return Entity(kind)
    except ValueError:
        raise ValueError(f"{kind!r} is no entity; there are {', '.join(Entity)}") from None


def _keys(kind: str, told: Any) -> tuple[str, ...]:
    several = [told] if isinstance(told, str) else told
    if not isinstance(several, list) or not all(isinstance(one, str) and one for one in several):
        raise ValueError(f"keys of {kind!r} are not texts")
    return tuple(several)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).rstrip(".")


def _cause(error: Exception) -> str:
    """Of a file that cannot be read or written, or a disk that is full."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
