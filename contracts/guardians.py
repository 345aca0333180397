"""The guardians who sign prices on the local chain: one key, known to everyone, worth nothing.

It is guardian 0 of Wormhole's own development network. A contract that trusts it trusts anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey
from eth_hash.auto import keccak

DEVELOPMENT_GUARDIAN_KEY = bytes.fromhex("cfb12303a19cde580bb4dd771639b0d26bc68353645571a8cff516ab2ee113a0")
# Pyth's emitter on its own chain (Wormhole chain 26), as on every real network.
PYTH_EMITTER_CHAIN = 26
PYTH_EMITTER = bytes.fromhex("e101faedac5851e32b9b23b5f9411a8c2bac4aae3ed4dd7b811dd1a72ea4aa71")


@dataclass(frozen=True)
class GuardianSet:
    """A numbered set of guardian keys; a guardian's index is its place in `keys`."""

    index: int
    keys: tuple[bytes, ...]

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """Their 20-byte addresses, in index order."""
        return tuple(_address(key) for key in self.keys)

    @property
    def quorum(self) -> int:
        """How many signatures an update needs: more than two thirds."""
        return len(self.keys) * 2 // 3 + 1

    def sign(self, digest: bytes, indexes: tuple[int, ...] | None = None) -> bytes:
        """Wormhole signatures over `digest` (66 bytes each), by the first quorum of guardians or by `indexes`."""
        chosen = range(self.quorum) if indexes is None else indexes
        return b"".join(bytes([i]) + PrivateKey(self.keys[i]).sign_recoverable(digest, hasher=None) for i in chosen)


def _address(key: bytes) -> bytes:
    return keccak(PrivateKey(key).public_key.format(compressed=False)[1:])[-20:]


DEVELOPMENT_GUARDIANS = GuardianSet(index=0, keys=(DEVELOPMENT_GUARDIAN_KEY,))
