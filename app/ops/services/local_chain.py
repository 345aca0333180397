"""The local chain among the roles: anvil, the contracts on it (once a chain), the server that signs their prices."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from app.ops.adapters import embedded_anvil, probes
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.run_folder import RunFolder
from app.ops.services.environment import is_given
from app.ops.services.ports import inner_port
from app.ops.types import Role, Stage
from config.settings import DEVELOPMENT_GUARDIAN, DEVELOPMENT_SIGNER_KEY, Settings

PROTOCOL_FILE = "config/protocols/watchkeeper_perps.toml"


def local_chain(settings: Settings, run: RunFolder) -> tuple[list[Role], dict[str, str]]:
    """The roles, and the variables by which the others find the chain and trust its prices."""
    folder = run.node
    binary = embedded_anvil.anvil_binary(folder)
    state = run.path / "anvil" / "state.json"
    node = EmbeddedAnvil(binary, inner_port("anvil"), run.log("anvil"), chain_id=settings.chain.chain_id, state=state)
    roles = [
        Role(
            name="anvil-install",
            command=(sys.executable, "-m", embedded_anvil.__name__, str(folder)),
            stage=Stage.INSTALL,
            log=run.log("anvil-install"),
            ready=binary.exists,
            once=True,
            ready_seconds=300.0,
        ),
        Role(
            name="anvil",
            command=tuple(node.process.command),
            stage=Stage.SERVERS,
            log=node.process.log,
            prepare=partial(state.parent.mkdir, exist_ok=True),
            ready=node.is_ready,
            port=node.port,
            url=node.url,
            way_out="`python manage.py reset` starts a new chain",
        ),
        _deployment(node.url, run),
    ]
    made = {
        "CHAIN__RPC_URLS": json.dumps([node.url]),
        "CHAIN__SIGNER_KEY": DEVELOPMENT_SIGNER_KEY,
        "CHAIN__PROTOCOL_FILES": json.dumps([PROTOCOL_FILE]),
        "CHAIN__DEPLOYMENT_FILE": str(_record(run)),
    }
    if not is_given(settings, "ORACLE__HERMES_URL"):
        prices = _price_server(run)
        roles.append(prices)
        made |= {"ORACLE__HERMES_URL": str(prices.url), "ORACLE__SIGNERS": json.dumps([DEVELOPMENT_GUARDIAN])}
    return roles, made


def _deployment(rpc_url: str, run: RunFolder) -> Role:
    record = _record(run)
    return Role(
        name="deploy",
        command=(sys.executable, "-m", "contracts.deploy", "--rpc-url", rpc_url, "--out", str(record)),
        stage=Stage.SETTLE,
        log=run.log("deploy"),
        ready=partial(_is_deployed, record, rpc_url),
        once=True,
        ready_seconds=120.0,
    )


def _record(run: RunFolder) -> Path:
    """Where the deployment is written down; the protocol file takes its addresses from there."""
    return run.path / "deployment.json"


def _is_deployed(record: Path, rpc_url: str) -> bool:
    """True when this chain is the one of the record: its state may have been lost, or reset."""
    return record.exists() and probes.has_contract(rpc_url, json.loads(record.read_text())["perp"]["address"])


def _price_server(run: RunFolder) -> Role:
    port = inner_port("price-server")
    url = f"http://127.0.0.1:{port}"
    return Role(
        name="price-server",
        command=(sys.executable, "-m", "contracts.price_server", "--port", str(port)),
        stage=Stage.SERVERS,
        log=run.log("price-server"),
        ready=partial(probes.http_answers, url),
        port=port,
        url=url,
    )
