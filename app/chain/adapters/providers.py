"""The providers of one chain, of which a tick pins one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from app.chain import errors
from app.chain.adapters.rpc import Provider
from app.core.logging import get_logger

T = TypeVar("T")
log = get_logger(__name__)


class Providers:
    """The providers of one chain, in order of preference. Builds nothing and asks nothing until it is used."""

    def __init__(self, providers: Sequence[Provider]):
        if not providers:
            raise ValueError("a chain needs at least one provider")
        self._providers = tuple(providers)
        self.chain_id = providers[0].chain_id
        self._heads: dict[str, int] = {}

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._providers)

    def fell_back(self, provider: Provider, head: int) -> int:
        """How far below the last head that this process saw of it a provider's head is now; 0 when it is not."""
        before = self._heads.get(provider.name, head)
        self._heads[provider.name] = head
        return max(0, before - head)

    def pin(self, read: Callable[[Provider], T], *, last: Collection[str] = ()) -> tuple[Provider, T]:
        """The first provider whose `read` succeeds, and what it read; those named in `last` are asked last. Use that
        one for the whole tick.

        Nodes disagree about the head; mixing their answers within a tick would look like a reorg. Raises the last
        provider's failure when none answers; an error of the request itself is raised at once.
        """
        *first, final = sorted(self._providers, key=lambda provider: provider.name in last)
        for provider in first:
            try:
                return provider, read(provider)
            except errors.NODE_FAULTS as failure:
                log.warning("node_passed_over", node=provider.name, code=failure.code)
        return final, read(final)

    def pinned(self, *, last: Collection[str] = ()) -> Provider:
        """A provider that answers, for a tick that begins with no read of its own."""
        return self.pin(lambda provider: provider.call("eth_chainId"), last=last)[0]

    @property
    def requests_sent(self) -> int:
        """Requests sent to all of them since the start."""
        return sum(provider.requests_sent for provider in self._providers)

    def close(self) -> None:
        """Close every connection."""
        for provider in self._providers:
            provider.close()
