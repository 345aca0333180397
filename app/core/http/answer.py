"""The response class of the API."""

from __future__ import annotations

from typing import Any

from flask import Response
from werkzeug.datastructures import Headers

PLAIN = frozenset({200, 201, 202})


class Answer(Response):
    """A response whose headers leave as they were set.

    Werkzeug copies them first, one by one, and looks for what to mend: of a plain answer with a known length there is
    nothing, and it costs a thirtieth of a short request.
    """

    def get_wsgi_headers(self, environ: dict[str, Any]) -> Headers:
        """The headers themselves, where nothing about them can need mending."""
        if self.status_code in PLAIN and "Content-Length" in self.headers:
            return self.headers
        return super().get_wsgi_headers(environ)
