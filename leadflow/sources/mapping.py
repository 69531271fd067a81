"""From a payload document to the fields of a form or of a declared event, by the source's mapping."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from leadflow.domain.fields import Catalogue, Unreadable, UnreadableValue, Value, read_value
from leadflow.rules.problems import find_nearest, quoted
from leadflow.sources.addresses import Address, UnusableAddress, read_address
from leadflow.sources.model import Source
from leadflow.sources.payloads import UnreadablePayload, read_payload

MAX_LEAVES = 400
MAX_STEPS = 16

# `data.fields.{label}.value`: what comes before, the name, and the ways to the value, the first that has one counts.
TEMPLATE = re.compile(r"(?:(?P<before>[^{}]+)\.)?\{(?P<name>[^{}]+)\}(?:\.(?P<after>[^{}]+))?")

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
    return {name: value for name, (value, _) in find_answers(source, document).items()}


# A value of the payload, and the path where it stands; a constant of the source has none.
Answer = tuple[Any, str]


def find_answers(source: Source, document: Mapping[str, Any]) -> dict[str, Answer]:
    """The payload's values by field, as they came, each with the path where it was found."""
    document = unfold(document)
    named = _named_answers(source, document)
    found = dict(named)
    for name, aliases in ALIASES.items():
        for alias in aliases:
            if alias in named:
                found[name] = named[alias]
                break
    for name, paths in source.fields.items():
        found.pop(name, None)
        if (answer := _first_of(document, named, paths)) is not None:
            found[name] = answer
    found |= {name: (value, "") for name, value in source.constants.items()}
    return _with_split_name(found)


def _named_answers(source: Source, document: Mapping[str, Any]) -> dict[str, Answer]:
    """What the sender itself named, by the plain form of the name; of equal names the first counts."""
    answers, before = document, ""
    if source.root and isinstance(below := value_at(document, source.root), Mapping):
        answers, before = below, f"{source.root}."
    named = {_plain(name): (value, before + name) for name, value in reversed(list(answers.items()))}
    if source.answers:
        named |= {_plain(name): answer for name, answer in reversed(list(_wrapped_answers(source.answers, document)))}
    return named


def _wrapped_answers(template: str, document: Mapping[str, Any]) -> Iterator[tuple[str, Answer]]:
    """The answers of a form builder that wraps each in an object of its own, by their names."""
    parts = TEMPLATE.fullmatch(template)
    if parts is None:
        return
    before, word, after = parts["before"] or "", parts["name"], parts["after"]
    prefix = f"{before}." if before else ""
    for key, name, item in _items_of(value_at(document, before) if before else document, word):
        for path in after.split("|") if after else ("",):
            value = value_at(item, path) if path else item
            if value is not None:
                yield name, (value, f"{prefix}{key}.{path}" if path else f"{prefix}{key}")
                break


def _items_of(node: Any, word: str) -> Iterator[tuple[str, str, Any]]:
    """(step, name, item) of each wrapped answer: by its key, or in a list by what stands at `word`."""
    if isinstance(node, Mapping):
        yield from ((key, key, item) for key, item in node.items())
    elif isinstance(node, list):
        for number, item in enumerate(node):
            name = value_at(item, word)
            if isinstance(name, str) and name.strip():
                yield str(number), name, item


def _first_of(document: Mapping[str, Any], named: Mapping[str, Answer], paths: Iterable[str]) -> Answer | None:
    """What stands at the first of these paths that has something; a path may be the name of a wrapped answer."""
    for path in paths:
        if (value := value_at(document, path)) is not None:
            return value, path
        if (answer := named.get(_plain(path))) is not None and answer[0] is not None:
            return answer
    return None


def _with_split_name(found: dict[str, Answer]) -> dict[str, Answer]:
    name, path = found.get("name", (None, ""))
    if isinstance(name, str) and not _is_said(found, "first_name") and not _is_said(found, "last_name"):
        first, _, last = " ".join(name.split()).rpartition(" ")
        found["first_name"], found["last_name"] = ((first, path), (last, path)) if first else ((last, path), (None, ""))
    return found


def _is_said(found: Mapping[str, Answer], name: str) -> bool:
    return bool(found.get(name, (None, ""))[0])


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


def value_at(node: Any, path: str) -> Any:
    """The value at `a.b.c`; a number steps into a list, and a key may hold dots itself. None if there is nothing."""
    if isinstance(node, Mapping):
        if path in node:
            return node[path]
        step, _, rest = path.partition(".")
        return value_at(node.get(step), rest) if rest else None
    if isinstance(node, list):
        step, _, rest = path.partition(".")
        if not (step.isascii() and step.isdigit() and len(step) < 7 and int(step) < len(node)):
            return None
        return value_at(node[int(step)], rest) if rest else node[int(step)]
    return None


def unfold(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document; keys of urlencoded forms such as `fields[email][value]` are there as paths, too."""
    folded = [key for key in document if "[" in key]
    if not folded:
        return document
    nested: dict[str, Any] = {}
    for key in folded:
        _put(nested, _steps_of(key), document[key])
    return {**nested, **document}


def _steps_of(key: str) -> list[str]:
    """`a[b][c]` as its steps; of anything else nothing."""
    first, _, rest = key.partition("[")
    if not first or not rest.endswith("]"):
        return []
    steps = [first, *rest[:-1].split("][")]
    return steps if len(steps) <= MAX_STEPS and not any("[" in one or "]" in one or not one for one in steps) else []


def _put(nested: dict[str, Any], steps: list[str], value: Any) -> None:
    node: Any = nested
    for step in steps[:-1]:
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            return
    if steps:
        node.setdefault(steps[-1], value)


def leaves(document: Mapping[str, Any], limit: int = MAX_LEAVES) -> list[tuple[str, Any]]:
    """Every single value of the document with its path, in the order of the payload, up to `limit`."""
    whole = unfold(document)
    waiting = [(key, value) for key, value in reversed(list(whole.items())) if not ("[" in key and _steps_of(key))]
    found: list[tuple[str, Any]] = []
    while waiting and len(found) < limit:
        path, node = waiting.pop()
        if isinstance(node, Mapping) and node:
            waiting += [(f"{path}.{key}", value) for key, value in reversed(list(node.items()))]
        elif isinstance(node, list) and any(isinstance(one, Mapping | list) for one in node):
            waiting += [(f"{path}.{number}", value) for number, value in reversed(list(enumerate(node)))]
        else:
            found.append((path, node))
    return found


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
