"""How long a sender waits for the answer, and how long until the category is committed, at a calm rate."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.figures import Figure, Table, percentile
from tests.benchmarks.installation import Inbox
from tests.benchmarks.load import connect, post, send_one
from tests.benchmarks.workload import submissions

RATE_PER_SECOND = 50
CLIENTS = 16
ASK_EVERY_SECONDS = 0.001
GIVE_UP_SECONDS = 10

SMALL_BATCHES = (
    "Known: a batch of one event is some 20 statements, about 7 ms of the worker's CPU.\n"
    "    Likely in leadflow up: the web shares that process's interpreter lock, and its broker is asked every 10 ms."
)


@dataclass
class Waits:
    """In milliseconds, from the moment a request is sent; one value a request."""

    answered: list[float] = field(default_factory=list)
    committed: list[float] = field(default_factory=list)


def measure_latency(table: Table, port: int, database_url: str, rounds: int, size: int) -> None:
    """Production: p50 and p99 until the commit, by the p50 of the answer."""
    waits = _rounds(port, database_url, rounds, size, "latency")
    table.heading(f"Waiting, at {RATE_PER_SECOND} requests/s (RabbitMQ)")
    _report_waits(table, waits)
    answers = [percentile(one.answered, 50) for one in waits]
    for per_cent, target, aim in ((50, 3, 2), (99, 8, 4)):
        figures = [percentile(one.committed, per_cent) / answer for one, answer in zip(waits, answers, strict=True)]
        name = f"POST → commit p{per_cent} ÷ POST → answer p50"
        table.add(Figure(name, figures, target, aim, "at most", reason_if_missed=SMALL_BATCHES))


def measure_embedded_latency(table: Table, port: int, database_url: str, rounds: int, size: int) -> None:
    """`leadflow up`: p99 until the commit, by the p99 of the answer."""
    waits = _rounds(port, database_url, rounds, size, "embedded")
    table.heading(f"Waiting, at {RATE_PER_SECOND} requests/s (leadflow up, all in one process)")
    _report_waits(table, waits)
    figures = [percentile(one.committed, 99) / percentile(one.answered, 99) for one in waits]
    name = "embedded: POST → commit p99 ÷ POST → answer p99"
    table.add(Figure(name, figures, 2, 1.3, "at most", reason_if_missed=SMALL_BATCHES))


def _report_waits(table: Table, waits: Sequence[Waits]) -> None:
    for per_cent in (50, 99):
        answered = [percentile(one.answered, per_cent) for one in waits]
        committed = [percentile(one.committed, per_cent) for one in waits]
        table.add(Figure(f"POST → answer, p{per_cent}", answered, unit="ms"))
        table.add(Figure(f"POST → commit, p{per_cent}", committed, unit="ms"))


def _rounds(port: int, database_url: str, rounds: int, size: int, series: str) -> list[Waits]:
    _round(port, database_url, min(size, 50), f"{series}-warm")
    return [_round(port, database_url, size, f"{series}-{number}") for number in range(rounds)]


def _round(port: int, database_url: str, size: int, series: str) -> Waits:
    """Requests leave at their time whatever happened to those before; each is followed until its commit."""
    requests = [post("/hooks/generic", form) for form in submissions(size, series)]
    waits, faults = Waits(), list[BaseException]()
    start = time.perf_counter() + 0.1

    def follow(client: int) -> None:
        try:
            _follow(waits, port, database_url, list(enumerate(requests))[client::CLIENTS], start)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=follow, args=(client,)) for client in range(CLIENTS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if faults:
        raise faults[0]
    return waits


def _follow(waits: Waits, port: int, url: str, requests: list[tuple[int, bytes]], start: float) -> None:
    inbox = Inbox(url)
    with connect(port) as connection:
        for number, request in requests:
            time.sleep(max(0.0, start + number / RATE_PER_SECOND - time.perf_counter()))
            sent = time.perf_counter()
            event_id = json.loads(send_one(connection, request))["event_id"]
            waits.answered.append((time.perf_counter() - sent) * 1_000)
            while not inbox.is_processed(event_id):
                if time.perf_counter() - sent > GIVE_UP_SECONDS:
                    raise AssertionError(f"event {event_id} is not processed after {GIVE_UP_SECONDS} s")
                time.sleep(ASK_EVERY_SECONDS)
            waits.committed.append((time.perf_counter() - sent) * 1_000)
    inbox.close()
