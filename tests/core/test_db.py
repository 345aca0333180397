"""Connections: a read is ended before the network is waited on, and a silent network is given up."""

from __future__ import annotations

import os
import socket
import sys

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.core.db import SILENCE_MS, release


def test_a_read_is_ended(session: Session) -> None:
    session.execute(text("SELECT 1"))
    release(session)
    assert not session.in_transaction()
    release(session)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO outbox (id, topic, subject, payload) VALUES (gen_random_uuid(), 't', 's', '{}')",
        "CREATE TABLE made (id int)",
    ],
)
def test_a_write_is_not_lost(session: Session, statement: str) -> None:
    session.execute(text(statement))
    with pytest.raises(RuntimeError, match="nobody committed"):
        release(session)
    assert session.in_transaction()


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_a_network_that_swallows_packets_is_given_up_soon(engine: Engine) -> None:
    with engine.connect() as connection, socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENCE_MS
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
