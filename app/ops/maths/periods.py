"""Days and months as partitions know them: their bounds in UTC, and their names (`jobs_archive_p20260102`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.ops.types import PeriodLength

_NAME = re.compile(r".+_p(\d{4})(\d{2})(\d{2})?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A calendar day or month in UTC."""

    start: datetime
    length: PeriodLength

    @classmethod
    def of(cls, moment: datetime, length: PeriodLength) -> Period:
        """The period in which `moment` lies."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(day if length is PeriodLength.DAY else day.replace(day=1), length)

    @property
    def end(self) -> datetime:
        """The next period's first moment."""
        return self.plus(1).start

    def plus(self, periods: int) -> Period:
        """This period moved by so many, forwards or back."""
        if self.length is PeriodLength.DAY:
            return Period(self.start + timedelta(days=periods), self.length)
        years, month = divmod(self.start.month - 1 + periods, 12)
        return Period(self.start.replace(year=self.start.year + years, month=month + 1), self.length)

    def partition(self, table: str) -> str:
        """The name of this period's partition of `table`."""
        return f"{table}_p{self.start:%Y%m%d}" if self.length is PeriodLength.DAY else f"{table}_p{self.start:%Y%m}"


def period_of(partition: str) -> Period | None:
    """The period that a partition's name says; None for a default partition."""
    match = _NAME.fullmatch(partition)
    if match is None:
        return None
    year, month, day = match.groups()
    length = PeriodLength.DAY if day else PeriodLength.MONTH
    return Period(datetime(int(year), int(month), int(day or 1), tzinfo=UTC), length)
