"""The key: where it comes from, and that it is seen nowhere."""

from __future__ import annotations

import json
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from pydantic import SecretStr

from app.chain.adapters.signer import Signer, load_signer
from app.chain.errors import SignerUnavailable
from app.chain.types.sending import UnsignedTransaction
from app.chain.types.transactions import Fees
from config.groups import ChainSettings

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"  # of eth-account's documentation
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A V3 keystore with scrypt, cheap to open: a test's key needs no more."""
    path = tmp_path_factory.mktemp("keystore") / "key.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(Account.encrypt(KEY, PASSWORD, kdf="scrypt", iterations=2)))
    return path


def transaction(tip_wei: int | None) -> UnsignedTransaction:
    fees = Fees(max_fee_wei=2_000_000_000, tip_wei=tip_wei)
    return UnsignedTransaction(
        chain_id=1337,
        nonce=34,
        to=bytes.fromhex("09616c3d61b3331fc4109a9e41a8bdb7d9776609"),
        value_wei=123,
        data=b"abcdef",
        gas_limit=100_000,
        fees=fees,
    )


def test_the_keystore_opens_and_wins_over_a_bare_key(keystore: Path) -> None:
    settings = ChainSettings(
        keystore_path=str(keystore), keystore_password=SecretStr(PASSWORD), signer_key=SecretStr("0x" + "11" * 32)
    )
    assert load_signer(settings).address == bytes.fromhex(ADDRESS[2:])


def test_the_environments_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in (KEY, "0x" + KEY):
        assert load_signer(ChainSettings(signer_key=SecretStr(key))).address == bytes.fromhex(ADDRESS[2:])


@pytest.mark.parametrize("tip_wei", [None, 1_000_000_000])
def test_what_is_signed_is_the_signers_and_known_by_its_hash(tip_wei: int | None) -> None:
    signed = load_signer(ChainSettings(signer_key=SecretStr(KEY))).sign(transaction(tip_wei))
    assert Account.recover_transaction(signed.raw) == ADDRESS
    reference = Account.sign_transaction(
        {
            "chainId": 1337,
            "nonce": 34,
            "to": "0x09616C3d61b3331fc4109a9E41a8BDB7d9776609",
            "value": 123,
            "data": b"abcdef",
            "gas": 100_000,
        }
        | (
            {"gasPrice": 2_000_000_000}
            if tip_wei is None
            else {"maxFeePerGas": 2_000_000_000, "maxPriorityFeePerGas": tip_wei}
        ),
        KEY,
    )
    assert (signed.raw, signed.hash) == (bytes(reference.raw_transaction), bytes(reference.hash))
    assert (signed.raw[0] == 2) == (tip_wei is not None)


def test_the_same_transaction_gives_the_same_bytes() -> None:
    signer = load_signer(ChainSettings(signer_key=SecretStr(KEY)))
    assert signer.sign(transaction(5)) == signer.sign(transaction(5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "Set CHAIN__KEYSTORE_PATH"),
        ({"keystore_path": "KEYSTORE"}, "CHAIN__KEYSTORE_PASSWORD is not"),
        ({"keystore_path": "KEYSTORE", "keystore_password": "wrong password"}, "wrong password, or not"),
        ({"keystore_path": "/nowhere/key.json", "keystore_password": PASSWORD}, "cannot be read"),
        ({"keystore_path": "GARBAGE", "keystore_password": PASSWORD}, "not JSON"),
        ({"keystore_path": "EMPTY", "keystore_password": PASSWORD}, "does not open"),
        ({"signer_key": KEY[:-2]}, "not a private key"),
        ({"signer_key": "zz" * 32}, "not a private key"),
        ({"signer_key": "00" * 32}, "not a private key"),
    ],
)
def test_a_key_that_is_not_there_is_one_sentence_without_secrets(
    keystore: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    (tmp_path / "garbage").write_text(KEY)
    (tmp_path / "empty").touch(mode=0o600)
    (tmp_path / "empty").write_text("{}")
    places = {"KEYSTORE": keystore, "GARBAGE": tmp_path / "garbage", "EMPTY": tmp_path / "empty"}
    if "keystore_path" in settings:
        settings = settings | {"keystore_path": str(places.get(settings["keystore_path"], settings["keystore_path"]))}
    with pytest.raises(SignerUnavailable, match=message) as raised:
        load_signer(ChainSettings(**settings))
    told = "".join(traceback.format_exception(raised.value)) + json.dumps(raised.value.as_dict())
    # The traceback quotes source lines and messages; neither may hold the key or the password.
    assert settings.get("signer_key", KEY) not in told
    assert 'wrong password"' not in told


@pytest.mark.parametrize(("mode", "opens"), [
    (0o600, True), (0o400, True), (0o440, True), (0o640, True), (0o660, False), (0o604, False), (0o602, False),
    (0o644, False),
])  # fmt: skip
def test_a_keystore_is_for_its_owner_and_perhaps_a_group_to_read(keystore: Path, mode: int, opens: bool) -> None:
    settings = ChainSettings(keystore_path=str(keystore), keystore_password=SecretStr(PASSWORD))
    keystore.chmod(mode)
    try:
        if opens:
            assert load_signer(settings).address == bytes.fromhex(ADDRESS[2:])
        else:
            with pytest.raises(SignerUnavailable, match="chmod 600"):
                load_signer(settings)
    finally:
        keystore.chmod(0o600)


def test_a_signer_shows_its_address_and_nothing_else() -> None:
    signer = load_signer(ChainSettings(signer_key=SecretStr(KEY)))
    assert repr(signer) == str(signer) == f"Signer({ADDRESS})"
    assert not hasattr(signer, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(signer)
    shown = repr(signer) + repr(signer.sign(transaction(5))) + repr(vars(Signer))
    assert KEY not in shown
