"""All SQL of the oracle: feeds and their latest prices, the history."""
