"""The real API with the no-op kinds on its menu."""

from __future__ import annotations

from dataclasses import replace

from flask import Flask

from app import factory
from bench.ours.kinds import BENCH_MENU


def create_app() -> Flask:
    """What granian starts."""
    app = factory.create_app()
    app.extensions["jobs"] = replace(app.extensions["jobs"], menu=BENCH_MENU)
    return app
