"""From a payload document to the fields of a form or of a declared event, by the source's mapping."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from leadflow.domain.fields import Catalogue, Unreadable, UnreadableValue, Value, read_value
from leadflow.rules.problems import find_nearest, quoted
from leadflow.sources.addresses import Address, UnusableAddress, read_address
from leadflow.sources.model import Source
from leadflow.sources.payloads import UnreadablePayload, read_payload

# Names that forms commonly use for our fields; compared in lower case with - and blanks as _.
ALIASES = {
    "email": ("email", "e_mail", "email_address", "work_email", "business_email", "your_email", "mail"),
    "first_name": ("first_name", "firstname", "fname", "given_name"),
    "last_name": ("last_name", "lastname", "lname", "surname", "family_name"),
    "name": ("name", "full_name", "fullname", "your_name"),
    "company": ("company", "company_name", "organisation", "organization", "your_company"),
    "form": ("form", "form_id", "form_name", "formid"),
    "form_type": ("form_type", "formtype"),
    "phone": ("phone", "phone_number", "telephone", "mobile", "your_phone"),
    "job_title": ("job_title", "jobtitle", "title", "role"),
    "message": ("message", "comments", "comment", "your_message"),
    "page_url": ("page_url", "_url", "url", "page"),
    "referrer": ("referrer", "referer"),
    "submitted_at": ("submitted_at", "created_at", "timestamp"),
    "at": ("at", "occurred_at", "happened_at", "event_time", "timestamp"),
}


@dataclass(frozen=True, slots=True)
class Submission:
    """A delivery as mapped: who sent it, and `fields` by name below `form.`, which tell about the person.

    `event` is the declared event that it is instead of a form; then `event_fields` are those below `event.`, with
    `at` only where the sender said when it happened.
    """

    fields: Mapping[str, Value | Unreadable]
    address: Address
    event: str | None = None
    event_fields: Mapping[str, Value | Unreadable] = field(default_factory=dict)


def map_submission(source: Source, content_type: str | None, body: bytes, catalogue: Catalogue) -> Submission:
    """What the delivery says.

    Raises: UnreadablePayload if the body cannot be read, names no usable e-mail address, or an undeclared event.
    """
    document = read_payload(content_type, body)
    raw = raw_fields(source, document)
    event = _event_of(source, document, raw, catalogue)
    address = _address_of(raw, "event" if event else "form")
    if event is None:
        return Submission(_form_fields(source, raw, catalogue, address), address)
    own = {"name": event, "email": address.email, **_read_fields(raw, catalogue, "event", ("name", "email"))}
    about = _read_fields(raw, catalogue, "form", ("email", "form", "form_type"))
    return Submission(about | {"email": address.email}, address, event, own)


def _event_of(source: Source, document: Mapping[str, Any], raw: Mapping[str, Any], catalogue: Catalogue) -> str | None:
    """The declared event that the delivery is; None for a form. Raises: UnreadablePayload for an undeclared one.

    A form may well ask which event somebody means: what names its form is one, unless the event is declared.
    """
    if source.event is None:
        return None
    name = raw.get(source.event) or value_at(document, source.event)
    if not isinstance(name, str) or not name.strip():
        return None
    meant = _plain(source.events.get(name.strip(), name))
    known = {_plain(one): one for one in catalogue.events}
    if meant in known:
        return known[meant]
    if raw.get("form"):
        return None
    near = find_nearest(meant, catalogue.events)
    hint = f"; did you mean {quoted(near)}?" if near else ". Declare it under events in fields.yaml."
    raise UnreadablePayload(f"The event {quoted(name)} is not declared{hint}")


def _address_of(raw: Mapping[str, Any], what: str) -> Address:
    text = raw.get("email")
    if not isinstance(text, str) or not text.strip():
        raise UnreadablePayload(f"The {what} has no e-mail address, so it belongs to no contact.")
    try:
        return read_address(text)
    except UnusableAddress as error:
        raise UnreadablePayload(str(error)) from None


def _form_fields(
    source: Source, raw: Mapping[str, Any], catalogue: Catalogue, address: Address
) -> dict[str, Value | Unreadable]:
    fields = _read_fields(raw, catalogue, "form", ("email",))
    fields["email"] = address.email
    form = fields.get("form")
    if not fields.get("form_type") and isinstance(form, str) and form in source.form_types:
        fields["form_type"] = source.form_types[form]
    return fields


def raw_fields(source: Source, document: Mapping[str, Any]) -> dict[str, Any]:
    """The payload's values by field, as they came."""
    answers = value_at(document, source.root) if source.root else document
    if not isinstance(answers, Mapping):
        answers = document
    by_name = {_plain(name): value for name, value in reversed(list(answers.items()))}
    raw = dict(by_name)
    for name, aliases in ALIASES.items():
        raw[name] = next((by_name[alias] for alias in aliases if alias in by_name), None)
    for name, paths in source.fields.items():
        raw[name] = next((value for path in paths if (value := value_at(document, path)) is not None), None)
    raw |= source.constants
    return _with_split_name(raw)


def _with_split_name(raw: dict[str, Any]) -> dict[str, Any]:
    name = raw.get("name")
    if isinstance(name, str) and not raw.get("first_name") and not raw.get("last_name"):
        first, _, last = " ".join(name.split()).rpartition(" ")
        raw["first_name"], raw["last_name"] = (first, last) if first else (last, None)
    return raw


def _read_fields(
    raw: Mapping[str, Any], catalogue: Catalogue, root: str, skip: Collection[str]
) -> dict[str, Value | Unreadable]:
    """The fields below `root` that the payload has, less those that are found in another way."""
    fields: dict[str, Value | Unreadable] = {}
    for one in catalogue.of(root):
        name = one.path.removeprefix(f"{root}.")
        value = raw.get(name)
        if value is None or name in skip:
            continue
        try:
            read = read_value(one, value, UTC)
        except UnreadableValue as error:
            fields[name] = Unreadable(f"{one.path}: {error}")
        else:
            if read is not None:
                fields[name] = read
    return fields


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value at `a.b.c`; a number steps into a list. None if there is nothing."""
    node: Any = document
    for step in path.split("."):
        if isinstance(node, Mapping):
            node = node.get(step)
        elif isinstance(node, list) and step.isdigit() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    return node


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
