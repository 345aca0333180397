"""`/v1/transactions`, `/v1/signers` and the alarms over HTTP, on a real chain: what is shown, what an operator does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from app.chain.queries.alarms import raise_alarm
from app.chain.types.indexing import Alarm
from app.core.db import new_id
from app.core.errors import Unauthenticated
from app.core.http.principal import Credentials, Principal
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from config.groups import ChainSettings
from config.settings import Settings
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import CHAIN_ID, OTHER, Desk

SCOPES = frozenset({"chain:read", "chain:write", "ops:write"})
Ask = Callable[..., Any]


def _authenticate(credentials: Credentials) -> Principal:
    if credentials.bearer != "operator":
        raise Unauthenticated()
    return Principal(id="user:operator", scopes=SCOPES, method="session")


@pytest.fixture
def ask(make_app: Callable[..., Any], settings: Settings, anvil: EmbeddedAnvil) -> Ask:
    """A request of the operator's; its answer."""
    chain = ChainSettings(rpc_urls=(anvil.url,), rpc_timeout_seconds=5.0)
    app = make_app(settings.model_copy(update={"chain": chain}), authenticate=_authenticate)
    client: FlaskClient = app.test_client()

    def _ask(method: str, path: str) -> Any:
        return client.open(path, method=method, headers={"Authorization": "Bearer operator"})

    return _ask


def _refusal(answer: Any) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json"
    return answer.status_code, answer.get_json()["code"]


def _audited(desk: Desk) -> list[tuple[str, str]]:
    with desk.session() as session:
        rows = session.execute(text("SELECT action, subject FROM audit_log ORDER BY id"))
        return [(row.action, row.subject) for row in rows]


def test_transactions_are_listed_newest_first_in_pages_and_filtered(desk: Desk, ask: Ask) -> None:
    ids = [desk.plan(key) for key in range(5)]
    other = desk.plan(1, action="test.other", signer=bytes.fromhex(OTHER[2:]))
    desk.advance(*ids[:2])
    first = ask("GET", "/v1/transactions?limit=4")
    assert [row["id"] for row in first.json["data"]] == [str(one) for one in (other, *reversed(ids[2:]))]
    assert 'rel="next"' in first.headers["Link"]
    second = ask("GET", f"/v1/transactions?limit=4&cursor={first.json['next_cursor']}").json
    assert ([row["id"] for row in second["data"]], second["has_more"]) == ([str(ids[1]), str(ids[0])], False)

    def found(query: str) -> list[str]:
        return [row["id"] for row in ask("GET", f"/v1/transactions?{query}").json["data"]]

    assert found("status=broadcast") == [str(ids[1]), str(ids[0])]
    assert found("action=test.other") == [str(other)]
    assert found("subject=1&action=test.hit") == [str(ids[1])]
    assert found(f"signer={OTHER}") == [str(other)]
    assert found("status=final") == []


@pytest.mark.parametrize(
    ("query", "field"), [("status=sent", "status"), ("signer=0x12", "signer"), ("cursor=x", "cursor"), ("to=1", "to")]
)
def test_a_bad_filter_is_named(desk: Desk, ask: Ask, query: str, field: str) -> None:
    answer = ask("GET", f"/v1/transactions?{query}")
    assert _refusal(answer) == (422, "core.invalid_input")
    assert [error["pointer"] for error in answer.json["errors"]] == [f"?{field}"]


def test_a_transaction_shows_every_attempt_and_never_its_bytes(desk: Desk, ask: Ask) -> None:
    intent_id = desk.plan(7, value_wei=2**60 + 1)
    desk.advance(intent_id)
    desk.base_fee(50)
    desk.watch(after_seconds=60)
    desk.settle()
    first, second = desk.attempts(intent_id)
    answer = ask("GET", f"/v1/transactions/{intent_id}")
    shown = answer.json
    assert (shown["status"], shown["nonce"], shown["value_wei"]) == ("final", 0, str(2**60 + 1))
    assert (shown["transaction_hash"], shown["receipt_status"]) == ("0x" + second.hash.hex(), 1)
    assert int(shown["spent_wei"]) == desk.intent(intent_id).spent_wei
    assert shown["data"] == "0x" + desk.intent(intent_id).data.hex()
    assert [(one["number"], one["nonce"], one["outcome"], one["effect"]) for one in shown["attempts"]] == [
        (1, 0, "beaten", "call"),
        (2, 0, "mined", "call"),
    ]
    assert shown["attempts"][1]["hash"] == "0x" + second.hash.hex()
    assert shown["attempts"][1]["max_fee_wei"] == str(second.fees.max_fee_wei)
    assert shown["attempts"][1]["tip_wei"] == str(second.fees.tip_wei)
    assert shown["attempts"][0]["first_broadcast_at"].endswith("Z")
    for attempt in (first, second):
        assert attempt.raw.hex() not in answer.text
    assert _refusal(ask("GET", f"/v1/transactions/{new_id()}")) == (404, "chain.transaction_not_found")


def test_a_cancellation_takes_the_place_of_what_waits_at_its_nonce_and_a_higher_price(desk: Desk, ask: Ask) -> None:
    intent_id, following = desk.plan(1), desk.plan(2)
    desk.advance(intent_id, following)
    for _ in range(2):  # asking again changes nothing
        answer = ask("POST", f"/v1/transactions/{intent_id}/cancel")
        assert (answer.status_code, answer.json["cancel_reason"]) == (202, "cancelled")
    desk.watch()
    call, cancel = ask("GET", f"/v1/transactions/{intent_id}").json["attempts"]
    assert (call["nonce"], cancel["nonce"], cancel["effect"]) == (0, 0, "cancel")
    assert int(cancel["max_fee_wei"]) * 8 >= int(call["max_fee_wei"]) * 9
    assert int(cancel["tip_wei"]) * 8 >= int(call["tip_wei"]) * 9
    desk.settle()
    assert ask("GET", f"/v1/transactions/{intent_id}").json["status"] == "cancelled"
    assert (desk.hits(1), desk.hits(2), desk.count()) == (0, 1, 2)
    assert _refusal(ask("POST", f"/v1/transactions/{intent_id}/cancel")) == (409, "chain.transaction_ended")
    assert _audited(desk) == [("chain.transaction_cancel", f"transaction:{intent_id}")] * 2
    audit(desk)


def test_what_is_mined_is_not_cancelled(desk: Desk, ask: Ask) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine()
    desk.watch()
    assert _refusal(ask("POST", f"/v1/transactions/{intent_id}/cancel")) == (409, "chain.transaction_mined")
    assert _refusal(ask("POST", f"/v1/transactions/{new_id()}/cancel")) == (404, "chain.transaction_not_found")
    assert _audited(desk) == []


def test_a_halted_signer_is_seen_and_resumed_and_its_alarm_goes_with_that(desk: Desk, ask: Ask) -> None:
    desk.advance(desk.plan(1))
    desk.send_from(desk.owner, to=OTHER, value="0x1")
    waiting = desk.plan(2)
    desk.advance(waiting)
    (signer,) = ask("GET", "/v1/signers").json["data"]
    assert signer["address"] == desk.owner.lower()
    assert "the node counts 2 transactions" in signer["halt_reason"]
    assert (signer["next_nonce"], signer["live_transactions"]) == (1, 2)
    assert int(signer["committed_wei"]) > 0
    (alarm,) = ask("GET", "/v1/chain/alarms").json["data"]
    assert _refusal(ask("POST", f"/v1/chain/alarms/{alarm['id']}/resolve")) == (409, "chain.alarm_stands")
    answer = ask("POST", f"/v1/signers/{desk.owner}/resume")
    assert (answer.status_code, answer.json["halted_at"], answer.json["next_nonce"]) == (200, None, 2)
    assert ask("GET", "/v1/chain/alarms").json["data"] == []
    assert _refusal(ask("POST", f"/v1/signers/{desk.owner}/resume")) == (409, "chain.signer_not_halted")
    assert _audited(desk) == [("chain.signer_resume", f"signer:{desk.owner.lower()}")]
    desk.watch(after_seconds=100)
    desk.settle()
    assert (desk.status(waiting), desk.intent(waiting).nonce) == ("final", 2)


def test_without_a_node_a_signer_stays_halted(desk: Desk, ask: Ask, anvil: EmbeddedAnvil) -> None:
    desk.advance(desk.plan(1))
    desk.send_from(desk.owner, to=OTHER, value="0x1")
    desk.advance(desk.plan(2))
    anvil.stop()
    assert _refusal(ask("POST", f"/v1/signers/{desk.owner}/resume")) == (503, "chain.node_unreachable")
    assert desk.signer_state().halt_reason is not None
    assert _audited(desk) == []


@pytest.mark.parametrize("address", [OTHER, "0x12", "nobody", "0x" + "g" * 40])
@pytest.mark.parametrize("act", ["resume", "reset-breaker"])
def test_a_signer_that_never_sent_is_not_there(desk: Desk, ask: Ask, address: str, act: str) -> None:
    assert _refusal(ask("POST", f"/v1/signers/{address}/{act}")) == (404, "chain.signer_not_found")


def test_an_open_breaker_is_reset_and_a_closed_one_is_not(desk: Desk, ask: Ask) -> None:
    desk = desk.with_policy(max_spend_per_hour_wei=10**18)
    desk.advance(desk.plan(1, value_wei=8 * 10**17))
    desk.settle()
    reset = f"/v1/signers/{desk.owner}/reset-breaker"
    assert _refusal(ask("POST", reset)) == (409, "chain.breaker_not_open")
    assert desk.signer_state().breaker_reset_at is None, "nothing is counted afresh"
    desk.advance(desk.plan(2, value_wei=3 * 10**17))
    (signer,) = ask("GET", "/v1/signers").json["data"]
    assert "wei spent within an hour" in signer["breaker_reason"]
    assert ask("POST", reset).json["breaker_reason"] is None
    assert ask("GET", "/v1/chain/alarms").json["data"] == []
    assert _audited(desk) == [("chain.breaker_reset", f"signer:{desk.owner.lower()}")]


def test_an_alarm_is_resolved_once(desk: Desk, ask: Ask) -> None:
    with desk.session() as session:
        raise_alarm(session, Alarm(chain_id=CHAIN_ID, contract_set="", kind="transaction_lost", subject="one"))
        session.commit()
    (alarm,) = ask("GET", "/v1/chain/alarms").json["data"]
    path = f"/v1/chain/alarms/{alarm['id']}/resolve"
    assert ask("POST", path).json["resolved_at"] is not None
    assert _refusal(ask("POST", path)) == (409, "chain.alarm_resolved")
    assert _refusal(ask("POST", f"/v1/chain/alarms/{new_id()}/resolve")) == (404, "chain.alarm_not_found")
    assert _audited(desk) == [("chain.alarm_resolve", f"alarm:{alarm['id']}")]
