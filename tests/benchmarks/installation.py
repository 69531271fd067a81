"""leadflow as in production and as `leadflow up`, and the plain application beside it: started, watched, counted."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import make_url

from leadflow.store.postgres_server import PostgresServer
from tests.benchmarks.load import Refused, connect, send_one
from tests.benchmarks.workload import bench_rules
from tests.support.processes import Process, Processes, free_port

ROOT = Path(__file__).resolve().parents[2]
WEB_WORKERS = 2
WEB_THREADS = 32
READY_WITHIN_SECONDS = 60
SETTLED_WITHIN_SECONDS = 120
POLL_SECONDS = 0.003

BASE = {"LEADFLOW_SECRET_KEY": "benchmark-secret-key-0123456789abcdef", "LEADFLOW_LOG_LEVEL": "warning"}


def libpq_address(url: str) -> str:
    """The URL as psycopg alone reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class Inbox:
    """What the measuring side asks the database, on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(libpq_address(url), autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def tidy(self) -> None:
        """What autovacuum does in normal life, at a moment that disturbs no figure."""
        self._connection.execute("VACUUM (ANALYZE, INDEX_CLEANUP ON)")
        self._connection.execute("CHECKPOINT")

    def has_pending(self) -> bool:
        return bool(self._one("SELECT EXISTS (SELECT FROM event WHERE state = 'pending')"))

    def states(self) -> dict[str, int]:
        return dict(self._connection.execute("SELECT state, count(*) FROM event GROUP BY state").fetchall())

    def is_processed(self, event_id: int) -> bool:
        state = self._connection.execute("SELECT state FROM event WHERE id = %s", (event_id,)).fetchone()
        return state is not None and state[0] == "processed"

    def wait_until_settled(self) -> None:
        """Returns as soon as nothing is pending."""
        deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
        while self.has_pending():
            if time.monotonic() > deadline:
                raise AssertionError(f"events are still pending after {SETTLED_WITHIN_SECONDS} s: {self.states()}")
            time.sleep(POLL_SECONDS)

    def assert_all_processed(self, at_least: int) -> None:
        """Figures of a run that lost something, or held it, say nothing."""
        states = self.states()
        assert set(states) == {"processed"}, states
        assert states["processed"] >= at_least, states

    def _one(self, query: str) -> object:
        row = self._connection.execute(query).fetchone()
        return row[0] if row else None


def cpu_seconds(processes: list[Process]) -> float:
    """CPU time of the processes and all that they started, so far."""
    return sum(_cpu_of(one) for process in processes for one in _family(process))


def resident_mib(processes: list[Process]) -> tuple[float, float]:
    """(RSS, PSS) in MiB of the processes and all that they started; PSS counts shared pages once."""
    infos = [one.memory_full_info() for process in processes for one in _family(process)]
    return sum(one.rss for one in infos) / 2**20, sum(one.pss for one in infos) / 2**20


def _family(process: Process) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _cpu_of(one: psutil.Process) -> float:
    times = one.cpu_times()
    return float(times.user + times.system)


class Production:
    """`leadflow web`, workers and scheduler on a broker; rules of the benchmark are live."""

    def __init__(self, processes: Processes, folder: Path, database_url: str, broker_url: str, queue: str) -> None:
        self._processes = processes
        self._folder = folder
        self._environment: dict[str, str | None] = {
            **_without_own_variables(),
            **BASE,
            "LEADFLOW_DATABASE_URL": database_url,
            "LEADFLOW_BROKER_URL": broker_url,
            "LEADFLOW_QUEUE": queue,
            "LEADFLOW_WEB_WORKERS": str(WEB_WORKERS),
            "LEADFLOW_WEB_THREADS": str(WEB_THREADS),
        }
        self.port = free_port()
        self.web: list[Process] = []
        self.workers: list[Process] = []
        self.scheduler: list[Process] = []

    def start(self, workers: int = 1) -> None:
        """Start all roles and wait for the first answer."""
        self._run("db", "upgrade")
        rules = self._folder / "rules"
        rules.mkdir(exist_ok=True)
        for name, content in bench_rules().items():
            (rules / name).write_text(content, encoding="utf-8")
        self._run("rules", "apply", "--force", str(rules))
        self.web = [self._start("web", "--host", "127.0.0.1", "--port", str(self.port))]
        self.workers = [self._start("worker") for _ in range(workers)]
        self.scheduler = [self._start("scheduler")]
        wait_for_port(self.web[0], self.port)

    @contextlib.contextmanager
    def workers_resting(self) -> Iterator[None]:
        """Freeze the workers while nothing is pending: then only the intake runs."""
        family = [one for worker in self.workers for one in _family(worker)]
        for one in family:
            one.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for one in family:
                one.send_signal(signal.SIGCONT)

    def _run(self, *command: str) -> None:
        process = self._start(*command)
        if process.wait(120):
            raise AssertionError(f"leadflow {' '.join(command)} failed:\n{process.log()}")

    def _start(self, *command: str) -> Process:
        return self._processes.python("-m", "leadflow", *command, env=self._environment, cwd=ROOT)


class Embedded:
    """`leadflow up`: everything in one process, with its own PostgreSQL beside it."""

    def __init__(self, processes: Processes, data: Path) -> None:
        self._processes = processes
        self.data = data
        self.port = free_port()
        self.all_in_one: list[Process] = []

    def start(self) -> str:
        """Start it and wait for the first answer; the URL of its database."""
        arguments = ("-m", "leadflow", "up", "--port", str(self.port), "--data", str(self.data))
        process = self._processes.python(*arguments, env={**_without_own_variables(), **BASE}, cwd=ROOT)
        self.all_in_one = [process]
        wait_for_port(process, self.port)
        url = PostgresServer(self.data).running_url()
        assert url is not None
        return url

    def resident_mib_without_postgres(self) -> float:
        """RSS of the one Python process."""
        return float(psutil.Process(self.all_in_one[0].pid).memory_info().rss) / 2**20

    def stop(self) -> None:
        if self.all_in_one and self.all_in_one[0].is_running:
            self.all_in_one[0].terminate()
        PostgresServer(self.data).destroy()


class Plain:
    """The plain application on the same web server and the same PostgreSQL."""

    def __init__(self, processes: Processes, database_url: str) -> None:
        self.port = free_port()
        self._processes = processes
        self._address = libpq_address(database_url)
        self._environment = {
            "PLAIN_DATABASE_URL": self._address,
            "PLAIN_PORT": str(self.port),
            "PLAIN_WORKERS": str(WEB_WORKERS),
            "PLAIN_THREADS": str(WEB_THREADS),
        }
        self.web: list[Process] = []

    def start(self) -> None:
        from tests.benchmarks.plain_app import TABLE

        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(TABLE)
        self.web = [
            self._processes.start(
                sys.executable, "-m", "tests.benchmarks.plain_app", name="plain", env=self._environment, cwd=ROOT
            )
        ]
        wait_for_port(self.web[0], self.port)


def wait_for_port(process: Process, port: int) -> None:
    """Wait until the server of `process` answers requests."""

    def answers() -> bool:
        try:
            with connect(port) as connection:
                send_one(connection, b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        except Refused as answer:
            return "HTTP/1.1" in str(answer)
        except OSError:
            return False
        return True

    process.wait_until(answers, READY_WITHIN_SECONDS, "an answer")


def _without_own_variables() -> dict[str, None]:
    return dict.fromkeys(name for name in os.environ if name.startswith("LEADFLOW_"))
