"""The price server as its clients see it: a process, over HTTP, in the shapes of the recorded Hermes answers."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.contracts.exchange import BTC, Exchange, wad
from tests.contracts.pnau_reader import read
from tests.contracts.price_client import BTC_ID, ETH_ID, LATEST_PATH, SOL_ID, STREAM_PATH, Client, blob_of, start
from tests.contracts.real import LATEST


def shape(value: Any) -> Any:
    """The kinds of things in an answer, without the things."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value)


def test_it_starts_without_the_slow_imports() -> None:
    # web3 alone takes longer to import than the whole server takes to answer.
    code = "import sys, contracts.price_server; print(sorted({'web3', 'eth_account', 'vyper'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_it_listens_on_loopback_and_stops_on_sigterm(tmp_path: Path) -> None:
    client = start(tmp_path)
    answer = client.get("/live")
    assert (answer.status_code, answer.text) == (200, "OK")
    client.session.close()
    client.process.stop(seconds=5)
    assert client.process.poll() == 0
    assert "prices on http://127.0.0.1:" in client.process.last_words()


def test_a_taken_port_gets_one_sentence(reading: Client) -> None:
    port = reading.url.rpartition(":")[2]
    command = [sys.executable, "-m", "contracts.price_server", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 1
    assert done.stderr == f"cannot listen on 127.0.0.1:{port} (Address already in use); choose another --port\n"


def test_the_latest_answer_has_the_real_one_s_shape(reading: Client) -> None:
    answer = reading.get(LATEST_PATH, ids=[BTC_ID, ETH_ID])
    assert answer.headers["content-type"] == "application/json"
    assert shape(answer.json()) == shape(LATEST)


def test_binary_and_parsed_agree(reading: Client) -> None:
    now = int(time.time())
    answer = reading.latest(SOL_ID, BTC_ID)
    assert [part["id"] for part in answer["parsed"]] == [SOL_ID, BTC_ID]
    blob = blob_of(answer)
    for update, said in zip(blob.updates, answer["parsed"], strict=True):
        price = update.price
        assert price.price_id.hex() == said["id"]
        assert (str(price.price), str(price.conf)) == (said["price"]["price"], said["price"]["conf"])
        assert (price.expo, price.publish_time) == (said["price"]["expo"], said["price"]["publish_time"])
        assert price.prev_publish_time == said["metadata"]["prev_publish_time"] == price.publish_time - 1
        assert blob.vaa.slot == said["metadata"]["slot"]
        assert now <= price.publish_time <= now + 2
        assert price.price > price.conf > 0


def test_the_chain_takes_what_the_server_signs(server: Client, exchange: Exchange) -> None:
    server.order(BTC_USD={"price": "54321.00000001"})
    answer = server.latest("0x" + BTC_ID)
    published = answer["parsed"][0]["price"]["publish_time"]
    ahead = max(published - exchange.now, 1)
    data = [bytes.fromhex(answer["binary"]["data"][0])]
    mined = exchange.send(exchange.perp, "settle_funding", BTC, data, sender=exchange.alice, value=1, after=ahead)
    raw = int(answer["parsed"][0]["price"]["price"])
    assert mined.one("FundingSettled")["price"] == raw * 10**10
    assert abs(raw * 10**10 - wad("54321")) < wad("54321") // 1000


def test_encodings_and_the_unparsed_form(server: Client) -> None:
    server.order(BTC_USD={"frozen": True})
    hexed, coded = server.latest(BTC_ID), server.latest(BTC_ID, encoding="base64", parsed="false")
    assert coded["binary"]["encoding"] == "base64"
    assert "parsed" not in coded
    blob = read(base64.b64decode(coded["binary"]["data"][0]))
    assert blob.updates[0].message == blob_of(hexed).updates[0].message


def test_ids_may_be_repeated_upper_case_and_prefixed(reading: Client) -> None:
    answer = reading.latest("0x" + BTC_ID.upper(), BTC_ID)
    assert [part["id"] for part in answer["parsed"]] == [BTC_ID]


@pytest.mark.parametrize(
    ("path", "query", "status", "text"),
    [
        (LATEST_PATH, {"ids": ["ab" * 32, BTC_ID]}, 404, f"Price ids not found: 0x{'ab' * 32}"),
        (LATEST_PATH, {"ids": ["ab" * 32, "cd" * 32]}, 404, f"Price ids not found: 0x{'ab' * 32}, 0x{'cd' * 32}"),
        (STREAM_PATH, {"ids": ["ab" * 32]}, 404, f"Price ids not found: 0x{'ab' * 32}"),
        ("/v2/updates/price/2000000000", {"ids": [BTC_ID]}, 404, "Update data not found"),
        ("/v2/updates/price/1", {"ids": [BTC_ID]}, 404, "Update data not found"),
        ("/v2/updates/price/soon", {"ids": [BTC_ID]}, 400, "Invalid URL: Cannot parse `soon` to a `i64`"),
        (LATEST_PATH, {}, 400, "missing field `ids`"),
        (LATEST_PATH, {"ids": ["abc"]}, 400, "Odd number of digits"),
        (LATEST_PATH, {"ids": ["abcd"]}, 400, "Invalid string length"),
        (LATEST_PATH, {"ids": ["zz" * 32]}, 400, "Invalid character 'z' at position 0"),
        (LATEST_PATH, {"ids": [BTC_ID], "encoding": "hax"}, 400, "unknown variant `hax`, expected `hex` or `base64`"),
        (LATEST_PATH, {"ids": [BTC_ID], "parsed": "1"}, 400, "provided string was not `true` or `false`"),
        ("/v2/price_feeds", {"asset_type": "meme"}, 400, "unknown variant `meme`"),
        ("/v1/nothing", {}, 404, ""),
    ],
)
def test_refusals_are_plain_text_in_hermes_s_words(
    reading: Client, path: str, query: dict[str, Any], status: int, text: str
) -> None:
    answer = reading.get(path, **query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert text in answer.text
    assert status == 404 or answer.text.startswith(("Failed to deserialize query string. Error: ", "Invalid URL: "))


def test_unknown_ids_may_be_ignored(reading: Client) -> None:
    answer = reading.latest("ab" * 32, BTC_ID, ignore_invalid_price_ids="true")
    assert [part["id"] for part in answer["parsed"]] == [BTC_ID]
    assert reading.latest("ab" * 32, ignore_invalid_price_ids="true") == {
        "binary": {"encoding": "hex", "data": []},
        "parsed": [],
    }


def test_a_time_asks_for_the_first_update_since(reading: Client) -> None:
    wanted = int(time.time()) - 30
    answer = reading.get(f"/v2/updates/price/{wanted}", ids=[BTC_ID, ETH_ID]).json()
    assert shape(answer) == shape(LATEST)
    assert [part["price"]["publish_time"] for part in answer["parsed"]] == [wanted, wanted]


def test_the_feed_list_is_filtered(reading: Client) -> None:
    everything = reading.get("/v2/price_feeds").json()
    assert [feed["id"] for feed in everything] == [BTC_ID, ETH_ID, SOL_ID]
    assert everything[0]["attributes"] == {
        "asset_type": "Crypto",
        "base": "BTC",
        "description": "BITCOIN / US DOLLAR",
        "display_symbol": "BTC/USD",
        "generic_symbol": "BTCUSD",
        "quote_currency": "USD",
        "symbol": "Crypto.BTC/USD",
    }
    found = reading.get("/v2/price_feeds", query="eth", asset_type="crypto").json()
    assert [feed["id"] for feed in found] == [ETH_ID]
    assert reading.get("/v2/price_feeds", asset_type="fx").json() == []


def events_of(response: requests.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith(b"data:"):
            yield json.loads(line.removeprefix(b"data:"))


def test_the_stream_sends_each_second_and_each_order(server: Client) -> None:
    with server.session.get(server.url + STREAM_PATH, params={"ids[]": [BTC_ID]}, stream=True, timeout=5) as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = events_of(response)
        first = next(events)
        requests.post(server.url + "/dev/prices", json={"BTC-USD": {"price": "50000"}}, timeout=5)
        seen = [first]
        while len(seen) < 4 and abs(int(seen[-1]["parsed"][0]["price"]["price"]) - 50_000 * 10**8) > 10**11:
            seen.append(next(events))
    assert len(seen) < 4
    slots = [event["parsed"][0]["metadata"]["slot"] for event in seen]
    assert slots == sorted(set(slots))
    assert {json.dumps(str(shape(event))) for event in seen} == {json.dumps(str(shape(first)))}
    assert blob_of(seen[-1]).updates[0].price.price == int(seen[-1]["parsed"][0]["price"]["price"])
    # The server outlives a reader who leaves.
    assert server.get("/live").ok


def test_the_same_seed_walks_the_same_way(tmp_path: Path) -> None:
    def walk(seed: int) -> list[str]:
        client = start(tmp_path, seed)
        # The first minute is made at the start, so it depends on the seed alone; the first step is 60 seconds old.
        began = client.latest(BTC_ID)["parsed"][0]["metadata"]
        first = began["prev_publish_time"] + 1 - (began["slot"] - 138_881_186)
        answers = [client.get(f"/v2/updates/price/{first + i}", ids=[BTC_ID]).json() for i in range(20)]
        client.session.close()
        client.process.stop()
        return [answer["parsed"][0]["price"]["price"] for answer in answers]

    one = walk(7)
    assert walk(7) == one
    assert walk(8) != one
    assert len(set(one)) > 10
