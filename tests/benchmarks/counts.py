"""A preview count for a selection, beside the count that somebody would write by hand; and the memory of a sweep."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.figures import Figure, Table, ratios
from tests.benchmarks.sweeps import Million


@dataclass(frozen=True)
class Selection:
    """What is asked, in the rule language as JSON, and the same by hand."""

    name: str
    where: dict[str, Any]
    by_hand: str
    is_small: bool = False


SELECTIONS: Sequence[Selection] = (
    Selection(
        "lead status and tag",
        {"all": [{"contact.lead_status": "Re-nurture"}, {"contact.tags": {"has": "newsletter"}}]},
        "SELECT count(*) FROM contact"
        " WHERE lead_status_key = 're-nurture' AND tags_norm && ARRAY['newsletter']::varchar[]",
    ),
    Selection(
        "category of the company, and not touched for 90 days",
        {
            "all": [
                {"company.category": ["Lead", "Marketing qualified lead"]},
                {"contact.last_touched_at": {"older_than": "90 days"}},
            ]
        },
        "SELECT count(*) FROM contact JOIN company ON company.id = contact.company_id"
        " WHERE company.category_key IN ('lead', 'mql') AND last_touched_at < now() - interval '90 days'",
    ),
    Selection(
        "is not one of, blanks included",
        {"contact.lead_status": {"not_in": ["Open", "Disqualified"]}},
        "SELECT count(*) FROM contact WHERE lead_status_key IS NULL OR lead_status_key NOT IN ('open', 'disqualified')",
    ),
    Selection(
        "one host, by index",
        {"contact.email": {"domain_in": ["firma77.example"]}},
        "SELECT count(*) FROM contact WHERE email_host = 'firma77.example'",
        is_small=True,
    ),
)


def measure_counts(table: Table, installation: Million, rounds: int) -> None:
    """Interleaved rounds; both sides must find the same number."""
    table.heading("Preview counts over the same contacts")
    for one in SELECTIONS:
        ask = installation.counter(one.where)
        ours, hand = [], []
        for _ in range(rounds + 1):  # the first one warms up
            seconds, found = _timed(ask)
            ours.append(seconds)
            seconds, by_hand = _timed(lambda: installation.count_by_hand(one.by_hand))  # noqa: B023
            hand.append(seconds)
            assert found == by_hand, (one.name, found, by_hand)
        table.add(Figure(f"{one.name}, {found:,}: ms", [seconds * 1_000 for seconds in ours[1:]]))
        # Of a look into an index the fixed cost is all there is: reading the condition, a transaction.
        targets = (None, None) if one.is_small else (1.3, 1.1)
        table.add(Figure(f"{one.name}: count ÷ by hand", ratios(ours[1:], hand[1:]), *targets, "at most"))


def _timed(ask: Callable[[], int]) -> tuple[float, int]:
    start = time.perf_counter()
    found = ask()
    return time.perf_counter() - start, found
