"""What happened before, and what time it is: event_count, last_event, last_change and now, in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow.domain.fields import Unreadable
from leadflow.domain.history import History, PastChange, PastEvent, Record
from leadflow.rules.model import Judgement, Situation
from tests.unit.rules.given import (
    NOW,
    document_with,
    form_situation,
    make_company,
    make_contact,
    parse_one_rule,
    rule_with,
)

DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
COMPANY, CONTACT, COLLEAGUE = 1, 2, 3


def event(name: str = "form_submitted", ago: timedelta = timedelta(), by: int = CONTACT, **fields: Any) -> PastEvent:
    """Something that a contact of the company did, so long ago."""
    return PastEvent(0, name, NOW - ago, fields, COMPANY, by)


def change(path: str, old: Any, new: Any, ago: timedelta = timedelta()) -> PastChange:
    return PastChange(path, COMPANY if path.startswith("company") else CONTACT, old, new, NOW - ago)


def situation(events: Iterable[PastEvent] = (), changes: Iterable[PastChange] = (), now: datetime = NOW) -> Situation:
    records = {"company": make_company(), "contact": make_contact()}
    return form_situation(now=now, history=History(events, changes), **records)


def judged(clause: str, *past: PastEvent | PastChange, zone: str = "UTC", now: datetime = NOW) -> Judgement:
    events = [one for one in past if isinstance(one, PastEvent)]
    changes = [one for one in past if isinstance(one, PastChange)]
    return rule_with(clause, zone=zone).judge(situation(events, changes, now))


def holds(clause: str, *past: PastEvent | PastChange) -> bool:
    """Whether the clause holds; under `none` it must be the exact opposite, with the same trace."""
    plain, negated = judged(clause, *past), judged(f"{{none: [{clause}]}}", *past)
    assert plain.error is None
    assert plain.holds is not negated.holds
    assert [(one.path, one.holds, one.value) for one in plain.clauses] == [
        (one.path, not one.holds, one.value) for one in negated.clauses
    ]
    return plain.holds


# -- event_count -------------------------------------------------------------------------------------------------------

FORMS = "{event_count: {of: form_submitted, %s}}"


@pytest.mark.parametrize(
    ("test", "fitting"),
    [
        ("is: 0", {0}),
        ("is: 2", {2}),
        ("is_not: 2", {0, 1, 3}),
        ("gte: 2", {2, 3}),
        ("gt: 2", {3}),
        ("lt: 2", {0, 1}),
        ("lte: 2", {0, 1, 2}),
        ("between: [1, 2]", {1, 2}),
        ("gte: 1, lt: 3", {1, 2}),
        ("is: 2.0", {2}),
    ],
)
def test_events_are_counted(test, fitting):
    assert {count for count in range(4) if holds(FORMS % test, *[event()] * count)} == fitting


@pytest.mark.parametrize(
    ("ago", "counts"),
    [(timedelta(), True), (30 * DAY, True), (30 * DAY + TICK, False), (-TICK, False)],
)
def test_a_window_has_both_its_ends_in_it_and_nothing_of_the_future(ago, counts):
    assert holds(FORMS % "within_last: 30 days, is: 1", event(ago=ago)) is counts


def test_what_has_not_happened_yet_is_not_counted_without_a_window_either():
    assert holds(FORMS % "is: 1", event(), event(ago=-TICK), event(ago=10_000 * DAY)) is False
    assert holds(FORMS % "is: 2", event(), event(ago=-TICK), event(ago=10_000 * DAY)) is True


def test_events_are_those_of_the_contact_or_of_everybody_at_the_company():
    past = [event(), event(by=COLLEAGUE), event(by=COLLEAGUE)]

    assert holds(FORMS % "is: 1", *past)
    assert holds(FORMS % "by: contact, is: 1", *past)
    assert holds(FORMS % "by: company, is: 3", *past)


def test_events_are_counted_by_their_name():
    past = [event("email_opened"), event("webinar_attended"), event("webinar_attended"), event("sale")]

    assert holds("{event_count: {of: webinar_attended, is: 2}}", *past)
    assert holds("{event_count: {of: Webinar_Attended, is: 2}}", *past)
    assert holds("{event_count: {of: sale, is: 1}}", *past)
    assert holds(FORMS % "is: 0", *past)


def test_where_asks_for_fields_of_the_event_itself():
    content = [event(form_type="Content", form="ebook"), event(form_type="content", form="x"), event(form="ebook")]
    sold = [event("sale", status="sold", amount=Decimal(10)), event("sale", status="lost", amount=Decimal(20))]
    seen = [event("webinar_attended", minutes=Decimal(50)), event("webinar_attended", minutes=Decimal(5))]

    assert holds(FORMS % "where: {form_type: content}, is: 2", *content)
    assert holds(FORMS % "where: {form.form_type: content}, is: 2", *content)
    assert holds(FORMS % "where: {form_type: content, form: ebook}, is: 1", *content)
    assert holds(FORMS % "where: {form_type: {is_not: content}}, is: 1", *content)
    assert holds(FORMS % "where: {form_type: {exists: false}}, is: 1", *content)
    assert holds("{event_count: {of: sale, where: {status: Sold}, is: 1}}", *sold)
    assert holds("{event_count: {of: sale, where: {amount: {gte: 10}}, is: 2}}", *sold)
    assert holds("{event_count: {of: webinar_attended, where: {minutes: {gte: 45}}, is: 1}}", *seen)


def test_where_asks_the_past_event_and_not_the_one_that_is_judged():
    rule = rule_with(FORMS % "where: {form: ebook}, is: 1")
    past = replace(situation([event(form="ebook")]), form={"form": "whitepaper"})

    assert rule.judge(past).holds


def test_a_field_of_the_past_that_could_not_be_read_is_an_error_and_never_no_match():
    past = event(budget=Unreadable("expected a number, not 'a lot'"))

    found = judged(FORMS % "where: {budget: {gte: 5}}, is: 0", past)

    assert not found.holds
    assert found.error == "form.budget cannot be read: expected a number, not 'a lot'."
    assert judged(FORMS % "is: 1", past).holds, "nobody asks for it here"


def test_a_record_that_is_not_there_has_done_nothing():
    rule = rule_with(FORMS % "by: contact, is: 0")

    assert rule.judge(replace(situation([event()]), contact=None)).holds


def test_a_rule_without_a_contact_counts_by_company():
    text = document_with(FORMS % "is: 2", "{schedule: {every: day, for_each: company}}", "[{create_task: x}]").replace(
        "    if:", "    limit: {once_per: company}\n    if:"
    )
    rule = parse_one_rule(text)

    past = replace(situation([event(), event(by=COLLEAGUE)]), contact=None)

    assert rule.judge_condition(past).holds


def test_a_count_is_told_with_what_was_counted_and_how_many_there_were():
    clause = FORMS % "where: {form_type: content, form: [a, b]}, by: company, within_last: 30 days, gte: 2"

    (told,) = judged(clause, event(form_type="content", form="a")).clauses

    path = "event_count(form_submitted, form_type is content and form is one of a, b, by company, in the last 30 days)"
    assert (told.path, told.test, told.holds, told.value) == (path, "is at least 2", False, Decimal(1))


# -- last_event --------------------------------------------------------------------------------------------------------

OPENED = "{last_event: {of: email_opened, %s}}"
OLD, FRESH = "older_than: 60 days", "within_last: 60 days"


@pytest.mark.parametrize(
    ("ago", "older", "fresh"),
    [
        (60 * DAY + TICK, True, False),
        (60 * DAY, False, True),
        (60 * DAY - TICK, False, True),
        (timedelta(), False, True),
        (-TICK, False, False),
        (None, False, False),
    ],
)
def test_the_last_event_is_so_long_ago(ago, older, fresh):
    past = [] if ago is None else [event("email_opened", ago)]

    assert (holds(OPENED % OLD, *past), holds(OPENED % FRESH, *past)) == (older, fresh)


def test_it_is_the_last_one_that_counts_whatever_their_order():
    old, new = event("email_opened", 90 * DAY), event("email_opened", 10 * DAY)

    assert holds(OPENED % FRESH, old, new)
    assert holds(OPENED % FRESH, new, old)
    assert not holds(OPENED % OLD, new, old)


def test_never_matches_only_where_or_blank_says_so():
    assert not holds(OPENED % OLD)
    assert holds(OPENED % f"{OLD}, or_blank: true")
    assert not holds(OPENED % f"{OLD}, or_blank: true", event("email_opened", 10 * DAY))
    assert not holds(OPENED % f"{OLD}, or_blank: false")
    assert holds(OPENED % "exists: false")
    assert holds(OPENED % "exists: true", event("email_opened"))


def test_the_last_event_has_a_day():
    past = event("email_opened", NOW - datetime(2026, 6, 1, 23, 30, tzinfo=UTC))

    assert holds(OPENED % "on: 2026-06-01", past)
    assert holds(OPENED % "before: 2026-06-02, after: 2026-05-31", past)
    assert holds(OPENED % "between: [2026-06-01, 2026-06-01]", past)
    assert judged(OPENED % "on: 2026-06-02", past, zone="Europe/Oslo").holds


def test_the_last_event_may_be_narrowed():
    old, new = event("webinar_attended", 90 * DAY, minutes=Decimal(50)), event("webinar_attended", minutes=Decimal(5))

    assert holds("{last_event: {of: webinar_attended, where: {minutes: {gte: 45}}, older_than: 60 days}}", old, new)


def test_never_is_told_as_nothing_seen():
    (told,) = judged(OPENED % f"{OLD}, or_blank: true").clauses

    assert (told.path, told.value) == ("last_event(email_opened, by contact)", None)
    assert told.test == "is more than 60 days ago, or never"


# -- last_change -------------------------------------------------------------------------------------------------------

STATUS = "{last_change: {field: contact.lead_status, %s}}"


@pytest.mark.parametrize(("ago", "expected"), [(90 * DAY, False), (90 * DAY + TICK, True), (None, False)])
def test_the_last_change_is_so_long_ago(ago, expected):
    past = [] if ago is None else [change("contact.lead_status", "open", "re-nurture", ago)]

    assert holds(STATUS % "older_than: 90 days", *past) is expected
    assert holds(STATUS % "to: Re-nurture, older_than: 90 days", *past) is expected


@pytest.mark.parametrize(
    ("narrowing", "seen"),
    [
        ("to: Open, ", {1, 3}),
        ("to: [Open, Qualified], ", {1, 3, 4}),
        ("from: Open, ", {2, 4}),
        ("from: blank, ", {1}),
        ("from: [blank, Re-nurture], ", {1, 3}),
        ("to: blank, ", {5}),
        ("from: Open, to: Qualified, ", {4}),
        ("from: Qualified, to: Open, ", set()),
        ("", {1, 2, 3, 4, 5}),
    ],
)
def test_a_change_may_be_narrowed_by_what_stood_before_and_after(narrowing, seen):
    steps = [(None, "open"), ("open", "re-nurture"), ("re-nurture", "open"), ("open", "qualified"), ("qualified", None)]
    past = [change("contact.lead_status", *step) for step in steps]

    assert {number for number, one in enumerate(past, 1) if holds(STATUS % f"{narrowing}exists: true", one)} == seen


def test_it_is_the_latest_change_of_that_field_of_that_record():
    old, new = (change("company.category", "lead", "mql", ago) for ago in (200 * DAY, 10 * DAY))
    others = [change("contact.lead_status", None, "open"), PastChange("company.category", 77, "lead", "mql", NOW)]
    clause = "{last_change: {field: company.category, older_than: 30 days}}"

    assert holds(clause, old, *others)
    assert not holds(clause, old, new, *others)
    assert holds("{last_change: {field: company.category, to: MQL, within_last: 10 days}}", new, old)


def test_a_change_that_is_still_to_come_is_none():
    assert holds(STATUS % "exists: false", change("contact.lead_status", "open", "qualified", -TICK))


def test_texts_that_changed_compare_case_folded():
    clause = "{last_change: {field: company.owner, from: ANNA, to: bert, exists: true}}"

    assert holds(clause, change("company.owner", "Anna", "Bert"))
    assert not holds(clause, change("company.owner", "Anna", "Carl"))


def test_tags_and_fields_of_ones_own_are_in_the_ledger_too():
    assert holds("{last_change: {field: company.tags, exists: true}}", change("company.tags", (), ("a",)))
    fewer = change("company.fields.employees", Decimal(50), Decimal(5))
    assert holds("{last_change: {field: company.fields.employees, from: 50.0, exists: true}}", fewer)


def test_a_change_is_told_with_what_was_asked():
    (told,) = judged(STATUS % "from: [Open, blank], to: Re-nurture, older_than: 90 days").clauses

    assert told.path == "last_change(contact.lead_status from Open, blank to Re-nurture)"


# -- now ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clause", "wall", "expected"),
    [
        ("weekday_in: [mon]", "2026-06-15 00:00", True),
        ("weekday_in: [mon]", "2026-06-14 23:59", False),
        ("weekday_in: [sat, sun]", "2026-06-14 23:59", True),
        ("between: [08:00, 17:00]", "2026-06-15 08:00", True),
        ("between: [08:00, 17:00]", "2026-06-15 07:59", False),
        ("between: [08:00, 17:00]", "2026-06-15 17:00", True),
        ("between: [08:00, 17:00]", "2026-06-15 17:01", False),
        ("between: [22:00, 06:00]", "2026-06-15 23:30", True),
        ("between: [22:00, 06:00]", "2026-06-15 06:00", True),
        ("between: [22:00, 06:00]", "2026-06-15 12:00", False),
        ("between: [8:00, 8:00]", "2026-06-15 08:00", True),
        ("weekday_in: [mon, tue], between: [08:00, 17:00]", "2026-06-16 12:00", True),
        ("weekday_in: [mon, tue], between: [08:00, 17:00]", "2026-06-17 12:00", False),
        ("weekday_in: [mon, tue], between: [08:00, 17:00]", "2026-06-16 18:00", False),
    ],
)
@pytest.mark.parametrize("negated", [False, True])
def test_hours_of_the_week_have_both_their_ends_in_them(clause, wall, expected, negated):
    condition = f"{{now: {{{clause}}}}}"

    found = judged(f"{{none: [{condition}]}}" if negated else condition, now=datetime.fromisoformat(f"{wall}+00:00"))

    assert found.holds is (expected is not negated)


@pytest.mark.parametrize("seconds", [0, 59])
def test_the_last_minute_counts_in_full(seconds):
    assert judged("{now: {between: [08:00, 17:00]}}", now=datetime(2026, 6, 15, 17, 0, seconds, tzinfo=UTC)).holds


@pytest.mark.parametrize(("month", "utc_hour", "expected"), [(1, 7, True), (1, 6, False), (7, 6, True), (7, 15, False)])
def test_the_clock_is_that_on_the_wall_of_the_documents_time_zone(month, utc_hour, expected):
    """08:00 in Oslo is 07:00 UTC in winter and 06:00 in summer."""
    moment = datetime(2026, month, 5, utc_hour, 0, tzinfo=UTC)

    assert judged("{now: {between: [08:00, 16:30]}}", zone="Europe/Oslo", now=moment).holds is expected


def test_the_hours_are_told_in_words():
    (told,) = judged("{now: {weekday_in: [tue, mon], between: [08:00, 17:00]}}").clauses

    assert (told.path, told.test, told.value) == ("now", "is mon, tue between 08:00 and 17:00", NOW)


# -- schedules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "every", "at", "on"),
    [
        ("every: hour", "hour", time(0), ()),
        ('every: hour, at: "00:15"', "hour", time(0, 15), ()),
        ("every: hour, on: [sat]", "hour", time(0), (5,)),
        ("every: day", "day", time(0), ()),
        ("every: day, at: 07:00, on: [fri, mon, mon]", "day", time(7), (0, 4)),
        ("every: week", "week", time(0), (0,)),
        ("every: week, on: [sun], at: 7:05", "week", time(7, 5), (6,)),
        ("every: month", "month", time(0), ()),
        ("every: month, on: [28, 1]", "month", time(0), (1, 28)),
    ],
)
@pytest.mark.parametrize("record", ["contact", "company"])
def test_a_schedule_is_read(written, every, at, on, record: Record):
    text = document_with("{company.name: x}", f"{{schedule: {{{written}, for_each: {record}}}}}", "[{create_task: x}]")
    rule = parse_one_rule(text.replace("    if:", "    limit: {once_per: company}\n    if:"))

    assert rule.schedule is not None
    assert (rule.schedule.every, rule.schedule.at, rule.schedule.on) == (every, at, on)
    assert rule.schedule.for_each == record
    assert rule.triggers[0].wants == {"record": record}


# -- against a second opinion ------------------------------------------------------------------------------------------

AGO = st.sampled_from([-TICK, timedelta(), TICK, 5 * DAY - TICK, 5 * DAY, 5 * DAY + TICK, 40 * DAY])
EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(["form_submitted", "email_opened"]),
        AGO,
        st.sampled_from([CONTACT, COLLEAGUE]),
        form_type=st.sampled_from([None, "content", "Content", "other"]),
    ),
    max_size=6,
)


@given(
    events=EVENTS,
    by=st.sampled_from(["contact", "company"]),
    has_window=st.booleans(),
    has_where=st.booleans(),
    wanted=st.integers(0, 4),
    operator=st.sampled_from(["is", "is_not", "lt", "lte", "gt", "gte"]),
)
@settings(max_examples=200, deadline=None)
def test_a_count_is_what_a_loop_by_hand_counts(events, by, has_window, has_where, wanted, operator):
    window = "within_last: 5 days, " if has_window else ""
    where = "where: {form_type: content}, " if has_where else ""
    count = 0
    for one in events:
        is_meant = one.name == "form_submitted" and (by == "company" or one.contact_id == CONTACT)
        is_in_time = one.at <= NOW and (not has_window or one.at >= NOW - 5 * DAY)
        is_content = not has_where or (one.fields["form_type"] or "").lower() == "content"
        count += is_meant and is_in_time and is_content
    expected = {
        "is": count == wanted,
        "is_not": count != wanted,
        "lt": count < wanted,
        "lte": count <= wanted,
        "gt": count > wanted,
        "gte": count >= wanted,
    }

    assert holds(FORMS % f"{window}{where}by: {by}, {operator}: {wanted}", *events) is expected[operator]
