"""Typed settings, logging set-up, and the protocol files (which contract's event means what)."""
