"""Use cases of operations: the running stack, health, partitions, pruning."""
