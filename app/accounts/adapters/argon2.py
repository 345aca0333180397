"""Password hashing with argon2id. It costs memory by design, so only so many run at once in a process."""

from __future__ import annotations

import secrets
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError


class Passwords:
    """Hashes and verifies; the cost is a setting, and a hash made at another cost is due for a new one."""

    def __init__(self, *, time_cost: int, memory_kib: int, parallelism: int, at_once: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._slots = BoundedSemaphore(at_once)
        self._nobody = self.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """The hash to store, its salt and cost within."""
        with self._slots:
            return self._hasher.hash(password)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one; without a stored hash it takes the same time and is not."""
        with self._slots:
            try:
                return self._hasher.verify(stored or self._nobody, password) and stored is not None
            except (VerifyMismatchError, InvalidHashError):
                return False

    def is_due(self, stored: str) -> bool:
        """True when the hash was made at another cost than is set now."""
        return self._hasher.check_needs_rehash(stored)
