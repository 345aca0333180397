"""One ground for all of these tests: its servers and processes are struck again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.faults.ground import Ground, build
from tests.faults.outside import Outside
from tests.faults.scene import USUAL, Fault, Row, play, sign_in

PATIENCE_SECONDS = 120.0
"""Nothing here is a timed test: how soon a row is over is for `make faults` to judge."""


@pytest.fixture(scope="package")
def outside() -> Iterator[Outside]:
    """Receivers of effects and callbacks."""
    world = Outside()
    world.open()
    yield world
    world.close()


@pytest.fixture(scope="package")
def ground(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Iterator[Ground]:
    """Servers; each test stages the processes it needs on them."""
    with build(tmp_path_factory.mktemp("ground"), outside.url) as ground:
        yield ground


@pytest.fixture(scope="package")
def client(ground: Ground) -> Mapping[str, str]:
    """The headers of a client that has signed in; the test before may have left no API running."""
    ground.stage(USUAL)
    return sign_in(ground)


@pytest.fixture
def play_row(ground: Ground, outside: Outside, client: Mapping[str, str]) -> Callable[[Fault], Row]:
    """Play a row of the matrix."""

    def _play(fault: Fault) -> Row:
        return play(ground, outside, client, fault, seed=7, patience_seconds=PATIENCE_SECONDS)

    return _play
