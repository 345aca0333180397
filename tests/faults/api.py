"""The API with the test kinds on its menu: what granian's worker calls when it is born."""

from __future__ import annotations

from dataclasses import replace

from flask import Flask

from app.factory import create_app
from tests.faults.clock import set_clock
from tests.faults.deaths import take_order
from tests.faults.kinds import FAULTS_MENU


def make_api() -> Flask:
    """The whole API."""
    set_clock()
    take_order()
    app = create_app()
    app.extensions["jobs"] = replace(app.extensions["jobs"], menu=FAULTS_MENU)
    return app
