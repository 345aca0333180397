"""The queue's outside world: the Celery broker, the dispatcher's wake-up, and the receivers of callbacks."""
