"""The funding benchmark's baseline charges what the index does, so that the two are the same work."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.baselines.funding_loop import charge
from tests.perps.computed import Clocked, slot
from tests.perps.history import market_added, opened


def test_the_loop_charges_what_the_index_does(session: Session) -> None:
    told = Clocked(session)
    wad = 10**18
    told.fold(0, market_added(1))
    told.fold(2, opened(1, size=3 * wad), opened(2, is_long=False, size=wad))
    charge(session, 1000)
    rows = session.execute(text("SELECT key, accumulated_funding_wad FROM perps_positions"))
    charged = {row.key: row.accumulated_funding_wad for row in rows}
    rate = session.execute(text("SELECT current_funding_rate_wad FROM perps_markets")).scalar_one()
    assert charged == {"1": 3 * rate * 3600 * 1000, "2": -rate * 3600 * 1000}
    told.fold(6)
    told.price(slot(1), 1000)
    told.settle(slot(1))
    index = session.execute(text("SELECT long_index_wad FROM perps_funding_rates")).scalar_one()
    assert charged["1"] * 40 == 3 * index * 3600  # the slot is 40 seconds long, the loop's hour 3,600
