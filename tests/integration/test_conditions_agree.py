"""Memory and SQL give the same answer to every condition about every record."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random, SystemRandom
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import ARRAY, Connection, Date, create_engine, func, literal, select, text
from sqlalchemy.pool import NullPool

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Unreadable
from leadflow.errors import LeadflowError
from leadflow.rules.conditions import Condition, Trace
from leadflow.rules.model import Situation
from leadflow.rules.past_asked import PastAsked
from leadflow.rules.predicates import Interval
from leadflow.rules.values import first_moment_of
from leadflow.store.conditions import Subject, render, rows_of
from leadflow.store.conditions.days import first_day_from, start_of
from leadflow.store.conditions.fields import Day, compared_of_record
from leadflow.store.engine import name_actor, normalise_url
from leadflow.store.history import read_history
from leadflow.store.lists import insert_lists
from leadflow.store.records import lock_companies, lock_contacts
from leadflow.store.searches import count_found
from leadflow.store.tables import CompanyRow, ContactRow
from tests.support.random_conditions import (
    CATALOGUE,
    EVENTS,
    NOW,
    SELECTIONS,
    ZONES,
    make_conditions,
    named,
    render_naively,
    write_world,
)
from tests.unit.rules.given import CATEGORIES, STATUSES, form_situation, make_contact, rule_with

CONDITIONS_PER_QUERY = 40

Render = Callable[[Condition, Subject, Any], Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A session whose time zone is not UTC, in a database with the seeded lists."""
    engine = create_engine(normalise_url(database_url), poolclass=NullPool)
    with engine.begin() as opened:
        opened.execute(text("SET LOCAL TIME ZONE 'Europe/Oslo'"))
        name_actor(opened, "configuration")
        insert_lists(opened, CATEGORIES, STATUSES.by_key.values())
        name_actor(opened, "person")
        yield opened
        opened.rollback()
    engine.dispose()


def situations(connection: Connection, subject: Subject) -> dict[int, Situation]:
    """Every record as memory sees it, read as a worker reads it, by id."""
    contact_ids = list(connection.scalars(select(ContactRow.id)))
    company_ids = list(connection.scalars(select(CompanyRow.id)))
    companies = {one.id: one for one in lock_companies(connection, CATALOGUE, company_ids)}
    contacts = lock_contacts(connection, CATALOGUE, contact_ids)
    everything = PastAsked(
        frozenset({"form_submitted", "sale", *(name.casefold() for name in EVENTS)}),
        frozenset({"contact", "company"}),
        None,
        frozenset(CATALOGUE.fields),
        frozenset((one.subject, one.id) for one in SELECTIONS if one.is_static),
    )
    history = read_history(connection, CATALOGUE, everything, company_ids, contact_ids, NOW)
    occurrence = Occurrence(Trigger.SCHEDULE)
    if subject == "company":
        return {one.id: Situation(occurrence, NOW, company=one, history=history) for one in companies.values()}
    return {
        one.id: Situation(occurrence, NOW, companies.get(one.company_id or 0), one, history=history) for one in contacts
    }


def found_in_memory(condition: Condition, everybody: dict[int, Situation]) -> set[int]:
    judge, found = condition.compile(), set()
    for record_id, situation in everybody.items():
        trace = Trace()
        if judge(situation, trace):
            found.add(record_id)
        assert not trace.errors, trace.errors
    return found


def found_in_sql(
    connection: Connection, conditions: Sequence[Condition], subject: Subject, render: Render = render
) -> list[set[int]]:
    """The ids that satisfy each condition, many conditions in one query."""
    table: Any = (ContactRow if subject == "contact" else CompanyRow).__table__
    found: list[set[int]] = []
    for first in range(0, len(conditions), CONDITIONS_PER_QUERY):
        columns = [render(one, subject, NOW) for one in conditions[first : first + CONDITIONS_PER_QUERY]]
        rows = connection.execute(select(table.c.id, *columns).select_from(rows_of(subject))).all()
        found += [{row[0] for row in rows if row[place]} for place in range(1, len(columns) + 1)]
    return found


def compare(connection: Connection, seed: int, conditions: int, companies: int, contacts: int) -> None:
    random = Random(seed)
    write_world(connection, random, companies, contacts)
    for subject in ("contact", "company"):
        everybody = situations(connection, subject)
        written, rules = zip(*make_conditions(random, subject, conditions), strict=True)
        trees = named(random, [one.condition for one in rules])
        sizes = set()
        answers = zip(written, trees, found_in_sql(connection, trees, subject), strict=True)
        for number, (text_, tree, in_sql) in enumerate(answers):
            in_memory = found_in_memory(tree, everybody)
            assert in_sql == in_memory, f"LEADFLOW_TEST_SEED={seed}\n{text_}\n{_differences(in_sql, in_memory)}"
            if number % 10 == 0:
                assert count_found(connection, subject, tree, NOW) == len(in_memory), text_
            sizes.add(len(in_memory))
        assert len(sizes) > 20, "these conditions tell hardly anything apart"


def _differences(in_sql: set[int], in_memory: set[int]) -> str:
    return f"only in SQL: {sorted(in_sql - in_memory)[:5]}, only in memory: {sorted(in_memory - in_sql)[:5]}"


def test_memory_and_sql_agree_on_hundreds_of_conditions(connection: Connection) -> None:
    compare(connection, seed=2026, conditions=150, companies=40, contacts=120)


@pytest.mark.slow
def test_memory_and_sql_agree_on_thousands_of_conditions(connection: Connection) -> None:
    seed = int(os.environ.get("LEADFLOW_TEST_SEED", SystemRandom().randrange(10**6)))
    sys.stdout.write(f"LEADFLOW_TEST_SEED={seed}\n")

    compare(connection, seed, conditions=1_600, companies=150, contacts=450)


def test_sql_that_forgets_blanks_disagrees(connection: Connection) -> None:
    """The control: what the comparison above would see if negations were written naively."""
    random = Random(7)
    write_world(connection, random, companies=20, contacts=60)
    trees = [rule.condition for _, rule in make_conditions(random, "contact", 100)]
    everybody = situations(connection, "contact")

    naive = found_in_sql(connection, trees, "contact", render_naively)  # type: ignore[arg-type]
    wrong = sum(found_in_memory(tree, everybody) != found for tree, found in zip(trees, naive, strict=True))

    assert wrong >= 10


# Days in time zones ---------------------------------------------------------------------------------------------------

# Zones whose history both time-zone databases tell alike.
OLD_ZONES = ("Europe/Oslo", "America/Havana", "Atlantic/Azores", "America/Santiago", "Australia/Lord_Howe", "UTC")


@pytest.mark.parametrize("name", OLD_ZONES)
def test_a_day_begins_in_sql_when_it_begins_in_memory(connection: Connection, name: str) -> None:
    zone = UTC if name == "UTC" else ZoneInfo(name)
    days = [date(2000, 1, 1) + timedelta(days=number) for number in range(20 * 365)] + [
        date(1, 1, 1),
        date(9999, 12, 31),
    ]
    given = func.unnest(literal(days, ARRAY(Date))).column_valued("day")

    rows = connection.execute(select(given, start_of(given, zone)).where(given.is_not(None))).all()
    assert [(day, first_moment_of(day, zone)) for day in days] == [(day, at.astimezone(UTC)) for day, at in rows]


@given(
    moment=st.datetimes(timezones=st.just(UTC)),
    name=st.sampled_from(ZONES),
    is_included=st.booleans(),
    at_midnight=st.booleans(),
)
def test_cut_offs_move_to_the_first_day_that_begins_after_them(
    moment: datetime, name: str, is_included: bool, at_midnight: bool
) -> None:
    zone = ZoneInfo(name)
    cut_off = first_moment_of(moment.date(), zone) if at_midnight else moment

    first = first_day_from(cut_off, zone, is_included=is_included)
    for day in {first, first and first - timedelta(days=1) if first != date.min else None, date.max} - {None}:
        begins = first_moment_of(day, zone)
        is_beyond = begins > cut_off or (is_included and begins == cut_off)
        assert is_beyond is (first is not None and day >= first)


@pytest.mark.parametrize("name", ZONES)
def test_a_day_lies_between_moments_in_sql_as_in_memory(connection: Connection, name: str) -> None:
    zone, tick = ZoneInfo(name), timedelta(microseconds=1)
    days = [date(2026, 3, 28) + timedelta(days=number) for number in range(3)]
    moments = [first_moment_of(day, zone) + shift for day in days for shift in (-tick, timedelta(0), tick)]
    ends = [(low, high) for low in (None, *moments) for high in (None, *moments) if low or high]
    asked = [
        (day, Interval(low, high, has_low, has_high))
        for day in days
        for low, high in ends
        for has_low, has_high in ((True, True), (False, False))
    ]

    columns = [Day(literal(day, Date)).between(one, zone) for day, one in asked]
    found = [
        held
        for first in range(0, len(columns), 500)
        for held in connection.execute(select(*columns[first : first + 500])).one()
    ]
    assert found == [_lies_between(first_moment_of(day, zone), one) for day, one in asked]


def _lies_between(moment: datetime, one: Interval) -> bool:
    is_above = one.low is None or moment > one.low or (one.has_low and moment == one.low)
    return is_above and (one.high is None or moment < one.high or (one.has_high and moment == one.high))


# What a record does not hold ------------------------------------------------------------------------------------------


def rendered(condition: str, situation: Situation | None) -> str:
    rule = rule_with(condition, when="{form_submitted: any}")
    return str(select(ContactRow.id).where(render(rule.condition, "contact", NOW, situation)).compile())


def test_what_the_occurrence_brings_is_judged_in_memory() -> None:
    situation = form_situation(
        {"form": "Demo", "email": "anna@x.example"}, contact=make_contact(email="anna@x.example")
    )

    assert "WHERE true" in rendered("{all: [{form.form: demo}, {form.email: {domain_in: [x.example]}}]}", situation)
    assert "WHERE true" in rendered("{contact.email: {same_as: form.email}}", situation)
    assert "WHERE false" in rendered("{none: [{form.form: demo}]}", situation)
    assert "lead_status_key =" in rendered("{all: [{form.form: demo}, {contact.lead_status: Open}]}", situation)


def test_without_an_occurrence_there_is_no_form_to_ask_about() -> None:
    with pytest.raises(LeadflowError, match=r"form\.form"):
        rendered("{form.form: demo}", None)


def test_a_form_field_that_cannot_be_read_is_an_error_not_a_no() -> None:
    situation = form_situation({"budget": Unreadable("it is no number")})

    with pytest.raises(LeadflowError, match="it is no number"):
        rendered("{none: [{form.budget: {gt: 5}}]}", situation)


def test_every_field_of_a_record_has_a_column() -> None:
    for one in CATALOGUE.of("company", "contact"):
        assert compared_of_record(one.path, one).value is not None
