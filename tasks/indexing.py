"""What `manage.py index` works with: a runtime of its own that follows one protocol file."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

import migrations
from config.settings import Settings
from tasks.runtime import Runtime


def indexing_runtime(read: Settings, file: str, rpc_url: str | None) -> Runtime:
    """A runtime for the chain that the protocol file names; an empty database gets its tables first."""
    url = read.database_url.get_secret_value()
    if migrations.is_empty(url):
        migrations.upgrade(url)
    nodes = {"rpc_urls": (SecretStr(rpc_url),)} if rpc_url else {}
    chain = read.chain.model_copy(update={"protocol_files": (file,), **nodes})
    followed = Runtime(read.model_copy(update={"chain": chain})).protocols[Path(file).stem]
    own = chain.model_copy(update={"chain_id": followed.contract_set.chain_id})
    return Runtime(read.model_copy(update={"chain": own}))
