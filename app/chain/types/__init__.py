"""The chain's words: `transactions` for the sender."""
