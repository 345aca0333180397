"""Operations: the embedded servers and the supervisor of `make up`, health, metrics, pruning and partitions.

Owns no table. Kinds: ops.prune. Depends on jobs, chain, oracle and perps for what it reports.
"""
