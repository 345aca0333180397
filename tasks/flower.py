"""Flower behind its password on every route, and for looking only. What `manage.py flower` runs.

By itself Flower answers /metrics, /healthcheck and its static files to everyone, and its command line takes a list of
credentials that a comma in the password would split. So it is started here, with one gate in front of all handlers.
"""

from __future__ import annotations

import hmac
import logging
import signal
import sys
from base64 import b64decode
from typing import Any

from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as page_settings
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from config.groups import FlowerSettings
from config.logging import configure_logging
from config.settings import Settings
from tasks.celery_app import celery_app


class Refused(RequestHandler):
    """401, whatever was asked and by which method."""

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here, so that every method gets the same answer."""

    def prepare(self) -> None:
        """Answer before any method is looked at."""
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        self.finish("Access denied")


class ClosedFlower(Flower):
    """Flower, whose router finds nothing but a refusal for who does not hold the credentials."""

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """The handler of the request; `options` are tornado's."""
        if not holds(request.headers.get("Authorization", ""), self.options.basic_auth[0]):
            return self.get_handler_delegate(request, Refused)
        return super().find_handler(request, **options)


def holds(header: str, credentials: str) -> bool:
    """True for a Basic `Authorization` header of exactly these credentials (`user:password`); in constant time."""
    scheme, _, encoded = header.partition(" ")
    try:
        given = b64decode(encoded, validate=True)
    except ValueError:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, credentials.encode())


def make_flower(settings: FlowerSettings) -> ClosedFlower:
    """Flower with these settings, not listening yet. Nothing of FLOWER_* but our own settings has a say."""
    default_options.address = settings.host
    default_options.port = settings.port
    default_options.basic_auth = [f"{settings.user}:{settings.password.get_secret_value()}"]
    default_options.read_only = True
    return ClosedFlower(capp=celery_app, options=default_options, **page_settings)


def serve(settings: Settings) -> None:
    """Flower until SIGTERM or SIGINT."""
    configure_logging(settings)
    logging.getLogger("tornado.access").setLevel(logging.WARNING)  # who was refused; not every look
    flower = make_flower(settings.flower)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    flower.start_http_server()
    try:
        flower.start()
    finally:
        flower.stop()
