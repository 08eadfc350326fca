"""Who of several processes does what one should do: a lease in the database, taken for a while and renewed by doing."""

from __future__ import annotations

from sqlalchemy import Engine, text

from feature_store.times import Millis

_TAKE = text(
    "INSERT INTO leases (name, holder, until) VALUES (:name, :holder, :until) "
    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until "
    "WHERE leases.until <= :at OR leases.holder = excluded.holder"
)


def take(engine: Engine, name: str, holder: str, at: Millis, during: Millis) -> bool:
    """Take a lease that is free or one's own, until ``during`` from now; whether one has it.

    A process that dies leaves its lease to the next one when the time is over. Clocks of several machines may differ by less than
    ``during``; what is done under a lease must bear being done twice.
    """
    with engine.begin() as connection:
        return connection.execute(_TAKE, {"name": name, "holder": holder, "at": at, "until": at + during}).rowcount == 1
