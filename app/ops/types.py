"""Words of operations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PeriodLength(StrEnum):
    """How much time one partition holds."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """A table in partitions by time: made `ahead` periods before they are needed, dropped after `keep`."""

    name: str
    column: str
    length: PeriodLength
    ahead: int
    keep: int
