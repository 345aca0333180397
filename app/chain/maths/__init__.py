"""Pure decisions: range sizes, fork points, words of an ABI."""
