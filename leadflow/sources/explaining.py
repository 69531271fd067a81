"""Which place of a payload gave which field, what nothing was made of, and why a payload cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from leadflow.domain.fields import Catalogue, Field, Unreadable, UnreadableValue, Value, read_value
from leadflow.sources.mapping import Answer, Submission, find_answers, leaves, map_submission
from leadflow.sources.model import Source
from leadflow.sources.payloads import UnreadablePayload, read_payload

# What stands for the place of a value that the source itself says, or finds by the form's name.
BY_THE_SOURCE = ""


@dataclass(frozen=True, slots=True)
class MappedField:
    """A field, what was read into it, and the path of the payload that it came from."""

    field: Field
    value: Value | Unreadable
    place: str


@dataclass(frozen=True, slots=True)
class Explained:
    """What a source makes of a payload. `held` is the reason why nothing can be made of it."""

    fields: tuple[MappedField, ...] = ()
    unused: tuple[tuple[str, Any], ...] = ()
    submission: Submission | None = None
    held: str | None = None


def explain_payload(source: Source, content_type: str | None, body: bytes, catalogue: Catalogue) -> Explained:
    """What the source makes of a payload, as far as it gets. Never raises for what a sender wrote."""
    try:
        document = read_payload(content_type, body)
    except UnreadablePayload as reason:
        return Explained(held=str(reason))
    found = find_answers(source, document)
    try:
        submission, held = map_submission(source, content_type, body, catalogue), None
    except UnreadablePayload as reason:
        submission, held = None, str(reason)
    roots = ("form", "event") if submission and submission.event else ("form",)
    fields = tuple(_mapped(source, found, submission, catalogue, roots))
    used = {one.place for one in fields} | {place for name, (_, place) in found.items() if name == source.event}
    unused = tuple((path, value) for path, value in leaves(document) if path not in used and path != source.event)
    return Explained(fields, unused, submission, source.off or held)


def _mapped(
    source: Source,
    found: Mapping[str, Answer],
    submission: Submission | None,
    catalogue: Catalogue,
    roots: tuple[str, ...],
) -> list[MappedField]:
    mapped: dict[str, MappedField] = {}
    for one in catalogue.of(*roots):
        name = one.path.partition(".")[2]
        raw, place = found.get(name, (None, BY_THE_SOURCE))
        value = _said_by(submission, one) if raw is None else _read(one, raw)
        if value is not None and name not in mapped:
            mapped[name] = MappedField(one, value, place)
    return list(mapped.values())


def _said_by(submission: Submission | None, one: Field) -> Value | Unreadable:
    """What the source adds: the type of a form by its name, the event that is meant."""
    root, _, name = one.path.partition(".")
    if submission is None or name == "email":
        return None
    return (submission.event_fields if root == "event" else submission.fields).get(name)


def _read(one: Field, raw: Any) -> Value | Unreadable:
    try:
        return read_value(one, raw, UTC)
    except UnreadableValue as reason:
        return Unreadable(str(reason))
