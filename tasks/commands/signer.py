"""`manage.py signer`: the key that sends."""

from __future__ import annotations

from pathlib import Path

import click

from tasks.commands.shared import asked_password, reached_engine, service, settings


@click.group()
def signer() -> None:
    """The key that sends. Its password is asked for, or read from standard input; never given as an argument."""


@signer.command("create")
@click.argument("file", type=click.Path(path_type=Path))
def signer_create(file: Path) -> None:
    """Make a new key in an encrypted keystore that only its owner can read; never writes over a file."""
    address = service("app.chain.adapters.signer").create_keystore(file, asked_password())
    click.echo(f"{shown_address(address)} is in {file}; without its password it is lost.")
    click.echo(f"To send with it: CHAIN__KEYSTORE_PATH={file.absolute()} and CHAIN__KEYSTORE_PASSWORD.")


@signer.command("address")
def signer_address() -> None:
    """Show whose key the settings name, and where it comes from."""
    chain = settings().chain
    found = service("app.chain.adapters.signer").load_signer(chain)
    source = f"the keystore {chain.keystore_path}" if chain.keystore_path else "CHAIN__SIGNER_KEY"
    click.echo(f"{shown_address(found.address)} from {source}")


@signer.command("balances")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def signer_balances(as_json: bool) -> None:
    """Ask the node for its balance and nonces, and say whether it is halted."""
    read = settings()
    found = service("app.chain.adapters.signer").load_signer(read.chain)
    providers = service("app.chain.adapters").from_settings(read.chain)
    engine = reached_engine(read)
    click.echo(service("app.chain.services.cli_signer").balances(engine, providers, found.address, as_json=as_json))


def shown_address(address: bytes) -> str:
    """With the capitals of its checksum."""
    return str(service("eth_utils.address").to_checksum_address(address))
