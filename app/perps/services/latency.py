"""How long a keeper's transaction takes: from the price to the detection, to the broadcast, to its block."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.chain.services.transactions import list_first_broadcasts, list_intents
from app.chain.types.transactions import TERMINAL, IntentStatus
from app.perps.queries import keeper_actions

FOLLOWED_AT_ONCE = 500


def follow(session: Session, protocol: str) -> bool:
    """Note what the chain has made of the planned transactions; says whether there was anything new. O(live), which are
    few.

    One that is final ends here once its event is indexed too, whose block says when it was included.
    """
    live = keeper_actions.list_live(session, protocol, FOLLOWED_AT_ONCE)
    if not live:
        return False
    ids = [row.intent_id for row in live]
    broadcasts = list_first_broadcasts(session, ids)
    # An effect is by its key, which may have had others before: it is the transaction's own, or another's.
    effects = {(row.intent_id, bytes(row.transaction_hash)): row.included_at for row in live if row.transaction_hash}
    known = {row.intent_id: row.broadcast_at for row in live}
    changed: list[dict[str, Any]] = []
    for intent in list_intents(session, ids):
        included_at = effects.get((intent.id, intent.transaction_hash or b""))
        is_final = intent.status is IntentStatus.FINAL
        ended = included_at is not None if is_final else intent.status in TERMINAL
        broadcast_at = broadcasts.get(intent.id)
        if ended or broadcast_at != known[intent.id]:
            changed.append(
                {
                    "intent_id": intent.id,
                    "broadcast_at": broadcast_at,
                    "included_at": included_at if is_final else None,
                    "block_number": intent.block_number if is_final and ended else None,
                    "outcome": intent.status if ended else None,
                }
            )
    keeper_actions.follow(session, changed)
    return bool(changed)
