"""The price feeds of the local chain, under their real Pyth ids."""

from __future__ import annotations

from dataclasses import dataclass

EXPO = -8


@dataclass(frozen=True)
class Feed:
    """A feed: its market's symbol, its Pyth id, and the price it starts from, in units of 10**EXPO."""

    symbol: str
    base: str
    quote: str
    name: str
    price_id: bytes
    start_price: int


FEEDS = (
    Feed(
        symbol="BTC-USD",
        base="BTC",
        quote="USD",
        name="BITCOIN",
        price_id=bytes.fromhex("e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"),
        start_price=61_409_93501000,
    ),
    Feed(
        symbol="ETH-USD",
        base="ETH",
        quote="USD",
        name="ETHEREUM",
        price_id=bytes.fromhex("ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"),
        start_price=3_012_44000000,
    ),
    Feed(
        symbol="SOL-USD",
        base="SOL",
        quote="USD",
        name="SOLANA",
        price_id=bytes.fromhex("ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"),
        start_price=142_87000000,
    ),
)
