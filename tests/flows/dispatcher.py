"""The real dispatcher with the test kinds on its menu."""

from __future__ import annotations

from config.settings import load_settings
from tasks.dispatcher import serve
from tests.flows.kinds import TEST_MENU

if __name__ == "__main__":
    serve(load_settings(), TEST_MENU)
