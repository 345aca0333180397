"""Pyth's Hermes, over REST and as a stream: one batched request for many feeds, its form checked, nothing believed yet.

The binary part is the authority and is verified by `maths.verification`; the parsed part must say the same, because a
server that contradicts itself is broken. The key and the URL are settings: the service moved hosts and signers before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from pydantic import SecretStr

from app.core.logging import get_logger
from app.oracle.adapters.event_source import EventReader
from app.oracle.adapters.hermes_http import BACKOFF_SECONDS, MAX_ANSWER_BYTES, FeedsNotFound, HermesHttp
from app.oracle.errors import SourceAnswerInvalid, SourceUnavailable
from app.oracle.maths.pnau import parse_update
from app.oracle.types.updates import ParsedUpdate, PriceMessage, SourceAnswer

LATEST = "/v2/updates/price/latest"
STREAM = "/v2/updates/price/stream"
# 76 bytes of URL a feed: a hundred stay under the 8 KB that proxies allow.
FEEDS_A_REQUEST = 100
MISSING_ROUNDS = 3


class _Binary(msgspec.Struct):
    encoding: str
    data: list[str]


class _Price(msgspec.Struct):
    price: str
    conf: str
    expo: int
    publish_time: int


class _Parsed(msgspec.Struct):
    id: str
    price: _Price
    ema_price: _Price


class _Latest(msgspec.Struct):
    binary: _Binary
    parsed: list[_Parsed]


log = get_logger(__name__)
_DECODER = msgspec.json.Decoder(_Latest)


class Hermes:
    """The price service at `url` (with or without a trailing slash); `api_key` goes into the Authorization header."""

    def __init__(
        self,
        url: str,
        api_key: SecretStr | None = None,
        *,
        timeout_seconds: float = 5.0,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        self._http = HermesHttp(url, api_key, timeout_seconds=timeout_seconds, backoff_seconds=backoff_seconds)

    def latest(self, feeds: Iterable[bytes]) -> SourceAnswer:
        """The newest signed updates of `feeds`, unverified, and the feeds that Hermes does not have.

        One request a hundred feeds; a feed it does not have costs one more and does not take the rest down. Raises
        SourceUnavailable (retryable), SourceRefused, SourceAnswerInvalid or UpdateInvalid.
        """
        wanted = list(dict.fromkeys(feeds))
        updates: list[ParsedUpdate] = []
        missing: set[bytes] = set()
        for start in range(0, len(wanted), FEEDS_A_REQUEST):
            part, absent = self._latest_known(wanted[start : start + FEEDS_A_REQUEST])
            updates.extend(part)
            missing |= absent
        return SourceAnswer(tuple(updates), frozenset(missing))

    def stream(self, feeds: Iterable[bytes], *, silence_seconds: float) -> Iterator[tuple[ParsedUpdate, ...]]:
        """The signed updates of `feeds` as they are published, unverified, until the stream fails, as every one does.

        A feed that Hermes does not have is left out. Comments that keep the connection alive are no sign of life: the
        stream has failed when `silence_seconds` bring no update. Raises SourceUnavailable (also for a stream that ends,
        as Hermes' do after a day), SourceRefused, SourceAnswerInvalid or UpdateInvalid.
        """
        left = list(feeds)
        for _ in range(MISSING_ROUNDS):
            try:
                yield from self._follow(left, silence_seconds)
            except FeedsNotFound as answer:
                left = [feed for feed in left if feed not in answer.feeds]
                log.warning("hermes_stream_without_feeds", missing=["0x" + feed.hex() for feed in answer.feeds])
            if not left:
                break
        raise SourceUnavailable("Hermes does not have the feeds that are followed.")

    def _follow(self, feeds: Sequence[bytes], silence_seconds: float) -> Iterator[tuple[ParsedUpdate, ...]]:
        query = [*(("ids[]", feed.hex()) for feed in feeds), ("encoding", "hex"), ("parsed", "true")]
        reader, heard_at = EventReader(MAX_ANSWER_BYTES), time.monotonic()
        for piece in self._http.stream(STREAM, query, silence_seconds=silence_seconds):
            for event in reader.feed(piece):
                if event.name == "error":
                    raise SourceUnavailable("Hermes ended the stream with an error.")
                yield read_latest(event.data)
                heard_at = time.monotonic()
            if time.monotonic() - heard_at > silence_seconds:
                raise SourceUnavailable(f"The stream brought no update for {silence_seconds:g} s.")
        raise SourceUnavailable("The stream ended.")

    def _latest_known(self, wanted: Sequence[bytes]) -> tuple[Sequence[ParsedUpdate], frozenset[bytes]]:
        left = list(wanted)
        for _ in range(MISSING_ROUNDS):
            if not left:
                return (), frozenset(wanted)
            try:
                return self._ask(left), frozenset(wanted) - frozenset(left)
            except FeedsNotFound as answer:
                if not answer.feeds & set(left):
                    raise SourceAnswerInvalid(
                        "Hermes says that feeds are missing which were not asked for."
                    ) from answer
                left = [feed for feed in left if feed not in answer.feeds]
        raise SourceUnavailable("Hermes names new missing feeds each time it is asked.")

    def _ask(self, feeds: Sequence[bytes]) -> Sequence[ParsedUpdate]:
        query = [("ids[]", feed.hex()) for feed in feeds]
        body = self._http.get(LATEST, [*query, ("encoding", "hex"), ("parsed", "true")])
        return read_latest(body)


def read_latest(body: bytes) -> tuple[ParsedUpdate, ...]:
    """The updates in an answer; raises SourceAnswerInvalid for another form, UpdateInvalid for a malformed blob."""
    try:
        answer = _DECODER.decode(body)
        if answer.binary.encoding != "hex":
            raise SourceAnswerInvalid("Hermes did not answer in hex.")
        blobs = [bytes.fromhex(blob) for blob in answer.binary.data]
        said = sorted(_said(item) for item in answer.parsed)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SourceAnswerInvalid("Hermes answered in another form than agreed.") from error
    updates = tuple(parse_update(blob) for blob in blobs)
    if said != sorted(_signed(message) for update in updates for message in update.prices):
        raise SourceAnswerInvalid("Hermes' parsed prices differ from its signed ones.")
    return updates


_Line = tuple[bytes, int, int, int, int, int, int]


def _said(item: _Parsed) -> _Line:
    price, ema = item.price, item.ema_price
    if (ema.expo, ema.publish_time) != (price.expo, price.publish_time):
        raise ValueError("price and average of different scale or time")
    numbers = (int(price.price), int(price.conf), price.expo, price.publish_time, int(ema.price), int(ema.conf))
    return bytes.fromhex(item.id.removeprefix("0x")), *numbers


def _signed(message: PriceMessage) -> _Line:
    return (
        message.feed,
        message.price,
        message.conf,
        message.expo,
        message.publish_time,
        message.ema_price,
        message.ema_conf,
    )
