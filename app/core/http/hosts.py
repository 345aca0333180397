"""Which names the API answers to: the Host header is checked, so that no link or cache is poisoned with another.

Werkzeug's own check knows no IPv6 literal and minds the case of letters.
"""

from __future__ import annotations

import re

from flask import Flask, request

from app.core.errors import UntrustedHost

ANY = "*"
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z")


def install_hosts(app: Flask, trusted: tuple[str, ...]) -> None:
    """Refuse other hosts than `trusted` with 400: names, IPv6 in brackets, `.example.org` for every name below it, or
    `*` for any.
    """
    if ANY in trusted:
        return
    names = {name.lower() for name in trusted}
    suffixes = tuple(name for name in names if name.startswith("."))

    def check() -> None:
        found = _HOST.match(request.headers.get("Host", "").lower())
        if found is None or not (found[1] in names or found[1].endswith(suffixes)):
            raise UntrustedHost()

    app.before_request(check)
