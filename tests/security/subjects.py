"""What a call is about, made anew for each: a job in some state, a key, a user. Paths and bodies name its parts."""

from __future__ import annotations

import secrets

from sqlalchemy.orm import Session

from app.chain.queries.alarms import raise_alarm
from app.chain.services.transactions import plan_transaction
from app.chain.types.indexing import Alarm
from app.core.clock import utc_now
from app.jobs.jobs import PROBE
from app.jobs.services.enqueue import enqueue
from app.jobs.types import NewJob
from contracts.feeds import FEEDS
from tests.accounts.conftest import PASSWORD
from tests.perps.history import CHAIN_ID, our_protocol
from tests.security.world import Person, World

Parts = dict[str, str]

RUNNING = (
    "UPDATE jobs SET status = 'running', attempt = 1, claim_token = gen_random_uuid(),"
    " lease_until = now() + interval '1 hour', started_at = now() WHERE id = :id"
)
IN_DOUBT = "UPDATE jobs SET status = 'in_doubt', claim_token = NULL, lease_until = NULL WHERE id = :id"
NOTHING_QUEUED = "UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE status = 'queued'"
NOTHING_LATE = "UPDATE schedules SET next_at = now() + interval '1 day'"
HALTED = "UPDATE chain_cursors SET halted_at = now(), halted_reason = 'a fork below finality'"
NEW_SIGNER = (
    "INSERT INTO chain_signers (chain_id, address, next_nonce, seen_block, created_at)"
    " VALUES (:chain_id, :address, 0, 0, now())"
)
SIGNER = b"\x51" * 20
CANCELLED = "UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE id = :id"


def nothing(_world: World, _owner: Person) -> Parts:
    """The call names nothing."""
    return {}


def queued_job(world: World, owner: Person) -> Parts:
    with Session(world.engine) as session:
        job_id = enqueue(session, NewJob(kind=PROBE, params={}, principal=owner.principal))
        session.commit()
    return {"job_id": str(job_id)}


def ended_job(world: World, owner: Person) -> Parts:
    return _moved(world, queued_job(world, owner), CANCELLED)


def job_in_doubt(world: World, owner: Person) -> Parts:
    return _moved(world, queued_job(world, owner), RUNNING, IN_DOUBT)


def api_key(world: World, owner: Person) -> Parts:
    """A key without scopes, which anybody may rotate who owns it."""
    with Session(world.engine) as session:
        key = world.make_key(session, owner.user._replace(scopes=[]))
        session.commit()
    return {"key_id": str(key.key.id)}


def user(world: World, _owner: Person) -> Parts:
    """Somebody else, signed in."""
    person = world.person()
    return {
        "user_id": str(person.user.id),
        "login": person.user.login,
        "password": PASSWORD,
        "refresh_token": person.tokens["refresh_token"],
    }


def new_login(_world: World, _owner: Person) -> Parts:
    """A login that nobody has."""
    return {"login": f"n{secrets.token_hex(6)}"}


def rest(world: World, _owner: Person) -> Parts:
    """Nothing waits and nothing is late: the whole of it is ready, though no worker runs here."""
    world.sql(NOTHING_QUEUED)
    world.sql(NOTHING_LATE)
    return {}


def one_schedule(_world: World, _owner: Person) -> Parts:
    return {"name": "prices"}


def idle_schedule(world: World, _owner: Person) -> Parts:
    """A schedule whose job is not queued: running it twice at once is a conflict."""
    world.sql(NOTHING_QUEUED)
    return {"name": "prune"}


def feed(_world: World, _owner: Person) -> Parts:
    return {"name": f"0x{FEEDS[0].price_id.hex()}"}


def transaction(world: World, _owner: Person) -> Parts:
    """A transaction that has no nonce yet."""
    with Session(world.engine) as session:
        intent_id = plan_transaction(
            session,
            chain_id=CHAIN_ID,
            signer=SIGNER,
            action="test.touch",
            subject=secrets.token_hex(6),
            purpose="to be looked at",
            to=SIGNER,
            data=b"",
            now=utc_now(),
        )
        session.commit()
    return {"transaction_id": str(intent_id)}


def halted_signer(world: World, _owner: Person) -> Parts:
    return _signer(world, "halted_at = now(), halt_reason = 'somebody else has the key'")


def tripped_signer(world: World, _owner: Person) -> Parts:
    return _signer(world, "breaker_opened_at = now(), breaker_reason = 'too many reverts'")


def alarm(world: World, _owner: Person) -> Parts:
    """An open alarm."""
    raised = Alarm(chain_id=CHAIN_ID, contract_set="", kind="transaction_lost", subject=secrets.token_hex(6))
    with Session(world.engine) as session:
        raise_alarm(session, raised)
        session.commit()
    found = world.sql("SELECT id FROM chain_alarms WHERE subject = :subject", subject=raised.subject)
    return {"alarm_id": str(found.scalar_one())}


def halted_set(world: World, _owner: Person) -> Parts:
    world.sql(HALTED)
    return {"name": our_protocol().name}


def market(_world: World, _owner: Person) -> Parts:
    return {"protocol": our_protocol().name, "market_id": "1"}


def position(_world: World, _owner: Person) -> Parts:
    return {"protocol": our_protocol().name, "key": "1"}


def order(_world: World, _owner: Person) -> Parts:
    return {"protocol": our_protocol().name, "key": "1"}


def _signer(world: World, state: str) -> Parts:
    address = secrets.token_bytes(20)
    world.sql(NEW_SIGNER, chain_id=CHAIN_ID, address=address)
    world.sql(f"UPDATE chain_signers SET {state} WHERE address = :address", address=address)  # noqa: S608 - our own words
    return {"address": "0x" + address.hex()}


def _moved(world: World, parts: Parts, *statements: str) -> Parts:
    for statement in statements:
        world.sql(statement, id=parts["job_id"])
    return parts
