"""Values as JSON, the one form in which they stand in jsonb columns, the ledger and the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from leadflow.domain.fields import Catalogue, Field, Kind, Unreadable, UnreadableValue, Value, read_value


def to_json(value: Value | int) -> Any:
    """Numbers as text (exact), moments as RFC 3339 in UTC, lists as arrays."""
    if isinstance(value, Decimal):
        return format(value, "f") if value == value.to_integral_value() else str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def from_json(catalogue: Catalogue, record: str, document: Mapping[str, Any]) -> dict[str, Value]:
    """The installation's own fields of a record; one that is no longer declared, or not readable, is left out."""
    return read_fields(catalogue, f"{record}.fields", document)


def read_fields(catalogue: Catalogue, root: str, document: Mapping[str, Any]) -> dict[str, Value]:
    """The fields below `root` as they were stored; what is not declared, or not readable, is left out, as in SQL."""
    fields: dict[str, Value] = {}
    for name, raw in document.items():
        one = catalogue.get(f"{root}.{name}")
        if one is None:
            continue
        try:
            fields[name] = read_stored(one, raw)
        except UnreadableValue:
            continue
    return fields


# How numbers, days and moments stand in jsonb: what `to_json` writes, and what SQL can read without ever failing.
STORED_NUMBER = r"^-?[0-9]{1,61}(?:\.[0-9]{1,130})?(?:[eE][+-]?[0-9]{1,2})?$"
_DAY = (
    r"^(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
STORED_DAY = _DAY + "$"
STORED_MOMENT = _DAY + r"[tT](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{6})?[zZ]$"

_FORMS: Mapping[Kind, tuple[re.Pattern[str], Callable[[str], Value]]] = {
    Kind.NUMBER: (re.compile(STORED_NUMBER), Decimal),
    Kind.DATE: (re.compile(STORED_DAY), date.fromisoformat),
    Kind.MOMENT: (re.compile(STORED_MOMENT), lambda raw: datetime.fromisoformat(raw.upper())),
}


def read_stored(one: Field, raw: Any) -> Value:
    """A value out of jsonb; stricter than at the door, so that SQL reads the same (`leadflow.store.conditions`).

    Only what was written while the field had another type can be unreadable. Raises: UnreadableValue.
    """
    if one.kind in _FORMS:
        form, read = _FORMS[one.kind]
        if isinstance(raw, str) and form.fullmatch(raw):
            return read(raw)
    elif _has_json_type(one.kind, raw):
        return read_value(one, raw)
    raise UnreadableValue(f"'{str(raw)[:40]}' was stored while {one.path} had another type")


def _has_json_type(kind: Kind, raw: Any) -> bool:
    if kind is Kind.LIST:
        return isinstance(raw, list) and all(isinstance(item, str) for item in raw)
    return isinstance(raw, bool if kind is Kind.BOOLEAN else str)


def form_to_json(fields: Mapping[str, Value | Unreadable]) -> dict[str, Any]:
    """A form's fields as stored on the event; what could not be read stands under `unreadable` with the reason."""
    document = {name: to_json(value) for name, value in fields.items() if not isinstance(value, Unreadable)}
    reasons = {name: value.reason for name, value in fields.items() if isinstance(value, Unreadable)}
    return document | {"unreadable": reasons} if reasons else document


def dump(document: Any) -> str:
    """JSON text of what may hold moments and exact numbers."""
    return _encode(document)


_encode = json.JSONEncoder(default=to_json, ensure_ascii=False).encode


def kept_value(catalogue: Catalogue, path: str, raw: Any) -> Value:
    """A value of a field as it was kept; a choice that has been deleted from its list since is still its key."""
    one = catalogue.get(path)
    try:
        return read_value(one, raw) if one else raw
    except UnreadableValue:
        return str(raw)
