"""A lean load generator: many keep-alive connections in one thread, for it shares the machine with what it measures."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterable, Sequence

from tests.benchmarks.workload import Form

CONNECTIONS = 32
RECEIVE_BYTES = 65_536
GIVE_UP_SECONDS = 60


class Refused(Exception):
    """A request was not answered with 200, or not at all."""


def post(path: str, form: Form) -> bytes:
    """The bytes of a request."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"webhook-id: {form.delivery_id}\r\ncontent-length: {len(form.body)}\r\n\r\n"
    )
    return head.encode() + form.body


def posts(path: str, forms: Iterable[Form]) -> list[bytes]:
    """The bytes of many requests, made before the clock starts."""
    return [post(path, form) for form in forms]


def send_all(port: int, requests: Sequence[bytes], connections: int = CONNECTIONS) -> float:
    """Send all requests, each connection the next as soon as its last is answered; the seconds it took.

    Raises: Refused at the first answer that is not 200.
    """
    waiting = iter(requests)
    with selectors.EpollSelector() as selector:
        for _ in range(min(connections, len(requests))):
            selector.register(_connect(port), selectors.EVENT_READ)
        start = time.perf_counter()
        for key in list(selector.get_map().values()):
            key.fileobj.sendall(next(waiting))  # type: ignore[union-attr]
        answered = 0
        while answered < len(requests):
            ready = selector.select(GIVE_UP_SECONDS)
            if not ready:
                raise Refused(f"no answer for {GIVE_UP_SECONDS} s after {answered} answers")
            for key, _ in ready:
                _read_answer(key.fileobj)  # type: ignore[arg-type]
                answered += 1
                following = next(waiting, None)
                if following is not None:
                    key.fileobj.sendall(following)  # type: ignore[union-attr]
        seconds = time.perf_counter() - start
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    return seconds


def send_one(connection: socket.socket, request: bytes) -> bytes:
    """The body of the answer."""
    connection.sendall(request)
    return _read_answer(connection)


def connect(port: int) -> socket.socket:
    """A connection for `send_one`."""
    return _connect(port)


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), GIVE_UP_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _read_answer(connection: socket.socket) -> bytes:
    data = connection.recv(RECEIVE_BYTES)
    while True:
        head, separator, body = data.partition(b"\r\n\r\n")
        if separator and len(body) >= _content_length(head):
            break
        more = connection.recv(RECEIVE_BYTES)
        if not more:
            raise Refused(f"the connection was closed after {data[:200]!r}")
        data += more
    if not head.startswith(b"HTTP/1.1 200"):
        raise Refused(data[:500].decode(errors="replace"))
    return body


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
