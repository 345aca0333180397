"""Watchkeeper's own processes as they are, with the benchmark's no-op kinds added to the menu."""
