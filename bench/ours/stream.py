"""The `stream` role with the environment's settings alone: `python -m bench.ours.stream`."""

from config.settings import load_settings
from tasks.stream import serve

if __name__ == "__main__":
    serve(load_settings(None))
