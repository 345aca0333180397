"""The signing key: from an encrypted keystore, or from the environment. It leaves this module only as signatures."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from app.chain.errors import KeystoreRefused, SignerUnavailable
from app.chain.types.sending import SenderPolicy, SignedTransaction, UnsignedTransaction

if TYPE_CHECKING:
    from config.groups import ChainSettings


MIN_PASSWORD = 12
"""Characters: whoever copies the file has all the time there is to guess."""

NOT_OTHERS = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
"""A group may read it, which is how a container is handed a secret; others may do nothing at all."""


class Signer:
    """One key. What it shows of itself, in any form, is its address."""

    __slots__ = ("__account",)

    def __init__(self, account: LocalAccount):
        self.__account = account

    @property
    def address(self) -> bytes:
        """20 bytes."""
        return bytes.fromhex(self.__account.address[2:])

    def sign(self, transaction: UnsignedTransaction) -> SignedTransaction:
        """Sign; an EIP-1559 transaction, or a legacy one (EIP-155) when its fees have no tip. RFC 6979: the same
        transaction gives the same bytes."""
        signed = self.__account.sign_transaction(_fields(transaction))
        return SignedTransaction(raw=bytes(signed.raw_transaction), hash=bytes(signed.hash))

    def __repr__(self) -> str:
        return f"Signer({self.__account.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is not copied to another process")


def load_signer(settings: ChainSettings) -> Signer:
    """The deployment's signer; raises SignerUnavailable, whose message holds nothing secret.

    A keystore wins over a bare key. Opening one takes about a second, by design of scrypt: load it once a process.
    """
    if settings.keystore_path is not None:
        if settings.keystore_password is None:
            raise SignerUnavailable("CHAIN__KEYSTORE_PATH is set, but CHAIN__KEYSTORE_PASSWORD is not.")
        return Signer(_open_keystore(Path(settings.keystore_path), settings.keystore_password.get_secret_value()))
    if settings.signer_key is not None:
        return Signer(_account(settings.signer_key.get_secret_value(), "CHAIN__SIGNER_KEY is not a private key."))
    raise SignerUnavailable("Set CHAIN__KEYSTORE_PATH (or, less safe, CHAIN__SIGNER_KEY).")


def create_keystore(path: Path, password: str) -> bytes:
    """Make a new key and write it to `path`, encrypted, for its owner's eyes only; returns its address, 20 bytes.

    Raises KeystoreRefused for a short password, and for a file that is there already: it may hold the only copy of a
    key. What was written is opened once, before anybody sends money to it.
    """
    if len(password) < MIN_PASSWORD:
        raise KeystoreRefused(f"The password is shorter than {MIN_PASSWORD} characters.")
    account = Account.create()
    written = json.dumps(Account.encrypt(account.key, password))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeystoreRefused(f"{path} is there already; it may hold a key, and is not written over.") from None
    except OSError as problem:
        raise KeystoreRefused(f"{path} cannot be written: {problem.strerror}.") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(written)
        file.flush()
        os.fsync(file.fileno())
    return Signer(_open_keystore(path, password)).address


def _open_keystore(path: Path, password: str) -> LocalAccount:
    try:
        shared = path.stat().st_mode & NOT_OTHERS
        keystore = json.loads(path.read_text())
    except OSError as problem:
        raise SignerUnavailable(f"The keystore {path} cannot be read: {problem.strerror}.") from None
    except ValueError:
        raise SignerUnavailable(f"The keystore {path} is not JSON.") from None
    if shared:
        raise SignerUnavailable(f"The keystore {path} is open to other users of this machine: `chmod 600` it.")
    # `from None`: a traceback must not carry what the libraries were given.
    try:
        key = Account.decrypt(keystore, password)
    except (ValueError, KeyError, TypeError, NotImplementedError):
        raise SignerUnavailable(f"The keystore {path} does not open: wrong password, or not a V3 keystore.") from None
    return _account(key, f"The keystore {path} holds no private key.")


def _account(key: str | bytes, complaint: str) -> LocalAccount:
    try:
        account: LocalAccount = Account.from_key(key)
    except Exception:  # several unrelated classes, some of which quote the key
        raise SignerUnavailable(complaint) from None
    return account


def _fields(transaction: UnsignedTransaction) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "to": to_checksum_address(transaction.to),
        "value": transaction.value_wei,
        "data": transaction.data,
        "gas": transaction.gas_limit,
    }
    if transaction.fees.tip_wei is None:
        return fields | {"gasPrice": transaction.fees.max_fee_wei}
    fees = {"maxFeePerGas": transaction.fees.max_fee_wei, "maxPriorityFeePerGas": transaction.fees.tip_wei}
    return fields | fees | {"type": 2}


def sender_policy(settings: ChainSettings) -> SenderPolicy:
    """The sender's part of the chain's settings, as values."""
    return SenderPolicy(**{field.name: getattr(settings, field.name) for field in fields(SenderPolicy)})
