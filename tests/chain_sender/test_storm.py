"""Many intents through a bad node with dying workers: each mined once, no nonce missing, none used twice.

The suite blows a short one. WK_STORM_INTENTS=1000 makes it long, and WK_STORM_SEED draws another.
"""

from __future__ import annotations

import os
import sys

import pytest

from app.chain.types.transactions import IntentStatus
from app.core import failpoints
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from tests.chain_sender import proxy
from tests.chain_sender.audit import audit, audit_blocks
from tests.chain_sender.desk import Desk
from tests.chain_sender.storm import CRASH, Storm, crash

INTENTS = int(os.environ.get("WK_STORM_INTENTS", "60"))
SEED = int(os.environ.get("WK_STORM_SEED", "7"))


def test_each_intent_of_a_storm_is_mined_once(
    desk: Desk, anvil: EmbeddedAnvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failpoints, "_strike", None)  # what is still armed at the end must not meet another test
    monkeypatch.setitem(failpoints.ACTIONS, CRASH, crash)
    storm = Storm(desk, anvil.url, INTENTS, SEED)
    storm.blow()
    storm.calm()
    attempts = sum(len(desk.attempts(one)) for one in storm.ids)
    sys.stdout.write(f"{attempts} attempts for {INTENTS} intents; {storm.died}, {storm.kills} killed; {storm.struck}\n")
    assert {desk.status(one) for one in storm.ids} == {IntentStatus.FINAL}
    assert [desk.hits(key) for key in range(INTENTS)] == [1] * INTENTS
    assert audit_blocks(desk) == desk.signer_state().next_nonce == INTENTS
    assert (desk.signer_state().halt_reason, desk.open_alarms()) == (None, [])
    audit(desk)
    assert storm.kills, "nobody was killed"
    assert storm.died.total(), "nobody died"
    assert storm.struck.total() > storm.struck[proxy.HONEST], "the node was good"
