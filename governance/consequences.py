"""What the database says beside the records, compared with them: reviews, overrides, labels, lists, switches, policies, approvals.

Each of these rows repeats what a record of the ledger said, laid out to be found. Who edits one changes no record, but changes what people and
replicas see; so a check of the log passes every record by here. Claims of reviews are working state and no part of any record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import Column, Connection, RowMapping, Table, select

from feature_store.times import SECOND, Millis, parse_time
from governance.ledger.derived import check_columns, review_columns
from governance.ledger.findings import Mismatch, Part
from governance.ledger.opened import is_erased, read_groups
from governance.ledger.record import Kind
from governance.ledger.record_check import CheckedRecord
from governance.ledger.rows import pack
from governance.ledger.tables import decisions, records
from governance.ledger.vault import opened, vault_of
from governance.review_tables import outcome_labels, overrides, reviews
from governance.tables import alias_history, approvals, list_entries, policies, switches

CLOSED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "overridden": (Kind.OVERRIDE.value,),
    "expired": (Kind.EXPIRY.value,),
    "cancelled": (Kind.CANCELLATION.value,),
    "superseded": (Kind.DECISION.value, Kind.ORDER_DECISION.value),
}
_NEAR: Final[Millis] = 10 * SECOND
"""How far apart the times of a policy and of its record may be: each was read from the clock by itself."""

Rows = Mapping[Any, RowMapping]


@dataclass
class Consequences:
    """Compares, page by page; holds the ids of what people changed, which are few.

    Attributes:
        whole: whether every record passes by from the first, so that a row without one is found as well.
        until: rows that were made later are left out: their records may come after the last page.
    """

    whole: bool
    until: Millis
    _seen: dict[str, set[Any]] = field(default_factory=dict)
    _erased: bool = False

    def page(self, connection: Connection, page: Sequence[tuple[int | None, CheckedRecord]]) -> None:
        """Compare what follows from some records.

        Raises:
            Mismatch: a row is missing, or says something else than its record.
        """
        by_kind: dict[str, list[CheckedRecord]] = {}
        for _, one in page:
            if one.erased:  # its rows were erased with it
                self._erased |= one.envelope["kind"] == Kind.LIST_CHANGED
                continue
            by_kind.setdefault(one.envelope["kind"], []).append(one)
        for kind, compare in _COMPARE.items():
            if kind in by_kind:
                try:
                    compare(self, connection, by_kind[kind])
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    names = ", ".join(one.envelope["record_id"] for one in by_kind[kind][:3])
                    raise Mismatch(Part.CHANGE, names, f"a {kind} does not say what it must: {error!r}") from error

    def finish(self, connection: Connection) -> None:
        """After the last page: find rows that no record stands behind.

        Raises:
            Mismatch: there is one.
        """
        pairs = ((overrides, overrides.c.override_id), (outcome_labels, outcome_labels.c.label_id), (reviews, reviews.c.record_id))
        for table, column in pairs:
            _none_without_record(connection, table, column)
        if not self.whole:
            return
        if not self._erased:
            self._all_seen(connection, list_entries, "entry", list_entries.c.entry_id, list_entries.c.added_at)
            self._all_seen(connection, list_entries, "removal", list_entries.c.entry_id, list_entries.c.removed_at)
        self._all_seen(connection, switches, "switch", switches.c.change_id, switches.c.changed_at)
        self._all_seen(connection, approvals, "approval", approvals.c.approval_id, approvals.c.submitted_at)
        self._all_seen(connection, approvals, "judged", approvals.c.approval_id, approvals.c.decided_at)
        statement = select(policies.c.policy_id, policies.c.version).where(policies.c.created_at < self.until)
        for row in connection.execute(statement):
            if (row.policy_id, row.version) not in self._seen.get("policy", ()):
                raise Mismatch(Part.POLICY, f"{row.policy_id} version {row.version}", "no record says that it was saved")
        moved = select(alias_history.c.change_id).where(alias_history.c.kind == "policy", alias_history.c.changed_at < self.until)
        for change_id in connection.execute(moved).scalars():
            if change_id not in self._seen.get("alias", ()):
                raise Mismatch(Part.CHANGE, f"alias_history {change_id}", "no record says so")

    def _all_seen(self, connection: Connection, table: Table, what: str, column: Column[Any], at: Column[Any]) -> None:
        for name in connection.execute(select(column).where(at.is_not(None), at < self.until)).scalars():
            if name not in self._seen.get(what, ()):
                raise Mismatch(Part.CHANGE, f"{table.name} {name}", f"no record says so ({what})")

    def _note(self, what: str, name: object) -> None:
        self._seen.setdefault(what, set()).add(name)

    def reviews(self, connection: Connection, held: Sequence[CheckedRecord]) -> None:
        """A decision that needs a person is in the queue, as it says."""
        expected = {one.envelope["record_id"]: review_columns(one.envelope, one.groups) for one in held}
        rows = _rows(connection, reviews, reviews.c.record_id, expected)
        closers = _rows(connection, records, records.c.record_id, (row["closed_by"] for row in rows.values() if row["closed_by"]))
        for name, columns in expected.items():
            if columns is None:
                if name in rows:
                    raise Mismatch(Part.CHANGE, f"reviews {name}", "its decision needed no person")
                continue
            _same(rows, name, columns, reviews)
            _closed(rows[name], closers, connection)

    def closers(self, connection: Connection, closing: Sequence[CheckedRecord]) -> None:
        """A record that settles a decision has taken it out of the queue."""
        settled = [one for one in closing if one.groups["change"]["step"] in {"overridden", "confirmed", "expired", "cancelled"}]
        rows = _rows(connection, reviews, reviews.c.record_id, (one.envelope["refers_to"] for one in settled))
        for name, row in rows.items():
            if row["closed_at"] is None:
                raise Mismatch(Part.CHANGE, f"reviews {name}", "it waits, and a record says that it was settled")
        self._overrides(connection, [one for one in closing if one.envelope["kind"] != Kind.CANCELLATION])

    def _overrides(self, connection: Connection, made: Sequence[CheckedRecord]) -> None:
        first = {one.envelope["record_id"]: one for one in made if one.groups["change"]["step"] in {"overridden", "proposed", "expired"}}
        rows = _rows(connection, overrides, overrides.c.override_id, first)
        seconds = _rows(connection, records, records.c.record_id, (row["second_id"] for row in rows.values() if row["second_id"]))
        for name, one in first.items():
            _same(rows, name, _override(one), overrides)
            _settled(connection, rows[name], one, seconds)

    def labels(self, connection: Connection, told: Sequence[CheckedRecord]) -> None:
        """Each label is a row."""
        names = {one.envelope["record_id"]: one for one in told}
        rows = _rows(connection, outcome_labels, outcome_labels.c.label_id, names)
        about = _rows(connection, records, records.c.record_id, {one.envelope["refers_to"] for one in told})
        for name, one in names.items():
            said, at = one.groups["outcome"], parse_time(one.envelope["time"])
            decided = _groups(connection, about[one.envelope["refers_to"]])
            confidence = decided.get("confidence") or {}
            expected = {
                "decision_id": one.groups["change"]["decision_id"], "type": one.envelope["type"], "label": said["label"],
                "positive": said["positive"], "observed_at": parse_time(said["observed_at"]), "known_at": at,
                "principal": one.groups["people"]["principal"], "segment": _segment(decided),
                **{column: confidence.get(column) for column in ("event", "low", "high", "level")},
            }  # fmt: skip
            _same(rows, name, expected, outcome_labels)

    def lists(self, connection: Connection, changed: Sequence[CheckedRecord]) -> None:
        """Each change of a list is in its entry."""
        rows = _rows(connection, list_entries, list_entries.c.entry_id, {one.groups["change"]["entry_id"] for one in changed})
        for one in changed:
            change, who, at = one.groups["change"], one.groups["people"]["principal"], parse_time(one.envelope["time"])
            name = change["entry_id"]
            expected = {
                "list": change["list"], "kind": change["kind"], "value": change["value"], "types": pack(change["types"]),
                "expires_at": None if change["expires_at"] is None else parse_time(change["expires_at"]),
            }  # fmt: skip
            added = change["what"] == "entry_added"
            expected |= {"reason": change["reason"], "added_by": who, "added_at": at} if added else {"removed_by": who, "removed_at": at}
            _same(rows, name, expected, list_entries)
            if (rows[name]["removed_by"] is None) != (rows[name]["removed_at"] is None):
                raise Mismatch(Part.CHANGE, f"list_entries {name}", "who removed it does not fit when that was")
            self._note("entry" if added else "removal", name)

    def switches(self, connection: Connection, turned: Sequence[CheckedRecord]) -> None:
        """Each turn of a switch is a row."""
        rows = _rows(connection, switches, switches.c.change_id, {one.groups["change"]["change_id"] for one in turned})
        for one in turned:
            change = one.groups["change"]
            expected = {name: change[name] for name in ("type", "mode", "note")}
            expected |= {"changed_by": one.groups["people"]["principal"], "changed_at": parse_time(one.envelope["time"])}
            _same(rows, change["change_id"], expected, switches)
            self._note("switch", change["change_id"])

    def policies(self, connection: Connection, saved: Sequence[CheckedRecord]) -> None:
        """Each version that was saved is kept."""
        for one in saved:
            change, at = one.groups["change"], parse_time(one.envelope["time"])
            if change.get("what") != "policy_saved":
                continue
            key = change["id"], change["version"]
            row = (
                connection.execute(select(policies).where(policies.c.policy_id == key[0], policies.c.version == key[1])).mappings().first()
            )
            name = f"{key[0]} version {key[1]}"
            if row is None:
                raise Mismatch(Part.POLICY, name, "a record says that it was saved, and it is not there")
            _blamed(row, {"digest": change["digest"], "created_by": one.groups["people"]["principal"]}, Part.POLICY, name)
            if orjson.loads(bytes(row["document"])) != change["document"]:
                raise Mismatch(Part.POLICY, name, "its document is not the one that was recorded")
            if abs(row["created_at"] - at) > _NEAR:
                raise Mismatch(Part.POLICY, name, "column created_at is not when it was recorded")
            self._note("policy", key)

    def aliases(self, connection: Connection, moved: Sequence[CheckedRecord]) -> None:
        """Each move of an alias is a row."""
        ours = [one for one in moved if "change_id" in one.groups["change"]]
        rows = _rows(connection, alias_history, alias_history.c.change_id, {one.groups["change"]["change_id"] for one in ours})
        for one in ours:
            change = one.groups["change"]
            expected = {
                "kind": change["of"], "type": one.envelope["type"], "alias": change["alias"], "name": change["name"],
                "version": change["version"], "changed_by": one.groups["people"]["principal"],
                "changed_at": parse_time(one.envelope["time"]),
            }  # fmt: skip
            if change["of"] == "policy":
                expected["note"] = f"{change['what']}: {change['note']}"
            _same(rows, change["change_id"], expected, alias_history)
            self._note("alias", change["change_id"])

    def approvals(self, connection: Connection, judged: Sequence[CheckedRecord]) -> None:
        """Each submission and each judgement is a row."""
        rows = _rows(connection, approvals, approvals.c.approval_id, {one.groups["change"]["approval_id"] for one in judged})
        for one in judged:
            change, who, at = one.groups["change"], one.groups["people"]["principal"], parse_time(one.envelope["time"])
            expected = {"kind": change["of"], **{name: change[name] for name in ("name", "version", "digest", "author")}}
            if change["what"] == "submitted":
                expected |= {"submitted_by": who, "submitted_at": at, "note": change["note"], "record_id": one.envelope["record_id"]}
                self._note("approval", change["approval_id"])
            else:
                expected |= {"state": change["what"], "decided_by": who, "decided_at": at, "decision_note": change["note"]}
                self._note("judged", change["approval_id"])
            _same(rows, change["approval_id"], expected, approvals)
            row = rows[change["approval_id"]]
            if row["state"] == "open":
                _blamed(row, dict.fromkeys(("decided_by", "decided_at", "decision_note")), Part.CHANGE, f"approvals {row['approval_id']}")


_COMPARE: Final[Mapping[str, Callable[[Consequences, Connection, Sequence[CheckedRecord]], None]]] = {
    Kind.DECISION.value: Consequences.reviews,
    Kind.OVERRIDE.value: Consequences.closers,
    Kind.EXPIRY.value: Consequences.closers,
    Kind.CANCELLATION.value: Consequences.closers,
    Kind.OUTCOME_LABEL.value: Consequences.labels,
    Kind.LIST_CHANGED.value: Consequences.lists,
    Kind.SWITCH_CHANGED.value: Consequences.switches,
    Kind.POLICY_CHANGED.value: Consequences.policies,
    Kind.ALIAS_MOVED.value: Consequences.aliases,
    Kind.APPROVAL.value: Consequences.approvals,
}


def _rows(connection: Connection, table: Table, key: Column[Any], names: Iterable[Any]) -> Rows:
    wanted = list(names)
    if not wanted:
        return {}
    return {row[key.name]: row for row in connection.execute(select(table).where(key.in_(wanted))).mappings()}


def _same(rows: Rows, name: object, expected: Mapping[str, Any], table: Table) -> None:
    if name not in rows:
        raise Mismatch(Part.CHANGE, f"{table.name} {name}", "a record says so, and there is no row")
    _blamed(rows[name], expected, Part.CHANGE, f"{table.name} {name}")


def _blamed(row: RowMapping, expected: Mapping[str, Any], part: Part, name: str) -> None:
    try:
        check_columns(dict(row), expected, name)
    except Mismatch as error:
        raise Mismatch(part, name, error.finding.detail) from error


def _closed(row: RowMapping, closers: Rows, connection: Connection) -> None:
    """Whether a review was closed by what it says, and when that was."""
    name, state, by = f"reviews {row['record_id']}", row["state"], row["closed_by"]
    waits = state in {"open", "pending"}
    if waits != (row["closed_at"] is None) or waits != (by is None) or (not waits and state not in CLOSED_BY):
        raise Mismatch(Part.CHANGE, name, f"its state {state!r} does not fit when and by what it was closed")
    if waits:
        return
    closer = closers.get(by)
    if closer is None or closer["kind"] not in CLOSED_BY[state]:
        raise Mismatch(Part.CHANGE, name, f"it says {state}, and the record {by} does not")
    if state == "superseded":
        later = connection.execute(select(decisions.c.order_id, decisions.c.order_version).where(decisions.c.record_id == by)).one()
        if later.order_id != row["order_id"] or later.order_version <= row["order_version"] or row["closed_at"] < closer["recorded_at"]:
            raise Mismatch(Part.CHANGE, name, f"the record {by} does not supersede it")
        return
    if orjson.loads(bytes(closer["entry"])).get("refers_to") != row["record_id"] or closer["recorded_at"] != row["closed_at"]:
        raise Mismatch(Part.CHANGE, name, f"the record {by} does not say so")


def _override(one: CheckedRecord) -> dict[str, Any]:
    said, change = one.groups["outcome"], one.groups["change"]
    by_clock = one.envelope["kind"] == Kind.EXPIRY
    return {
        "decision_id": one.envelope["refers_to"], "kind": "expiry" if by_clock else "override", "type": one.envelope["type"],
        "was": said["was"], "outcome": said["outcome"], "accepted_lines": pack(said.get("accepted_lines") or ()),
        "reason_code": change.get("reason_code"), "principal": one.groups["people"]["principal"], "role": one.groups["people"]["role"],
        "made_at": parse_time(one.envelope["time"]),
    }  # fmt: skip


def _settled(connection: Connection, row: RowMapping, one: CheckedRecord, seconds: Rows) -> None:
    name = f"overrides {row['override_id']}"
    if one.groups["change"]["step"] != "proposed":
        expected = {"state": "in_force", "settled_at": row["made_at"], "second": None, "second_id": None}
        _blamed(row, expected, Part.CHANGE, name)
        return
    second = seconds.get(row["second_id"])
    if row["state"] in {"in_force", "refused"}:
        if second is None:
            raise Mismatch(Part.CHANGE, name, f"it says {row['state']}, and no record of a second person does")
        groups = _groups(connection, second)
        steps = {"in_force": ("confirmed",), "refused": ("refused", "withdrawn")}[row["state"]]
        if groups["change"]["override_id"] != row["override_id"] or groups["change"]["step"] not in steps:
            raise Mismatch(Part.CHANGE, name, f"the record {row['second_id']} does not say so")
        _blamed(row, {"second": groups["people"]["principal"], "settled_at": second["recorded_at"]}, Part.CHANGE, name)
    elif (
        row["state"] not in {"pending", "lapsed"}
        or row["second"] is not None
        or (row["state"] == "lapsed") != (row["settled_at"] is not None)
    ):
        raise Mismatch(Part.CHANGE, name, f"its state {row['state']!r} does not fit the rest of it")


def _groups(connection: Connection, record: RowMapping) -> Mapping[str, Any]:
    """The groups of a record; of an erased one what was left of it."""
    body = opened(vault_of(connection), record["record_id"], bytes(record["body"]), b"").body
    return {} if is_erased(body) else read_groups(body)


def _segment(groups: Mapping[str, Any]) -> str | None:
    try:
        segment = orjson.loads(groups["request"])["order"]["customer"].get("segment")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return segment[:128] if isinstance(segment, str) else None


def _none_without_record(connection: Connection, table: Table, column: Column[Any]) -> None:
    lost = select(column).outerjoin(records, records.c.record_id == column).where(records.c.record_id.is_(None)).limit(1)
    name = connection.execute(lost).scalar()
    if name is not None:
        raise Mismatch(Part.CHANGE, f"{table.name} {name}", "no record says so")
