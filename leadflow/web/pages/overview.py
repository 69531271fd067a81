"""The first page: what came in, what it moved, what waits for somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint
from sqlalchemy import Connection

from leadflow.domain.lifecycle import Group
from leadflow.store import page_reads, reads
from leadflow.store.lists import Lists
from leadflow.web.auth import requires
from leadflow.web.pages import charts, desk

DAYS = 30
SPARK_DAYS = 14
SHOWN_MOVES = 10
SHOWN_TROUBLES = 5
# The lifecycle's way forward; what an installation adds stands beside it.
FUNNEL = ("lead", "mql", "opportunity", "customer")


@dataclass(frozen=True, slots=True)
class Counted:
    """One value of a list with how many records have it; `share` is per cent of the largest."""

    key: str
    name: str
    group: str | None
    description: str
    count: int
    share: float = 0.0


def register(pages: Blueprint) -> None:
    """Add the overview to the blueprint."""

    @pages.get("/")
    @requires("viewer")
    def overview() -> Any:
        with desk.reading() as connection:
            values = {**_numbers(connection), **_lifecycle(connection), **_latest(connection)}
            return desk.show(connection, "overview.html", "overview", **values)


def _numbers(connection: Connection) -> dict[str, Any]:
    now = desk.now()
    today = now.date()
    since = now - timedelta(days=DAYS)
    days = desk.kept("events per day", connection, lambda reader: reads.events_per_day(reader, since))
    last = page_reads.sums_since(connection, now - timedelta(days=1))
    both = page_reads.sums_since(connection, now - timedelta(days=2))
    return {
        "sums": last,
        "before": both.minus(last),
        "states": reads.events_per_state(connection),
        "oldest_pending": reads.oldest_pending_at(connection),
        "bars": charts.day_bars(days, today, DAYS, width=760),
        "narrow_bars": charts.day_bars(days, today, SPARK_DAYS, width=340),
        "received_spark": charts.spark(charts.per_day(days, today, SPARK_DAYS)),
        "processed_spark": charts.spark(charts.per_day(days, today, SPARK_DAYS, "processed")),
    }


def _lifecycle(connection: Connection) -> dict[str, Any]:
    lists = desk.lists(connection)
    companies = desk.kept("companies per category", connection, reads.companies_per_category)
    leads = _leads(lists, desk.kept("contacts per lead status", connection, reads.contacts_per_lead_status))
    counted = _categories(lists, companies)
    return {
        "funnel": [counted[key] for key in FUNNEL if key in counted],
        "asides": _asides(counted, companies.get(None, 0)),
        "leads": leads,
        "lead_total": sum(one.count for one in leads),
    }


def _categories(lists: Lists, counts: Mapping[str | None, int]) -> dict[str, Counted]:
    """The categories in use or on offer, in rank order."""
    return {
        one.key: Counted(one.key, one.name, one.group, one.description, counts.get(one.key, 0))
        for one in sorted(lists.lifecycle.categories.values(), key=lambda one: one.rank)
        if not one.deleted or counts.get(one.key)
    }


def _asides(counted: Mapping[str, Counted], without: int) -> list[Counted]:
    """What stands beside the funnel: lost opportunities always, the rest where there are any."""
    beside = [
        one
        for one in counted.values()
        if one.key not in FUNNEL and (one.count or one.group == Group.POTENTIAL_CUSTOMER)
    ]
    none = Counted("none", "No category", None, "not sorted yet", without)
    return [*beside, none] if without else beside


def _leads(lists: Lists, counts: Mapping[str | None, int]) -> list[Counted]:
    statuses = sorted(lists.statuses.by_key.values(), key=lambda one: one.rank)
    highest = max(counts.values(), default=0) or 1
    return [
        Counted(one.key, one.name, None, one.description, count, round(count / highest * 100, 1))
        for one in statuses
        if (count := counts.get(one.key, 0)) or not one.deleted
    ]


def _latest(connection: Connection) -> dict[str, Any]:
    now = desk.now()
    due = [one for one in page_reads.open_tasks(connection, limit=SHOWN_TROUBLES) if one.due_at and one.due_at <= now]
    return {
        "moves": page_reads.latest_moves(connection, limit=SHOWN_MOVES),
        "stuck": page_reads.stuck_events(connection, limit=SHOWN_TROUBLES),
        "due_tasks": due,
    }
