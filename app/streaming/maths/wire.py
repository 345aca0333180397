"""What goes over the wire. Payloads are JSON already and stay as they are: nothing is parsed to be sent on."""

from __future__ import annotations

import json
import re

from app.core.errors import AppError
from app.streaming.errors import BadResume
from app.streaming.types import Message, Notice, Resumed, Snapshot

_ID = re.compile(r"0|[1-9][0-9]{0,17}")


def event_text(number: int, name: str, at: str, payload: str) -> str:
    """An event as a JSON object."""
    return f'{{"id":"{number}","topic":{json.dumps(name)},"at":"{at}","data":{payload}}}'


def parse_resume(given: str | None) -> int | None:
    """The id to go on from, None when none is given; raises BadResume."""
    if not given:
        return None
    if not _ID.fullmatch(given):
        raise BadResume()
    return int(given)


def as_websocket(message: Message) -> str:
    """One text message; events that wait together go together."""
    match message:
        case Snapshot() | Resumed() | Notice():
            return _control(message)
        case _:
            return '{"type":"events","events":[' + ",".join(frame.text for frame in message) + "]}"


def as_sse(message: Message) -> bytes:
    """One or more SSE events; a heartbeat is a comment."""
    match message:
        case Snapshot(number=number):
            return f"id: {number}\nevent: snapshot\ndata: {_control(message)}\n\n".encode()
        case Resumed():
            return f"event: resumed\ndata: {_control(message)}\n\n".encode()
        case Notice(word="heartbeat"):
            return b": heartbeat\n\n"
        case Notice(word=word):
            return f"event: {word}\ndata: {_control(message)}\n\n".encode()
        case _:
            return b"".join(frame.sse for frame in message)


def sse_close(error: AppError) -> bytes:
    """The last event of a stream that we end: the problem."""
    return f"event: close\ndata: {json.dumps(error.as_dict())}\n\n".encode()


def _control(message: Snapshot | Resumed | Notice) -> str:
    match message:
        case Snapshot(number=number, reset=reset, topics=topics):
            lists = ",".join(f"{json.dumps(name)}:[{','.join(items)}]" for name, items in topics.items())
            return f'{{"type":"snapshot","id":"{number}","reset":{json.dumps(reset)},"topics":{{{lists}}}}}'
        case Resumed(number=number):
            return f'{{"type":"resumed","id":"{number}"}}'
        case Notice(word=word):
            return f'{{"type":"{word}"}}'
