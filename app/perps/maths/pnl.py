"""What an event did to a position's money: profit, funding and fees apart, and what went through its owner's pocket.

For each position and account, at every moment: equity = transfers + PnL. Without a price in between, equity is what is
held; so what does not come from profit, funding or fees was paid in or taken out.
"""

from __future__ import annotations

from app.perps.types.positions import PnlEntry, Position, PositionStatus, Side


def entry(before: Position | None, after: Position) -> PnlEntry:
    """The difference between a position before and after its last event.

    One that has ended with less than nothing took nothing more from its owner: the rest was borne by others.
    """
    realized = after.realized_pnl_wad - (before.realized_pnl_wad if before else 0)
    funding = after.accumulated_funding_wad - (before.accumulated_funding_wad if before else 0)
    fee = after.fees_wad - (before.fees_wad if before else 0)
    moved = 0
    if after.collateral_wad is not None:
        moved = after.held_wad - (before.held_wad if before else 0) - (realized - funding - fee)
    covered = 0
    if after.status is not PositionStatus.OPEN and moved > 0:
        moved, covered = 0, moved
    transfers = after.net_transfers_wad + moved
    return PnlEntry(
        key=after.key,
        market_id=after.market_id,
        owner=after.owner,
        place=after.last,
        realized_pnl_wad=realized,
        funding_paid_wad=funding,
        fee_wad=fee,
        transfer_wad=moved,
        covered_wad=covered,
        long_moved_wad=_interest(after, Side.LONG) - (_interest(before, Side.LONG) if before else 0),
        short_moved_wad=_interest(after, Side.SHORT) - (_interest(before, Side.SHORT) if before else 0),
        position_pnl_wad=after.net_pnl_wad if after.collateral_wad is None else after.held_wad - transfers,
        position_transfers_wad=transfers,
    )


def _interest(position: Position, side: Side) -> int:
    return position.open_size_wad if position.side is side else 0
