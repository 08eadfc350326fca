"""Killed at every step under load: no answer without its record, no gap, no duplicate, no fork, the same bytes again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from governance.ledger.errors import ForkRefused, LogCorrupt
from governance.ledger.findings import Mismatch
from tests.governance.ledger.crashing import STEPS, Broken, Tour, tour

pytestmark = pytest.mark.slow


def test_every_promise_survives_every_step(database_url: str, tmp_path: Path) -> None:
    done = tour(database_url, tmp_path, STEPS)
    assert set(done.died) == set(STEPS)
    assert len(done.told) > len(STEPS), "there was load"
    done.engine.dispose()


def test_a_lost_write_is_noticed(tmp_path: Path, migrated_file: Path) -> None:
    """The negative control: what durability prevents is done by hand, and the tour must not pass."""
    path = Path(shutil.copy(migrated_file, tmp_path / "ordinance.db"))
    done = Tour(f"sqlite:///{path}", tmp_path)
    done.die("noted", 1)
    done.check()
    done.engine.dispose()
    kept = path.read_bytes()  # all that reached the disk, were commits not synced
    assert done.die("noted", 3)
    for name in ("ordinance.db-wal", "ordinance.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    path.write_bytes(kept)
    with pytest.raises((Broken, Mismatch, ForkRefused, LogCorrupt)) as noticed:
        done.check()
    assert "answered and has no record" in str(noticed.value) or isinstance(noticed.value, ForkRefused | LogCorrupt)
    with pytest.raises(Broken, match="answered and has no record"):
        done._answers()
    done.engine.dispose()
