"""The prices the local server publishes: a small seeded random walk a second, and what a developer has ordered.

Pure but for what it remembers: the time is always an argument, and no network or clock is touched.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from contracts.feeds import EXPO, Feed
from contracts.pnau import Accumulator, PriceMessage

HISTORY_SECONDS = 3600
DEFAULT_STEP_PPM = 60
_FIRST_SLOT = 138_881_186
_MILLION = 1_000_000


@dataclass(frozen=True)
class Snapshot:
    """Every feed's message as of one slot; signed when first asked for."""

    slot: int
    at: int
    messages: tuple[PriceMessage, ...]

    @cached_property
    def accumulator(self) -> Accumulator:
        """The messages under a signed root."""
        return Accumulator(self.messages, slot=self.slot, timestamp=self.at)

    def find(self, price_id: bytes) -> PriceMessage | None:
        """A feed's message, or None for an unknown feed."""
        return next((message for message in self.messages if message.price_id == price_id), None)


@dataclass
class FeedState:
    """One feed's walk around its base price, and its orders."""

    feed: Feed
    base_price: int
    conf_bps: int = 5
    frozen: bool = False
    stale_seconds: int = 0
    offset_ppm: int = 0
    message: PriceMessage | None = None
    ordered: bool = False  # an order not yet published: even a frozen feed shows it once

    def publish(self, now: int, step_ppm: int, chance: random.Random) -> PriceMessage:
        """The feed's message at `now`; a frozen feed repeats its last one, an aged one is dated in the past."""
        if self.frozen and self.message is not None and not self.ordered:
            return self.message
        self.ordered = False
        # A fiftieth of the way home each second keeps the walk within some tens of steps of its base.
        self.offset_ppm += chance.randint(-step_ppm, step_ppm) - self.offset_ppm // 50
        price = self.base_price + self.base_price * self.offset_ppm // _MILLION
        publish_time = now - self.stale_seconds
        last = self.message
        ema = price if last is None else last.ema_price + (price - last.ema_price) // 32
        conf = price * self.conf_bps // 10_000
        self.message = PriceMessage(
            price_id=self.feed.price_id,
            price=price,
            conf=conf,
            expo=EXPO,
            publish_time=publish_time,
            prev_publish_time=min(publish_time, last.publish_time if last else publish_time - 1),
            ema_price=ema,
            ema_conf=conf,
        )
        return self.message

    def order(self, price: int | None, conf_bps: int | None, frozen: bool | None, stale_seconds: int | None) -> None:
        """Change what is given; a price also ends the walk's present excursion."""
        self.ordered = any(value is not None for value in (price, conf_bps, stale_seconds))
        if price is not None:
            self.base_price, self.offset_ppm = price, 0
        if conf_bps is not None:
            self.conf_bps = conf_bps
        if frozen is not None:
            self.frozen = frozen
        if stale_seconds is not None:
            self.stale_seconds = stale_seconds


class PriceBook:
    """The published snapshots of the last hour, one a second and one more for each order."""

    def __init__(self, feeds: Sequence[Feed], *, seed: int, now: int, step_ppm: int = DEFAULT_STEP_PPM):
        self.states = {feed.symbol: FeedState(feed, feed.start_price) for feed in feeds}
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable walk, not a secret
        self._step_ppm = step_ppm
        self._history: deque[Snapshot] = deque(maxlen=HISTORY_SECONDS)
        # A minute of past, so that a question about the time just before the start has an answer.
        for second in range(now - 60, now + 1):
            self._publish(second, step_ppm)

    @property
    def feeds(self) -> list[Feed]:
        """The feeds it publishes."""
        return [state.feed for state in self.states.values()]

    def advance(self, now: int) -> Snapshot:
        """Publish every second up to `now` that is missing, and return the newest snapshot."""
        for second in range(self._history[-1].at + 1, now + 1):
            self._publish(second, self._step_ppm)
        return self._history[-1]

    def first_since(self, publish_time: int, price_ids: Sequence[bytes]) -> Snapshot | None:
        """The first snapshot in which all these feeds are dated `publish_time` or later; None when there is none, or
        when the time lies before what is remembered."""
        if publish_time < self._history[0].at:
            return None
        for snapshot in self._history:
            dates = [message.publish_time for message in snapshot.messages if message.price_id in price_ids]
            if dates and min(dates) >= publish_time:
                return snapshot
        return None

    def order(
        self,
        symbol: str,
        now: int,
        *,
        price: int | None = None,
        conf_bps: int | None = None,
        frozen: bool | None = None,
        stale_seconds: int | None = None,
    ) -> FeedState:
        """Change a feed's orders (KeyError: no such symbol) and publish at once, at exactly the ordered price."""
        state = self.states[symbol]
        self.advance(now)
        state.order(price, conf_bps, frozen, stale_seconds)
        self._publish(self._history[-1].at, step_ppm=0)
        return state

    def _publish(self, now: int, step_ppm: int) -> None:
        slot = self._history[-1].slot + 1 if self._history else _FIRST_SLOT
        messages = tuple(state.publish(now, step_ppm, self._chance) for state in self.states.values())
        self._history.append(Snapshot(slot, now, messages))
