"""What people and programs send to create or change a company or contact, checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from leadflow.domain.fields import UnreadableValue, Value, read_list, read_text, read_value
from leadflow.errors import Fault, InvalidRequest
from leadflow.sources.addresses import FREE_MAIL_DOMAINS, UnusableAddress, read_address
from leadflow.store.lists import Lists

HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")

# A checked draft: the sent keys with their values read; `fields` maps names to values.
Draft = dict[str, Any]
Reader = Callable[[Lists, Any], Any]


def read_company_draft(lists: Lists, sent: Mapping[str, Any]) -> Draft:
    """The keys of `sent` as values. Raises: InvalidRequest with every fault."""
    return _read(lists, sent, COMPANY_READERS, "company")


def read_contact_draft(lists: Lists, sent: Mapping[str, Any]) -> Draft:
    """The keys of `sent` as values. Raises: InvalidRequest with every fault."""
    return _read(lists, sent, CONTACT_READERS, "contact")


def _read(lists: Lists, sent: Mapping[str, Any], readers: Mapping[str, Reader], record: str) -> Draft:
    faults: list[Fault] = []
    draft: Draft = {}
    for name, raw in sent.items():
        if name == "fields":
            draft[name] = _read_own_fields(lists, record, raw, faults)
        elif name not in readers:
            faults.append(
                Fault(name, f"is not a field that can be written; allowed: {', '.join([*readers, 'fields'])}")
            )
        else:
            try:
                draft[name] = readers[name](lists, raw)
            except (UnreadableValue, UnusableAddress) as error:
                faults.append(Fault(name, str(error)))
    if faults:
        raise InvalidRequest(faults)
    return draft


def _read_own_fields(lists: Lists, record: str, raw: Any, faults: list[Fault]) -> dict[str, Value]:
    if not isinstance(raw, Mapping):
        faults.append(Fault("fields", "must be an object"))
        return {}
    known = lists.catalogue.custom(record)
    values: dict[str, Value] = {}
    for name, value in raw.items():
        if name not in known:
            allowed = ", ".join(known) or "none are configured"
            faults.append(Fault(f"fields.{name}", f"is not a field of a {record}; allowed: {allowed}"))
            continue
        try:
            values[name] = read_value(known[name], value)
        except UnreadableValue as error:
            faults.append(Fault(f"fields.{name}", str(error)))
    return values


def _text(_: Lists, raw: Any) -> str | None:
    if raw is not None and not isinstance(raw, str):
        raise UnreadableValue("must be text or null")
    return None if raw is None else read_text(raw)


def _domain(_: Lists, raw: Any) -> str | None:
    text = _text(_, raw)
    if text is None:
        return None
    host = text.lower()
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise UnreadableValue(f"'{text}' is not a domain name") from None
    if not HOST.fullmatch(host):
        raise UnreadableValue(f"'{text}' is not a domain name such as nordwind.example")
    if host in FREE_MAIL_DOMAINS:
        raise UnreadableValue(f"{host} is a free-mail provider; it stands for no company")
    return host


def _email(_: Lists, raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise UnreadableValue("must be an e-mail address")
    return read_address(raw).email


def _flag(_: Lists, raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise UnreadableValue("must be true or false")
    return raw


def _tags(_: Lists, raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        raise UnreadableValue("must be a list of texts")
    return read_list(raw) or ()


def _category(lists: Lists, raw: Any) -> str | None:
    if raw is None:
        return None
    category = lists.lifecycle.resolve(raw) if isinstance(raw, str) else None
    if category is None or category.deleted:
        allowed = ", ".join(one.key for one in lists.lifecycle.categories.values() if not one.deleted)
        raise UnreadableValue(f"there is no category {raw!r:.60}; allowed: {allowed}")
    return category.key


def _lead_status(lists: Lists, raw: Any) -> str:
    status = lists.statuses.resolve(raw) if isinstance(raw, str) else None
    if status is None or status.deleted:
        allowed = ", ".join(one.key for one in lists.statuses.by_key.values() if not one.deleted)
        raise UnreadableValue(f"there is no lead status {raw!r:.60}; allowed: {allowed}")
    return status.key


def _record_id(_: Lists, raw: Any) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 < raw < 2**63:
        raise UnreadableValue("must be the id of a company, or null")
    return raw


def _external_ids(_: Lists, raw: Any) -> dict[str, str]:
    is_map = isinstance(raw, Mapping) and all(isinstance(k, str) and isinstance(v, str) for k, v in raw.items())
    if not is_map:
        raise UnreadableValue("must be an object of texts")
    return {str(read_text(key)): str(read_text(value)) for key, value in raw.items() if read_text(key)}


COMPANY_READERS: dict[str, Reader] = {
    "name": _text,
    "domain": _domain,
    "category": _category,
    "owner": _text,
    "tags": _tags,
    "do_not_automate": _flag,
    "external_ids": _external_ids,
}

CONTACT_READERS: dict[str, Reader] = {
    "email": _email,
    "first_name": _text,
    "last_name": _text,
    "company_id": _record_id,
    "category": _category,
    "lead_status": _lead_status,
    "tags": _tags,
    "do_not_automate": _flag,
}
