"""What one indexing call is handed: nothing of it is looked up, and only the edge's callables commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.chain.types.blocks import ContractSet, Projection
from app.chain.types.indexing import Alarm, IndexOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A contract set to index, and the edge's means.

    `projections` by contract set's name: this set's are fed, but all of the chain's are rolled back by a reorg, so
    hand in every one there is. `commit` commits the session (a job's step, a command line's commit); `alarm` records an
    alarm in a transaction of its own.
    """

    session: Session
    contracts: ContractSet
    commit: Callable[[], None]
    alarm: Callable[[Alarm], None]
    options: IndexOptions = field(default_factory=IndexOptions)
    projections: Mapping[str, Sequence[Projection]] = field(default_factory=dict)

    def own_projections(self) -> Sequence[Projection]:
        """Those fed by this contract set's events."""
        return self.projections.get(self.contracts.name, ())

    def all_projections(self) -> Iterator[Projection]:
        """Every projection, each once."""
        seen: list[Projection] = []
        for projection in (one for group in self.projections.values() for one in group):
            if projection not in seen:
                seen.append(projection)
                yield projection
