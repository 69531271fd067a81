"""leadflow as in production: web, workers and scheduler as processes of their own, and the means to hurt them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
from sqlalchemy import make_url

from tests.support.processes import Process, Processes, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
API_KEY = "lf_chaos_0123456789abcdef0123456789abcdef"


@dataclass
class Delivery:
    """One form and what its sender heard: the event's id of each 200, and how long the slowest answer took."""

    delivery_id: str
    document: dict[str, Any]
    event_ids: set[int] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    slowest_seconds: float = 0.0

    @property
    def is_accepted(self) -> bool:
        return bool(self.event_ids)


class App:
    """Processes on one database and one queue. `broker_url` may lead through a `Proxy`."""

    def __init__(self, processes: Processes, database_url: str, broker_url: str, queue: str, **settings: str) -> None:
        self._processes = processes
        self.port = free_port()
        self.database_url = database_url
        self._environment = {
            **dict.fromkeys(name for name in os.environ if name.startswith("LEADFLOW_")),
            "LEADFLOW_DATABASE_URL": database_url,
            "LEADFLOW_BROKER_URL": broker_url,
            "LEADFLOW_QUEUE": queue,
            "LEADFLOW_SECRET_KEY": "chaos-secret-key-0123456789abcdef",
            "LEADFLOW_BOOTSTRAP_API_KEY": API_KEY,
            "LEADFLOW_WEB_PORT": str(self.port),
            **settings,
        }
        self.workers: list[Process] = []
        self.web: Process | None = None
        self.scheduler: Process | None = None
        self._frozen: list[psutil.Process] = []

    def start(self, *, workers: int = 2, scheduler: bool = True, web: Sequence[str] = ("-m", "leadflow", "web")) -> App:
        """Start the roles; returns when the web server is ready."""
        self.start_web(web)
        for _ in range(workers):
            self.start_worker()
        if scheduler:
            self.scheduler = self._python("-m", "leadflow", "scheduler")
        self.wait_for_web()
        return self

    def start_web(self, command: Sequence[str] = ("-m", "leadflow", "web")) -> None:
        self.web = self._python(*command)

    def start_worker(self) -> Process:
        worker = self._python("-m", "leadflow", "worker")
        self.workers.append(worker)
        return worker

    def wait_for_web(self) -> None:
        assert self.web is not None
        self.web.wait_until(self._is_ready, 60, "an answer of /readyz")

    def _python(self, *command: str) -> Process:
        return self._processes.python(*command, env=self._environment, cwd=ROOT)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    # -- calls ----------------------------------------------------------------------------------------------------

    def post(self, delivery: Delivery, timeout_seconds: float = 30) -> int:
        """Deliver once; the status, 0 if the connection broke before an answer came."""
        body = json.dumps(delivery.document).encode()
        headers = {"content-type": "application/json", "webhook-id": delivery.delivery_id}
        begin, status = time.monotonic(), 0
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_seconds)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("POST", "/hooks/generic", body, headers)
            response = connection.getresponse()
            content = response.read()
            status = response.status
            if status == 200:
                delivery.event_ids.add(json.loads(content)["event_id"])
        delivery.slowest_seconds = max(delivery.slowest_seconds, time.monotonic() - begin)
        delivery.statuses.append(status)
        return status

    def post_until_accepted(self, delivery: Delivery, give_up_seconds: float = 60) -> None:
        """As a form builder does: again, until somebody says 200."""
        end = time.monotonic() + give_up_seconds
        while self.post(delivery) != 200:
            if time.monotonic() > end:
                raise AssertionError(f"{delivery.delivery_id} was never accepted: {delivery.statuses[-5:]}")
            time.sleep(0.05)

    def post_all(self, deliveries: Sequence[Delivery], senders: int = 8, pause_seconds: float = 0.0) -> None:
        """Everything, by several senders at once, each with a pause after every answer."""

        def post(delivery: Delivery) -> None:
            self.post_until_accepted(delivery)
            time.sleep(pause_seconds)

        with ThreadPoolExecutor(senders) as threads:
            list(threads.map(post, deliveries))

    def api(self, method: str, path: str, document: object = None) -> Any:
        """A call of the API that must succeed; again while the server is away."""

        def call() -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            with suppress(OSError, http.client.HTTPException), closing(connection):
                body = None if document is None else json.dumps(document)
                headers = {"content-type": "application/json", "authorization": f"Bearer {API_KEY}"}
                connection.request(method, f"/api/v1{path}", body, headers)
                response = connection.getresponse()
                content = response.read()
                if response.status < 300:
                    return json.loads(content)
                assert response.status == 503, content
            return None

        return wait_until(call, 30, f"an answer to {method} {path}")

    # -- looking --------------------------------------------------------------------------------------------------

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        url = make_url(self.database_url)
        address = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
        with psycopg.connect(**address, autocommit=True) as connection:
            yield connection

    def rows(self, statement: str) -> list[Any]:
        with self.database() as connection:
            return connection.execute(statement).fetchall()  # type: ignore[call-overload, no-any-return]

    def value(self, statement: str) -> Any:
        return self.rows(statement)[0][0]

    def wait_until_processed(self, timeout_seconds: float = 60) -> None:
        """Until nothing is pending any more."""
        pending = "SELECT count(*) FROM event WHERE state = 'pending'"
        wait_until(lambda: self.value(pending) == 0, timeout_seconds, "an empty inbox")

    def work_by_role(self) -> dict[str, int]:
        """How many processes of each role showed signs of life, and how many workers settled events."""
        rows = self.rows("SELECT role, count(*), count(*) FILTER (WHERE did_work > 0) FROM heartbeat GROUP BY role")
        found = {role: number for role, number, _ in rows}
        found["busy workers"] = sum(busy for role, _, busy in rows if role == "worker")
        return found

    # -- hurting --------------------------------------------------------------------------------------------------

    @staticmethod
    def children(process: Process) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return list(psutil.Process(process.pid).children(recursive=True))
        return []

    def kill_children(self, process: Process) -> None:
        """kill -9 of all that the process started; it lives on and starts others."""
        for one in self.children(process):
            _kill(one)

    def freeze_workers(self) -> None:
        """SIGSTOP of all that the workers started: they hold what they hold, and do nothing."""
        self._frozen = [one for worker in self.workers for one in self.children(worker)]
        for one in self._frozen:
            with suppress(psutil.NoSuchProcess):
                one.suspend()

    def thaw_workers(self) -> None:
        """Let those that are still there go on."""
        for one in self._frozen:
            with suppress(psutil.NoSuchProcess):
                one.resume()

    def kill_web_process(self) -> int:
        """kill -9 of the oldest of the web server's processes; its id.

        The server takes a process that dies twice within 5.5 s for one that cannot start.
        """
        assert self.web is not None
        serving = [one for one in self.children(self.web) if "resource_tracker" not in " ".join(one.cmdline())]
        victim = min(serving, key=lambda one: one.create_time())
        _kill(victim)
        return victim.pid


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


class Proxy:
    """A TCP proxy before a broker that can freeze: connections stay open, nothing passes, nobody is answered."""

    def __init__(self, broker_url: str) -> None:
        parts = urlsplit(broker_url)
        default = 5672 if parts.scheme.startswith("amqp") else 6379
        self._target = (parts.hostname or "127.0.0.1", parts.port or default)
        self._listener = socket.create_server(("127.0.0.1", 0))
        account = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        port = self._listener.getsockname()[1]
        self.url = parts._replace(netloc=f"{account}127.0.0.1:{port}").geturl()
        self.passed_bytes = 0
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: list[socket.socket] = []
        self._is_closed = False
        threading.Thread(target=self._accept_for_ever, daemon=True).start()

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def restart(self) -> None:
        """What was on its way is lost, every connection breaks, then all goes on."""
        for one in self._sockets:
            _hang_up(one)
        self.thaw()

    def close(self) -> None:
        self._is_closed = True
        self.restart()
        _hang_up(self._listener)
        for one in [self._listener, *self._sockets]:
            one.close()

    def _accept_for_ever(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                self._sockets.append(here)
                self._flows.wait()
                if self._is_closed:
                    return
                try:
                    there = socket.create_connection(self._target, timeout=5)
                except OSError:
                    _hang_up(here)
                    continue
                there.settimeout(None)
                self._sockets.append(there)
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                target.sendall(data)
                self.passed_bytes += len(data)
        _hang_up(source)
        _hang_up(target)


def _hang_up(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def in_background(action: Callable[[], None]) -> threading.Thread:
    """Run `action` beside the test; join it."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread
