"""From the request to the committed category, beside a plain application that only stores; and what it costs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.benchmarks.figures import Figure, Table, ratios
from tests.benchmarks.installation import Inbox, Plain, Production, cpu_seconds, resident_mib
from tests.benchmarks.load import posts, send_all
from tests.benchmarks.workload import submissions


@dataclass
class Rounds:
    """What each round measured, a value a round."""

    nothing: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    end_to_end: list[float] = field(default_factory=list)
    intake: list[float] = field(default_factory=list)
    cpu_plain: list[float] = field(default_factory=list)
    cpu_end_to_end: list[float] = field(default_factory=list)
    cpu_intake: list[float] = field(default_factory=list)


def measure_end_to_end(
    table: Table, production: Production, plain: Plain, inbox: Inbox, rounds: int, size: int
) -> None:
    """Interleaved rounds of `size` requests each."""
    measured = Rounds()
    _round(Rounds(), production, plain, inbox, size // 4, "warm")
    inbox.tidy()
    for number in range(rounds):
        _round(measured, production, plain, inbox, size, str(number))
        inbox.tidy()
    inbox.assert_all_processed(at_least=2 * rounds * size)
    _report(table, measured)
    rss, pss = resident_mib([*production.web, *production.workers])
    table.add(
        Figure(
            "memory of web + worker after the run, RSS",
            [rss],
            300,
            220,
            "at most",
            "MiB",
            f"PSS {pss:,.0f} MiB",
            "Known: five processes of about 110 MiB, two of them parents that watch; RSS counts shared pages in each.",
        )
    )


def _round(measured: Rounds, production: Production, plain: Plain, inbox: Inbox, size: int, name: str) -> None:
    measured.nothing.append(size / send_all(plain.port, posts("/nothing", submissions(size, name))))
    before = cpu_seconds(plain.web)
    measured.plain.append(size / send_all(plain.port, posts("/store", submissions(size, name))))
    measured.cpu_plain.append((cpu_seconds(plain.web) - before) / size * 1_000)

    requests = posts("/hooks/generic", submissions(size, f"e{name}"))
    ours = [*production.web, *production.workers]
    before, start = cpu_seconds(ours), time.perf_counter()
    accepting_seconds = send_all(production.port, requests)
    inbox.wait_until_settled()
    measured.end_to_end.append(size / (time.perf_counter() - start))
    measured.accepted.append(size / accepting_seconds)
    measured.cpu_end_to_end.append((cpu_seconds(ours) - before) / size * 1_000)

    requests = posts("/hooks/generic", submissions(size, f"i{name}"))
    time.sleep(0.2)  # a worker that was frozen inside a transaction would keep its locks
    with production.workers_resting():
        before = cpu_seconds(production.web)
        measured.intake.append(size / send_all(production.port, requests))
        measured.cpu_intake.append((cpu_seconds(production.web) - before) / size * 1_000)
    inbox.wait_until_settled()


def _report(table: Table, measured: Rounds) -> None:
    table.heading("From the request to the committed category (RabbitMQ, granian, PostgreSQL)")
    table.add(Figure("Flask that does nothing, requests/s", measured.nothing))
    table.add(Figure("Flask + one INSERT and commit a request, requests/s", measured.plain))
    table.add(Figure("leadflow, intake only (workers resting), requests/s", measured.intake))
    table.add(Figure("leadflow, accepted while workers work, requests/s", measured.accepted))
    table.add(Figure("leadflow, end to end, events/s", measured.end_to_end))
    table.add(
        Figure(
            "end to end ÷ Flask + one INSERT a request",
            ratios(measured.end_to_end, measured.plain),
            0.9,
            1.2,
            beside=f"intake alone: {_median(ratios(measured.intake, measured.plain)):.2f}",
            reason_if_missed="Known: Flask's context and guards cost a hook more than storing it does.\n"
            "    Likely: one worker gets too small a share of two cores while others want them.",
        )
    )
    table.add(Figure("CPU an event, web + worker", measured.cpu_end_to_end, unit="ms"))
    table.add(
        Figure(
            "CPU an event ÷ intake only",
            ratios(measured.cpu_end_to_end, measured.cpu_intake),
            1.25,
            1.1,
            "at most",
            beside=f"intake {_median(measured.cpu_intake):.2f} ms, Flask + INSERT {_median(measured.cpu_plain):.2f} ms",
            reason_if_missed="Known: the worker takes 0.2 ms an event in full batches, more in small ones.\n"
            "    A cheaper intake makes this ratio worse.",
        )
    )


def _median(values: list[float]) -> float:
    return Figure("", values).median
