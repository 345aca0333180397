"""The real dispatcher with the no-op kinds on its menu."""

from __future__ import annotations

from bench.ours.kinds import BENCH_MENU
from config.settings import load_settings
from tasks.dispatcher import serve

if __name__ == "__main__":
    serve(load_settings(), BENCH_MENU)
