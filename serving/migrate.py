"""Brings a database to the version that this code needs. The steps are in :mod:`serving.migrations`."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from feature_store import parity_tables as _parity  # noqa: F401 - adds its tables to the metadata
from feature_store import passes as _passes  # noqa: F401 - adds its tables to the metadata
from feature_store.tables import metadata
from governance import erasure_tables as _erasures  # noqa: F401 - adds its tables to the metadata
from governance import review_tables as _reviews  # noqa: F401 - adds its tables to the metadata
from governance import tables as _governance  # noqa: F401 - adds its tables to the metadata
from governance import webhook_tables as _webhooks  # noqa: F401 - adds its tables to the metadata
from governance.ledger import tables as _ledger  # noqa: F401 - adds its tables to the metadata

_LOCK = 0x6F7264696E616E63
"""Advisory lock on PostgreSQL: one process migrates, the others wait and then find nothing to do."""


class DatabaseTooNew(Exception):
    """The database was written by a newer version."""


class DatabaseOutdated(Exception):
    """The database was not yet brought to this version."""


def migrate(engine: Engine) -> bool:
    """Bring the database up to date, in one transaction; a database that is up to date is left alone.

    Returns:
        Whether anything was done.

    Raises:
        DatabaseTooNew: a newer version wrote it; nothing was touched.
    """
    scripts = _scripts()
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if _current(connection, scripts) == scripts.get_current_head():
            return False
        _upgrade(connection, scripts)
    return True


def require_current(engine: Engine) -> None:
    """Check that the database has exactly this version.

    Raises:
        DatabaseTooNew: a newer version wrote it.
        DatabaseOutdated: an older version wrote it, or it is empty.
    """
    scripts = _scripts()
    with engine.connect() as connection:
        found = _current(connection, scripts)
    if found != scripts.get_current_head():
        raise DatabaseOutdated(
            f"The database has version {found or 'none'}, this Ordinance needs {scripts.get_current_head()}; start `ordinance up` once."
        )


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _current(connection: Connection, scripts: ScriptDirectory) -> str | None:
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseTooNew(
            f"The database has version {found!r}, written by a newer Ordinance; this one knows up to {scripts.get_current_head()!r}. "
            "Upgrade Ordinance, or name another database with ORDINANCE_DATABASE_URL or another home with --home."
        )
    return found


def _upgrade(connection: Connection, scripts: ScriptDirectory) -> None:
    def steps(revision: str | tuple[str, ...], _context: MigrationContext) -> list[RevisionStep]:
        return scripts._upgrade_revs("head", revision)  # type: ignore[arg-type]  # noqa: SLF001 - what alembic.command.upgrade calls

    with EnvironmentContext(Config(), scripts) as environment:
        # We hold the transaction (SQLite's DDL is transactional too, once BEGIN is said): all steps or none.
        environment.configure(connection=connection, target_metadata=metadata, fn=steps, transactional_ddl=True)
        environment.run_migrations()
