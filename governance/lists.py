"""Allow and block lists: who or what is on them, kept with a record of each change, held in memory by whoever decides.

An entry names a customer, a device, an address, an IP address, a card token, a SKU or a supplier. It holds until it expires or is removed,
both by the decision's own time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, func, insert, or_, select, update

from feature_store.database import reading
from feature_store.order import Order
from feature_store.times import Millis, format_time
from governance.changes import Scribe, in_turn
from governance.controls import BLOCKED, LISTS, Listed
from governance.ledger.ids import new_record_id
from governance.ledger.record import Kind
from governance.ledger.rows import pack, unpack
from governance.tables import list_entries

KINDS = ("customer", "device", "address", "ip", "card", "sku", "supplier")
MAX_ENTRIES = 200_000
"""Entries in force at once: every replica holds them all (measured: 100,000 take 46 MB)."""
_PERSONAL = frozenset({"customer", "device", "address", "ip", "card"})


class ListRefused(ValueError):
    """Entries that cannot be added; ``errors`` says which and why."""

    def __init__(self, errors: Sequence[tuple[int, str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"entry {index}: {name}: {msg}" for index, name, msg in errors))


class EntryUnknown(LookupError):
    """There is no such entry, or it was removed already."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry as somebody asks for it.

    Attributes:
        types: the decision types that look at it; empty for all that look at lists.
    """

    list: str
    kind: str
    value: str
    reason: str
    expires_at: Millis | None = None
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is kept."""

    entry_id: str
    list: str
    kind: str
    value: str
    types: tuple[str, ...]
    reason: str
    expires_at: Millis | None
    added_by: str
    added_at: Millis
    removed_by: str | None = None
    removed_at: Millis | None = None
    record_id: str | None = None

    def in_force(self, at: Millis) -> bool:
        """Whether it counts at this time."""
        return self.removed_at is None and (self.expires_at is None or at < self.expires_at)


Held = tuple[Listed, tuple[str, ...]]
"""An entry in memory: what a record tells of it, and the decision types that look at it."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Every entry in force, as a replica holds it: never changed, replaced whole.

    Attributes:
        held: entries by kind and value.
        change_id: the last change that it knows.
    """

    held: Mapping[tuple[str, str], tuple[Held, ...]] = field(default_factory=dict)
    change_id: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.held.values()))

    def naming(self, order: Order | None, decision_type: str, at: Millis) -> tuple[Listed, ...]:
        """The entries that name an order at this time, for one type; each once, in the order of what they name."""
        if not self.held or order is None or decision_type not in BLOCKED:
            return ()
        held = self.held
        found = [
            listed
            for key in _keys(order)
            if key in held
            for listed, types in held[key]
            if decision_type in types and (listed.expires_at is None or at < listed.expires_at)
        ]
        return tuple(dict.fromkeys(found))

    def changed(self, rows: Iterable[Row[Any]], change_id: int, at: Millis) -> Lists:
        """These lists after the changes of these rows; what expired before ``at`` is left out."""
        held = dict(self.held)
        for row in rows:
            kind = intern(row.kind)
            key = kind, row.value
            others = tuple(one for one in held.get(key, ()) if one[0].entry_id != row.entry_id)
            if row.removed_at is None and (row.expires_at is None or row.expires_at > at):
                others = (*others, (Listed(row.entry_id, intern(row.list), kind, row.expires_at), _shared(row.types)))
            if others:
                held[key] = others
            else:
                held.pop(key, None)
        return Lists(held, change_id)

    def without_expired(self, at: Millis) -> Lists:
        """These lists without what expired before ``at``: memory holds no more than what can still count."""
        kept = {key: tuple(one for one in some if one[0].expires_at is None or one[0].expires_at > at) for key, some in self.held.items()}
        return Lists({key: some for key, some in kept.items() if some}, self.change_id)


def read_lists(engine: Engine, before: Lists, at: Millis) -> Lists:
    """What is in force now: only what changed since ``before`` is read. ``at`` is a time that no later decision lies before."""
    changed = select(list_entries).where(list_entries.c.change_id > before.change_id).order_by(list_entries.c.change_id)
    if not before.change_id:
        changed = changed.where(
            list_entries.c.removed_at.is_(None), or_(list_entries.c.expires_at.is_(None), list_entries.c.expires_at > at)
        )
    with reading(engine).begin() as connection:
        last = int(connection.execute(select(func.coalesce(func.max(list_entries.c.change_id), 0))).scalar_one())
        return before.changed(connection.execute(changed.where(list_entries.c.change_id <= last)), last, at)


def add_entries(engine: Engine, scribe: Scribe, wanted: Sequence[NewEntry], principal: str) -> list[tuple[Entry, bool]]:
    """Add entries, all or none, a record each; an entry that is there already as asked is left alone.

    Returns:
        Each entry with whether it is new, in the order asked.

    Raises:
        ListRefused: with every fault.
    """
    told: list[tuple[Entry, bool]] = []
    with engine.begin() as connection:
        in_turn(connection)
        at = scribe.clock()
        cleaned = _checked(wanted, at)
        _check_room(connection, len(wanted), at)
        change_id = _last(connection)
        faults = []
        for index, new in enumerate(cleaned):
            same = _same(connection, new, at)
            if same is not None:
                if (same.reason, same.expires_at, same.types) != (new.reason, new.expires_at, new.types):
                    faults.append((index, "value", f"is on the {new.list} list already, as entry {same.entry_id}; remove that one first"))
                told.append((same, False))
                continue
            change_id += 1
            told.append((_add(connection, scribe, new, principal=principal, at=at, change_id=change_id), True))
        if faults:
            raise ListRefused(faults)
    return told


def remove_entry(engine: Engine, scribe: Scribe, entry_id: str, *, reason: str, principal: str) -> Entry:
    """Take an entry off its list.

    Raises:
        EntryUnknown: there is none, or it was removed already.
    """
    with engine.begin() as connection:
        in_turn(connection)
        at = scribe.clock()
        row = connection.execute(select(list_entries).where(list_entries.c.entry_id == entry_id)).one_or_none()
        if row is None:
            raise EntryUnknown(f"There is no list entry {entry_id!r}.")
        if row.removed_at is not None:
            raise EntryUnknown(f"The list entry {entry_id!r} was removed already, by {row.removed_by}.")
        entry = _entry(row)
        connection.execute(
            update(list_entries)
            .where(list_entries.c.entry_id == entry_id)
            .values(removed_by=principal, removed_at=at, change_id=_last(connection) + 1)
        )
        sealed = _record(connection, scribe, entry, "entry_removed", principal=principal, at=at, because=reason)
    return Entry(**{**_plain(entry), "removed_by": principal, "removed_at": at, "record_id": sealed})


def entries(
    engine: Engine,
    at: Millis,
    *,
    name: str | None = None,
    kind: str | None = None,
    value: str | None = None,
    everything: bool = False,
    after: tuple[Millis, str] | None = None,
    limit: int = 100,
) -> list[Entry]:
    """Entries, newest first: those in force, or also those that expired or were removed.

    Args:
        engine: of the database.
        at: now.
        name: ``allow`` or ``block``.
        kind: what is named.
        value: whom it names; written as :func:`add_entries` keeps it.
        everything: also what is not in force any more.
        after: time and id of the last entry of the page before.
        limit: at most so many.
    """
    column = list_entries.c
    query = select(list_entries).order_by(column.added_at.desc(), column.entry_id.desc()).limit(limit)
    for wanted, asked in ((column.list, name), (column.kind, kind), (column.value, value)):
        query = query if asked is None else query.where(wanted == asked)
    if not everything:
        query = query.where(_standing(at))
    if after is not None:
        query = query.where(or_(column.added_at < after[0], and_(column.added_at == after[0], column.entry_id < after[1])))
    with reading(engine).connect() as connection:
        return [_entry(row) for row in connection.execute(query)]


def find_entry(engine: Engine, entry_id: str) -> Entry | None:
    """One entry."""
    with reading(engine).connect() as connection:
        row = connection.execute(select(list_entries).where(list_entries.c.entry_id == entry_id)).one_or_none()
    return None if row is None else _entry(row)


def written(kind: str, value: str) -> str:
    """A value as orders are compared with it: an IP address in its shortest form, anything else as it is."""
    if kind != "ip":
        return value
    try:
        return ipaddress.ip_address(value.strip()).compressed
    except ValueError:
        return value


def _keys(order: Order) -> Iterator[tuple[str, str]]:
    """Everything of an order that a list can name."""
    yield "customer", order.customer.customer_id
    device, payment, billed = order.device, order.payment, order.bill_to
    if device is not None and device.device_id is not None:
        yield "device", device.device_id
    if device is not None and device.ip is not None:
        yield "ip", written("ip", device.ip)
    if order.ship_to.address_id is not None:
        yield "address", order.ship_to.address_id
    if billed is not None and billed.address_id is not None:
        yield "address", billed.address_id
    if payment is not None and payment.token is not None:
        yield "card", payment.token
    for line in order.lines:
        yield "sku", line.sku
        supplier = line.supplier_id
        if supplier is not None:
            yield "supplier", supplier


_TYPES: dict[str, tuple[str, ...]] = {}


def _shared(packed: str) -> tuple[str, ...]:
    """Few combinations of types occur: one tuple for all entries."""
    return _TYPES.setdefault(packed, unpack(packed))


def _checked(wanted: Sequence[NewEntry], at: Millis) -> list[NewEntry]:
    faults: list[tuple[int, str, str]] = []
    cleaned = []
    for index, new in enumerate(wanted):
        value = written(new.kind, new.value.strip())
        types = tuple(sorted(set(new.types))) or tuple(sorted(BLOCKED))
        if new.list not in LISTS:
            faults.append((index, "list", f"is none of {', '.join(LISTS)}"))
        if new.kind not in KINDS:
            faults.append((index, "kind", f"is none of {', '.join(KINDS)}"))
        if not 1 <= len(value) <= 128 or not value.isprintable():
            faults.append((index, "value", "has 1 to 128 printable characters"))
        if new.kind == "ip" and not _is_ip(value):
            faults.append((index, "value", "is no IP address"))
        if new.expires_at is not None and new.expires_at <= at:
            faults.append((index, "expires_at", f"is over already: {format_time(new.expires_at)}"))
        if not new.reason.strip():
            faults.append((index, "reason", "says why; it is asked for later"))
        faults += [(index, "types", f"{kind!r} does not look at lists; {', '.join(BLOCKED)} do") for kind in types if kind not in BLOCKED]
        cleaned.append(NewEntry(new.list, new.kind, value, new.reason.strip(), new.expires_at, types))
    if faults:
        raise ListRefused(faults)
    return cleaned


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _check_room(connection: Connection, more: int, at: Millis) -> None:
    there = connection.execute(select(func.count()).select_from(list_entries).where(_standing(at))).scalar_one()
    if there + more > MAX_ENTRIES:
        raise ListRefused([(0, "list", f"the lists hold at most {MAX_ENTRIES:,} entries, and {there:,} are in force; remove some first")])


def _standing(at: Millis) -> Any:
    return and_(list_entries.c.removed_at.is_(None), or_(list_entries.c.expires_at.is_(None), list_entries.c.expires_at > at))


def _same(connection: Connection, new: NewEntry, at: Millis) -> Entry | None:
    column = list_entries.c
    query = select(list_entries).where(
        column.kind == new.kind, column.value == new.value, column.list == new.list, _standing(at), column.types == pack(new.types)
    )
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _entry(row)


def _add(connection: Connection, scribe: Scribe, new: NewEntry, *, principal: str, at: Millis, change_id: int) -> Entry:
    entry = Entry(new_record_id(), new.list, new.kind, new.value, new.types, new.reason, new.expires_at, principal, at)
    kept = {name: value for name, value in _plain(entry).items() if name != "record_id"} | {
        "types": pack(new.types),
        "change_id": change_id,
    }
    connection.execute(insert(list_entries), kept)
    record_id = _record(connection, scribe, entry, "entry_added", principal=principal, at=at, because=new.reason)
    return Entry(**{**_plain(entry), "record_id": record_id})


def _record(connection: Connection, scribe: Scribe, entry: Entry, what: str, *, principal: str, at: Millis, because: str) -> str:
    until = None if entry.expires_at is None else format_time(entry.expires_at)
    change = {
        "what": what, "entry_id": entry.entry_id, "list": entry.list, "kind": entry.kind, "value": entry.value, "types": list(entry.types),
        "reason": because, "expires_at": until,
    }  # fmt: skip
    subjects = {f"{entry.kind}:{entry.value}": ["change"]} if entry.kind in _PERSONAL else {}
    return scribe.record(connection, Kind.LIST_CHANGED, change, principal=principal, at=at, subjects=subjects).record_id


def _last(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(list_entries.c.change_id), 0))).scalar_one())


def _plain(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__}


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        row.entry_id, row.list, row.kind, row.value, unpack(row.types), row.reason, row.expires_at, row.added_by, row.added_at,
        row.removed_by, row.removed_at,
    )  # fmt: skip
