"""Broken builds of leadflow. The chaos tests must fail on them, or they prove nothing.

python -m tests.chaos.broken answers-before-the-commit
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from flask import Flask

from leadflow.store.inbox import Arrival, Receipt
from leadflow.web import wsgi
from leadflow.web.group_commit import GroupCommit


def make_app() -> Flask:
    """The web application that says 200 first and stores later."""
    store, numbers = GroupCommit.store, iter(range(10**9, 2 * 10**9))

    def store_later(self: GroupCommit, arrival: Arrival) -> Receipt:
        threading.Thread(target=lambda: (time.sleep(0.3), store(self, arrival)), daemon=True).start()
        return Receipt(next(numbers), is_duplicate=False)

    GroupCommit.store = store_later  # type: ignore[method-assign]
    return wsgi.make_app()


def serve() -> None:
    from granian import Granian
    from granian.constants import Interfaces

    options: dict[str, Any] = {"workers": 2, "blocking_threads": 16, "respawn_failed_workers": True}
    port = int(os.environ["LEADFLOW_WEB_PORT"])
    Granian("tests.chaos.broken:make_app", factory=True, interface=Interfaces.WSGI, port=port, **options).serve()


if __name__ == "__main__":
    assert sys.argv[1:] == ["answers-before-the-commit"]
    serve()
