"""The chain's words: `blocks` for what is read, `indexing` for how far, `transactions` and `sending` for the sender."""
