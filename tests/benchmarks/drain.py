"""The drain of a backlog, beside the same work written by hand in batches and one transaction an event."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import psycopg
from sqlalchemy import Engine

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.configuration import Configuration
from leadflow.services.inbox import prepare_arrival, receive_arrivals
from leadflow.services.installation import apply_configuration
from leadflow.services.processing import Desk
from leadflow.services.rule_sets import publish
from leadflow.store.engine import make_engine
from leadflow.store.migrate import upgrade
from leadflow.tasks.draining import Drainer
from tests.benchmarks.by_hand import HandWrittenDrain
from tests.benchmarks.figures import Figure, Table, ratios
from tests.benchmarks.installation import Inbox, libpq_address
from tests.benchmarks.workload import bench_rules, submissions

BATCH = 500
STORED_AT_ONCE = 500
LONG = 60.0

PYTHON = (
    "Known: by hand no form is checked, no clause judged, no trace kept. Of its own time leadflow spends about\n"
    "    a sixth on reading forms, a quarter on matching and judging, a third on writing."
)


class Backlog:
    """An installation in this process, whose inbox is filled and drained."""

    def __init__(self, url: str, configuration: Configuration) -> None:
        upgrade(url)
        self.engine: Engine = make_engine(url, pool_size=2)
        self.source = configuration.sources["generic"]
        now = datetime.now(UTC)
        with self.engine.begin() as connection:
            apply_configuration(connection, configuration, now)
            actor = Actor(ActorKind.PERSON, None, "benchmark")
            publish(connection, actor, bench_rules(), origin="files", now=now)
        self.drainer = Drainer(self.engine, Desk(configuration.sources), BATCH)
        self.by_hand = psycopg.connect(libpq_address(url))

    def fill(self, count: int, series: str) -> None:
        """Store `count` forms as the web process does."""
        arrivals = [
            prepare_arrival(
                self.source, {"webhook-id": one.delivery_id}, "application/json", one.body, datetime.now(UTC)
            )
            for one in submissions(count, series)
        ]
        for start in range(0, count, STORED_AT_ONCE):
            with self.engine.begin() as connection:
                receive_arrivals(connection, arrivals[start : start + STORED_AT_ONCE])

    def drain(self) -> None:
        """By leadflow."""
        while self.drainer.drain(LONG):
            pass

    def drain_by_hand(self, batch_size: int, *, writes_traces: bool = False) -> None:
        HandWrittenDrain(self.by_hand, batch_size, writes_traces=writes_traces).drain()

    def close(self) -> None:
        self.by_hand.close()
        self.engine.dispose()


def measure_drain(table: Table, backlog: Backlog, inbox: Inbox, rounds: int, size: int) -> None:
    """Interleaved rounds: `size` events by leadflow, as many by hand in batches, a tenth of them one by one."""
    ours, batches, traced, singles = [], [], [], []
    _events_per_second(backlog, inbox, size // 4, "warm-l", backlog.drain)
    _events_per_second(backlog, inbox, size // 4, "warm-h", lambda: backlog.drain_by_hand(BATCH))
    for number in range(rounds):
        ours.append(_events_per_second(backlog, inbox, size, f"l{number}", backlog.drain))
        batches.append(_events_per_second(backlog, inbox, size, f"h{number}", lambda: backlog.drain_by_hand(BATCH)))
        with_traces = partial(backlog.drain_by_hand, BATCH, writes_traces=True)
        traced.append(_events_per_second(backlog, inbox, size, f"t{number}", with_traces))
        few = max(size // 10, 4)
        singles.append(_events_per_second(backlog, inbox, few, f"s{number}", lambda: backlog.drain_by_hand(1)))
    inbox.assert_all_processed(rounds * size)
    table.heading("Draining a backlog, one process (same events, same tables, same ledger rows)")
    table.add(Figure("by hand, one transaction an event, events/s", singles))
    table.add(Figure(f"by hand, batches of {BATCH}, events/s", batches))
    table.add(Figure(f"by hand, batches of {BATCH}, with as many traces, events/s", traced))
    table.add(Figure("leadflow: rules, traces, ledger, events/s", ours))
    beside = f"÷ by hand with as many traces: {Figure('', ratios(ours, traced)).median:.2f}"
    table.add(
        Figure("drain ÷ hand-written batches", ratios(ours, batches), 0.7, 0.85, beside=beside, reason_if_missed=PYTHON)
    )
    table.add(Figure("drain ÷ one transaction an event", ratios(ours, singles), 15, 22, reason_if_missed=PYTHON))


def measure_growth(table: Table, backlog: Backlog, inbox: Inbox, rounds: int, size: int) -> None:
    """Ten times the events, ten times the time."""
    few, many = [], []
    for number in range(rounds):
        few.append(size / 10 / _events_per_second(backlog, inbox, size // 10, f"g{number}", backlog.drain))
        many.append(size / _events_per_second(backlog, inbox, size, f"G{number}", backlog.drain))
    table.add(Figure(f"time for {size:,} events ÷ {size // 10:,}", ratios(many, few), 11, 10, "at most"))


def _events_per_second(backlog: Backlog, inbox: Inbox, count: int, series: str, drain: Callable[[], object]) -> float:
    backlog.fill(count, series)
    inbox.tidy()
    start = time.perf_counter()
    drain()
    seconds = time.perf_counter() - start
    assert not inbox.has_pending()
    return count / seconds
