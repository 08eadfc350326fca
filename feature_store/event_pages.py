"""The stored events one page after the other: for those who read them all while others write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy import Engine

from feature_store.database import reading
from feature_store.events import Event
from feature_store.passes import BEGINNING, END, after
from feature_store.times import Millis

PAGE: Final = 5_000


def paged(
    engine: Engine, *, known_from: Millis | None = None, until: Millis = END[0], page: int = PAGE, rest: Callable[[], None] | None = None
) -> Iterator[Event]:
    """The events that became known from one moment to another, both included, in order; no transaction is open between two pages.

    Args:
        engine: of the database.
        known_from: by default the beginning.
        until: by default the end.
        page: events that are read at a time.
        rest: called between two pages, to let others have their turn.
    """
    place = BEGINNING if known_from is None else (known_from, "")
    while True:
        with reading(engine).connect() as connection:
            found = after(connection, *place, page)
        for event in found:
            if event.known_at > until:
                return
            yield event
        if len(found) < page:
            return
        place = found[-1].known_at, found[-1].event_id
        if rest is not None:
            rest()
