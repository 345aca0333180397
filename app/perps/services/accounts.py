"""Accounts of cross margin, judged at their protocol's own prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.chain.types.calls import ContractCall
from app.core.db import release
from app.perps.maths.calls import encode_price
from app.perps.maths.cross import account_health
from app.perps.maths.units import WAD, WORD, divide_up, scaled_wad
from app.perps.maths.views import margin_of
from app.perps.queries import funding, markets, pnl
from app.perps.queries.listings import Filter, list_positions
from app.perps.types.accounts import AccountHealth, Leg
from app.perps.types.changes import Indexes
from app.perps.types.markets import Market
from app.perps.types.positions import Position, PositionStatus
from app.perps.types.protocol import PerpsProtocol
from app.perps.types.sections import PriceCall

MAX_LEGS = 500
Read = Callable[[ContractCall], bytes]


@dataclass(frozen=True, slots=True)
class JudgedAccount:
    """An account of a protocol with its health."""

    protocol: str
    owner: bytes
    health: AccountHealth


def judge_accounts(
    session: Session, protocols: Sequence[PerpsProtocol], owner: bytes, *, read: Read
) -> list[JudgedAccount]:
    """The owner's accounts in those protocols of cross margin whose file names a price, where there are any.

    One question to the node a market that the account is in, with no transaction open; raises the node's failures.
    """
    found = []
    for protocol in protocols:
        call = protocol.section.margin.price
        newest = None if call is None else pnl.newest_of(session, protocol.name, owner)
        if call is not None and newest is not None:
            balance = newest.account_transfers_wad + newest.account_pnl_wad
            legs = _legs(session, protocol, call, owner, read)
            health = account_health(balance, legs, protocol.section.margin.boundary)
            found.append(JudgedAccount(protocol.name, owner, health))
    return found


def _legs(session: Session, protocol: PerpsProtocol, call: PriceCall, owner: bytes, read: Read) -> list[Leg]:
    wanted = Filter(protocol=protocol.name, owner=owner, status=PositionStatus.OPEN)
    held = list_positions(session, wanted, before=None, limit=MAX_LEGS)
    listed = markets.markets_by_id(session, protocol.name, {one.market_id for one in held})
    grown = funding.growth_since(session, protocol.name, held)
    release(session)
    prices = {market_id: _price_wad(protocol, call, market_id, read) for market_id in listed}
    return [
        _leg(protocol, one, listed[one.market_id], prices[one.market_id], grown[one.key])
        for one in held
        if one.market_id in listed
    ]


def _price_wad(protocol: PerpsProtocol, call: PriceCall, market_id: str, read: Read) -> int:
    contract = protocol.contracts[call.contract]
    answer = read(ContractCall(contract.addresses[0], encode_price(call, market_id), 0))
    return scaled_wad(int.from_bytes(answer[:WORD], "big"), protocol.section.decimals.price)


def _leg(protocol: PerpsProtocol, one: Position, market: Market, price_wad: int, grown: Indexes) -> Leg:
    return Leg(
        side=one.side,
        size_wad=one.size_wad,
        entry_price_wad=one.entry_price_wad,
        price_wad=price_wad,
        funding_wad=divide_up(one.size_wad * grown.of(one.side), WAD),
        margin_rate_wad=margin_of(market.terms, protocol.section.margin).rate_wad,
    )
