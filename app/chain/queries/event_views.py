"""Views of decoded events, for people who read by SQL. Their text is made from ABIs, whose names are folded first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.maths.words import WORD, Place, places
from app.chain.types.abi import Argument, EventAbi

NAME_BYTES = 63
"""What Postgres keeps of a name."""

COLUMNS = (
    "chain_id",
    "block_number",
    "block_hash",
    "mined_at",
    "transaction_hash",
    "transaction_index",
    "log_index",
    "address",
    "decode_error",
)

LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('chain_event_views', 0))")

# Our comment on a view says whose it is and what it was made from.
EXISTING = text(
    """
    SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND starts_with(c.relname, 'ev_')
    """
)


def existing(session: Session) -> dict[str, str | None]:
    """Every relation whose name begins like a view of ours, with its comment; nobody else makes one meanwhile."""
    session.execute(LOCK)
    return {row.name: row.comment for row in session.execute(EXISTING)}


def drop(session: Session, name: str) -> None:
    """Drop a view; fails when another view is built on it."""
    _run(session, f"DROP VIEW {_quoted(name)}")


def create(session: Session, name: str, definition: str, comment: str) -> None:
    """Make a view, with our comment on it."""
    _run(session, f"CREATE VIEW {_quoted(name)} AS {definition}")
    _run(session, f"COMMENT ON VIEW {_quoted(name)} IS '{comment}'")


def definition(chain_id: int, event: EventAbi, emitted_by: str, named_topics: Sequence[bytes] = ()) -> str:
    """The SELECT of a view: rows of the event that have its topics and all of its data's head.

    `emitted_by` is the condition on the address. An anonymous event is a row whose first topic is none of
    `named_topics`. Whether a word has bits outside its type is not looked at: `decode_error` says it.
    """
    laid_out = places(event)
    topics = (0 if event.topic is None else 1) + sum(place.topic is not None for place in laid_out)
    head = sum(place.words for place in laid_out if place.topic is None) * WORD
    columns = [*COLUMNS, *_argument_columns(laid_out)]
    conditions = [
        f"chain_id = {chain_id}",
        emitted_by,
        *([f"topic0 = {_bytes(event.topic)}"] if event.topic is not None else []),
        *([f"topic{topics - 1} IS NOT NULL"] if topics > 1 or (topics and event.topic is None) else []),
        *([f"topic{topics} IS NULL"] if topics < 4 else []),
        *([f"topic0 NOT IN ({', '.join(map(_bytes, named_topics))})"] if named_topics and topics else []),
        *([f"length(data) >= {head}"] if head else []),
    ]
    return f"SELECT {', '.join(columns)} FROM chain_events WHERE {' AND '.join(conditions)}"  # noqa: S608


def emitted_by(chain_id: int, protocol: str, addresses: Sequence[bytes], made: Sequence[str]) -> str:
    """The condition that a row is of one of these addresses, or of a contract by one of these names that was made."""
    known = ", ".join(_bytes(address) for address in addresses)
    names = ", ".join(f"'{name}'" for name in made)
    children = (
        "SELECT c.address FROM chain_children c"  # noqa: S608 - names of a checked file
        f" WHERE c.chain_id = {chain_id} AND c.protocol = '{protocol}' AND c.contract IN ({names})"
    )
    parts = [*([f"address IN ({known})"] if known else []), *([f"address IN ({children})"] if names else [])]
    return f"({' OR '.join(parts)})"


def _argument_columns(laid_out: Sequence[Place]) -> Iterator[str]:
    taken = set(COLUMNS)
    for number, place in enumerate(laid_out):
        name = column_name(place.argument, number, taken)
        taken.add(name)
        yield f"{_value(place)} AS {_quoted(name)}"


def column_name(argument: Argument, number: int, taken: set[str]) -> str:
    """The argument's name as SQL reads it when nobody quotes it: in lower case; numbered where it is taken."""
    name = folded(argument.name)
    return name if name not in taken else f"{name[: NAME_BYTES - 4]}_{number}"


def folded(name: str) -> str:
    """A name of an ABI as Postgres folds it, cut to what Postgres keeps."""
    return re.sub(r"[^a-z0-9_$]", "_", name.lower())[:NAME_BYTES]


def _value(place: Place) -> str:
    type_ = place.argument.type
    if place.topic is not None:
        return _word_value(type_, f"topic{place.topic}")
    if place.is_dynamic:
        function = {"string": "chain_text", "bytes": "chain_bytes"}.get(type_, "chain_tail")
        return f"{function}(data, {place.word})"
    words = f"substring(data FROM {place.word * WORD + 1} FOR {place.words * WORD})"
    return _word_value(type_, words)


def _word_value(type_: str, word: str) -> str:
    """A word by its type; what is no single word (an array, a struct, an indexed one's hash) stays as it is."""
    if type_ == "address":
        return f"substring({word} FROM 13 FOR 20)"
    if type_ == "bool":
        return f"substring({word} FROM 32 FOR 1) = '\\x01'::bytea"
    if found := re.fullmatch(r"(u?)int[0-9]+", type_):
        return f"{'chain_uint' if found[1] else 'chain_int'}({word})"
    if found := re.fullmatch(r"bytes([0-9]+)", type_):
        return f"substring({word} FROM 1 FOR {found[1]})"
    return word


def _run(session: Session, statement: str) -> None:
    session.connection().exec_driver_sql(statement)


def _quoted(name: str) -> str:
    """Names are folded already; quotes are for those that are words of SQL (`user`, `from`)."""
    return f'"{name}"'


def _bytes(value: bytes) -> str:
    return f"'\\x{value.hex()}'::bytea"
