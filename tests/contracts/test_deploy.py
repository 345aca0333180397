"""Building and deploying: artifacts follow their sources, and a deployment says where everything is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from web3.exceptions import ContractLogicError, Web3RPCError

from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.process import free_port
from contracts import build
from contracts.build import CONTRACTS, artifact
from contracts.deploy import DEVELOPMENT_KEY, INSURANCE_WAD, POOL_WAD, DeploymentFailed, deploy
from contracts.feeds import FEEDS
from contracts.guardians import DEVELOPMENT_GUARDIANS
from contracts.markets import PARAMETERS
from tests.contracts.exchange import Exchange

pytestmark = pytest.mark.chain

CODE_LIMIT = 24_576
ROOT = Path(build.__file__).resolve().parent.parent


def test_an_artifact_is_made_once_and_again_when_its_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, folder = tmp_path / "sources", tmp_path / "build"
    sources.mkdir()
    source = sources / "one.vy"
    monkeypatch.setattr(build, "SOURCES", sources)
    source.write_text("a: public(constant(uint256)) = 1\n")
    first = artifact("one", folder)
    made = (folder / "one.json").stat().st_mtime_ns
    assert artifact("one", folder) == first
    assert (folder / "one.json").stat().st_mtime_ns == made
    source.write_text("b: public(constant(uint256)) = 1\n")
    second = artifact("one", folder)
    assert [entry["name"] for entry in first.abi] == ["a"]
    assert [entry["name"] for entry in second.abi] == ["b"]
    assert sorted(path.name for path in folder.iterdir()) == ["one.json"]


def test_a_kept_artifact_needs_no_compiler(tmp_path: Path) -> None:
    artifact("perp")
    (tmp_path / "vyper").mkdir()
    (tmp_path / "vyper" / "__init__.py").write_text("raise ImportError('no compiler here')\n")
    code = "from contracts.build import artifact; print(len(artifact('perp').abi))"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def test_every_contract_fits_a_block_chain(exchange: Exchange) -> None:
    for name, deployed in (("perp", exchange.perp), ("dev_pyth", exchange.pyth), ("dev_token", exchange.token)):
        assert name in CONTRACTS
        assert 0 < len(exchange.w3.eth.get_code(deployed.address)) <= CODE_LIMIT


def test_a_deployment_is_ready_for_use_and_says_where_it_is(exchange: Exchange, tmp_path: Path) -> None:
    deployment = exchange.deployment
    assert deployment.chain_id == exchange.w3.eth.chain_id
    assert deployment.markets == {feed.symbol: i for i, feed in enumerate(FEEDS, start=1)}
    assert set(PARAMETERS) == set(deployment.markets)
    assert deployment.guardians == (exchange.w3.to_checksum_address("0x" + DEVELOPMENT_GUARDIANS.addresses[0].hex()),)
    for contract in (deployment.token, deployment.pyth, deployment.perp):
        assert exchange.w3.eth.get_code(contract.address, contract.block_number)
        assert not exchange.w3.eth.get_code(contract.address, contract.block_number - 1)
    assert (exchange.view("pool"), exchange.view("insurance")) == (POOL_WAD, INSURANCE_WAD)
    assert exchange.balance(exchange.perp.address) == POOL_WAD + INSURANCE_WAD == exchange.view("accounted_balance")

    deployment.write(tmp_path / "made" / "deployment.json")
    written = json.loads((tmp_path / "made" / "deployment.json").read_text())
    assert written["perp"] == {"address": exchange.perp.address, "block_number": deployment.perp.block_number}
    assert written["markets"] == deployment.markets


def test_the_command_deploys_and_prints(anvil: EmbeddedAnvil, tmp_path: Path) -> None:
    out = tmp_path / "deployment.json"
    command = [sys.executable, "-m", "contracts.deploy", "--rpc-url", anvil.url, "--out", str(out)]
    environment = os.environ | {"DEPLOYER_KEY": DEVELOPMENT_KEY}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(out.read_text())
    # A second deployment from the same account stands beside the first.
    again = deploy(anvil.url)
    assert again.perp.address != json.loads(done.stdout)["perp"]["address"]
    assert again.perp.block_number > json.loads(done.stdout)["perp"]["block_number"]


def test_the_command_says_in_one_line_that_no_node_answers() -> None:
    command = [sys.executable, "-m", "contracts.deploy", "--rpc-url", f"http://127.0.0.1:{free_port()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nothing usable was deployed to http://127.0.0.1:")
    assert "Traceback" not in done.stderr


def test_a_failed_step_is_named(anvil: EmbeddedAnvil) -> None:
    with pytest.raises(DeploymentFailed, match="deposit_pool"):
        deploy(anvil.url, pool_wad=0)


def test_a_poor_deployer_gets_the_node_s_own_words(anvil: EmbeddedAnvil) -> None:
    with pytest.raises((Web3RPCError, ContractLogicError), match="Insufficient funds"):
        deploy(anvil.url, key="0x" + "11" * 32)
