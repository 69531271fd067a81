"""Clauses that are not about one field of a record: what happened before, and what time it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time
from typing import Literal, cast

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Field, Kind, UnreadableValue, read_number
from leadflow.domain.text import fold
from leadflow.rules.conditions import All, Clause, Condition, FieldTest, NowClause, PastClause, compile_where
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.operands import Operand, read_values_or_blank
from leadflow.rules.parsing.clauses import OR_BLANK, read_clause, read_tests
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.values import TIME_KINDS
from leadflow.rules.week import WEEKDAYS, WorkingHours

COUNT = Field("event_count", Kind.NUMBER, "How often it happened")
LAST_EVENT = Field("last_event", Kind.MOMENT, "When it happened last")
LAST_CHANGE = Field("last_change", Kind.MOMENT, "When the field last changed")

# `within_last` of a count is its window, not a test.
COUNT_KEYS = ("of", "where", "by", "within_last")
EVENT_KEYS = ("of", "where", "by")
CHANGE_KEYS = ("field", "from", "to")
BY = ("contact", "company")

# What may be asked of them: of a count nothing about blanks (none is 0), of the past nothing about the future.
MOMENT_TESTS = ("older_than", "within_last", "before", "on", "after", "between", "exists", OR_BLANK)
TESTS_OF: Mapping[str, tuple[str, ...]] = {
    COUNT.path: ("is", "is_not", "lt", "lte", "gt", "gte", "between"),
    LAST_EVENT.path: MOMENT_TESTS,
    LAST_CHANGE.path: MOMENT_TESTS,
}

# Which fields `where` may name, by what is counted; a declared event has event.*.
ROOTS = {Trigger.FORM_SUBMITTED.value: "form", Trigger.SALE.value: "sale"}


def _read_count(reader: Reader, node: Node, scope: Scope) -> Condition | None:
    return _read_events(reader, node, scope, COUNT, COUNT_KEYS)


def _read_last_event(reader: Reader, node: Node, scope: Scope) -> Condition | None:
    return _read_events(reader, node, scope, LAST_EVENT, EVENT_KEYS)


def _read_events(reader: Reader, node: Node, scope: Scope, subject: Field, keys: tuple[str, ...]) -> PastClause | None:
    entries = _entries(reader, node, subject, keys, "of")
    if entries is None or not isinstance(node, MappingNode):
        return None
    problems_before = len(reader.problems)
    asked = _read_events_asked(reader, entries, scope)
    found = _read_tests(reader, subject, node, keys)
    if asked is None or found is None or len(reader.problems) > problems_before:
        return None
    return PastClause(subject, asked, *found, reader.zone)


def _read_events_asked(reader: Reader, entries: Mapping[str, Node], scope: Scope) -> EventsAsked | None:
    """Which events are meant: `of`, `where`, `by` and the window of a count."""
    name = _read_name(reader, entries["of"]) if "of" in entries else None
    where = _read_where(reader, entries["where"], name) if "where" in entries and name else None
    by = _read_by(reader, entries.get("by"), scope)
    within = reader.duration(entries["within_last"], "within_last") if "within_last" in entries else None
    if name is None or by is None or (where is None and "where" in entries):
        return None
    narrowing = " and ".join(f"{one.path.partition('.')[2]} {one.words}" for one in where or ())
    window = f"in the last {reader.text(entries['within_last'], 'within_last')}" if within else ""
    words = ", ".join(part for part in (name, narrowing, f"by {by}", window) if part)
    condition = All(where) if where else None
    return EventsAsked(name, by, condition, within, words, compile_where(condition) if condition else None)


def _entries(
    reader: Reader, node: Node, subject: Field, keys: tuple[str, ...], required: str
) -> Mapping[str, Node] | None:
    if isinstance(node, MappingNode):
        return reader.entries(node, subject.path, [*keys, *TESTS_OF[subject.path]], (required,))
    message = f"{subject.path} is written as '{required}: …' and a test"
    reader.add(node, "wrong-type", message, allowed=keys)
    return None


def _read_tests(
    reader: Reader, subject: Field, node: MappingNode, keys: tuple[str, ...]
) -> tuple[tuple[FieldTest, ...], bool] | None:
    if not set(node.entries) - set(keys):
        reader.add(node, "missing-key", f"{subject.path} has no test", allowed=TESTS_OF[subject.path])
    tests = {name: entry for name, entry in node.entries.items() if name in TESTS_OF[subject.path] and name not in keys}
    if not tests:
        return None
    if subject is COUNT:
        for _, value in tests.values():
            _expect_counts(reader, value)
    own = MappingNode(node.line, node.column, node.width, entries=tests)
    return read_tests(reader, subject.path, subject, own, Scope(frozenset()))


def _expect_counts(reader: Reader, node: Node) -> None:
    """How often something happened is a whole number; what is no number at all, its operator reports."""
    for one in node.items if isinstance(node, ListNode) else (node,):
        if isinstance(one, ScalarNode) and not _may_be_count(one.text):
            reader.add(one, "unreadable-value", f"something happens 0, 1, 2, … times, not {quoted(one.text)}")


def _may_be_count(text: str) -> bool:
    try:
        number = read_number(text)
    except UnreadableValue:
        return True
    return number >= 0 and number == number.to_integral_value()


def _read_name(reader: Reader, node: Node) -> str | None:
    text = reader.text(node, "of")
    if text is None:
        return None
    events = {fold(name): name for name in reader.catalogue.events}
    if fold(text) in ROOTS or fold(text) in events:
        return fold(text)
    known = [*ROOTS, *reader.catalogue.events]
    reader.add(
        node,
        "unknown-event",
        f"{quoted(text)} is neither form_submitted, sale nor the name of a declared event",
        suggestion=reader.nearest(text, known),
        allowed=known,
    )
    return None


def _read_by(reader: Reader, node: Node | None, scope: Scope) -> Literal["contact", "company"] | None:
    if node is None:
        return "contact" if scope.has_contact else "company"
    word = reader.word(node, "by", BY)
    if word == "contact" and "contact" not in scope.roots:
        reader.add(node, "no-contact", "this rule goes through companies; write 'by: company'")
        return None
    return cast("Literal['contact', 'company'] | None", word)


def _read_where(reader: Reader, node: Node, name: str) -> tuple[Clause, ...] | None:
    """Tests of the event's own fields, all of which must hold; `form.` and the like may be left out."""
    if not isinstance(node, MappingNode) or not node.entries:
        reader.add(node, "wrong-type", "where is written as 'form_type: content' lines")
        return None
    root = ROOTS.get(name, "event")
    scope = Scope(frozenset({root}))
    clauses = []
    for text, (key, value) in node.entries.items():
        path = text if text.startswith(f"{root}.") else f"{root}.{text}"
        field = reader.field(ScalarNode(key.line, key.column, key.width, text=path), scope)
        clause = read_clause(reader, path, field, value, scope) if field else None
        if clause:
            clauses.append(clause)
    return tuple(clauses) if len(clauses) == len(node.entries) else None


def _read_last_change(reader: Reader, node: Node, scope: Scope) -> Condition | None:
    """`{field: contact.lead_status, to: Re-nurture, older_than: 90 days}`."""
    entries = _entries(reader, node, LAST_CHANGE, CHANGE_KEYS, "field")
    if entries is None or "field" not in entries or not isinstance(node, MappingNode):
        return None
    problems_before = len(reader.problems)
    field = _read_kept_field(reader, entries["field"], scope)
    sides = {side: _read_side(reader, entries[side], field) for side in ("from", "to") if side in entries and field}
    found = _read_tests(reader, LAST_CHANGE, node, CHANGE_KEYS)
    if field is None or found is None or len(reader.problems) > problems_before:
        return None
    words = " ".join([field.path, *(f"{side} {operand.words}" for side, operand in sides.items() if operand)])
    values = {side: operand.value if operand else None for side, operand in sides.items()}
    return PastClause(
        LAST_CHANGE, ChangesAsked(field, values.get("from"), values.get("to"), words), *found, reader.zone
    )


def _read_kept_field(reader: Reader, node: Node, scope: Scope) -> Field | None:
    """A field whose changes the ledger keeps: category, lead status, and whatever a rule can write."""
    if not isinstance(node, ScalarNode) or node.is_blank:
        reader.add(node, "wrong-type", "last_change names a field, such as contact.lead_status")
        return None
    field = reader.field(node, scope)
    if field is None:
        return None
    kept = [one.path for one in reader.catalogue.fields.values() if is_kept(one)]
    if not is_kept(field) or field.path != node.text:
        message = f"the ledger keeps no changes of {node.text}"
        reader.add(node, "wrong-kind", message, suggestion=reader.nearest(node.text, kept), allowed=kept)
        return None
    return field


def is_kept(field: Field) -> bool:
    """Whether each change of the field is a row of the ledger."""
    named = ("company.category", "contact.lead_status", "company.tags", "contact.tags")
    return field.path in named or field.is_writable


def _read_side(reader: Reader, node: Node, field: Field) -> Operand | None:
    if field.kind is Kind.LIST or field.kind in TIME_KINDS:
        reader.add(node, "wrong-kind", f"changes of {field.path} ({field.kind}) are not compared by value")
        return None
    return read_values_or_blank(reader, node, field)


def _read_now(reader: Reader, node: Node, scope: Scope) -> Condition | None:
    """`{weekday_in: [mon, fri], between: ["08:00", "17:00"]}`."""
    given = reader.entries(node, "now", ("weekday_in", "between"))
    if given is None:
        return None
    if not given:
        reader.add(node, "empty-value", "now has no test", allowed=("weekday_in", "between"))
        return None
    problems_before = len(reader.problems)
    days = read_weekdays(reader, given["weekday_in"]) if "weekday_in" in given else None
    between = _read_between(reader, given["between"]) if "between" in given else None
    if len(reader.problems) > problems_before:
        return None
    return NowClause(WorkingHours(frozenset(days) if days else None, between, reader.zone))


def read_weekdays(reader: Reader, node: Node) -> tuple[int, ...]:
    """Weekdays by their first three letters; 0 is Monday."""
    words = [reader.word(item, "a weekday", WEEKDAYS) for item in reader.items(node, "weekdays")]
    return tuple(WEEKDAYS.index(word) for word in words if word)


def _read_between(reader: Reader, node: Node) -> tuple[time, time] | None:
    if not isinstance(node, ListNode) or len(node.items) != 2:
        reader.add(node, "wrong-type", 'between takes two times of day: ["08:00", "17:00"]')
        return None
    start, end = (read_time_of_day(reader, item, "between") for item in node.items)
    return (start, end) if start is not None and end is not None else None


def read_time_of_day(reader: Reader, node: Node, what: str) -> time | None:
    """A time of day such as 07:00."""
    text = reader.text(node, what)
    if text is None:
        return None
    hour, colon, minute = text.partition(":")
    is_clock = colon and len(minute) == 2 and text.replace(":", "", 1).isascii() and (hour + minute).isdigit()
    if is_clock and len(hour) in (1, 2) and int(hour) < 24 and int(minute) < 60:
        return time(int(hour), int(minute))
    reader.add(node, "unreadable-value", f'{what} is a time of day such as "07:00", not {quoted(text)}')
    return None


SPECIAL: Mapping[str, Callable[[Reader, Node, Scope], Condition | None]] = {
    "event_count": _read_count,
    "last_event": _read_last_event,
    "last_change": _read_last_change,
    "now": _read_now,
}
