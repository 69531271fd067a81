"""The Celery app. Messages carry nothing but "there is work": a lost, doubled or late one changes nothing."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

DRAIN = "leadflow.drain"
SWEEP = "leadflow.sweep"

# A bell that was not heard within this time need not be: the sweeper rings again.
BELL_EXPIRES_SECONDS = 30
MAX_WAITING_BELLS = 1_000

# Stop working this long before the time limits end the task.
DRAIN_SECONDS = 20


def make_celery(broker_url: str, queue: str, *, publishes_only: bool = False) -> Celery:
    """The app for workers, or with `publishes_only` for processes that ring and must never wait for a broker.

    The settings were measured to matter: see the guarantees in the README.
    """
    app = Celery("leadflow", broker=broker_url, set_as_current=False, include=[])
    arguments = {"x-max-length": MAX_WAITING_BELLS} if broker_url.startswith("amqp") else None
    app.conf.update(
        task_queues=[_queue(queue, arguments)],
        task_default_queue=queue,
        task_default_exchange=queue,
        task_default_routing_key=queue,
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry=False,
        task_time_limit=60,
        task_soft_time_limit=45,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=1_000,
        worker_max_memory_per_child=400_000,
        worker_soft_shutdown_timeout=20,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_heartbeat=30,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=1 if publishes_only else 10,
        broker_transport_options=_transport_options(broker_url, publishes_only),
    )
    return app


def _queue(name: str, arguments: dict[str, Any] | None) -> Queue:
    exchange = Exchange(name)  # type: ignore[no-untyped-call]
    return Queue(name, exchange, routing_key=name, queue_arguments=arguments)  # type: ignore[no-untyped-call]


def _transport_options(broker_url: str, publishes_only: bool) -> dict[str, Any]:
    """Without a limit a refused or frozen broker holds a publisher for 6 to 40 seconds; with these, 1."""
    scheme = broker_url.partition(":")[0]
    if scheme == "memory":
        return {"polling_interval": 0.01}
    at_once = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    if scheme in ("redis", "rediss"):
        options: dict[str, Any] = {"visibility_timeout": 300, "health_check_interval": 10, "retry_on_timeout": False}
        return options | ({"socket_timeout": 1, "socket_connect_timeout": 1, **at_once} if publishes_only else {})
    options = {"confirm_publish": True}
    return options | (
        {"read_timeout": 1, "write_timeout": 1, "connect_timeout": 1, **at_once} if publishes_only else {}
    )
