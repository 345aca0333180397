"""Servers from wheels and npm: Postgres, two Valkeys, anvil; each a child process of ours, never detached."""
