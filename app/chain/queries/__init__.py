"""What the chain feature keeps in Postgres: all of its SQL."""
