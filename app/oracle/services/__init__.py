"""Use cases of the oracle: which feeds, refreshing, reading, updates for a transaction."""
