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
    intents = {intent.id: intent for intent in list_intents(session, ids)}
    broadcasts = list_first_broadcasts(session, ids)
    changed: list[dict[str, Any]] = []
    for row in live:
        intent = intents.get(row.intent_id)
        if intent is None:
            continue
        ended = intent.status in TERMINAL
        included = intent.status is IntentStatus.FINAL and _is_its_effect(row, intent.transaction_hash)
        if intent.status is IntentStatus.FINAL and not included:
            ended = False  # the indexer has yet to read its block
        broadcast_at = broadcasts.get(row.intent_id)
        if ended or broadcast_at != row.broadcast_at:
            changed.append(
                {
                    "intent_id": row.intent_id,
                    "broadcast_at": broadcast_at,
                    "included_at": row.included_at if included else None,
                    "block_number": intent.block_number if included else None,
                    "outcome": intent.status if ended else None,
                }
            )
    keeper_actions.follow(session, changed)
    return bool(changed)


def _is_its_effect(row: Any, transaction_hash: bytes | None) -> bool:
    return row.transaction_hash is not None and bytes(row.transaction_hash) == transaction_hash
