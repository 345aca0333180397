"""Months as the history's partitions know them: names and bounds, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_NAME = re.compile(r"oracle_prices_p(\d{4})(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month in UTC, January being 1."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """The month in which `moment` lies."""
        there = moment.astimezone(UTC)
        return cls(there.year, there.month)

    def plus(self, months: int) -> Month:
        """This month moved by `months`, forwards or back."""
        years, index = divmod(self.month - 1 + months, 12)
        return Month(self.year + years, index + 1)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The next month's first moment."""
        return self.plus(1).start

    @property
    def partition(self) -> str:
        """The name of its partition."""
        return f"oracle_prices_p{self.year:04d}{self.month:02d}"


def month_of(partition: str) -> Month | None:
    """The month that a partition's name says; None for the default partition."""
    match = _NAME.fullmatch(partition)
    return Month(int(match[1]), int(match[2])) if match else None
