"""The steps make the tables of the code, once, on every server; a newer database is left alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from feature_store.database import make_engine
from feature_store.tables import metadata
from serving.migrate import DatabaseOutdated, DatabaseTooNew, migrate, require_current


def test_steps_and_tables_of_the_code_agree(empty_url):
    engine = make_engine(empty_url)
    assert migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        if compare_metadata(context, metadata):
            pytest.fail("serving/migrations lacks:\n" + render_python_code(produce_migrations(context, metadata).upgrade_ops))
    engine.dispose()


def test_is_done_once(engine):
    assert not migrate(engine)
    require_current(engine)


def test_many_at_once_do_it_once(empty_url):
    engine = make_engine(empty_url)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrate(engine), range(4)))
    engine.dispose()
    assert sorted(done) == [False, False, False, True]


def test_an_empty_database_is_outdated(empty_url):
    engine = make_engine(empty_url)
    with pytest.raises(DatabaseOutdated, match="none"):
        require_current(engine)
    engine.dispose()


def test_a_newer_database_is_refused_and_left_alone(engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuses in (migrate, require_current):
        with pytest.raises(DatabaseTooNew, match="newer Ordinance"):
            refuses(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_a_step_that_fails_leaves_nothing(empty_url):
    engine = make_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE records (other INTEGER)"))
    with pytest.raises(Exception, match="records"):
        migrate(engine)
    assert inspect(engine).get_table_names() == ["records"]
    engine.dispose()
