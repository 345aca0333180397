"""Reading ahead: the next range comes from the node while the one before goes into the tables."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Generator[T]:
    """The same items in their order, each made in a thread of its own while the caller works on the one before.

    One is made ahead, never more: that bounds the memory, and nothing is gained by two. What making one raises is
    raised here in its place. Close it (`contextlib.closing`) to be sure that nothing is being made any more.
    """
    context = copy_context()  # the ids that log lines carry

    def make() -> T | None:
        return context.run(lambda: next(items, None))

    with ThreadPoolExecutor(1, "read-ahead") as pool:
        coming = pool.submit(make)
        while (item := coming.result()) is not None:
            coming = pool.submit(make)
            yield item
