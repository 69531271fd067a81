"""Inbound sources: where forms come from, how they are verified and mapped; and the fitting room for a mapping."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import Connection

from leadflow.domain.fields import Unreadable
from leadflow.errors import InvalidRequest, LeadflowError, NotFound, StaleWrite
from leadflow.services import fitting
from leadflow.services import sources as stories
from leadflow.services.inbox import replay_events
from leadflow.services.matches import match_of_event
from leadflow.services.rule_sets import live_documents
from leadflow.services.source_book import SourceBook
from leadflow.sources.definitions import secret_variable
from leadflow.sources.explaining import explain_payload
from leadflow.sources.mapping import TEMPLATE
from leadflow.sources.model import Source
from leadflow.store import reads
from leadflow.store import sources as store
from leadflow.store.replays import Choice, count_openable
from leadflow.store.values import to_json
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, rulebook

DAY = timedelta(hours=24)
EMPTY_ROWS = 2
MAX_TEST_BYTES = 100_000
TEST_CONTENT = "application/json"
SAMPLE = {
    "form": "demo-request",
    "email": "test.person@leadflow-test.example",
    "first_name": "Test",
    "last_name": "Person",
    "company": "Test Company",
}


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.get("/sources")
    @requires("admin")
    def sources() -> Any:
        return _show_list()

    @pages.post("/sources")
    @requires("admin")
    def create_source() -> Any:
        return _create()

    @pages.get("/sources/<name>")
    @requires("admin")
    def source(name: str) -> Any:
        return _show_one(name)

    @pages.post("/sources/<name>")
    @requires("admin")
    def edit_source(name: str) -> Any:
        return _change(name, lambda connection: _save_settings(connection, name))

    @pages.post("/sources/<name>/test")
    @requires("admin")
    def test_source(name: str) -> Any:
        return _test(name)

    _register_switches(pages)
    _register_fitting_room(pages)


def _register_switches(pages: Blueprint) -> None:
    @pages.post("/sources/<name>/enable")
    @requires("admin")
    def enable_source(name: str) -> Any:
        return _change(name, lambda connection: _switch(connection, name, is_enabled=True))

    @pages.post("/sources/<name>/disable")
    @requires("admin")
    def disable_source(name: str) -> Any:
        return _change(name, lambda connection: _switch(connection, name, is_enabled=False))

    @pages.post("/sources/<name>/secrets")
    @requires("admin")
    def add_source_secret(name: str) -> Any:
        return _add_secret(name)

    @pages.post("/sources/<name>/secrets/<secret_id>/remove")
    @requires("admin")
    def remove_source_secret(name: str, secret_id: str) -> Any:
        return _change(name, lambda connection: _remove_secret(connection, name, secret_id))

    @pages.post("/sources/<name>/remove")
    @requires("admin")
    def remove_source(name: str) -> Any:
        return _change(name, lambda connection: _remove(connection, name))


def _register_fitting_room(pages: Blueprint) -> None:
    @pages.get("/sources/<name>/fitting")
    @requires("admin")
    def fitting_room(name: str) -> Any:
        return _show_fitting_room(name)

    @pages.post("/sources/<name>/fitting/preview")
    @requires("admin")
    def preview_fitting(name: str) -> Any:
        return _show_fitting_room(name, sent_mapping())

    @pages.post("/sources/<name>/fitting")
    @requires("admin")
    def save_fitting(name: str) -> Any:
        return _save_fitting(name)

    @pages.post("/sources/<name>/replay")
    @requires("admin")
    def replay_source(name: str) -> Any:
        try:
            with desk.writing() as connection:
                started = _replay_held(connection, name)
        except LeadflowError as reason:
            flash(str(reason), "amber")
            return desk.go(url_for("pages.fitting_room", name=name))
        web_config().ring()
        return desk.go(url_for("pages.event_replay", replay_id=started))


def _book() -> SourceBook:
    return web_config().desk.book


def accepts_unverified() -> bool:
    """Whether this server takes deliveries that prove nothing."""
    config = web_config()
    return config.is_loopback or config.allows_unverified_sources


# -- the list ----------------------------------------------------------------------------------------------------------


def _show_list(code: int = 200, **more: Any) -> Any:
    with desk.reading() as connection:
        views = stories.source_views(connection, _book())
        traffic = store.traffic_since(connection, desk.now() - DAY)
        quiet = [one.name for one in views if one.name not in traffic]
        return desk.show(
            connection,
            "sources.html",
            "sources",
            code,
            views=views,
            traffic=traffic,
            last_before={name: store.last_received(connection, name) for name in quiet[:20]},
            stuck=store.unsettled_per_source(connection),
            categories=_beginnings(connection),
            is_open=accepts_unverified(),
            **{"refusal": None, "draft": {}, **more},
        )


def _beginnings(connection: Connection) -> list[tuple[str, str]]:
    """The categories that a company may begin with, by the lifecycle."""
    lifecycle = desk.lists(connection).lifecycle
    known = [one for one in lifecycle.categories.values() if not one.deleted]
    return [(one.key, one.name) for one in known if lifecycle.decide_move(None, one.key).is_allowed]


def _create() -> Any:
    sent = {"name": _sent("name"), **_sent_settings()}
    try:
        with desk.writing() as connection:
            name = stories.create_source(
                connection, _book(), desk.lists(connection), sent, current_caller().name, desk.now()
            )
            made = sent["verify"]["kind"] != "none"
            secret = (
                stories.add_secret(connection, _book(), name, None, current_caller().name, desk.now()) if made else ""
            )
    except LeadflowError as reason:
        return _show_list(
            409 if not isinstance(reason, InvalidRequest) else 422, refusal=str(reason), draft=request.form
        )
    if secret:
        return _show_one(name, shown_secret=secret)
    flash(_("The source %(name)s is there. Send it a test, or point your form at its address.", name=name), "green")
    return desk.go(url_for("pages.source", name=name))


# -- one source --------------------------------------------------------------------------------------------------------


def _show_one(name: str, code: int = 200, **more: Any) -> Any:
    with desk.reading() as connection:
        return desk.show(connection, "source.html", "sources", code, **_about(connection, name), **_SAID | more)


_SAID: dict[str, Any] = {"refusal": None, "shown_secret": None, "draft": None, "tested": None, "test_body": None}


def _about(connection: Connection, name: str) -> dict[str, Any]:
    view = stories.source_view(connection, _book(), name)
    traffic = store.traffic_since(connection, desk.now() - DAY).get(name)
    source = fitting.source_to_fit(connection, _book(), name)
    return {
        "view": view,
        "traffic": traffic,
        "last_at": traffic.last_at if traffic else store.last_received(connection, name),
        "stuck": store.unsettled_per_source(connection).get(name, {}),
        "categories": _beginnings(connection),
        "is_open": accepts_unverified(),
        "variable": secret_variable(name),
        "address": f"{request.host_url}hooks/{name}",
        "sample": json.dumps(sample_of(source), indent=2, ensure_ascii=False),
        "events": reads.events_by_number(connection, [one.id for one in store.payloads(connection, name, 5)]),
    }


def sample_of(source: Source) -> dict[str, Any]:
    """A payload that the source can read: invented values at the places where its mapping looks for them."""
    document: dict[str, Any] = {}
    for name, value in SAMPLE.items():
        if name not in source.constants:
            _put(document, place_of(source, name).split("."), value)
    return document


def place_of(source: Source, name: str) -> str:
    """The path at which the source finds this field."""
    if source.fields.get(name):
        return source.fields[name][0]
    template = TEMPLATE.fullmatch(source.answers or "")
    if template is not None:
        after = (template["after"] or "").partition("|")[0]
        return ".".join(one for one in (template["before"], name, after) if one)
    return f"{source.root}.{name}" if source.root else name


def _put(document: dict[str, Any], steps: list[str], value: str) -> None:
    node: Any = document
    for step in steps[:-1]:
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            return
    node[steps[-1]] = value


def _change(name: str, change: Callable[[Connection], str]) -> Any:
    """Change the source and show it; a refusal is shown on its page, with what was written."""
    try:
        with desk.writing() as connection:
            said = change(connection)
    except NotFound:
        raise
    except LeadflowError as reason:
        code = 422 if isinstance(reason, InvalidRequest) else 409
        return _show_one(name, code, refusal=_with_advice(reason), draft=request.form)
    flash(said, "green")
    is_gone = request.endpoint == "pages.remove_source"
    return desk.go(url_for("pages.sources") if is_gone else url_for("pages.source", name=name))


def _with_advice(reason: LeadflowError) -> str:
    """The reason; where somebody else was quicker, also that nothing is lost and what a second press does."""
    if not isinstance(reason, StaleWrite):
        return str(reason)
    advice = _("What you wrote still stands below: save again to replace what was saved meanwhile.")
    return f"{reason} {advice}"


def _save_settings(connection: Connection, name: str) -> str:
    caller, patch = current_caller().name, _sent_settings()
    before = stories.source_view(connection, _book(), name)
    patch["delivery_id"] = {"headers": _split(_sent("headers")), "path": before.delivery_id["path"]}
    patch |= {member: _pairs(_sent(member)) for member in ("constants", "form_types", "events")}
    lists, revision = desk.lists(connection), desk.sent_revision()
    stories.change_source(connection, _book(), lists, name, patch, caller, desk.now(), revision)
    return str(_("Saved. Deliveries from now on are read so."))


def _switch(connection: Connection, name: str, *, is_enabled: bool) -> str:
    caller, lists = current_caller().name, desk.lists(connection)
    stories.change_source(connection, _book(), lists, name, {"is_enabled": is_enabled}, caller, desk.now())
    if is_enabled:
        return str(_("%(name)s is switched on.", name=name))
    return str(_("%(name)s is switched off. What it sends is stored and held, and nothing is lost.", name=name))


def _add_secret(name: str) -> Any:
    given = _sent("secret") or None
    try:
        with desk.writing() as connection:
            secret = stories.add_secret(connection, _book(), name, given, current_caller().name, desk.now())
    except NotFound:
        raise
    except LeadflowError as reason:
        return _show_one(name, 422 if isinstance(reason, InvalidRequest) else 409, refusal=str(reason))
    if given is None:
        return _show_one(name, shown_secret=secret)
    flash(_("The secret is set. The others stay valid until you remove them."), "green")
    return desk.go(url_for("pages.source", name=name) + "#secrets")


def _remove_secret(connection: Connection, name: str, secret_id: str) -> str:
    stories.remove_secret(connection, _book(), name, secret_id, current_caller().name, desk.now())
    return str(_("The secret is gone: what it signs is refused from now on."))


def _remove(connection: Connection, name: str) -> str:
    view = stories.remove_source(connection, _book(), name, desk.sent_revision())
    if view.origin == "changed":
        return str(_("%(name)s is again what its file says.", name=name))
    return str(_("%(name)s is deleted. Its events stay; what still comes to its address is refused.", name=name))


# -- a test ------------------------------------------------------------------------------------------------------------


def _test(name: str) -> Any:
    sent = request.form.get("body", "")
    body = sent.replace("\r\n", "\n").encode("utf-8", "replace")[:MAX_TEST_BYTES]
    if request.form.get("keep"):
        return _test_for_real(name, body)
    # Rolled back at the end of the page: nothing of it is kept, and nobody else ever sees it.
    with desk.reading() as connection:
        about = _about(connection, name)
        tested = stories.send_test(
            connection, web_config().desk, name, TEST_CONTENT, body, accepts_unverified(), desk.now(), works=True
        )
        shown = {"tested": tested, "test_body": sent, **_outcome(connection, name, tested, body)}
        return desk.show(connection, "source.html", "sources", 200, **about, **_SAID | shown)


def _outcome(connection: Connection, name: str, tested: stories.Tested, body: bytes) -> dict[str, Any]:
    source = fitting.source_to_fit(connection, _book(), name)
    shown: dict[str, Any] = {
        "mapped": explain_payload(source, TEST_CONTENT, body, desk.lists(connection).catalogue),
        "titles": rulebook.titles_of(live_documents(connection)[1], desk.lists(connection)),
        "said": said_of,
    }
    if tested.event_id is None:
        return shown
    event = reads.event(connection, tested.event_id)
    companies, contacts = desk.records_of(connection, [event])
    company, contact = companies.get(event.company_id or 0), contacts.get(event.contact_id or 0)
    match = match_of_event(connection, event, company, contact)
    return shown | {"event": event, "match": match, "match_company": company, "match_contact": contact}


def _test_for_real(name: str, body: bytes) -> Any:
    with desk.writing() as connection:
        tested = stories.send_test(
            connection, web_config().desk, name, TEST_CONTENT, body, accepts_unverified(), desk.now(), works=False
        )
    if tested.event_id is None:
        return _show_one(name, 409, refusal=_("The test was refused: %(why)s", why=tested.answer))
    web_config().ring()
    flash(_("The test is stored as a real delivery; here is what became of it."), "green")
    return desk.go(url_for("pages.event", event_id=tested.event_id))


# -- the fitting room --------------------------------------------------------------------------------------------------


def _show_fitting_room(name: str, patch: Mapping[str, Any] | None = None, code: int = 200, **more: Any) -> Any:
    with desk.reading() as connection:
        present = fitting.source_to_fit(connection, _book(), name)
        refusal, new = more.pop("refusal", None), present
        if patch is not None:
            try:
                new = fitting.with_mapping(present, patch)
            except InvalidRequest as reason:
                refusal = str(reason)
        tried = {"refusal": refusal, **_tried(connection, present, new), **more}
        view = stories.source_view(connection, _book(), name)
        return desk.show(
            connection, "fitting_room.html", "sources", code, view=view, **_form_of(connection, new, patch), **tried
        )


def _tried(connection: Connection, present: Source, new: Source) -> dict[str, Any]:
    shelf = store.payloads(connection, present.name, fitting.MAX_PAYLOADS)
    asked = {int(one) for one in request.values.getlist("event") if one.isascii() and one.isdigit() and len(one) < 19}
    chosen = [one for one in shelf if one.id in asked] or shelf[: fitting.SHOWN_PAYLOADS // 2]
    chosen = chosen[: fitting.SHOWN_PAYLOADS]
    lists = desk.lists(connection)
    fittings = fitting.try_on(connection, web_config().desk, present, new, chosen, desk.now())
    held = count_openable(connection, Choice("held", present.name))
    return {
        "shelf": shelf,
        "chosen": {one.id for one in chosen},
        "fittings": fittings,
        "is_new": new != present,
        "outlook": fitting.outlook(connection, new, lists.catalogue, held.events),
        "without_body": held.without_body,
        "paths": fitting.paths_in(shelf, new),
        "titles": rulebook.titles_of(live_documents(connection)[1], lists),
        "said": said_of,
        **_records_in(connection, fittings),
    }


def _records_in(connection: Connection, fittings: list[fitting.Fitting]) -> dict[str, Any]:
    matches = [one.match for each in fittings for one in (each.present, each.new) if one.match]
    companies, contacts = desk.records_of(connection, matches)
    return {"companies": companies, "contacts": contacts}


def _form_of(connection: Connection, new: Source, patch: Mapping[str, Any] | None) -> dict[str, Any]:
    """What stands in the form: what was sent, also where it is wrong, else the mapping in force."""
    fields = patch["fields"] if patch is not None else new.fields
    rows = [(name, paths[0], ", ".join(paths[1:])) for name, paths in fields.items()]
    catalogue = desk.lists(connection).catalogue
    known = stories.known_fields(desk.lists(connection))
    labels = {name: (catalogue.get(f"form.{name}") or catalogue.get(f"event.{name}")) for name in known}
    sent = patch if patch is not None else {}
    return {
        "rows": [*rows, *[("", "", "")] * EMPTY_ROWS],
        "field_names": [(name, one.label.removesuffix(" as entered")) for name, one in labels.items() if one]
        + [("name", _("Whole name"))],
        "root": sent.get("root", new.root) or "",
        "answers": sent.get("answers", new.answers) or "",
        "event_path": sent.get("event", new.event) or "",
        "delivery_path": sent.get("delivery_id", {}).get("path", new.delivery_id_path) or "",
        "delivery_headers": new.delivery_id_headers,
    }


def sent_mapping() -> dict[str, Any]:
    """The members of a mapping as the form sends them; a field in several rows is looked for in each, in order."""
    columns = (request.form.getlist(name) for name in ("field", "path", "also"))
    fields: dict[str, list[str]] = {}
    for name, path, also in zip(*columns, strict=False):
        paths = [path.strip(), *_split(also)]
        if name.strip() and any(paths):
            fields.setdefault(name.strip(), []).extend(one for one in paths if one)
    headers = _split(_sent("delivery_headers"))
    return {
        "fields": fields,
        "root": _sent("root") or None,
        "answers": _sent("answers") or None,
        "event": _sent("event_path") or None,
        "delivery_id": {"headers": headers, "path": _sent("delivery_path") or None},
    }


def _save_fitting(name: str) -> Any:
    patch, wants_replay = sent_mapping(), bool(request.form.get("replay"))
    try:
        with desk.writing() as connection:
            lists, caller, revision = desk.lists(connection), current_caller().name, desk.sent_revision()
            stories.change_source(connection, _book(), lists, name, patch, caller, desk.now(), revision)
            started = _replay_held(connection, name) if wants_replay else None
    except NotFound:
        raise
    except LeadflowError as reason:
        code = 422 if isinstance(reason, InvalidRequest) else 409
        return _show_fitting_room(name, patch, code, refusal=_with_advice(reason))
    if started is not None:
        web_config().ring()
        return desk.go(url_for("pages.event_replay", replay_id=started))
    flash(
        _("The mapping is saved. Deliveries from now on are read so; held ones wait until you try them again."), "green"
    )
    return desk.go(url_for("pages.fitting_room", name=name))


def _replay_held(connection: Connection, name: str) -> int:
    """Try all held events of the source again by what holds in this transaction; the number of the replay."""
    sources = SourceBook(_book().files).read(connection)
    title = _("Held events of %(name)s", name=name)
    started = replay_events(connection, sources, Choice("held", name), title, current_caller().name, desk.now())
    said = ngettext("%(num)s event is tried again.", "%(num)s events are tried again.", started.events)
    flash(said, "green")
    return started.id


def said_of(lists: Any, value: Any) -> Any:
    """A value that was read, as JSON has it; a reason stays one."""
    return value if isinstance(value, Unreadable) else to_json(value)


# -- what forms say ----------------------------------------------------------------------------------------------------


def _sent(name: str) -> str:
    text = request.form.get(name, "").strip()[:10_000]
    if "\x00" in text:
        raise InvalidRequest([])
    return text


def _sent_settings() -> dict[str, Any]:
    category = _sent("new_company_category")
    return {
        "kind": _sent("kind") or "generic",
        "title": _sent("title"),
        "verify": {
            "kind": _sent("verification") or "none",
            "tolerance_seconds": int(_number("tolerance_seconds", 300)),
        },
        "new_company_category": category or None,
        "allow_unverified": bool(_sent("allow_unverified")),
    }


def _number(name: str, otherwise: int) -> int:
    text = _sent(name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else otherwise


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(text: str) -> dict[str, str]:
    """Lines such as `whitepaper = content`. Raises: InvalidRequest for a line without an equals sign."""
    pairs = {}
    for line in text.splitlines():
        if line.strip():
            key, equals, value = line.partition("=")
            if not (equals and key.strip() and value.strip()):
                raise InvalidRequest(
                    f"“{line.strip()[:80]}” is no pair; write one on each line, such as ebook = content"
                )
            pairs[key.strip()] = value.strip()
    return pairs
