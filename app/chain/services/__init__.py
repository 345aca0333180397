"""Use cases: index a contract set, heal reorgs."""
