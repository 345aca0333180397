"""Decides whether an update is what its publishers signed. The same checks as the contracts make, before gas is paid.

One bad part refuses the whole: UpdateInvalid carries the reason. The order is cheap first: set, emitter, form of the
signatures, their recovery, then the Merkle paths. Source of the scheme: Wormhole's `Messages.sol` and Pyth's
`PythAccumulator.sol` (leaf and node prefixes 0 and 1, hashes cut to 20 bytes, the smaller child first).

Cost: one key recovery a signature and one hash a path node, so O(signatures + messages · log messages in the tree).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from coincurve import PublicKey
from eth_hash.auto import keccak

from app.oracle.errors import UpdateInvalid
from app.oracle.maths.pnau import HASH_BYTES
from app.oracle.maths.price import check_expo
from app.oracle.maths.validity import REFUSALS, outside_window
from app.oracle.types.prices import Price
from app.oracle.types.updates import (
    Leaf,
    ParsedUpdate,
    PriceMessage,
    Signature,
    SignerSet,
    Trust,
    Vaa,
    VerifiedUpdate,
    Window,
)

LEAF = b"\x00"
NODE = b"\x01"
# The last second of the year 9999: what a datetime can hold.
MAX_UNIX_SECONDS = 253_402_300_799


def verify_answer(
    updates: Sequence[ParsedUpdate], asked: Collection[bytes], trust: Trust, now: datetime
) -> tuple[VerifiedUpdate, ...]:
    """Every update verified, and each asked feed in them exactly once and no other; raises UpdateInvalid."""
    verified = tuple(verify_update(update, trust, now) for update in updates)
    found = [price.feed for update in verified for price in update.prices]
    if len(set(found)) != len(found):
        raise UpdateInvalid("feed_twice")
    if set(asked) - set(found):
        raise UpdateInvalid("feed_absent")
    if set(found) - set(asked):
        raise UpdateInvalid("feed_not_asked_for")
    return verified


def verify_update(update: ParsedUpdate, trust: Trust, now: datetime) -> VerifiedUpdate:
    """The update's prices, if the trusted set signed them; raises UpdateInvalid. Times are not judged here."""
    vaa = update.vaa
    check_set(vaa, trust.signers, now)
    if (vaa.emitter_chain, vaa.emitter) != (trust.emitter_chain, trust.emitter):
        raise UpdateInvalid("wrong_emitter")
    signers = recover_signers(vaa, trust.signers)
    for leaf in update.leaves:
        if merkle_root(leaf) != vaa.root:
            raise UpdateInvalid("merkle_path")
    return VerifiedUpdate(
        raw=update.raw,
        prices=tuple(_price(message, vaa) for message in update.prices),
        signers=signers,
        sequence=vaa.sequence,
        slot=vaa.slot,
    )


def require_window(prices: Iterable[Price], window: Window, now: datetime) -> None:
    """Every publish time lies in the window around `now`; raises PriceStale or PriceFromTheFuture naming the feed."""
    for price in prices:
        if (verdict := outside_window(price.publish_time, window, now)) is not None:
            raise REFUSALS[verdict](feed="0x" + price.feed.hex())


def check_set(vaa: Vaa, signers: SignerSet, now: datetime) -> None:
    """The update names the trusted set, which has not expired; raises UpdateInvalid."""
    if signers.index is not None and vaa.set_index != signers.index:
        raise UpdateInvalid("unknown_signer_set")
    if signers.expires_at is not None and now > signers.expires_at:
        raise UpdateInvalid("signer_set_expired")


def recover_signers(vaa: Vaa, signers: SignerSet) -> tuple[bytes, ...]:
    """The addresses that signed, a quorum of them, each in its own place, in rising order; raises UpdateInvalid."""
    if len(vaa.signatures) < signers.quorum:
        raise UpdateInvalid("no_quorum")
    places = [signature.signer for signature in vaa.signatures]
    if any(after <= before for before, after in pairwise(places)):
        raise UpdateInvalid("signers_not_ascending")
    if places and places[-1] >= len(signers.signers):
        raise UpdateInvalid("signer_out_of_range")
    digest = keccak(keccak(vaa.body))
    recovered = tuple(recover_address(signature, digest) for signature in vaa.signatures)
    if any(address != signers.signers[place] for place, address in zip(places, recovered, strict=True)):
        raise UpdateInvalid("wrong_signer")
    return recovered


def recover_address(signature: Signature, digest: bytes) -> bytes:
    """The 20-byte address whose key made the signature; raises UpdateInvalid when there is none."""
    if signature.recovery > 1:
        raise UpdateInvalid("bad_signature")  # the chain's ecrecover knows 27 and 28 only
    try:
        key = PublicKey.from_signature_and_message(signature.rs + bytes((signature.recovery,)), digest, hasher=None)
    except ValueError as error:
        raise UpdateInvalid("bad_signature") from error
    return bytes(keccak(key.format(compressed=False)[1:])[-HASH_BYTES:])


def merkle_root(leaf: Leaf) -> bytes:
    """The root that a message and its path lead to."""
    node = keccak(LEAF + leaf.message)[:HASH_BYTES]
    for sibling in leaf.path:
        node = keccak(NODE + min(node, sibling) + max(node, sibling))[:HASH_BYTES]
    return bytes(node)


def _price(message: PriceMessage, vaa: Vaa) -> Price:
    if not 0 <= message.publish_time <= MAX_UNIX_SECONDS:
        raise UpdateInvalid("publish_time_out_of_range")
    return Price(
        feed=message.feed,
        price=message.price,
        conf=message.conf,
        expo=check_expo(message.expo),
        publish_time=datetime.fromtimestamp(message.publish_time, UTC),
        ema_price=message.ema_price,
        ema_conf=message.ema_conf,
        slot=vaa.slot,
        sequence=vaa.sequence,
    )
