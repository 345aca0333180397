"""The words of the oracle."""
