"""Where policies, lists and switches are changed: the database, and who signs the records."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from governance.changes import Scribe


@dataclass(frozen=True, slots=True)
class Controls:
    """What the routes of policies, lists and the kill switch work with."""

    engine: Engine
    scribe: Scribe
