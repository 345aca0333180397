"""`manage.py signer` in a copy of the checkout: a key is made, shown and looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account
from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.chain.queries import signers
from app.core.clock import utc_now
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from config.groups import ChainSettings
from tests.chain_sender.desk import OTHER, OWNER_KEY

PASSWORD = "correct horse battery"
CHAIN_ID = ChainSettings().chain_id
OWNER = Account.from_key(OWNER_KEY).address


def _signer(checkout: Path, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "signer", *arguments],
        cwd=checkout,
        env=os.environ | environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_key_is_made_for_its_owner_alone_and_never_written_over(checkout: Path, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    made = _signer(checkout, "create", str(file), typed=f"{PASSWORD}\n")
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    key = Account.decrypt(json.loads(file.read_text()), PASSWORD)
    address = Account.from_key(key).address
    assert made.stdout.startswith(f"{address} is in {file}")
    for secret in (key.hex(), PASSWORD):
        assert secret not in made.stdout + made.stderr
    written = file.read_bytes()
    again = _signer(checkout, "create", str(file), typed=f"{PASSWORD}\n")
    said = f"{file} is there already; it may hold a key, and is not written over.\n"
    assert (again.returncode, again.stderr) == (1, said)
    assert file.read_bytes() == written
    settings = {"CHAIN__KEYSTORE_PATH": str(file), "CHAIN__KEYSTORE_PASSWORD": PASSWORD}
    shown = _signer(checkout, "address", **settings)
    assert shown.stdout == f"{address} from the keystore {file}\n", shown.stderr


@pytest.mark.parametrize(
    ("place", "typed", "said"),
    [
        ("key.json", "short\n", "The password is shorter than 12 characters."),
        ("key.json", "", "The password is shorter than 12 characters."),
        ("nowhere/key.json", f"{PASSWORD}\n", "cannot be written: No such file or directory."),
    ],
)
def test_a_key_that_cannot_be_kept_is_not_made(
    checkout: Path, tmp_path: Path, place: str, typed: str, said: str
) -> None:
    refused = _signer(checkout, "create", str(tmp_path / place), typed=typed)
    assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert not (tmp_path / place).exists()


def test_balances_say_what_the_node_and_the_tables_know(
    checkout: Path, session: Session, database_url: str, anvil: EmbeddedAnvil
) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "CHAIN__RPC_URLS": json.dumps([anvil.url]),
        "CHAIN__SIGNER_KEY": OWNER_KEY,
    }
    node = Provider(anvil.url, chain_id=CHAIN_ID)
    node.call("anvil_setBalance", OWNER, hex(15 * 10**17))
    before = _signer(checkout, "balances", **environment)
    assert before.returncode == 0, before.stderr
    assert "balance  1.5 (1500000000000000000 wei)" in before.stdout
    assert "latest 0, pending 0; none handed out yet" in before.stdout
    assert ("halted   no" in before.stdout, "breaker  closed" in before.stdout) == (True, True)
    node.call("evm_setAutomine", False)
    node.call("eth_sendTransaction", {"from": OWNER, "to": OTHER, "value": "0x1"})
    node.close()
    signers.lock_or_create(session, CHAIN_ID, bytes.fromhex(OWNER[2:]), 1, utc_now())
    signers.halt(session, CHAIN_ID, bytes.fromhex(OWNER[2:]), "another owner of the key", utc_now())
    session.commit()
    after = _signer(checkout, "balances", "--json", **environment)
    report = json.loads(after.stdout)
    assert (report["address"], report["latest_nonce"], report["pending_nonce"]) == (OWNER, 0, 1)
    assert (report["next_nonce"], report["breaker_reason"]) == (1, None)
    assert report["halt_reason"] == "another owner of the key"
    assert OWNER_KEY[2:] not in after.stdout + after.stderr


def test_without_a_key_it_says_what_to_set(checkout: Path) -> None:
    refused = _signer(checkout, "address")
    assert refused.returncode == 1
    assert "Set CHAIN__KEYSTORE_PATH" in refused.stderr
