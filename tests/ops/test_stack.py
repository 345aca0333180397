"""The plan: what is embedded and what is not, and what the children are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3

from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.process import free_port
from app.ops.adapters.run_folder import RunFolder
from app.ops.errors import SettingsInvalid
from app.ops.services.environment import read_settings
from app.ops.services.stack import Plan, embedded_servers, plan_stack
from config.groups import DEVELOPMENT_SECRET
from config.settings import DEVELOPMENT_GUARDIAN, DEVELOPMENT_SIGNER_KEY, Settings, load_settings, unsafe_values
from contracts.guardians import DEVELOPMENT_GUARDIANS

URLS = {
    "DATABASE_URL": "postgresql://wk:x@db/wk",
    "BROKER_URL": "redis://broker/0",
    "CACHE_URL": "redis://cache/0",
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*URLS, "CHAIN__RPC_URLS", "JWT_SECRET_KEY"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs on this machine, the ports that people use are free."""
    for variable in ("HTTP__PORT", "STREAM__PORT", "FLOWER__PORT"):
        monkeypatch.setenv(variable, str(free_port()))


def planned(tmp_path: Path) -> Plan:
    run = RunFolder(tmp_path / ".run")
    run.open()
    return plan_stack(load_settings(None), run)


def test_nothing_given_everything_is_embedded() -> None:
    assert embedded_servers(load_settings(None)) == ("postgres", "broker", "cache", "anvil")


def test_all_urls_given_nothing_embedded_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_ports: None
) -> None:
    for name, url in URLS.items():
        monkeypatch.setenv(name, url)
    plan = planned(tmp_path)
    assert [role.name for role in plan.roles] == [
        *(
            "migrate",
            "api",
            "dispatcher",
            "stream",
            "worker-chain",
            "worker-perps",
            "worker-default",
            "price-stream",
            "beat",
            "flower",
        )
    ]
    assert not {*URLS, "CHAIN__RPC_URLS"} & plan.environment.keys()


@pytest.mark.parametrize("given", URLS)
def test_one_url_given_only_the_others_are_embedded(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(given, URLS[given])
    left = {"DATABASE_URL": "postgres", "BROKER_URL": "broker", "CACHE_URL": "cache"}
    del left[given]
    assert embedded_servers(load_settings(None)) == (*left.values(), "anvil")


def test_a_node_of_ones_own_needs_no_local_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAIN__RPC_URLS", '["https://node.example"]')
    assert "anvil" not in embedded_servers(load_settings(None))


def test_the_children_read_what_the_stack_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_ports: None
) -> None:
    plan = planned(tmp_path)
    for name, value in plan.environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(None)

    assert settings.database_url.get_secret_value() == plan.environment["DATABASE_URL"]
    assert settings.chain.rpc_urls[0].get_secret_value() in json.loads(plan.environment["CHAIN__RPC_URLS"])
    # Generated secrets are good enough for production; the local chain, whose keys everyone knows, is not.
    assert [found.partition(" ")[0] for found in unsafe_values(settings)] == ["CHAIN__SIGNER_KEY", "ORACLE__SIGNERS"]
    assert DEVELOPMENT_SECRET not in json.dumps(plan.environment)
    assert not [name for name in plan.environment if not _is_setting(name)]


def _is_setting(variable: str) -> bool:
    group, _, field = variable.lower().rpartition("__")
    model = Settings.model_fields[group].annotation if group else Settings
    return field in model.model_fields


def test_a_secret_that_is_given_stays_and_the_others_are_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_ports: None
) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", "one of my own")
    first = planned(tmp_path)
    again = planned(tmp_path)
    assert "JWT_SECRET_KEY" not in first.environment
    assert first.environment["FLOWER__PASSWORD"] == again.environment["FLOWER__PASSWORD"]


def test_the_local_chain_trusts_the_guardian_of_its_contracts_and_sends_from_a_rich_account(
    anvil: EmbeddedAnvil,
) -> None:
    assert [f"0x{address.hex()}" for address in DEVELOPMENT_GUARDIANS.addresses] == [DEVELOPMENT_GUARDIAN.lower()]
    sender = Account.from_key(DEVELOPMENT_SIGNER_KEY).address
    assert Web3(HTTPProvider(anvil.url)).eth.get_balance(sender) > 10**20


def test_no_role_has_a_secret_on_its_command_line(tmp_path: Path, free_ports: None) -> None:
    plan = planned(tmp_path)
    secrets = RunFolder(tmp_path / ".run").secrets().values()
    for role in plan.roles:
        assert not [secret for secret in secrets if secret in " ".join(role.command) or secret in str(role.url)]


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("CHAIN__CHAIN_ID", "minus-one-secret", "CHAIN__CHAIN_ID: Input should be a valid integer"),
        ("DATABASE_URL", "mysql://secret", "DATABASE_URL: Value error, DATABASE_URL must be a postgresql:// URL"),
        ("HTTP__TRUSTED_HOSTS", "secret.example", "HTTP__TRUSTED_HOSTS"),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid) as refused:
        read_settings(tmp_path)
    assert named in str(refused.value)
    assert "secret" not in str(refused.value)
