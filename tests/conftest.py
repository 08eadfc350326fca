"""Databases to test on: a SQLite file, and a PostgreSQL server that lives as long as the test run."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from benchmarks.postgres import USER, BinariesMissing, throwaway
from feature_store.database import make_engine
from serving.migrate import migrate

_NUMBERS = itertools.count(1)

# High-water marks of logs that tests make are no concern of whoever runs them; services that are started inherit this.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="ordinance-tests-")


_SHAPE = """
SELECT (SELECT version_num FROM alembic_version)
    || string_agg(concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable), ',' ORDER BY table_name, column_name)
FROM information_schema.columns WHERE table_schema = 'public'
"""
_EMPTY = """
DO $$
DECLARE name text;
BEGIN
  SET LOCAL session_replication_role = replica;  -- in any order: no foreign key is checked
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
  FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
    EXECUTE format('ALTER SEQUENCE %I RESTART', name);
  END LOOP;
END $$
"""


@dataclass
class PostgresServer:
    """A throwaway server behind a Unix socket; a copy of its migrated template costs less than a migration."""

    folder: Path
    user: str
    shape: str = ""
    spare: list[str] = field(default_factory=list)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{self.user}@/{database}?host={self.folder}"

    def new_database(self, *, migrated: bool) -> str:
        """A fresh database: its URL."""
        if migrated and self.spare:
            return self.url(self.spare.pop())
        name = f"test_{next(_NUMBERS)}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {'migrated' if migrated else 'template0'}")
        return self.url(name)

    def release(self, url: str) -> None:
        """Take a database back. One that still has the template's tables is emptied for the next test, which is faster than a new one."""
        name = url.split("@/")[1].split("?")[0]
        self._admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with psycopg.connect(f"host={self.folder} user={self.user} dbname={name}", autocommit=True) as connection:
            if self._shape_of(connection) == self.shape:
                connection.execute(_EMPTY)
                self.spare.append(name)
                return
        self._admin(f"DROP DATABASE {name} WITH (FORCE)")

    def keep_shape(self) -> None:
        """Remember what the tables of the template look like."""
        with psycopg.connect(f"host={self.folder} user={self.user} dbname=migrated", autocommit=True) as connection:
            self.shape = self._shape_of(connection)

    @staticmethod
    def _shape_of(connection: psycopg.Connection) -> str:
        try:
            row = connection.execute(_SHAPE).fetchone()
        except psycopg.errors.UndefinedTable:
            return "not migrated"
        assert row is not None
        return str(row[0])

    def _admin(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user={self.user} dbname=postgres", autocommit=True) as connection:
            connection.execute(statement.encode())


def missing(reason: str) -> None:
    """Skip where something is not installed; on CI everything has to be."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI=true forbids skipping")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own: fresh data folder, Unix socket only, no fsync."""
    try:
        with throwaway({"fsync": "off"}) as socket:
            server = PostgresServer(socket.folder, USER)
            server._admin("CREATE DATABASE migrated TEMPLATE template0")
            engine = make_engine(server.url("migrated"))
            migrate(engine)
            engine.dispose()
            server.keep_shape()
            yield server
    except BinariesMissing as error:
        missing(str(error))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "ordinance.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database without tables, on each supported server."""
    yield from _url(request, tmp_path, migrated=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database with all tables, on each supported server."""
    yield from _url(request, tmp_path, migrated=True)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh database with all tables, on each supported server."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path, migrated_file: Path) -> Iterator[Engine]:
    """An engine on a fresh SQLite file with all tables, for what does not depend on the server."""
    engine = make_engine(f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ordinance.db')}")
    yield engine
    engine.dispose()


def _url(request: pytest.FixtureRequest, folder: Path, *, migrated: bool) -> Iterator[str]:
    if request.param == "sqlite":
        path = folder / "ordinance.db"
        if migrated:
            shutil.copy(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.new_database(migrated=migrated)
    yield url
    server.release(url)


_CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The machine's Chromium, driven by playwright; it ends with the module, so that other tests may run event loops of their own."""
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if found is None:
        missing("no Chromium is installed (Debian: apt-get install chromium fonts-noto-cjk)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()
