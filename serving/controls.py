"""Where policies, lists and switches are changed: the database, and who signs the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from governance.changes import Scribe


@dataclass(frozen=True, slots=True)
class Controls:
    """What the routes of policies, lists and the kill switch work with.

    Attributes:
        models: the home's folder of artifacts, for a backtest.
    """

    engine: Engine
    scribe: Scribe
    models: Path | None = None
