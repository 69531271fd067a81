"""What tests of rules say of records and events: values by field, `blank`, and times from now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from leadflow.domain.fields import Field, Kind, UnreadableValue
from leadflow.domain.text import fold
from leadflow.rules.durations import UnreadableDuration, read_duration
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.operands import read_span
from leadflow.rules.problems import quoted
from leadflow.rules.reading import ANY_SCOPE, Reader
from leadflow.rules.testing.model import FromNow, GivenValue
from leadflow.rules.values import TIME_KINDS

# Groups of fields below a record, which may stand as a mapping of their own.
BELOW = ("fields", "first_touch")

# So that everything that is counted from a test's moments stays in the calendar.
FIRST_YEAR, LAST_YEAR = 1900, 2200

_FROM_NOW = re.compile(r"(?:in (?P<ahead>.+)|(?P<ago>.+) ago|now|today)")


def is_word(node: Node, *words: str) -> bool:
    """Whether the node is one of these words, without quotes."""
    return isinstance(node, ScalarNode) and node.is_plain and fold(node.text.strip()) in words


def is_blank(node: Node) -> bool:
    """Whether the node says that there is no value: `blank`, `~`, nothing."""
    return isinstance(node, ScalarNode) and (node.is_blank or is_word(node, "blank"))


def read_given_value(reader: Reader, node: Node, field: Field) -> GivenValue:
    """A value of the field; None for `blank`, and after a problem."""
    if is_blank(node):
        return None
    if field.kind is Kind.LIST:
        return _read_texts(reader, node, field)
    if field.kind in TIME_KINDS and isinstance(node, ScalarNode) and _FROM_NOW.fullmatch(node.text.strip()):
        return read_from_now(reader, node, is_day=field.kind is Kind.DATE)
    value = reader.value(node, field)
    if field.path == "company.open_sales" and isinstance(value, Decimal) and (value < 0 or value % 1):
        reader.add(node, "unreadable-value", f"{field.path} is a whole number from 0, not {value}")
    return value


def _read_texts(reader: Reader, node: Node, field: Field) -> tuple[str, ...] | None:
    items = node.items if isinstance(node, ListNode) else [node]
    texts = [text for item in items if (text := reader.text(item, field.path))]
    return tuple({fold(text): text for text in texts}.values()) or None


def read_from_now(reader: Reader, node: ScalarNode, *, is_day: bool = False) -> FromNow | None:
    """`91 days ago`, `in 3 days`, `now`."""
    match = _FROM_NOW.fullmatch(node.text.strip())
    if match is None or not (match["ahead"] or match["ago"]):
        return FromNow(timedelta(), is_day) if match else None
    try:
        length = read_duration(match["ahead"] or match["ago"])
    except UnreadableDuration as fault:
        reader.add(node, "unreadable-value", f"{quoted(node.text)} is not a time from now: {fault}")
        return None
    return FromNow(-length if match["ahead"] else length, is_day)


def read_moment_of_test(reader: Reader, node: Node, what: str) -> datetime | None:
    """A moment; a plain day is its first one."""
    text = reader.text(node, what)
    if text is None:
        return None
    try:
        moment = read_span(text, reader).start
        if FIRST_YEAR <= moment.year < LAST_YEAR:
            return moment
    except (UnreadableValue, OverflowError):
        pass
    message = (
        f"{what} is a time such as 2026-03-01T09:00:00+01:00, from {FIRST_YEAR} to {LAST_YEAR}, not {quoted(text)}"
    )
    reader.add(node, "unreadable-value", message)
    return None


def field_of(reader: Reader, key: ScalarNode, root: str) -> Field | None:
    """The field that a key means below `root`; `fields.` may be left out."""
    paths = (f"{root}.{key.text}", f"{root}.fields.{key.text}")
    path = next((one for one in paths if one in reader.catalogue.fields), paths[0])
    return reader.field(ScalarNode(key.line, key.column, key.width, text=path), ANY_SCOPE)


def read_record(reader: Reader, node: Node, root: str) -> dict[str, GivenValue]:
    """The values of a company, contact, form, sale, event or user, by the full path of their fields."""
    return {field.path: read_given_value(reader, value, field) for field, value in fields_in(reader, node, root)}


def fields_in(reader: Reader, node: Node, root: str) -> list[tuple[Field, Node]]:
    """The fields that a mapping names, with what stands behind them; unknown ones are problems."""
    if not isinstance(node, MappingNode):
        reader.add(node, "wrong-type", f"{root} is written as 'field: value' lines")
        return []
    found: list[tuple[Field, Node]] = []
    for name, (key, value) in node.entries.items():
        if name in BELOW and isinstance(value, MappingNode):
            found += fields_in(reader, value, f"{root}.{name}")
        elif (field := field_of(reader, key, root)) is not None:
            found.append((field, value))
    return found


def read_sides(reader: Reader, node: Node, field: Field) -> Mapping[str, Any]:
    """`{from: Open, to: Qualified}`, or the new value alone."""
    if not isinstance(node, MappingNode):
        return {"to": read_given_value(reader, node, field)}
    given = reader.entries(node, f"a change of {field.path}", ("from", "to"), ("to",)) or {}
    return {side: read_given_value(reader, value, field) for side, value in given.items()}
