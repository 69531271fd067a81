"""Compared forms: what is stored beside text, so that SQL compares as memory does and the collation plays no part.

`norms_of` is kept as `fields_norm` of companies and contacts, under keys that say what stands there, so that a value
of another JSON type than the field has now is found by no test: `name` is text (numbers and times too), `name[]` a
list, `name?` a truth, and `name@host` the host of an address or URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from leadflow.domain.text import clean_text, fold
from leadflow.rules.hosts import NAMEABLE_HOST, host_of

# Hosts that SQL finds by itself in case-folded text: those of ordinary addresses and URLs. Any other is stored.
ADDRESS_HOST = r"^[^@/]+@([^@/]*[^@/.])$"
URL_HOST = r"^https?://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?:[/?#].*)?$"
_ADDRESS_HOST, _URL_HOST = re.compile(ADDRESS_HOST), re.compile(URL_HOST, re.DOTALL)


def list_key(name: str) -> str:
    return f"{name}[]"


def flag_key(name: str) -> str:
    return f"{name}?"


def host_key(name: str) -> str:
    return f"{name}@host"


def norm(text: str | None) -> str | None:
    """The compared form of a text; None when it is blank."""
    return fold(text) or None if text else None


def norms_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The compared forms of a record's own fields, as they stand in jsonb."""
    norms: dict[str, Any] = {}
    for name, raw in document.items():
        if isinstance(raw, str):
            _add_text(norms, name, fold(clean_text(raw) or ""))
        elif isinstance(raw, bool):
            norms[flag_key(name)] = raw
        elif isinstance(raw, list):
            texts = [fold(clean_text(item) or "") for item in raw if isinstance(item, str)]
            if any(texts) and len(texts) == len(raw):
                norms[list_key(name)] = [text for text in texts if text]
    return norms


def _add_text(norms: dict[str, Any], name: str, text: str) -> None:
    if text:
        norms[name] = text
    if "." in text and (host := _nameable_host(text)):
        norms[host_key(name)] = host


def _nameable_host(text: str) -> str | None:
    host = host_of(text)
    return host if host and NAMEABLE_HOST.fullmatch(host) else None


def email_host(email: str | None) -> str | None:
    """The host of a contact's address."""
    return host_of(email) if email else None


def event_norms(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Those of an event's fields whose compared form SQL cannot make itself; None when there is none.

    SQL makes ASCII letters small and reads the hosts of ordinary addresses and URLs. Most forms need no more, and a
    form is written once, but asked for seldom.
    """
    norms: dict[str, Any] = {}
    for name, raw in fields.items():
        if isinstance(raw, str):
            _add_unusual_text(norms, name, raw)
        elif isinstance(raw, list) and not all(isinstance(one, str) and one.isascii() for one in raw):
            norms[list_key(name)] = [fold(one) for one in raw if isinstance(one, str)]
    return norms or None


def _add_unusual_text(norms: dict[str, Any], name: str, raw: str) -> None:
    if is_unusual(raw):
        norms[name] = fold(raw)
    if "." in raw and plain_host(text := fold(raw)) is None and (host := _nameable_host(text)):
        norms[host_key(name)] = host


def change_norms(old: object, new: object) -> dict[str, str] | None:
    """The compared forms of the texts of a change that SQL cannot make itself; None when there is none."""
    norms = {
        side: fold(text) for side, text in (("old", old), ("new", new)) if isinstance(text, str) and is_unusual(text)
    }
    return norms or None


def is_unusual(text: str) -> bool:
    """Whether case-folding does more than make ASCII letters small."""
    return not text.isascii() and fold(text) != lower_ascii(text)


def lower_ascii(text: str) -> str:
    """`text` with its ASCII letters made small: what lower() does under the collation "C"."""
    return text.encode().lower().decode()


def plain_host(text: str) -> str | None:
    """The host that SQL finds by itself in a case-folded text."""
    found = _ADDRESS_HOST.fullmatch(text) or _URL_HOST.fullmatch(text)
    return found[1] if found else None
