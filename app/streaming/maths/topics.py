"""The grammar of topics, and which topics an event is on.

`prices:*`, `prices:<feed id>`; `markets:*`, `markets:<protocol>:<market>`; `positions:<address>`; `liquidations`;
`candles:<protocol>:<market>:<interval>`; `jobs:<id>`. The asterisk is all of a family, and no pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.streaming.errors import TopicUnknown
from app.streaming.types import Topic

ALL = "*"
MARKET = r"[a-z0-9_-]{1,40}:[!-~]{1,200}"
FORMS: Mapping[str, re.Pattern[str]] = {
    "prices": re.compile(r"0x[0-9a-f]{64}"),
    "markets": re.compile(MARKET),
    "positions": re.compile(r"0x[0-9a-f]{40}"),
    "candles": re.compile(MARKET + r":[1-9][0-9]{0,2}[smhdw]"),
    "jobs": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}
SHARED = frozenset({"prices", "markets"})
"""Families whose events share one channel, by subject; the others have a channel a topic."""

SCOPES: Mapping[str, str] = {
    "prices": "oracle:read",
    "markets": "perps:read",
    "positions": "perps:read",
    "liquidations": "perps:read",
    "candles": "perps:read",
    "jobs": "jobs:read",
}
"""What reading each family needs: the same as its route."""


def parse_topic(name: str) -> Topic:
    """The topic called so; hexadecimal digits may be capitals. Raises TopicUnknown."""
    if name == "liquidations":
        return Topic(name, name, name)
    family, _, rest = name.partition(":")
    if family in SHARED and rest == ALL:
        return Topic(name, family, family)
    form = FORMS.get(family)
    rest = rest if family in ("markets", "candles") else rest.lower()
    if form is None or not form.fullmatch(rest):
        raise TopicUnknown(f"There is no topic {name[:80]!r}.")
    name = f"{family}:{rest}"
    return Topic(name, family, family, rest) if family in SHARED else Topic(name, family, name)


def names_of(channel: str, subject: str) -> tuple[str, ...]:
    """The topics that an event is on, its own last; none for events that are not for streams."""
    if channel in SHARED:
        return f"{channel}:{ALL}", f"{channel}:{subject}"
    family = channel.partition(":")[0]
    return (channel,) if channel == "liquidations" or family in FORMS else ()
