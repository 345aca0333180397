"""The chain feature's use cases."""
