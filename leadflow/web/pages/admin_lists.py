"""Categories and lead statuses: names, ranks, what is enabled; who is affected before anything changes.

A form that changes something is answered with what the change would do; only its second sending, `confirmed`, does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection

from leadflow.domain.lifecycle import GROUP_NAMES, Edge
from leadflow.errors import InvalidRequest, LeadflowError, NotFound, StaleWrite
from leadflow.services import list_impact
from leadflow.services import lists as service
from leadflow.store import reads
from leadflow.store.lists import Lists
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk
from leadflow.web.pages.criteria import records_url
from leadflow.web.pages.refusals import sentence_of

# Counting more would keep the page waiting: "more than 10,000" says enough.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two lists, and what differs between them."""

    key: str
    noun: Any
    of_records: str
    all: Callable[..., list[Any]]
    one: Callable[[Connection, str], Any]
    create: Callable[..., str]
    reorder: Callable[..., None]
    restore: Callable[..., None]


CATEGORIES = Kind(
    "categories",
    _l("category"),
    "category",
    reads.categories,
    reads.category,
    service.create_category,
    service.reorder_categories,
    service.restore_category,
)
STATUSES = Kind(
    "lead-statuses",
    _l("lead status"),
    "lead_status",
    reads.lead_statuses,
    reads.lead_status,
    service.create_lead_status,
    service.reorder_lead_statuses,
    service.restore_lead_status,
)
KINDS = {one.key: one for one in (CATEGORIES, STATUSES)}


def register(pages: Blueprint) -> None:
    """Add the lists to the blueprint."""

    @pages.get("/admin/lists")
    @requires("admin")
    def admin_lists() -> Any:
        return _lists_page()

    @pages.post("/admin/lists/<kind>")
    @requires("admin")
    def add_to_list(kind: str) -> Any:
        return _add(_kind(kind))

    @pages.post("/admin/lists/<kind>/order")
    @requires("admin")
    def reorder_list(kind: str) -> Any:
        return _reorder(_kind(kind))

    _register_values(pages)


def _register_values(pages: Blueprint) -> None:
    @pages.get("/admin/lists/<kind>/<key>")
    @requires("admin")
    def list_value(kind: str, key: str) -> Any:
        return _value_page(_kind(kind), key)

    @pages.post("/admin/lists/<kind>/<key>")
    @requires("admin")
    def change_list_value(kind: str, key: str) -> Any:
        return _change(_kind(kind), key)

    @pages.post("/admin/lists/<kind>/<key>/delete")
    @requires("admin")
    def delete_list_value(kind: str, key: str) -> Any:
        return _delete(_kind(kind), key)

    @pages.post("/admin/lists/<kind>/<key>/restore")
    @requires("admin")
    def restore_list_value(kind: str, key: str) -> Any:
        return _restore(_kind(kind), key)


def _kind(key: str) -> Kind:
    if key not in KINDS:
        raise NotFound("There is no such list.")
    return KINDS[key]


# -- the page of both lists --------------------------------------------------------------------------------------------


def _lists_page(status: int = 200, **said: Any) -> Any:
    with desk.reading() as connection:
        lists = desk.lists(connection)
        values = {
            "all_categories": reads.categories(connection, with_deleted=True),
            "all_statuses": reads.lead_statuses(connection, with_deleted=True),
            "steps": _steps(lists),
            "groups": GROUP_NAMES,
            "draft": {},
        }
        return desk.show(connection, "admin_lists.html", "admin_lists", status, **{**values, **said})


def _steps(lists: Lists) -> list[tuple[str | None, list[Edge]]]:
    """What automation may do from each category, by rank; None is a company without one."""
    known, edges = lists.lifecycle.categories, lists.lifecycle.edges
    sources = sorted({one.source for one in edges}, key=lambda key: -1 if key is None else known[key].rank)
    return [
        (key, sorted((one for one in edges if one.source == key), key=lambda one: known[one.target].rank))
        for key in sources
    ]


def _add(kind: Kind) -> Any:
    sent = _sent(kind) | {"key": request.form.get("key", "").strip().lower()}
    if not sent.get("short_name"):
        sent.pop("short_name", None)
    try:
        _refuse_odd_key(sent["key"])
        with desk.writing() as connection:
            kind.create(connection, current_caller().actor, sent)
    except LeadflowError as error:
        return _lists_page(_status_of(error), refusal=sentence_of(error), refusal_of=kind.key, draft=sent)
    web_config().ring()
    flash(_("Added: %(name)s. It stands last; move it where it belongs.", name=sent["name"]), "green")
    return _to_lists(kind)


def _refuse_odd_key(key: str) -> None:
    is_plain = key.replace("-", "").isalnum() and key.isascii() and len(key) <= 63 and key.strip("-") == key
    if not is_plain:
        raise InvalidRequest("The key needs letters, digits and hyphens only, such as “key-account”.")


def _reorder(kind: Kind) -> Any:
    keys = [one for one in request.form.get("keys", "").split(",") if one][:1_000]
    moved, step = request.form.get("move", ""), -1 if request.form.get("direction") == "up" else 1
    if moved in keys:
        place = keys.index(moved)
        other = min(max(place + step, 0), len(keys) - 1)
        keys[place], keys[other] = keys[other], keys[place]
    try:
        with desk.writing() as connection:
            kind.reorder(connection, current_caller().actor, keys)
    except LeadflowError as error:
        return _lists_page(_status_of(error), refusal=sentence_of(error), refusal_of=kind.key)
    flash(_("The order is changed: pick lists, boards and sorting follow it."), "green")
    return _to_lists(kind)


def _restore(kind: Kind, key: str) -> Any:
    try:
        with desk.writing() as connection:
            kind.restore(connection, current_caller().actor, key)
            name = kind.one(connection, key).name
    except LeadflowError as error:
        return _lists_page(_status_of(error), refusal=sentence_of(error), refusal_of=kind.key)
    flash(_("%(name)s is back on the pick lists.", name=name), "green")
    return _to_lists(kind)


def _to_lists(kind: Kind) -> Any:
    return desk.go(url_for("pages.admin_lists") + f"#{kind.key}")


def _status_of(error: LeadflowError) -> int:
    return 422 if isinstance(error, InvalidRequest) else 412 if isinstance(error, StaleWrite) else 409


# -- one value ---------------------------------------------------------------------------------------------------------


def _value_page(kind: Kind, key: str, status: int = 200, **said: Any) -> Any:
    with desk.reading() as connection:
        value = kind.one(connection, key)
        patch = said.get("patch", {})
        values = {
            "kind": kind,
            "value": value,
            "shown": {**_fields_of(kind, value), **patch},
            "groups": GROUP_NAMES,
            "impact": _impact(connection, kind, key, patch),
            "named": list_impact.named_by(connection, kind.of_records, key),
            "counted": COUNTED,
            "records_url": records_url,
            "default_status": desk.lists(connection).statuses.default,
        }
        return desk.show(connection, "admin_list_value.html", "admin_lists", status, **{**values, **said})


def _impact(connection: Connection, kind: Kind, key: str, patch: Mapping[str, Any]) -> list_impact.Impact:
    if kind is CATEGORIES:
        return list_impact.impact_of_category(connection, key, patch, at_most=COUNTED)
    return list_impact.impact_of_lead_status(connection, key, at_most=COUNTED)


def _fields_of(kind: Kind, value: Any) -> dict[str, Any]:
    names = ("name", "short_name", "description", "group", "lead_status_enabled")
    own = names if kind is CATEGORIES else ("name", "description", "is_default")
    return {name: getattr(value, name) for name in own}


def _sent(kind: Kind) -> dict[str, Any]:
    """What the form says, as the service takes it."""
    form = request.form
    said: dict[str, Any] = {"name": form.get("name", ""), "description": form.get("description", "")}
    if kind is CATEGORIES:
        group = form.get("group") or None
        if group is not None and group not in {one.value for one in GROUP_NAMES}:
            raise InvalidRequest("There is no such group.")
        said |= {"short_name": form.get("short_name", "").strip() or None, "group": group}
        said["lead_status_enabled"] = "lead_status_enabled" in form
    elif "is_default" in form:
        said["is_default"] = True
    return {name: value[:10_000] if isinstance(value, str) else value for name, value in said.items()}


def _change(kind: Kind, key: str) -> Any:
    sent = _sent(kind)
    with desk.reading() as connection:
        before = _fields_of(kind, kind.one(connection, key))
    patch = {name: value for name, value in sent.items() if _told(value) != _told(before[name])}
    if not patch:
        flash(_("Nothing was changed."), "green")
        return _to_lists(kind)
    if "confirmed" not in request.form:
        return _value_page(kind, key, patch=patch, before=before, asks="change")
    try:
        with desk.writing() as connection:
            _write_change(connection, kind, key, patch)
    except LeadflowError as error:
        return _value_page(kind, key, _status_of(error), patch=patch, refusal=sentence_of(error))
    web_config().ring()
    flash(_("Saved: %(name)s.", name=sent["name"]), "green")
    return _to_lists(kind)


def _told(value: Any) -> Any:
    """A text as it is stored, so that other line ends and blanks around it are no change."""
    return value.replace("\r\n", "\n").strip() if isinstance(value, str) else value


def _write_change(connection: Connection, kind: Kind, key: str, patch: Mapping[str, Any]) -> None:
    actor, revision = current_caller().actor, desk.sent_revision()
    if kind is CATEGORIES:
        service.change_category(connection, actor, key, patch, desk.now(), revision)
    else:
        service.change_lead_status(connection, actor, key, patch, revision)


def _delete(kind: Kind, key: str) -> Any:
    if "confirmed" not in request.form:
        return _value_page(kind, key, asks="delete")
    delete = service.delete_category if kind is CATEGORIES else service.delete_lead_status
    try:
        with desk.writing() as connection:
            delete(connection, current_caller().actor, key, desk.now(), desk.sent_revision())
            name = kind.one(connection, key).name
    except LeadflowError as error:
        return _value_page(kind, key, _status_of(error), refusal=sentence_of(error))
    web_config().ring()
    flash(_("%(name)s left the pick lists. Records that have it keep it; you can restore it here.", name=name), "green")
    return _to_lists(kind)
