"""The perps' tables as a projection of a protocol's events, as the indexer drives it.

The law: any order of applying, rolling back and applying again ends equal to a clean fold of what is in the chain. It
rests on three things: an event is folded in once, known by its place; what does not simply continue a position has it
folded from its first event; and open interest moves by the difference of the positions' own rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.chain.services.stored_events import read_events
from app.chain.types.blocks import Event, Log
from app.perps.errors import UnreadableEvent
from app.perps.maths.premium import settlements
from app.perps.queries import folded_events, funding, pnl
from app.perps.queries.folded_events import Entity
from app.perps.services.feeds import follow_feeds
from app.perps.services.market_folds import fold_markets, note_terms
from app.perps.services.order_folds import fold_orders, fold_orders_again
from app.perps.services.position_folds import fold_again, fold_positions
from app.perps.services.reading import read_changes
from app.perps.types.changes import Changes, FundingEntry, Premium
from app.perps.types.positions import Place, PnlEntry
from app.perps.types.protocol import PerpsProtocol


class PerpsProjection:
    """One protocol's markets, positions, orders, settlements and liquidations. Commits nothing."""

    def __init__(self, protocol: PerpsProtocol):
        self.protocol = protocol

    def apply(self, session: Session, events: Sequence[Event]) -> None:
        """Fold in events, which are in `chain_events` already; raises UnreadableEvent. O(events)."""
        changes = read_changes(self.protocol, events)
        reopened = self._reopen(session, changes)
        moves = fold_positions(session, self.protocol, changes.positions)
        self._note_accounts(session, changes.accounts)
        fold_orders(session, self.protocol, changes.orders)
        relisted = note_terms(session, self.protocol, changes.markets)
        settled_by = [*changes.funding, *self._by_premium(session, changes.premiums)]
        funding.add(session, self.protocol.name, settled_by)
        settled = {*reopened, *(entry.market_id for entry in settled_by)}
        listed = fold_markets(session, self.protocol, relisted=relisted, settled=settled, moves=moves)
        follow_feeds(session, listed)

    def _note_accounts(self, session: Session, entries: Sequence[PnlEntry]) -> None:
        pnl.add(session, self.protocol.name, entries)
        self._run(session, [(one.owner, (one.place.block_number, one.place.log_index)) for one in entries])

    def _run(self, session: Session, touched: Sequence[tuple[bytes, tuple[int, int]]]) -> None:
        pnl.run(session, self.protocol.name, touched, cross=self.protocol.section.is_cross)

    def _reopen(self, session: Session, changes: Changes) -> set[str]:
        """Where we settle funding ourselves, undo the slots after events that come late; returns their markets."""
        if not self.protocol.section.is_computed:
            return set()
        blocks = [one.place.block_number for one in changes.positions]
        blocks += [one.place.block_number for one in changes.markets]
        if not blocks:
            return set()
        reopened = funding.drop(session, self.protocol.name, min(blocks) + 1)
        fold_again(session, self.protocol, self._since(session, reopened))
        return set(reopened)

    def _since(self, session: Session, reopened: Mapping[str, datetime]) -> set[str]:
        """The positions that something happened to after slots that are open again: they have other indexes now."""
        if not self.protocol.section.is_computed:
            return set()
        found = pnl.since(session, self.protocol.name, reopened)
        return {key for one in found.values() for key in one.keys}

    def refusal(self, event: Event) -> str | None:
        """Why the event cannot be folded in; None when it can."""
        try:
            read_changes(self.protocol, [event])
        except UnreadableEvent as error:
            return error.detail
        return None

    def rollback(self, session: Session, chain_id: int, from_block: int) -> None:
        """Fold again, from what is left in `chain_events`, all that came from `from_block` or above. O(touched)."""
        if chain_id != self.protocol.chain_id:
            return
        touched = folded_events.drop(session, self.protocol.name, from_block)
        settled = funding.drop(session, self.protocol.name, from_block)
        touched[Entity.POSITION] |= self._since(session, settled)
        self._run(session, pnl.drop_accounts(session, self.protocol.name, from_block))
        self._fold_again(session, touched, set(settled))

    def forget(self, session: Session, chain_id: int, logs: Sequence[Log]) -> None:
        """Fold again, from what is left in `chain_events`, all that came from these logs. O(touched), and O(settlements
        since) of a market whose funding is added up here.
        """
        if chain_id != self.protocol.chain_id:
            return
        places = [(log.block_number, log.log_index) for log in logs]
        touched = folded_events.forget(session, self.protocol.name, places)
        settled = funding.forget(session, self.protocol.name, places)
        settled_markets = {entry.market_id for entry in settled}
        if self.protocol.section.funding.model == "premium":
            settled_by = self._by_premium(session, self._unsettled(session, settled))
            funding.add(session, self.protocol.name, settled_by)
        if self.protocol.section.is_computed:
            reopened = funding.drop(session, self.protocol.name, min(log.block_number for log in logs) + 1)
            touched[Entity.POSITION] |= self._since(session, reopened)
            settled_markets |= reopened.keys()
        self._run(session, pnl.forget_accounts(session, self.protocol.name, places))
        self._fold_again(session, touched, settled_markets)

    def _fold_again(self, session: Session, touched: Mapping[Entity, set[str]], settled: set[str]) -> None:
        moves = fold_again(session, self.protocol, touched[Entity.POSITION])
        fold_orders_again(session, self.protocol, touched[Entity.ORDER])
        fold_markets(session, self.protocol, relisted=touched[Entity.MARKET], settled=settled, moves=moves)

    def _by_premium(self, session: Session, premiums: Sequence[Premium]) -> list[FundingEntry]:
        """The settlements that these are, each going on from the one before; those after a late one are made anew."""
        if not premiums:
            return []
        rules, markets = self.protocol.section.funding, {one.market_id for one in premiums}
        newest = funding.newest(session, self.protocol.name, markets)
        late = [one for one in premiums if one.market_id in newest and one.place < newest[one.market_id].place]
        if late:
            premiums = [*premiums, *self._unsettled(session, late)]
            newest = funding.newest(session, self.protocol.name, markets)
        return settlements(premiums, newest, period_seconds=rules.period_seconds, max_rate=rules.max_rate)

    def _unsettled(self, session: Session, since: Sequence[Premium | FundingEntry]) -> list[Premium]:
        """Undo the settlements after each market's first of these places; returns what they were made from."""
        first: dict[str, Place] = {}
        for one in since:
            first[one.market_id] = min(one.place, first.get(one.market_id, one.place))
        undone = [
            place
            for market_id, after in first.items()
            for place in funding.unsettle(session, self.protocol.name, market_id, after)
        ]
        return read_changes(self.protocol, read_events(session, self.protocol.contract_set, undone)).premiums
