"""What stands to the right of an operator: how it is read for its field, and how people read it back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from leadflow.domain.fields import Field, Kind, UnreadableValue, Value, read_date, read_moment
from leadflow.domain.lifecycle import GROUP_NAMES, Group
from leadflow.domain.text import fold
from leadflow.rules.hosts import NAMEABLE_HOST
from leadflow.rules.nodes import ListNode, Node, ScalarNode
from leadflow.rules.predicates import Wildcards
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.values import (
    CHOICE_KINDS,
    TEXT_KINDS,
    TIME_KINDS,
    Compare,
    Read,
    as_text,
    comparable,
    compare_as,
    first_moment_of,
    reader_of,
)

MAX_PATTERN_LENGTH = 1_000

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Operand:
    """`value` in the form that tests compare with, `words` as people read it."""

    value: Any
    words: str = ""


class OperandType:
    """Reads the operand of an operator; what it cannot read it reports, and gives None."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        raise NotImplementedError


class OneValue(OperandType):
    """One value of the field's kind; of a list field, one of its texts."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        if field.kind in CHOICE_KINDS:
            choice = reader.choice(node, field)
            return Operand(choice.key, choice.name) if choice else None
        if field.kind is Kind.LIST:
            text = reader.text(node, field.path)
            return Operand(fold(text), text) if text else None
        value = reader.value(node, field)
        return None if value is None else Operand(comparable(value), as_text(field, reader.zone)(value) or "")


class ManyValues(OperandType):
    """A list of values of the field's kind, written here or named."""

    one: OperandType = OneValue()

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        if isinstance(node, ScalarNode) and node.text in reader.lists:
            # A list may be long, and many rules may name it.
            return reader.once((type(self), field.path, node.text), lambda: self._read_all(reader, node, field, scope))
        return self._read_all(reader, node, field, scope)

    def _read_all(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        items = reader.named_list(node, field.path)
        found = [self.one.read(reader, item, field, scope) for item in items]
        values = [operand for operand in found if operand]
        if not values or len(values) < len(items):
            return None
        words = _list_name(node) or ", ".join(operand.words for operand in values)
        return Operand(frozenset(operand.value for operand in values), words)


def _list_name(node: Node) -> str | None:
    return f"the list {node.text}" if isinstance(node, ScalarNode) else None


class Pattern(OperandType):
    """Text in which `*` stands for any characters and `?` for one; everything else is literal."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        text = reader.text(node, field.path)
        if text is not None and len(text) > MAX_PATTERN_LENGTH:
            reader.add(node, "unreadable-value", f"a pattern has at most {MAX_PATTERN_LENGTH:,} characters")
            return None
        return Operand(Wildcards(fold(text)), text) if text else None


class Host(OperandType):
    """One domain of an e-mail address or URL, such as `example.com`."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        text = reader.text(node, field.path)
        if text is None:
            return None
        host = fold(text.removeprefix("@")).removesuffix(".")
        if NAMEABLE_HOST.fullmatch(host):
            return Operand(host, host)
        reader.add(node, "unreadable-value", f"expected a domain such as example.com, not {quoted(text)}")
        return None


class Hosts(ManyValues):
    """Domains, written here or as the name of a list."""

    one = Host()


class Groups(OperandType):
    """One or several category groups; the tests compare with the keys of the categories in them."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        items: Sequence[Node] = [node] if isinstance(node, ScalarNode) else reader.items(node, field.path)
        groups = [group for item in items if (group := self._group(reader, item))]
        if not groups or len(groups) < len(items):
            return None
        keys = frozenset(one.key for one in (*field.choices, *field.retired) if one.group in groups)
        return Operand(keys, ", ".join(GROUP_NAMES[group] for group in groups))

    @staticmethod
    def _group(reader: Reader, node: Node) -> Group | None:
        text = reader.text(node, "the category group")
        for group, name in GROUP_NAMES.items():
            if text and fold(text) in (group.value, fold(name)):
                return group
        if text:
            message = f"{quoted(text)} is not a category group"
            near = reader.nearest(text, [group.value for group in Group])
            reader.add(node, "unknown-value", message, suggestion=near, allowed=[group.value for group in Group])
        return None


class Flag(OperandType):
    """true or false."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        value = reader.flag(node, field.path)
        return None if value is None else Operand(value, "true" if value else "false")


class Duration(OperandType):
    """A length of time."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        length = reader.duration(node, field.path)
        return None if length is None else Operand(length, reader.text(node, field.path) or "")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time from `start`, up to but without `end`, in UTC: a whole day, or one moment."""

    start: datetime
    end: datetime


# What tells a moment from the next one, in Python and in PostgreSQL.
ONE_TICK = timedelta(microseconds=1)


class WhenValue(OperandType):
    """A calendar day, meant as a whole, or a moment; without an offset it is in the document's zone."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        text = reader.text(node, field.path)
        if text is None:
            return None
        try:
            return Operand(read_span(text, reader), text)
        except (UnreadableValue, OverflowError):
            message = f"expected a day such as 2026-03-01 or a time such as 2026-03-01 14:30, not {quoted(text)}"
            reader.add(node, "unreadable-value", message)
            return None


def read_span(text: str, reader: Reader) -> Span:
    """The stretch of time that `text` means. Raises: UnreadableValue, OverflowError at the ends of the calendar."""
    if _DAY.fullmatch(text):
        day = read_date(text)
        return Span(first_moment_of(day, reader.zone), first_moment_of(day + timedelta(days=1), reader.zone))
    moment = read_moment(text, reader.zone).astimezone(UTC)
    return Span(moment, moment + ONE_TICK)


class Range(OperandType):
    """Two values, the lower one first; both belong to the range."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        if not isinstance(node, ListNode) or len(node.items) != 2:
            reader.add(node, "wrong-type", "between takes two values: [lowest, highest]")
            return None
        bound: OperandType = WhenValue() if field.kind in TIME_KINDS else OneValue()
        low, high = (bound.read(reader, item, field, scope) for item in node.items)
        if low is None or high is None:
            return None
        lowest, highest = _ends(low.value, high.value)
        if lowest > highest:
            message = f"between has its higher value first: {low.words} is above {high.words}"
            reader.add(node, "empty-range", message)
            return None
        return Operand((lowest, highest), f"{low.words} and {high.words}")


def _ends(low: Any, high: Any) -> tuple[Any, Any]:
    """The two ends, both included; of days, the first tick of the first one and the last tick of the last one."""
    return (low.start, high.end - ONE_TICK) if isinstance(low, Span) else (low, high)


@dataclass(frozen=True, slots=True)
class OtherField:
    """Another field to compare with: its path and field, how it is read, and how its value compares."""

    path: str
    field: Field
    read: Read
    compare: Compare


class FieldPath(OperandType):
    """The path of another field whose values compare with this one's."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        if not isinstance(node, ScalarNode) or node.is_blank:
            reader.add(node, "wrong-type", "same_as takes the path of another field")
            return None
        other = reader.field(node, scope)
        if other is None:
            return None
        if not _compare_alike(field, other):
            message = f"{field.path} ({field.kind}) cannot be the same as {other.path} ({other.kind})"
            reader.add(node, "wrong-kind", message)
            return None
        return Operand(
            OtherField(node.text, other, reader_of(node.text, other), compare_as(other.kind, reader.zone)), node.text
        )


def _compare_alike(one: Field, other: Field) -> bool:
    for family in (TEXT_KINDS, TIME_KINDS):
        if one.kind in family:
            return other.kind in family
    return one.kind is other.kind and one.choices == other.choices


class Transition(OperandType):
    """One or several values a field changed from or to; `blank` among them means no value."""

    def read(self, reader: Reader, node: Node, field: Field, scope: Scope) -> Operand | None:
        if field.kind is Kind.LIST or field.kind in TIME_KINDS:
            reader.add(node, "wrong-kind", f"changes of {field.path} ({field.kind}) are not compared by value")
            return None
        return read_values_or_blank(reader, node, field)


def read_values_or_blank(reader: Reader, node: Node, field: Field) -> Operand | None:
    """One value or a list of them, None for the word `blank`."""
    items: Sequence[Node] = [node] if isinstance(node, ScalarNode) else reader.items(node, field.path)
    found = [_value_or_blank(reader, item, field) for item in items]
    values = [operand for operand in found if operand]
    if not values or len(values) < len(items):
        return None
    return Operand(frozenset(one.value for one in values), ", ".join(one.words for one in values))


def _value_or_blank(reader: Reader, node: Node, field: Field) -> Operand | None:
    if isinstance(node, ScalarNode) and node.is_plain and fold(node.text) == "blank":
        return Operand(None, "blank")
    value: Value = reader.value(node, field)
    return None if value is None else Operand(comparable(value), as_text(field, reader.zone)(value) or "")
