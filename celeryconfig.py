"""Celery's settings. Each departs from the default for a reason; docs/adr/0001-durability.md has the whole argument."""

from __future__ import annotations

from config.settings import load_settings

_settings = load_settings()

broker_url = _settings.broker_url.get_secret_value()
# One value for every process that touches the broker: the shortest would rule them all.
broker_transport_options = {"visibility_timeout": 120, "socket_timeout": 30, "socket_keepalive": True}
broker_connection_retry_on_startup = True
# A ceiling: connections are opened when needed. Flower puts its questions to the workers from a thread each, and each
# needs two; with a lower ceiling every thread holds one and waits for ever for its second.
broker_pool_limit = 64

# The row is the job: results, retries and times to come live in Postgres, never in Celery.
task_ignore_result = True
task_store_errors_even_if_ignored = False
task_acks_late = False
task_reject_on_worker_lost = False
task_publish_retry = False
task_default_queue = "default"
task_create_missing_queues = True
enable_utc = True
timezone = "UTC"

task_serializer = "json"
accept_content = ["json"]
event_serializer = "json"

# A message waits in Redis, where the dispatcher can count it, not in a busy worker.
worker_prefetch_multiplier = 1
worker_max_memory_per_child = 400_000  # kilobytes
worker_send_task_events = True
worker_soft_shutdown_timeout = 8.0
worker_enable_soft_shutdown_on_idle = False
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_cancel_long_running_tasks_on_connection_loss = False
