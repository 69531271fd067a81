"""`make bench`: what leadflow costs beside the same work done plainly, in the same run, on this machine.

    python -m tests.benchmarks [--quick] [--only machine end-to-end latency drain rules sweeps pages embedded]

It measures and tells; a target that is missed is no failure. PostgreSQL is the one LEADFLOW_TEST_DATABASE_URL names,
else the one that listens on 127.0.0.1:5432, else leadflow's own; RabbitMQ the one that the tests use.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg

from leadflow.services.configuration import read_configuration
from leadflow.services.installation import configured_catalogue
from leadflow.store.postgres_server import PostgresServer
from tests.benchmarks.counts import measure_counts
from tests.benchmarks.drain import Backlog, measure_drain, measure_growth
from tests.benchmarks.end_to_end import measure_end_to_end
from tests.benchmarks.figures import Figure, Table
from tests.benchmarks.installation import ROOT, Embedded, Inbox, Plain, Production, libpq_address
from tests.benchmarks.latency import measure_embedded_latency, measure_latency
from tests.benchmarks.machine import measure_machine
from tests.benchmarks.pages import measure_pages
from tests.benchmarks.rules import measure_rules
from tests.benchmarks.sweeps import Million, measure_sweeps
from tests.support import servers
from tests.support.processes import Processes

PARTS = ("machine", "end-to-end", "latency", "drain", "rules", "sweeps", "pages", "embedded")
USUAL_SERVER = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run measures."""

    rounds: int
    requests: int
    backlog: int
    calm_requests: int
    repeats: int
    seconds: float
    contacts: int


FULL = Size(rounds=5, requests=4_000, backlog=4_000, calm_requests=400, repeats=200, seconds=1.0, contacts=1_000_000)
QUICK = Size(rounds=2, requests=1_000, backlog=1_000, calm_requests=100, repeats=20, seconds=0.3, contacts=50_000)


def main() -> int:
    """Measure the parts asked for; the exit status for make."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small rounds, to try the benchmarks themselves")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    size, table, started_at = QUICK if options.quick else FULL, Table(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leadflow-bench-") as folder, postgres(Path(folder)) as server_url:
        Path(folder).chmod(0o755)  # as root, PostgreSQL runs as another account
        print(describe(server_url))
        for part in options.only:
            with ExitStack() as stack:
                PART[part](table, size, stack, Path(folder), server_url)
    print(f"\n{table.summary()} {time.monotonic() - started_at:.0f} s.")
    return 0


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a server with fsync on."""
    if named := os.environ.get("LEADFLOW_TEST_DATABASE_URL"):
        yield named
    elif _listens(5432):
        yield USUAL_SERVER
    else:
        with PostgresServer(folder / "postgres", system_base=folder / "system") as server:
            yield server.url


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def describe(server_url: str) -> str:
    """The circumstances, which belong to every figure."""
    with psycopg.connect(libpq_address(server_url)) as connection:
        settings = [
            f"{name} {connection.execute(f'SHOW {name}').fetchone()[0]}"  # type: ignore[index]
            for name in ("fsync", "synchronous_commit", "shared_buffers", "autovacuum")
        ]
        version = connection.info.server_version // 10_000
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {os.cpu_count()} cores"
        f" (load {load:.1f} before the run), PostgreSQL {version} ({', '.join(settings)}); the load generator runs on"
        " the same cores"
    )


def _machine(table: Table, size: Size, stack: ExitStack, _folder: Path, server_url: str) -> None:
    url = stack.enter_context(servers.database(server_url))
    measure_machine(table, libpq_address(url), size.seconds, size.rounds)


def _production(stack: ExitStack, folder: Path, server_url: str) -> tuple[Production, Processes, str] | None:
    if trouble := rabbitmq_trouble():
        print(f"\nLeft out: {trouble}")
        return None
    logs = folder / secrets.token_hex(4)
    logs.mkdir()
    url = stack.enter_context(servers.database(server_url))
    queue = f"leadflow-bench-{secrets.token_hex(4)}"
    stack.callback(servers.forget_queue, servers.rabbitmq_url(), queue)
    processes = Processes(logs)
    stack.callback(processes.stop_all)
    production = Production(processes, logs, url, servers.rabbitmq_url(), queue)
    production.start()
    return production, processes, url


def rabbitmq_trouble() -> str:
    """Why nothing that needs RabbitMQ can be measured; nothing if it can."""
    need = next(one for one in servers.NEEDS if one.marker == "rabbitmq")
    return need.trouble() if need.is_installed() else "RabbitMQ is not installed."


def _end_to_end(table: Table, size: Size, stack: ExitStack, folder: Path, server_url: str) -> None:
    started = _production(stack, folder, server_url)
    if started is None:
        return
    production, processes, url = started
    plain = Plain(processes, stack.enter_context(servers.database(server_url)))
    plain.start()
    inbox = Inbox(url)
    stack.callback(inbox.close)
    measure_end_to_end(table, production, plain, inbox, size.rounds, size.requests)
    stack.callback(processes.stop_all)  # before the databases go


def _latency(table: Table, size: Size, stack: ExitStack, folder: Path, server_url: str) -> None:
    started = _production(stack, folder, server_url)
    if started is not None:
        production, _, url = started
        measure_latency(table, production.port, url, min(size.rounds, 3), size.calm_requests)


def _drain(table: Table, size: Size, stack: ExitStack, _folder: Path, server_url: str) -> None:
    url = stack.enter_context(servers.database(server_url))
    backlog = Backlog(url, read_configuration(ROOT / "config"))
    stack.callback(backlog.close)
    inbox = Inbox(url)
    stack.callback(inbox.close)
    measure_drain(table, backlog, inbox, size.rounds, size.backlog)
    measure_growth(table, backlog, inbox, min(size.rounds, 3), size.backlog * 2)


def _rules(table: Table, size: Size, _stack: ExitStack, _folder: Path, _server_url: str) -> None:
    catalogue = configured_catalogue(read_configuration(ROOT / "config"))
    measure_rules(table, catalogue, size.rounds, size.repeats)


def _sweeps(table: Table, size: Size, stack: ExitStack, _folder: Path, server_url: str) -> None:
    url = stack.enter_context(servers.database(server_url))
    installation = Million(url, read_configuration(ROOT / "config"), size.contacts)
    stack.callback(installation.close)
    before = resident_mib()
    measure_sweeps(table, installation, size.rounds)
    table.add(Figure("growth of the process over all these sweeps, RSS", [resident_mib() - before], unit="MiB"))
    measure_counts(table, installation, size.rounds)


def _pages(table: Table, size: Size, stack: ExitStack, _folder: Path, server_url: str) -> None:
    url = stack.enter_context(servers.database(server_url))
    measure_pages(table, url, read_configuration(ROOT / "config"), size.contacts, size.rounds * 6)


def resident_mib() -> float:
    """The memory of this process."""
    resident: int = psutil.Process().memory_info().rss
    return resident / 2**20


def _embedded(table: Table, size: Size, stack: ExitStack, folder: Path, _server_url: str) -> None:
    processes = Processes(folder)
    stack.callback(processes.stop_all)
    embedded = Embedded(processes, folder / "embedded")
    stack.callback(embedded.stop)
    url = embedded.start()
    measure_embedded_latency(table, embedded.port, url, min(size.rounds, 3), size.calm_requests)
    figure = [embedded.resident_mib_without_postgres()]
    table.add(Figure("memory of leadflow up after the run, RSS", figure, 130, 100, "at most", "MiB"))


PART = {
    "machine": _machine,
    "end-to-end": _end_to_end,
    "latency": _latency,
    "drain": _drain,
    "rules": _rules,
    "sweeps": _sweeps,
    "pages": _pages,
    "embedded": _embedded,
}

if __name__ == "__main__":
    sys.exit(main())
