"""What one worker process holds: settings, the engine, the adapters. Built lazily, after the fork, once a process."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from functools import cached_property, partial

from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.chain.adapters import from_settings as chain_from_settings
from app.chain.adapters import index_options
from app.chain.adapters.signer import Signer, load_signer, sender_policy
from app.chain.services.parts import ChainParts, load_protocols
from app.chain.services.providers import pinned
from app.chain.services.rehearsal import read, read_all, rehearse
from app.chain.services.sender import advance
from app.chain.types.calls import ContractCall
from app.chain.types.protocols import Protocol
from app.chain.types.sending import SenderPolicy
from app.core.clock import utc_now
from app.core.db import make_engine
from app.core.errors import AppError
from app.core.failpoints import arm
from app.core.redis import make_redis
from app.jobs.adapters.wake import Waker
from app.oracle.adapters import OracleParts
from app.oracle.adapters import from_settings as oracle_from_settings
from app.oracle.services.read import aggregate_quotes, get_quotes
from app.oracle.services.transaction import latest_update
from app.perps.adapters import caps_from
from app.perps.services.parts import PerpsParts, Sending
from app.perps.services.projection import PerpsProjection
from app.perps.services.protocols import perps_protocols
from app.perps.types.protocol import PerpsProtocol
from config.settings import Settings, load_settings
from tasks.heartbeat import Heartbeat


class Runtime:
    """A process's own connections; a forked child makes its own."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        arm(**settings.failpoint.model_dump())

    @cached_property
    def engine(self) -> Engine:
        """One connection for the body, one for claims, one for the heartbeat."""
        return make_engine(self.settings.database_url.get_secret_value(), pool_size=3)

    @cached_property
    def autocommit(self) -> Engine:
        """The same connections, each statement a transaction of its own: claims, and the ends of jobs that wrote
        nothing.
        """
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @cached_property
    def broker(self) -> Redis:
        """The broker Redis, failing fast."""
        return make_redis(self.settings.broker_url.get_secret_value())

    @cached_property
    def cache(self) -> Redis:
        """The cache Redis, failing fast."""
        return make_redis(self.settings.cache_url.get_secret_value())

    @cached_property
    def signer(self) -> Signer | None:
        """The keeper's key, when this deployment has one."""
        chain = self.settings.chain
        return load_signer(chain) if chain.signer_key or chain.keystore_path else None

    @cached_property
    def sender_policy(self) -> SenderPolicy:
        """How transactions are sent."""
        return sender_policy(self.settings.chain)

    @cached_property
    def waker(self) -> Waker:
        """Wakes the dispatcher after a commit that made work ready."""
        return Waker(self.broker, self.settings.jobs.wake_gap_seconds)

    @cached_property
    def chain(self) -> ChainParts:
        """The chain's providers and protocols, and the projections that its events feed."""
        chain = self.settings.chain
        return ChainParts(
            providers=chain_from_settings(chain),
            protocols=self.protocols,
            options=index_options(chain),
            projections={protocol.name: [PerpsProjection(protocol)] for protocol in self.perps_protocols},
        )

    @cached_property
    def protocols(self) -> Mapping[str, Protocol]:
        """The protocols of the files in the settings, by name."""
        chain = self.settings.chain
        return load_protocols(chain.protocol_files, chain.deployment_file, os.environ)

    @cached_property
    def perps_protocols(self) -> tuple[PerpsProtocol, ...]:
        """Those of them that are perps."""
        return perps_protocols(self.protocols.values())

    @cached_property
    def perps(self) -> PerpsParts:
        """The perps' protocols, prices, and the means to send, where there is a key."""
        oracle = self.oracle
        return PerpsParts(
            protocols=self.perps_protocols,
            rules=oracle.rules,
            read=lambda call: read(self.chain.providers.pinned(), call),
            quotes=lambda session, now: [
                *get_quotes(session, rules=oracle.rules, now=now),
                *aggregate_quotes(session, oracle.rules, now),
            ],
            update=lambda feeds: latest_update(
                oracle.source, feeds, trust=oracle.trust, window=oracle.window, clock=utc_now
            ),
            sending=None if self.signer is None else partial(self.sending, self.signer),
            caps=caps_from(self.settings.perps),
        )

    def sending(self, signer: Signer, session: Session) -> Sending:
        """The means to send, through one provider: a new one is pinned for each run, one in good standing if there is
        any.
        """
        rpc, policy = pinned(session, self.chain.providers), self.sender_policy
        return Sending(
            signer=signer.address,
            read=partial(read, rpc),
            rehearse=partial(rehearse, rpc, signer.address, policy=policy),
            advance=lambda session, intents, commit: advance(
                session, intents, rpc=rpc, signer=signer, policy=policy, now=utc_now(), commit=commit
            ),
        )

    @cached_property
    def oracle(self) -> OracleParts:
        """The price source, and whose prices count."""
        return oracle_from_settings(self.settings.oracle, self.cache, chain_id=self.settings.chain.chain_id)

    def read_all(self, calls: Sequence[ContractCall]) -> Sequence[bytes | AppError]:
        """What contracts of the chain answer, through the first provider that works."""
        return read_all(self.chain.providers.pinned(), calls)

    @cached_property
    def heartbeat(self) -> Heartbeat:
        """The heartbeat of the jobs this process runs."""
        return Heartbeat(self.autocommit, self.settings.jobs.lease_seconds)


_runtimes: dict[int, Runtime] = {}


def runtime() -> Runtime:
    """This process's runtime; a fork gets a new one, and never its parent's sockets."""
    pid = os.getpid()
    if pid not in _runtimes:
        _runtimes.clear()
        _runtimes[pid] = Runtime(load_settings())
    return _runtimes[pid]
