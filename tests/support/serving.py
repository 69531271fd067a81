"""A WSGI application on a real port of this machine, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a test's output is its own."""


class _QuietAndKept(_Quiet):
    protocol_version = "HTTP/1.1"


@contextmanager
def served(app: Flask, *, keeps_connections: bool = False) -> Iterator[str]:
    """The address of the application; a program that asks often wants its connection kept."""
    handler = _QuietAndKept if keeps_connections else _Quiet
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
