"""What is wrong with the fields and events that an installation declares in `config/fields.yaml`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from leadflow.domain.fields import STORED_RECORDS, CustomField, Kind, build_catalogue
from leadflow.domain.history import COUNTED_TRIGGERS
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Lifecycle
from leadflow.domain.text import fold


def find_field_faults(path: Path, fields: Sequence[CustomField], events: Sequence[str]) -> list[str]:
    """Every fault, each with the place in the file: what stands twice, what is built in, choices that cannot be."""
    faults = [*_repeated_fields(fields), *_built_in(fields), *_choices(fields), *_event_names(events)]
    return [f"{path}: {fault}" for fault in faults]


def _repeated_fields(fields: Iterable[CustomField]) -> Iterator[str]:
    for (record, name), count in Counter((one.record, one.name) for one in fields).items():
        if count > 1:
            yield f"{record}: '{name}' is declared {count} times"


def _built_in(fields: Iterable[CustomField]) -> Iterator[str]:
    """Fields of forms and events stand beside the built-in ones, those of records below `fields.`."""
    known = build_catalogue(Lifecycle({}, frozenset()), LeadStatuses({}))
    for one in fields:
        if one.record not in STORED_RECORDS and known.get(one.path):
            yield f"{one.record}: '{one.name}' is there already, rules name it {one.path}; choose another name"


def _choices(fields: Iterable[CustomField]) -> Iterator[str]:
    for one in fields:
        place = f"{one.record}: '{one.name}'"
        if one.kind is Kind.ENUMERATION and not one.choices:
            yield f"{place} is an enumeration and needs choices, such as choices: {{small: Small, large: Large}}"
        if one.kind is not Kind.ENUMERATION and one.choices:
            yield f"{place} has choices, but is of type {one.kind}; only an enumeration has choices"
        keys_of = [(fold(text), choice.key) for choice in one.choices for text in {choice.key, choice.name}]
        for text, keys in _by_text(keys_of).items():
            if len(keys) > 1:
                yield f"{place}: '{text}' means two choices, {' and '.join(sorted(keys))}"


def _by_text(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for text, key in pairs:
        found.setdefault(text, set()).add(key)
    return found


def _event_names(events: Iterable[str]) -> Iterator[str]:
    reserved = [trigger.value for trigger in COUNTED_TRIGGERS]
    for name, count in Counter(events).items():
        if count > 1:
            yield f"events: '{name}' is declared {count} times"
        if name in reserved:
            yield f"events: '{name}' is built in and needs no declaration"
