"""Where a field stands in SQL, in the form in which its values compare."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import tzinfo
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Numeric,
    String,
    and_,
    any_,
    case,
    cast,
    collate,
    false,
    func,
    literal,
    or_,
)
from sqlalchemy.dialects.postgresql import ARRAY as PG_ARRAY
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from leadflow.domain.fields import Field, Kind
from leadflow.domain.text import fold
from leadflow.rules.predicates import Interval
from leadflow.rules.values import TEXT_KINDS
from leadflow.store.conditions.days import first_day_from, start_of
from leadflow.store.norms import ADDRESS_HOST, URL_HOST, flag_key, host_key, list_key
from leadflow.store.tables import CompanyRow, ContactRow
from leadflow.store.values import STORED_DAY, STORED_MOMENT, STORED_NUMBER

# Up to so many values are looked up one by one in the index of `fields_norm`.
MAX_LOOK_UPS = 20

TABLES: Mapping[str, FromClause] = {"company": CompanyRow.__table__, "contact": ContactRow.__table__}

# The columns whose name is not that of the field.
COLUMNS = {
    "company.name": "name_norm",
    "company.category": "category_key",
    "company.owner": "owner_norm",
    "company.tags": "tags_norm",
    "contact.lead_status": "lead_status_key",
    "contact.first_name": "first_name_norm",
    "contact.last_name": "last_name_norm",
    "contact.tags": "tags_norm",
}


class Compared:
    """A field in SQL: `value` is what compares, NULL where the field is blank."""

    bind_type: TypeEngine[Any] = String()

    def __init__(self, value: ColumnElement[Any], host: ColumnElement[Any] | None = None) -> None:
        self.value = value
        self.host = host

    @property
    def is_blank(self) -> ColumnElement[bool]:
        return self.value.is_(None)

    @property
    def is_present(self) -> ColumnElement[bool]:
        return self.value.is_not(None)

    def one_of(self, values: Collection[Any]) -> ColumnElement[bool]:
        """The value is one of these."""
        return among(self.value, values, self.bind_type)

    def between(self, interval: Interval, zone: tzinfo) -> ColumnElement[bool]:
        """The value lies in the interval; a day counts as its first moment in `zone`."""
        parts: list[ColumnElement[bool]] = []
        if interval.low is not None:
            low = literal(interval.low, self.bind_type)
            parts.append(self.value >= low if interval.has_low else self.value > low)
        if interval.high is not None:
            high = literal(interval.high, self.bind_type)
            parts.append(self.value <= high if interval.has_high else self.value < high)
        return and_(*parts)

    def has_host(self, hosts: Collection[str]) -> ColumnElement[bool]:
        """The host is one of these."""
        return false() if self.host is None else among(self.host, hosts, String())

    def has_any(self, texts: Collection[str]) -> ColumnElement[bool]:
        raise NotImplementedError

    def has_all(self, texts: Collection[str]) -> ColumnElement[bool]:
        raise NotImplementedError

    def equals(self, other: Compared, zone: tzinfo) -> ColumnElement[bool]:
        """Both have the same value."""
        result: ColumnElement[bool] = self.value == other.value
        return result

    def moment(self, zone: tzinfo) -> ColumnElement[Any]:
        """The value as a moment, of fields about time."""
        return self.value


def among(value: ColumnElement[Any], values: Collection[Any], type_: TypeEngine[Any]) -> ColumnElement[bool]:
    """`value` is one of these; however many there are, they are one parameter."""
    if not values:
        return false()
    ordered = sorted(values)
    if len(ordered) == 1:
        return value == literal(ordered[0], type_)
    return value == any_(literal(ordered, ARRAY(type_)))


class Number(Compared):
    bind_type = Numeric()


class Flag(Compared):
    bind_type = Boolean()


class Moment(Compared):
    bind_type: TypeEngine[Any] = DateTime(timezone=True)

    def equals(self, other: Compared, zone: tzinfo) -> ColumnElement[bool]:
        result: ColumnElement[bool] = self.moment(zone) == other.moment(zone)
        return result


class Day(Moment):
    """A calendar day. It compares with days: cut-offs are moved to the first day that begins after them."""

    bind_type: TypeEngine[Any] = Date()

    def between(self, interval: Interval, zone: tzinfo) -> ColumnElement[bool]:
        parts: list[ColumnElement[bool]] = []
        if interval.low is not None:
            first = first_day_from(interval.low, zone, is_included=interval.has_low)
            parts.append(false() if first is None else self.value >= literal(first, Date()))
        if interval.high is not None:
            beyond = first_day_from(interval.high, zone, is_included=not interval.has_high)
            parts.append(self.is_present if beyond is None else self.value < literal(beyond, Date()))
        return and_(*parts)

    def moment(self, zone: tzinfo) -> ColumnElement[Any]:
        return start_of(self.value, zone)


class Tags(Compared):
    """A column of texts; `value` is the same as jsonb, to compare with other lists."""

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(func.nullif(func.to_jsonb(column), cast(literal("[]"), JSONB), type_=JSONB))
        self._column = column

    def has_any(self, texts: Collection[str]) -> ColumnElement[bool]:
        return self._column.op("&&", is_comparison=True)(literal(sorted(texts), PG_ARRAY(String)))

    def has_all(self, texts: Collection[str]) -> ColumnElement[bool]:
        return self._column.op("@>", is_comparison=True)(literal(sorted(texts), PG_ARRAY(String)))

    def equals(self, other: Compared, zone: tzinfo) -> ColumnElement[bool]:
        return same_set(self.value, other.value)


def same_set(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[bool]:
    """Two jsonb lists have the same members, in any order."""
    return and_(contains(one, other), contains(other, one))


def contains(whole: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[bool]:
    return whole.op("@>", is_comparison=True)(part)


# Fields in documents -----------------------------------------------------------------------------------------------


class RecordDocument:
    """`fields_norm` of a company or contact (`leadflow.store.norms.norms_of`); its index serves equality."""

    def __init__(self, norms: ColumnElement[Any]) -> None:
        self._norms = norms

    def text(self, name: str) -> ColumnElement[Any]:
        return text_at(self._norms, name)

    def list(self, name: str) -> ColumnElement[Any]:
        return self._norms[list_key(name)]

    def flag(self, name: str) -> ColumnElement[Any]:
        return case(*((self.is_flag(name, value), literal(value)) for value in (True, False)), else_=None)

    def is_flag(self, name: str, value: bool) -> ColumnElement[bool]:
        return contains(self._norms, literal({flag_key(name): value}, JSONB))

    def host(self, name: str) -> ColumnElement[Any]:
        return text_at(self._norms, host_key(name))

    def has_text(self, name: str, texts: Collection[str]) -> ColumnElement[bool]:
        return self._look_up(name, texts, self.text(name))

    def has_host(self, name: str, hosts: Collection[str]) -> ColumnElement[bool]:
        return self._look_up(host_key(name), hosts, self.host(name))

    def _look_up(self, key: str, texts: Collection[str], value: ColumnElement[Any]) -> ColumnElement[bool]:
        if not 0 < len(texts) <= MAX_LOOK_UPS:
            return among(value, texts, String())
        return or_(*(contains(self._norms, literal({key: text}, JSONB)) for text in sorted(texts)))

    def has_any(self, name: str, texts: Collection[str]) -> ColumnElement[bool]:
        if len(texts) > MAX_LOOK_UPS:
            return self.list(name).op("?|", is_comparison=True)(literal(sorted(texts), PG_ARRAY(String)))
        key = list_key(name)
        return or_(*(contains(self._norms, literal({key: [text]}, JSONB)) for text in sorted(texts)))

    def has_all(self, name: str, texts: Collection[str]) -> ColumnElement[bool]:
        return contains(self._norms, literal({list_key(name): sorted(texts)}, JSONB))


def text_at(document: ColumnElement[Any], key: str) -> ColumnElement[Any]:
    """The text that stands under a key of a jsonb document."""
    found: ColumnElement[Any] = document[key].astext
    return found


class EventDocument(RecordDocument):
    """`fields` of an event, with `fields_norm` beside it where case-folding does more than lower() of ASCII letters."""

    def __init__(self, fields: ColumnElement[Any], norms: ColumnElement[Any]) -> None:
        super().__init__(norms)
        self._fields = fields

    def text(self, name: str) -> ColumnElement[Any]:
        return self._when("string", name, func.coalesce(super().text(name), lower_ascii(text_at(self._fields, name))))

    def list(self, name: str) -> ColumnElement[Any]:
        small = cast(lower_ascii(cast(self._fields[name], String)), JSONB)
        value = self._when("array", name, func.coalesce(super().list(name), small))
        return func.nullif(value, cast(literal("[]"), JSONB), type_=JSONB)

    def is_flag(self, name: str, value: bool) -> ColumnElement[bool]:
        return contains(self._fields, literal({name: value}, JSONB))

    def host(self, name: str) -> ColumnElement[Any]:
        text = self.text(name)
        plain = (func.substring(text, literal(pattern)) for pattern in (ADDRESS_HOST, URL_HOST))
        return func.coalesce(super().host(name), *plain)

    def has_text(self, name: str, texts: Collection[str]) -> ColumnElement[bool]:
        return among(self.text(name), texts, String())

    def has_host(self, name: str, hosts: Collection[str]) -> ColumnElement[bool]:
        return among(self.host(name), hosts, String())

    def has_any(self, name: str, texts: Collection[str]) -> ColumnElement[bool]:
        return self.list(name).op("?|", is_comparison=True)(literal(sorted(texts), PG_ARRAY(String)))

    def has_all(self, name: str, texts: Collection[str]) -> ColumnElement[bool]:
        return contains(self.list(name), literal(sorted(texts), JSONB))

    def _when(self, kind: str, name: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return case((func.jsonb_typeof(self._fields[name]) == literal(kind), value), else_=None)


def lower_ascii(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """ASCII letters made small, whatever the database's collation; the counterpart of `leadflow.store.norms`."""
    return func.lower(collate(text, "C"))


class OwnText(Compared):
    def __init__(self, document: RecordDocument, name: str) -> None:
        super().__init__(document.text(name))
        self._document, self._name = document, name

    def one_of(self, values: Collection[Any]) -> ColumnElement[bool]:
        return self._document.has_text(self._name, values)

    def has_host(self, hosts: Collection[str]) -> ColumnElement[bool]:
        return self._document.has_host(self._name, hosts)


class OwnChoice(Compared):
    """A choice is stored by key; text that stood there before the field had choices may be its name or spelling."""

    def __init__(self, document: RecordDocument, name: str, field: Field) -> None:
        self._keys = keys_by_spelling(field)
        text = document.text(name)
        super().__init__(case(self._keys, value=text, else_=None) if self._keys else cast(None, String))
        self._document, self._name = document, name

    def one_of(self, values: Collection[Any]) -> ColumnElement[bool]:
        wanted = [spelling for spelling, key in self._keys.items() if key in values]
        return self._document.has_text(self._name, wanted)


def keys_by_spelling(field: Field) -> dict[str, str]:
    """The key that each spelling means, case-folded, exactly as `Field.choice` says."""
    spellings = {fold(text) for one in field.choices for text in (one.key, one.name, *one.spellings)}
    return {text: one.key for text in sorted(spellings) if (one := field.choice(text))}


class OwnFlag(Flag):
    def __init__(self, document: RecordDocument, name: str) -> None:
        super().__init__(document.flag(name))
        self._document, self._name = document, name

    def one_of(self, values: Collection[Any]) -> ColumnElement[bool]:
        return or_(false(), *(self._document.is_flag(self._name, value) for value in sorted(values)))


class OwnList(Compared):
    def __init__(self, document: RecordDocument, name: str) -> None:
        super().__init__(document.list(name))
        self._document, self._name = document, name

    def has_any(self, texts: Collection[str]) -> ColumnElement[bool]:
        return self._document.has_any(self._name, texts)

    def has_all(self, texts: Collection[str]) -> ColumnElement[bool]:
        return self._document.has_all(self._name, texts)

    def equals(self, other: Compared, zone: tzinfo) -> ColumnElement[bool]:
        return same_set(self.value, other.value)


def own(document: RecordDocument, name: str, field: Field) -> Compared:
    """A field that stands in a document. What cannot be read as the field's type is blank, never an error."""
    match field.kind:
        case Kind.NUMBER:
            return Number(number_in(document.text(name)))
        case Kind.DATE:
            return Day(_readable(document.text(name), STORED_DAY, Date()))
        case Kind.MOMENT:
            return Moment(_readable(document.text(name), STORED_MOMENT, DateTime(timezone=True)))
        case Kind.BOOLEAN:
            return OwnFlag(document, name)
        case Kind.LIST:
            return OwnList(document, name)
        case Kind.ENUMERATION | Kind.CATEGORY:
            return OwnChoice(document, name, field)
        case _:
            return OwnText(document, name)


def number_in(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number that stands in the text; NULL where none does."""
    return _readable(text, STORED_NUMBER, Numeric())


def _readable(text: ColumnElement[Any], form: str, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    """`text` as `type_`, only where it has the form: nothing else is ever cast."""
    return case((text.op("~", is_comparison=True)(literal(form)), cast(text, type_)), else_=None)


# Fields of records and events --------------------------------------------------------------------------------------


def compared_of_record(path: str, field: Field) -> Compared:
    """A field of `company` or `contact`, over `rows_of` a subject."""
    root, _, name = path.partition(".")
    columns = TABLES[root].c
    if name.startswith("fields."):
        return own(RecordDocument(columns.fields_norm), name.removeprefix("fields."), field)
    column = columns[COLUMNS.get(path) or _column_name(name, field)]
    match field.kind:
        case Kind.NUMBER:
            return Number(column)
        case Kind.BOOLEAN:
            return Flag(column)
        case Kind.MOMENT:
            return Moment(column)
        case Kind.LIST:
            return Tags(column)
        case _:
            return Compared(column, columns.email_host if path == "contact.email" else None)


def _column_name(name: str, field: Field) -> str:
    flat = name.replace(".", "_")
    return f"{flat}_norm" if name.startswith("first_touch.") and field.kind in TEXT_KINDS else flat


def compared_of_event(event: FromClause, path: str, field: Field) -> Compared:
    """A field of `form`, `sale` or `event`, in a row of the inbox."""
    return own(EventDocument(event.c.fields, event.c.fields_norm), path.partition(".")[2], field)
