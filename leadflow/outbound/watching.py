"""Keeps a library that opens its own connections from forbidden addresses, at the moment in which it connects.

Apprise resolves names and connects by itself. Python tells of every connection before it is made (the audit event
`socket.connect`, with the address it goes to); inside `watching` a forbidden one is refused there, so a name that
changes its address between a test and the call gains nothing.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from leadflow.outbound.addresses import AddressPolicy, ForbiddenAddress

# What leaves a socket without being connected; nobody needs it here.
UNCONNECTED = frozenset({"socket.sendto", "socket.sendmsg", "socket.bind"})


@dataclass
class Watch:
    """What happened while a library was watched."""

    policy: AddressPolicy
    refusals: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def judge(self, event: str, address: object) -> None:
        """Raises: ForbiddenAddress."""
        try:
            if event in UNCONNECTED or not isinstance(address, tuple):
                raise ForbiddenAddress("Only TCP connections may be made.")
            self.policy.test(str(address[0]), [str(address[0])])
        except ForbiddenAddress as error:
            self.refusals.append(str(error))
            raise


_watch: ContextVar[Watch | None] = ContextVar("leadflow_outbound_watch", default=None)
_installing = threading.Lock()
_installed: set[str] = set()


@contextmanager
def watching(policy: AddressPolicy, logger_name: str) -> Iterator[Watch]:
    """Refuse this thread every connection that `policy` forbids, and hear what the library's logger says."""
    _install(logger_name)
    watch = Watch(policy)
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)


def _install(logger_name: str) -> None:
    """Once in a process: hooks cannot be taken out again. Outside `watching` they do nothing."""
    with _installing:
        if not _installed:
            sys.addaudithook(_on_event)
        if logger_name not in _installed:
            logger = logging.getLogger(logger_name)
            logger.addHandler(_Listener(logging.WARNING))
            # What it says may hold what a sender wrote; it stands beside the message, not in the log.
            logger.propagate = False
        _installed.update({"hook", logger_name})


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" or event in UNCONNECTED:
        watch = _watch.get()
        if watch is not None:
            watch.judge(event, arguments[1])


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        watch = _watch.get()
        if watch is not None:
            watch.said.append(record.getMessage())
