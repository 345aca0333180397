"""The body of `manage.py signer balances`: what the node and the tables say of a key. It only reads."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any

from eth_utils.address import to_checksum_address
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.chain.adapters.providers import Providers
from app.chain.adapters.transactions import read_account
from app.chain.queries import signers

WEI_A_COIN = Decimal(10**18)


def balances(engine: Engine, providers: Providers, address: bytes, *, as_json: bool) -> str:
    """The signer's native balance, its nonces, and whether it may send, for a person or for programs; wei are digits in
    a string. Raises the classes of chain.errors when no node answers."""
    node, account = providers.pin(partial(read_account, address=address))
    with Session(engine) as session:
        state = signers.find(session, providers.chain_id, address)
    report = {
        "address": to_checksum_address(address),
        "chain_id": providers.chain_id,
        "node": node.name,
        "balance_wei": str(account.balance_wei),
        "latest_nonce": account.latest_nonce,
        "pending_nonce": account.pending_nonce,
        "next_nonce": None if state is None else state.next_nonce,
        "halt_reason": None if state is None else state.halt_reason,
        "breaker_reason": None if state is None else state.breaker_reason,
    }
    return json.dumps(report) if as_json else _as_text(report)


def _as_text(report: dict[str, Any]) -> str:
    coins = format(Decimal(report["balance_wei"]) / WEI_A_COIN, "f")
    ours = "none handed out yet" if report["next_nonce"] is None else f"our next is {report['next_nonce']}"
    lines = [
        f"{report['address']} on chain {report['chain_id']}, as {report['node']} sees it",
        f"balance  {coins} ({report['balance_wei']} wei)",
        f"nonces   latest {report['latest_nonce']}, pending {report['pending_nonce']}; {ours}",
        f"halted   {report['halt_reason'] or 'no'}",
        f"breaker  {report['breaker_reason'] or 'closed'}",
    ]
    return "\n".join(lines)
