"""`manage.py protocol`: a sentence for each mistake, addresses without code among them; and the views by SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from tests.chain.conftest import CHAIN_ID
from tests.chain.emitter import Chain, compiled
from tests.ops.test_verbs import manage

pytestmark = pytest.mark.chain
NOBODY = "0x" + "ab" * 20


@pytest.fixture
def chain(anvil: EmbeddedAnvil) -> Iterator[Chain]:
    hand = Chain(anvil.url)
    yield hand
    hand.close()


def written(folder: Path, chain: Chain, more: str = "") -> Path:
    """A file of the emitter, and of an address where nothing is."""
    (folder / "emitter.json").write_text(json.dumps(compiled()["abi"]))
    file = folder / "moves.toml"
    file.write_text(
        f'chain_id = {CHAIN_ID}\n{more}\n[contracts.emitter]\naddress = ["{chain.emitter}", "${{SPARE}}"]\n'
        'abi = "emitter.json"\n'
    )
    return file


def test_check_says_every_mistake(checkout: Path, tmp_path: Path, chain: Chain) -> None:
    file = written(tmp_path, chain)
    missing = manage(checkout, "protocol", "check", str(file))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == (
        "moves.toml: contracts.emitter.address: nothing is known as SPARE; set it, or name the deployment's file.\n"
    )
    good = manage(checkout, "protocol", "check", str(file), SPARE=NOBODY)
    assert (good.returncode, good.stdout, good.stderr) == (0, "moves.toml is in order.\n", "")
    no_code = manage(checkout, "protocol", "check", str(file), "--rpc", chain.url, SPARE=NOBODY)
    assert (no_code.returncode, no_code.stderr) == (
        1,
        f"moves.toml: contracts.emitter.address: there is no code at {NOBODY} on chain {CHAIN_ID}.\n",
    )
    elsewhere = manage(checkout, "protocol", "check", str(file), "--rpc", "http://127.0.0.1:9/v3/s3cr3t", SPARE=NOBODY)
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.count("\n") == 1
    assert "s3cr3t" not in elsewhere.stderr


def test_apply_makes_views(checkout: Path, tmp_path: Path, chain: Chain, engine: Engine, database_url: str) -> None:
    file = str(written(tmp_path, chain))
    database = {"DATABASE_URL": database_url, "SPARE": NOBODY}
    first = manage(checkout, "protocol", "apply", file, **database)
    assert first.stdout == "made      ev_moves_moved\nmade      ev_moves_noted\n", first.stderr
    assert manage(checkout, "protocol", "apply", file, **database).stdout.split()[::2] == ["unchanged"] * 2

    chain.send(chain.call_of("note(uint256,string)", 7, "a note"))
    chain.move(2, -5)
    indexed = manage(checkout, "index", "--protocol", file, "--rpc", chain.url, **database)
    assert indexed.returncode == 0, indexed.stderr
    with engine.connect() as connection:
        assert connection.execute(text("SELECT account, note FROM ev_moves_Noted")).all() == [(7, "a note")]
        assert connection.execute(text("SELECT account, amount, step FROM ev_moves_moved")).all() == [(2, -5, 0)]


def test_apply_needs_the_newest_tables(
    checkout: Path, tmp_path: Path, chain: Chain, engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0009_busy_jobs'"))
    done = manage(checkout, "protocol", "apply", str(written(tmp_path, chain)), DATABASE_URL=database_url, SPARE=NOBODY)
    assert done.returncode == 1
    assert done.stderr.startswith("The database is at 0009_busy_jobs, not at ")
    assert done.stderr.endswith(": run `manage.py migrate`.\n")
