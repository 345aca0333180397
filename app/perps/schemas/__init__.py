"""The perps as HTTP shows them (`answers`) and is asked for them (`asked`)."""
