"""What the perps' edges hand to the services: protocols, prices, and the means to send transactions.

The means are functions, bound by the edge to adapters of the oracle and the chain, which are theirs to know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.types.calls import ContractCall, Rehearsal
from app.chain.types.transactions import Intent
from app.oracle.services.read import quote
from app.oracle.types.prices import Around, Feed, FeedPrice, Quote, Rules
from app.oracle.types.updates import TransactionUpdate
from app.perps.errors import KeeperUnavailable
from app.perps.types.keeper import Caps
from app.perps.types.markets import Market
from app.perps.types.protocol import PerpsProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How transactions leave: from whose key, asked and sent through one node. Each but `advance` waits on the network
    and writes nothing; `advance` begins with `commit`, and commits its own steps."""

    signer: bytes
    read: Callable[[ContractCall], bytes]
    rehearse: Callable[[Sequence[ContractCall]], list[Rehearsal]]
    advance: Callable[[Session, Sequence[UUID], Callable[[], None]], list[Intent]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeing:
    """What judging needs: the protocols, and the latest recorded prices with what they are good for."""

    protocols: tuple[PerpsProtocol, ...]
    quotes: Callable[[Session, datetime], Sequence[Quote]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpsParts(Seeing):
    """What acting needs besides; built once a process. `update` fetches verified update data of exactly these feeds,
    and waits on the network, as `read`, a view of a contract, does. `sending` pins a node, by how the session's
    database says that they stand; None: this deployment has no key.
    """

    rules: Rules
    read: Callable[[ContractCall], bytes]
    update: Callable[[Collection[bytes]], TransactionUpdate]
    sending: Callable[[Session], Sending] | None
    caps: Caps

    def get_sending(self, session: Session) -> Sending:
        """The means to send; raises KeeperUnavailable without a key."""
        if self.sending is None:
            raise KeeperUnavailable()
        return self.sending(session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """What filling in a trader's call needs. `update` fetches verified update data of exactly these feeds, `read` asks
    a contract; both wait on the network.
    """

    protocols: tuple[PerpsProtocol, ...]
    rules: Rules
    update: Callable[[Collection[bytes]], TransactionUpdate]
    read: Callable[[ContractCall], bytes]


def quote_of(market: Market, update: TransactionUpdate, rules: Rules, now: datetime, around: Around) -> Quote:
    """The market's own price in the update, with what it is good for."""
    feed = Feed(market.terms.get_feed(), market.terms.pair)
    price = next((price for price in update.prices if price.feed == feed.id), None)
    return quote(FeedPrice(feed, price), rules, now, around)
