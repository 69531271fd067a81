"""The application on a real port, over a database that has a story to show."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from werkzeug.serving import WSGIRequestHandler, make_server

from leadflow.services.configuration import read_configuration
from leadflow.store.engine import make_engine
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig
from tests.browser.story import CONFIG


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a test's output is its own."""


@contextmanager
def serve(url: str) -> Iterator[tuple[str, Engine]]:
    """The address of the application, and the engine under it."""
    engine = make_engine(url, pool_size=8)
    config = WebConfig(engine, "a secret for tests only, long enough", sources=read_configuration(CONFIG).sources)
    server = make_server("127.0.0.1", 0, create_app(config), threaded=True, request_handler=_Quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", engine
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        engine.dispose()
