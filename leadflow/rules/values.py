"""How a field is read from a situation, and the form in which values compare."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from operator import attrgetter
from typing import Any

from leadflow.domain.fields import Field, Kind, Unreadable, Value
from leadflow.domain.text import fold
from leadflow.errors import LeadflowError
from leadflow.rules.model import Situation


class UnreadableField(LeadflowError):
    """A field whose value could not be read was asked for; the message is a sentence."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}.")


Read = Callable[[Situation], Value | Unreadable]
# A value in the form in which it compares (text case-folded, a day as its first moment); None when it is blank.
Compare = Callable[[Any], Any]

TEXT_KINDS = frozenset({Kind.TEXT, Kind.EMAIL, Kind.URL})
CHOICE_KINDS = frozenset({Kind.ENUMERATION, Kind.CATEGORY})
TIME_KINDS = frozenset({Kind.DATE, Kind.MOMENT})

BEFORE = "before."


def reader_of(path: str, field: Field) -> Read:
    """How to read `path` from a situation; a record that is not there reads as blank.

    `before.company.category` reads what stood in the field before the change.
    """
    root, _, name = path.removeprefix(BEFORE).partition(".")
    read = _record_reader(root, name) if root in ("company", "contact") else _event_reader(root, name)
    if field.kind is Kind.NUMBER:
        read = _as_number(read)
    return _reader_before(field.path, read) if path.startswith(BEFORE) else read


def expect_readable(value: Value | Unreadable, path: str) -> Value:
    """The value. Raises: UnreadableField with the reason, if it could not be read where it entered."""
    if isinstance(value, Unreadable):
        raise UnreadableField(path, value.reason)
    return value


def _event_reader(root: str, name: str) -> Read:
    fields_of = attrgetter(root)
    return lambda situation: fields_of(situation).get(name)


def _record_reader(root: str, name: str) -> Read:
    record_of = attrgetter(root)
    own = name.removeprefix("fields.")
    get = attrgetter("fields") if own != name else attrgetter(name)

    def read(situation: Situation) -> Value | Unreadable:
        record = record_of(situation)
        if record is None:
            return None
        return get(record).get(own) if own != name else get(record)  # type: ignore[no-any-return]

    return read


def _as_number(read: Read) -> Read:
    """Counts are kept as int; values are exact decimals."""

    def read_number(situation: Situation) -> Value | Unreadable:
        value: Any = read(situation)
        return Decimal(value) if value.__class__ is int else value

    return read_number


def _reader_before(path: str, read_now: Read) -> Read:
    def read(situation: Situation) -> Value | Unreadable:
        change = situation.occurrence.changes.get(path)
        return read_now(situation) if change is None else change[0]  # type: ignore[return-value]

    return read


def compare_as(kind: Kind, zone: tzinfo) -> Compare:
    """The function that brings a field's value into the form in which operators compare it."""
    if kind in TEXT_KINDS:
        return _comparable_text
    if kind is Kind.LIST:
        return _comparable_list
    if kind is Kind.DATE:
        return lambda value: None if value is None else first_moment_of(value, zone)
    return lambda value: None if value == "" else value


def _comparable_text(value: str | None) -> str | None:
    return None if not value or value.isspace() else fold(value)


def _comparable_list(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return tuple(map(fold, value)) if value else None


def comparable(value: Any) -> Any:
    """Any single value in comparable form: text case-folded, the rest as it is; a blank is None."""
    return _comparable_text(value) if isinstance(value, str) else value


def first_moment_of(day: date, zone: tzinfo) -> datetime:
    """The moment at which the calendar day begins in `zone`, in UTC.

    Where the clock change takes midnight away, that is the moment of the change (tests/unit/rules/test_moments.py).
    """
    try:
        return datetime.combine(day, time.min, zone).astimezone(UTC)
    except OverflowError:
        # 0001-01-01 east of Greenwich begins before the calendar of datetime does.
        return datetime.min.replace(tzinfo=UTC) if day.year == 1 else datetime.max.replace(tzinfo=UTC)


def as_text(field: Field, zone: tzinfo) -> Callable[[Any], str | None]:
    """How a value of the field is shown to people: names instead of keys, times in `zone`."""
    names = {choice.key: choice.name for choice in (*field.choices, *field.retired)}

    def show(value: Any) -> str | None:
        match value:
            case None | "" | ():
                return None
            case str():
                return names.get(value, value)
            case bool():
                return "yes" if value else "no"
            case Decimal():
                return format(value.normalize(), "f")
            case datetime():
                return value.astimezone(zone).strftime("%Y-%m-%d %H:%M")
            case tuple():
                return ", ".join(value)
            case _:
                return str(value)

    return show
