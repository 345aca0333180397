"""How far a contract set has been indexed, in what steps, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.chain.types.blocks import Child, Header, Log


@dataclass(frozen=True, slots=True)
class RangeSize:
    """How many blocks to ask for next.

    `ceiling`: the largest size that is thought to work, where one was learned; `successes` counts answers at the
    ceiling since then, after enough of which it is raised.
    """

    blocks: int
    ceiling: int | None = None
    successes: int = 0


@dataclass(frozen=True, slots=True)
class RangeLimits:
    """What a range may grow to: a number of blocks, and the answer's size and events that it aims at.

    `max_addresses`: how many a node takes in one filter.
    """

    max_blocks: int = 1000
    max_addresses: int = 1000
    target_bytes: int = 6 << 20
    target_events: int = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """How far a node's answers are held against blooms and receipts.

    `blooms`, `receipts` and `header_hashes` are off for a chain that fills in no filters, or whose receipt roots or
    block hashes are its own. The others bound the calls that 1,000 blocks may cost: near the head, and where blocks are
    final.
    """

    blooms: bool = True
    receipts: bool = True
    header_hashes: bool = True
    head_calls_per_1000_blocks: int = 1000
    final_calls_per_1000_blocks: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What a provider may do before others are preferred: answers missed in a row, blocks behind the highest head; and
    for how long others are, after that and after a lie. Each time within a day doubles it.
    """

    max_failures: int = 3
    max_lag_blocks: int = 10
    open_seconds: float = 30.0
    quarantine_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Finality:
    """When a block counts as final: `depth` blocks below the head, or, where None, when the node says so."""

    depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """An indexer's tunables. One call takes at most `max_steps` ranges and starts none after `max_seconds`."""

    finality: Finality = Finality()
    header_depth: int = 1024
    limits: RangeLimits = RangeLimits()
    checks: CheckLimits = CheckLimits()
    providers: ProviderLimits = ProviderLimits()
    max_steps: int = 50
    max_seconds: float = 30.0
    halt_on_deep_fork: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a contract set stands: everything from `start_block` to below `next_block` is in the tables.

    `tip_hash` is the hash of block `next_block - 1`, None before the first range. `final_block` is the highest block
    that was ever called final. `lacks_history`: a back-fill still reads below `start_block`, so that projections wait.
    """

    chain_id: int
    name: str
    start_block: int
    next_block: int
    tip_hash: bytes | None
    tip_at: datetime | None
    head_block: int | None
    final_block: int | None
    halted_reason: str | None
    lacks_history: bool

    @property
    def tip_block(self) -> int | None:
        """The last block read, None before the first range."""
        return None if self.tip_hash is None else self.next_block - 1


@dataclass(frozen=True, slots=True)
class Heads:
    """One reading of a node: its head, its finalized block (where asked), and its block at our tip's number."""

    head: Header
    final_block: int | None
    at_tip: Header | None


@dataclass(frozen=True, slots=True)
class Window:
    """A range of blocks read from one node: every header, every log of the contract set, the answer's size, and the
    contracts that were made in it, by address.
    """

    headers: tuple[Header, ...]
    logs: tuple[Log, ...]
    answer_bytes: int
    children: Mapping[bytes, Child] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The first block's number."""
        return self.headers[0].number

    @property
    def last(self) -> Header:
        """The last block."""
        return self.headers[-1]


@dataclass(frozen=True, slots=True)
class Loss:
    """A block whose logs a node did not answer as they are: how many it left out, how many it made up."""

    block_number: int
    missing: int
    invented: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A window after its check: repaired by what is known better. `calls` were spent on it; `unchecked` blocks looked
    suspicious and were beyond the bound; `unusable` says why receipts prove nothing here.
    """

    window: Window
    losses: tuple[Loss, ...] = ()
    calls: int = 0
    unchecked: int = 0
    unusable: str | None = None

    @property
    def repaired(self) -> int:
        """Logs that were put right."""
        return sum(loss.missing + loss.invented for loss in self.losses)


@dataclass(frozen=True, slots=True)
class Rewind:
    """What a fork means: drop `from_block` and above. `deep`: that reaches below what had been called final."""

    from_block: int
    deep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something an operator should see; recorded in a transaction of its own, so that no rollback loses it."""

    chain_id: int
    contract_set: str
    kind: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


COUNTS = ("blocks", "events", "rows", "malformed", "steps", "rewinds", "requests", "checks", "repaired", "unchecked")


@dataclass(slots=True, kw_only=True)
class IndexReport:
    """What one call did. `behind`: it stopped at its bounds with blocks left to read. `checks`: calls that went into
    holding answers against blooms and receipts; `repaired` logs were put right by them, `unchecked` blocks left out.
    """

    chain_id: int
    contract_set: str
    next_block: int = 0
    head_block: int = 0
    final_block: int | None = None
    blocks: int = 0
    events: int = 0
    rows: int = 0
    malformed: int = 0
    steps: int = 0
    rewinds: int = 0
    requests: int = 0
    checks: int = 0
    repaired: int = 0
    unchecked: int = 0
    behind: bool = False

    def add(self, later: IndexReport) -> None:
        """Take in what a later call did: counts add up, positions are the later ones."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(later, name))
        for name in ("next_block", "head_block", "final_block", "behind"):
            setattr(self, name, getattr(later, name))
