"""The use cases of accounts, by topic. They never commit."""
