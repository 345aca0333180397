"""The same faults on plain Celery: a comparison, not a test. `make faults-baseline`."""
