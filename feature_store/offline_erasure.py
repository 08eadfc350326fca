"""Forgetting a person in an archive: the files that tell of it are written anew without it, and then deleted."""

from __future__ import annotations

from collections.abc import Collection

from feature_store.entities import Entity, EntityKey
from feature_store.offline_archive import Archive, ArchiveRefused
from feature_store.retention import FIELDS, ErasureRefused, without


def erase_in_archive(archive: Archive, subject: EntityKey, *, order_ids: Collection[str] = ()) -> int:
    """Forget one customer, device, address, payment means or IP in an archive.

    Args:
        archive: where.
        subject: whom to forget.
        order_ids: orders of the subject that no event of the archive tells of.

    Returns:
        events that were deleted or changed.

    Raises:
        ErasureRefused: its kind is not about persons, or the archive was folded by other rules than this program's.
    """
    if subject.entity not in FIELDS:
        raise ErasureRefused(f"{subject.entity.value!r} is not about a person.")
    try:
        return _erase(archive, subject, set(order_ids))
    except ArchiveRefused as error:
        raise ErasureRefused(str(error)) from error


def _erase(archive: Archive, subject: EntityKey, orders: set[str]) -> int:
    name = FIELDS[subject.entity]
    if subject.entity is Entity.CUSTOMER:
        theirs = (event for event in archive.holding({subject.key}) if event.data.get(name) == subject.key)
        orders.update(event.data["order_id"] for event in theirs if "order_id" in event.data)
    return archive.revise({subject.key, *orders}, without(subject, frozenset(orders)))
