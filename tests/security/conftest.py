"""A world of a module's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.settings import Settings
from tests.security.world import World, make_world


@pytest.fixture(scope="module")
def world(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One app on one database, with people."""
    with make_world(shared_settings, tmp_path_factory.mktemp("world")) as made:
        yield made
