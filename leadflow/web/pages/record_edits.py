"""What of a company or contact is edited in place: its names, owner, tags and own fields, as a form and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.domain.fields import Field, Kind
from leadflow.errors import Fault, InvalidRequest
from leadflow.store import reads
from leadflow.store.lists import Lists
from leadflow.store.records import find_companies_by_domain
from leadflow.web.pages.criteria_lines import join_texts, split_texts, text_of
from leadflow.web.pages.criteria_offer import Option

Record = reads.CompanyView | reads.ContactView
LOOKS = {Kind.BOOLEAN: "choice", Kind.ENUMERATION: "choice", Kind.LIST: "texts", Kind.DATE: "day"}


@dataclass(frozen=True, slots=True)
class EditField:
    """One control of the form: its name, what it shows, and the choices of a list."""

    name: str
    label: str
    text: str
    look: str = "text"
    choices: tuple[Option, ...] = ()
    hint: str = ""


def edit_fields(lists: Lists, record: Record, company: reads.CompanyView | None = None) -> list[EditField]:
    """The controls, showing the record as it is; `company` is the one that a contact is at."""
    own = _company_fields(record) if isinstance(record, reads.CompanyView) else _contact_fields(record, company)
    kind = "company" if isinstance(record, reads.CompanyView) else "contact"
    custom = [_custom(name, one, record.fields.get(name)) for name, one in lists.catalogue.custom(kind).items()]
    flag = EditField(
        "do_not_automate",
        _("Rules"),
        "true" if record.do_not_automate else "false",
        "choice",
        (Option("false", _("may change it")), Option("true", _("leave it alone (do not automate)"))),
    )
    return [*own, *custom, flag]


def _company_fields(one: reads.CompanyView) -> list[EditField]:
    return [
        EditField("name", _("Name"), one.name or ""),
        EditField("domain", _("Domain"), one.domain or "", hint=_("of its e-mail addresses: forms find it by that")),
        EditField("owner", _("Owner"), one.owner or ""),
        _tags(one),
    ]


def _contact_fields(one: reads.ContactView, company: reads.CompanyView | None) -> list[EditField]:
    at = (company.domain or f"#{company.id}") if company else ""
    return [
        EditField("first_name", _("First name"), one.first_name or ""),
        EditField("last_name", _("Last name"), one.last_name or ""),
        EditField("email", _("E-mail"), one.email or "", "email"),
        EditField("company", _("Company"), at, hint=_("its domain, or # and its number; empty: at no company")),
        _tags(one),
    ]


def _tags(one: Record) -> EditField:
    return EditField("tags", _("Tags"), join_texts(one.tags), "texts", hint=_("several, with commas"))


def _custom(name: str, field: Field, value: Any) -> EditField:
    text = join_texts([str(item) for item in value]) if isinstance(value, list) else text_of(value)
    choices: tuple[Option, ...] = ()
    if field.kind is Kind.BOOLEAN:
        choices = (Option("", ""), Option("true", _("yes")), Option("false", _("no")))
    elif field.kind is Kind.ENUMERATION:
        retired = [one for one in field.retired if one.key == text]
        choices = (Option("", ""), *(Option(one.key, one.name) for one in (*field.choices, *retired)))
    return EditField(f"fields.{name}", field.label, text, LOOKS.get(field.kind, "text"), choices, field.description)


def as_sent(fields: list[EditField], form: Mapping[str, str]) -> list[EditField]:
    """The controls showing what was sent, so that nothing that was typed is lost with a refusal."""
    return [
        EditField(one.name, one.label, form.get(one.name, one.text), one.look, one.choices, one.hint) for one in fields
    ]


def patch_of(connection: Connection, fields: list[EditField], form: Mapping[str, str]) -> dict[str, Any]:
    """What a form changes, as the service takes it; what shows the same as before is not touched.

    Raises: InvalidRequest for a company that is not there.
    """
    patch: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for one in fields:
        text = " ".join(form.get(one.name, one.text).split())
        if text == one.text:
            continue
        if one.name.startswith("fields."):
            own[one.name.removeprefix("fields.")] = split_texts(text) if one.look == "texts" else text or None
        elif one.name == "company":
            patch["company_id"] = _company_id(connection, text)
        else:
            patch[one.name] = _value(one, text)
    return {**patch, "fields": own} if own else patch


def _value(one: EditField, text: str) -> Any:
    if one.name == "do_not_automate":
        return text == "true"
    return split_texts(text) if one.look == "texts" else text or None


def _company_id(connection: Connection, text: str) -> int | None:
    if not text:
        return None
    number = text.removeprefix("#")
    if number != text and number.isascii() and number.isdigit() and len(number) < 19:
        return int(number)
    found = find_companies_by_domain(connection, [text.casefold()])
    if not found:
        raise InvalidRequest([Fault("", f"There is no company with the domain {text}.")])
    return next(iter(found.values()))
