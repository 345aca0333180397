"""Migrations on real Postgres: up, down, up again; and the models say the same as the migrations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.util.exc import CommandError
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

import migrations
from app.ops.adapters.embedded_postgres import EmbeddedPostgres


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    engine = create_engine(postgres.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE migrated TEMPLATE template0"))
        yield postgres.url("migrated")
        connection.execute(text("DROP DATABASE migrated WITH (FORCE)"))


def _tables(url: str) -> set[str]:
    engine = create_engine(url, poolclass=NullPool)
    return set(inspect(engine).get_table_names())


def test_down_leaves_nothing_and_up_again_works(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    full = _tables(empty_url)
    migrations.downgrade(empty_url)
    assert _tables(empty_url) == {"alembic_version"}
    migrations.upgrade(empty_url)
    assert _tables(empty_url) == full


def test_models_and_migrations_agree(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    try:
        command.check(migrations.alembic_config(empty_url))
    except CommandError as difference:
        pytest.fail(str(difference))
