"""Logs as an operator wants them: lines of text on a terminal, JSON for a collector; control characters escaped."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def set_up_logs(level: str, form: str) -> None:
    """Send everything, libraries included, to standard error in one form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if form == "json" else _render_line
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("celery", "kombu", "amqp", "waitress", "alembic", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _render_line(_logger: Any, _name: str, entry: Any) -> str:
    """`time level event key=value …`; texts are quoted, so that nothing a sender wrote can forge a line."""
    time, level, event = entry.pop("timestamp", ""), entry.pop("level", ""), entry.pop("event", "")
    exception = entry.pop("exception", None)
    entry.pop("logger", None)
    pairs = " ".join(f"{key}={value!r}" for key, value in entry.items())
    line = f"{time[:23]} {level:7} {_escaped(str(event))} {pairs}".rstrip()
    return f"{line}\n{exception}" if exception else line


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode() if not text.isprintable() else text
