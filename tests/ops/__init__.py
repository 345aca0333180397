"""Running it: real processes, real signals."""
