"""Why a node does not take a transaction, in the words of geth, erigon, nethermind, besu, reth, anvil and their kin.

The first row that matches decides. No mistake here can lead to two transactions, for a nonce is never given up for what
a node says; but a passing refusal taken for a lasting one would cancel a good transaction, so what no row knows is left
to be tried again. The nodes' own lines are in tests/chain_sender/test_refusals.py.
"""

from __future__ import annotations

import re

from app.chain import errors

Refusal = type[errors.TransactionRefused]

ALREADY_KNOWN = r"already ?known|\bknown transaction|already imported|already in mempool|existing txn? with same hash"
UNDERPRICED = (
    r"underpriced|fee ?(?:per ?gas )?too ?low|gas ?price (?:is |supplied is )?too low|gas price (?:is )?below"
    r"|below (?:the )?(?:\w+ )?minimum|less than (?:block base fee|gas price minimum)|price to replace"
    r"|could not replace existing|replacementnotallowed|replaced by transaction with higher tip"
)
NONCE_TOO_LOW = (
    r"(?<!authority )nonce (?:is )?too low|oldnonce|nonce_too_low|nonce has already been used|pool\(stale\)"
    r"|^(?:\w+: )?mined$"
)
NONCE_TOO_HIGH = (
    r"nonce (?:is )?too (?:high|far)|nonce ?too ?far|nonce ?gap|gapped.nonce|too_far_in_future|too distant"
    r"|with a lower nonce exists"
)
INSUFFICIENT_FUNDS = r"insufficient.?(?:funds|balance)|enough funds|upfront.cost.exceeds"
POOL_FULL = (
    r"pool(?: is)? full|queue(?: is)? full|account limit exceeded|in-flight transaction limit|already reserved"
    r"|too many transactions|tries to replace pending|pending transaction type conflict|pendingtxsofconflictingtype"
)
NEVER = (
    r"intrinsic ?gas|gas ?limit|gas too (?:low|high)|floor data gas|gas required exceeds|overflow|negative ?value"
    r"|(?:higher than|exceeds) max fee|tip above fee cap|configured cap|fee cap exceeded|nonce has max value"
    r"|invalid sender|sender not an eoa|senderiscontract|recover ?sender|resolvesender|invalid signature"
    r"|(?:invalid|wrong) chain ?id|chainid (?:not|is)|eip-?155|initcode"
    r"|oversized|too ?large|too ?long|maxtxsizeexceeded"
    r"|type (?:is )?not (?:supported|activated)|not activated yet|unsupported transaction type|notsupportedtxtype"
)

TABLE: tuple[tuple[re.Pattern[str], Refusal], ...] = tuple(
    (re.compile(words, re.I), refusal)
    for words, refusal in (
        (ALREADY_KNOWN, errors.AlreadyKnown),
        (UNDERPRICED, errors.Underpriced),
        (NONCE_TOO_LOW, errors.NonceTooLow),
        (NONCE_TOO_HIGH, errors.NonceTooHigh),
        (INSUFFICIENT_FUNDS, errors.InsufficientFunds),
        (POOL_FULL, errors.PoolFull),
        (NEVER, errors.TransactionRefused),
    )
)
FUNDS = re.compile(INSUFFICIENT_FUNDS, re.I)


def refusal_of(said: str) -> Refusal | None:
    """The refusal that a node's words mean; None when they are no refusal of the transaction itself."""
    return next((refusal for words, refusal in TABLE if words.search(said)), None)
