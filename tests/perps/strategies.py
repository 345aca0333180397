"""Positions and markets for Hypothesis, from dust to whales, within the exchange's own bounds."""

from __future__ import annotations

from hypothesis import strategies as st

from app.perps.types.markets import Boundary, Margin
from app.perps.types.positions import Holding, Side

WAD = 10**18

sizes = st.one_of(st.integers(1, 1000), st.integers(WAD // 1000, 1000 * WAD), st.integers(1, 10**30))
prices = st.one_of(st.integers(1, 1000), st.integers(WAD // 100, 200_000 * WAD), st.integers(1, 10**28))
indexes = st.one_of(st.just(0), st.integers(-(10**21), 10**21), st.integers(-(10**30), 10**30))
rates = st.one_of(st.integers(0, WAD - 1), st.sampled_from([WAD // 100, 15 * WAD // 1000, WAD // 20]))
margins = st.builds(Margin, rates, st.sampled_from(Boundary))
holdings = st.builds(
    Holding,
    side=st.sampled_from(Side),
    size_wad=sizes,
    collateral_wad=st.one_of(st.integers(0, 10_000 * WAD), st.integers(0, 10**34)),
    entry_price_wad=prices,
    entry_funding_index_wad=indexes,
)
