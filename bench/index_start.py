"""How soon `manage.py index` begins: from the process's start to its first connection to the node."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence

from bench.stand import ROOT

PATIENCE_SECONDS = 30.0


def seconds_to_first_request(command: Sequence[str], **variables: str) -> float:
    """Start `command` with a node's URL of ours as its last argument, and end it as soon as it has called there.

    By then it has read its settings and its protocol file, and has spoken with its database.
    """
    with socket.create_server(("127.0.0.1", 0)) as node:
        node.settimeout(PATIENCE_SECONDS)
        url = f"http://127.0.0.1:{node.getsockname()[1]}"
        began = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - our own command line
            [*command, url], cwd=ROOT, env=os.environ | {"ENV_FILE": ""} | variables, stdout=subprocess.DEVNULL
        ) as process:
            try:
                connection, _ = node.accept()
                took = time.perf_counter() - began
                connection.close()
            finally:
                process.kill()
    return took
