"""The perps' tables as a projection of a protocol's events, as the indexer drives it.

The law: any order of applying, rolling back and applying again ends equal to a clean fold of what is in the chain. It
rests on three things: an event is folded in once, known by its place; what does not simply continue a position has it
folded from its first event; and open interest moves by the difference of the positions' own rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.chain.types.blocks import Event
from app.perps.maths.premium import settlements
from app.perps.queries import folded_events, funding, pnl
from app.perps.queries.folded_events import Entity
from app.perps.services.feeds import follow_feeds
from app.perps.services.market_folds import fold_markets, note_terms
from app.perps.services.position_folds import fold_again, fold_positions
from app.perps.services.reading import read_changes
from app.perps.types.changes import FundingEntry, Premium
from app.perps.types.positions import PnlEntry
from app.perps.types.protocol import PerpsProtocol


class PerpsProjection:
    """One protocol's markets, positions, settlements and liquidations. Commits nothing."""

    def __init__(self, protocol: PerpsProtocol):
        self.protocol = protocol

    def apply(self, session: Session, events: Sequence[Event]) -> None:
        """Fold in events, which are in `chain_events` already; raises UnreadableEvent. O(events)."""
        changes = read_changes(self.protocol, events)
        moves = fold_positions(session, self.protocol, changes.positions)
        self._note_accounts(session, changes.accounts)
        relisted = note_terms(session, self.protocol, changes.markets)
        settled_by = [*changes.funding, *self._by_premium(session, changes.premiums)]
        funding.add(session, self.protocol.name, settled_by)
        settled = {entry.market_id for entry in settled_by}
        listed = fold_markets(session, self.protocol, relisted=relisted, settled=settled, moves=moves)
        follow_feeds(session, listed)

    def _note_accounts(self, session: Session, entries: Sequence[PnlEntry]) -> None:
        pnl.add(session, self.protocol.name, entries)
        touched = [(one.owner, (one.place.block_number, one.place.log_index)) for one in entries]
        pnl.run(session, self.protocol.name, touched, cross=self.protocol.section.is_cross)

    def _by_premium(self, session: Session, premiums: Sequence[Premium]) -> list[FundingEntry]:
        if not premiums:
            return []
        rules = self.protocol.section.funding
        newest = funding.newest(session, self.protocol.name, {one.market_id for one in premiums})
        return settlements(premiums, newest, period_seconds=rules.period_seconds, max_rate=rules.max_rate)

    def rollback(self, session: Session, chain_id: int, from_block: int) -> None:
        """Fold again, from what is left in `chain_events`, all that came from `from_block` or above. O(touched)."""
        if chain_id != self.protocol.chain_id:
            return
        touched = folded_events.drop(session, self.protocol.name, from_block)
        settled = funding.drop(session, self.protocol.name, from_block)
        if self.protocol.section.is_computed:  # what came after a slot that is open again has other indexes
            again = pnl.since(session, self.protocol.name, settled).values()
            touched[Entity.POSITION].update(key for found in again for key in found.keys)
        gone = pnl.drop_accounts(session, self.protocol.name, from_block)
        pnl.run(session, self.protocol.name, gone, cross=self.protocol.section.is_cross)
        moves = fold_again(session, self.protocol, touched[Entity.POSITION])
        fold_markets(session, self.protocol, relisted=touched[Entity.MARKET], settled=settled, moves=moves)
