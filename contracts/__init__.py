"""The outside world on the local chain: contracts in Vyper, and what builds, deploys and feeds them.

An implementation of its own: nothing here imports the product, so that the product's parsers and folds are checked
against something they did not write. Development only; no table, no job kind.
"""
