"""Loads the demo: day after day through the inbox, the rules and the services that everything else goes through.

A day is one transaction in which its events are stored, claimed and processed: no other worker ever sees one of them
pending, and after a crash a day has either happened or not (tests/integration/test_demo.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.exc import DBAPIError

from leadflow.demo.steps import Deed, Delivery, Stage
from leadflow.demo.story import DAYS, Chapter, Entry, write_story
from leadflow.errors import Conflict, InvalidRequest, LeadflowError, NotFound
from leadflow.services.inbox import receive_arrivals
from leadflow.services.processing import Desk, process_events
from leadflow.sources.model import Source
from leadflow.store.engine import name_actor
from leadflow.store.inbox import claim
from leadflow.store.records import LostRace
from leadflow.store.run_days import forget_counted_days
from leadflow.store.tables import CompanyRow, ContactRow, EventRow, Installation
from leadflow.tasks.draining import PASSING_FAULTS

SOURCE = "generic"

# Whoever loads the demo holds it for a day of the story, so that two loaders cannot tell the same day.
DEMO_LOCK = 7_270_009

# How long after its arrival an event of the story has been processed.
WORK_TAKES = timedelta(milliseconds=180)

ECHO_EVERY_DAYS = 30
MAX_TRIES = 50
TRY_AGAIN_AFTER_SECONDS = 0.1

HELD_BY_OTHERS = "Another worker holds a company of this day."

Echo = Callable[[str], object]


class NotYet(LeadflowError):
    """Another transaction works on a company of this day at the moment."""


def load_demo(engine: Engine, sources: Mapping[str, Source], echo: Echo, clock: Callable[[], datetime]) -> None:
    """Tell the ninety days before now, once in an installation's life; a load that was cut off is taken up again."""
    if SOURCE not in sources:
        echo(f"Demo data: there is no source '{SOURCE}' in this configuration, so nothing is loaded.")
        return
    start = time.monotonic()
    with engine.begin() as connection:
        if connection.scalar(select(Installation.demo_loaded_at)) is not None:
            return
        ends_at = _end_of_story(connection, clock())
    teller = Teller(engine, sources)
    for chapter in write_story(ends_at):
        teller.tell(chapter)
        if chapter.last_day % ECHO_EVERY_DAYS == 0 and chapter.last_day < DAYS:
            echo(f"Demo data: day {chapter.last_day} of {DAYS} …")
    with engine.begin() as connection:
        connection.execute(update(Installation).values(demo_loaded_at=clock()))
        forget_counted_days(connection)  # the story's days came after the scheduler had counted some of them
        echo(f"Demo data is loaded: {_summary(connection)} ({time.monotonic() - start:.0f} s).")


def _end_of_story(connection: Connection, now: datetime) -> datetime:
    """Now; or the moment at which a load began that was cut off. The ids of its deliveries tell it."""
    begun = connection.scalar(_FIRST_DELIVERY, {"source": SOURCE})
    return now.replace(microsecond=0) if begun is None else datetime.fromtimestamp(int(begun), UTC)


_FIRST_DELIVERY = text(
    r"SELECT substring(delivery_id FROM '^demo-(\d{10})-1$') AS ends_at FROM event"
    r" WHERE source = :source AND delivery_id ~ '^demo-\d{10}-1$' ORDER BY id LIMIT 1"
)


def _summary(connection: Connection) -> str:
    def count(table: type, *conditions: object) -> int:
        return connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0  # type: ignore[arg-type]

    companies, contacts, events = count(CompanyRow), count(ContactRow), count(EventRow)
    customers = count(CompanyRow, CompanyRow.category_key == "customer")
    return f"{companies} companies, {contacts} contacts, {events:,} events, {customers} customers"


class Teller:
    """Lets the story happen in the database, a chapter in a transaction."""

    def __init__(self, engine: Engine, sources: Mapping[str, Source]) -> None:
        self._engine = engine
        self._source = sources[SOURCE]
        self._desk = Desk(sources)

    def tell(self, chapter: Chapter) -> None:
        """Let the chapter happen, unless it has; try again while live events hold one of its companies."""
        for left in reversed(range(MAX_TRIES)):
            try:
                with self._engine.begin() as connection:
                    self._tell_once(connection, chapter)
                return
            except (NotYet, LostRace, DBAPIError) as error:
                if not left or not _is_passing(error):
                    raise
                time.sleep(TRY_AGAIN_AFTER_SECONDS)

    def _tell_once(self, connection: Connection, chapter: Chapter) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": DEMO_LOCK})
        if _has_happened(connection, chapter):
            return
        # A day that a crash of the machine takes back is simply told again.
        connection.execute(text("SET LOCAL synchronous_commit TO off"))
        for is_delivery, entries in groupby(chapter.entries, key=lambda one: isinstance(one.step, Delivery)):
            if is_delivery:
                self._receive(connection, entries)
            else:
                self._let_happen(connection, entries)

    def _receive(self, connection: Connection, entries: Iterable[Entry]) -> None:
        arrivals = [one.step.as_arrival(self._source, one.at) for one in entries if isinstance(one.step, Delivery)]
        ids = [receipt.event_id for receipt in receive_arrivals(connection, arrivals)]
        self._process(connection, ids, arrivals[-1].received_at)

    def _let_happen(self, connection: Connection, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if isinstance(entry.step, Deed):
                with suppress(Conflict, InvalidRequest, NotFound):  # the installation has other lists or rules
                    entry.step.happen(Stage(connection, entry.at))
                name_actor(connection, "")  # from here on automation writes again, and the guard binds it
                self._process(connection, _pending_of(connection, entry.at), entry.at)

    def _process(self, connection: Connection, ids: Sequence[int], now: datetime) -> None:
        """Give these events their effects, each as if a worker had been there when it came."""
        claimed = claim(connection, now, len(ids), only=ids) if ids else []
        if len(claimed) < len(ids):
            raise NotYet(HELD_BY_OTHERS)
        for event in claimed:
            if process_events(connection, self._desk, [event], event.received_at + WORK_TAKES).postponed:
                raise NotYet(HELD_BY_OTHERS)


def _pending_of(connection: Connection, at: datetime) -> Sequence[int]:
    """What a deed of this moment left to the rules."""
    waiting = select(EventRow.id).where(EventRow.state == "pending", EventRow.received_at == at)
    return connection.scalars(waiting.order_by(EventRow.id)).all()


def _has_happened(connection: Connection, chapter: Chapter) -> bool:
    known = select(EventRow.id).where(EventRow.source == SOURCE, EventRow.delivery_id == chapter.mark)
    return connection.scalar(known) is not None


def _is_passing(error: Exception) -> bool:
    return not isinstance(error, DBAPIError) or getattr(error.orig, "sqlstate", None) in PASSING_FAULTS
