"""Dashboards: tiles whose every number leads to its records, in a span of time that stands in the address."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from flask import Blueprint, flash, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection, text

from leadflow.errors import Conflict, InvalidRequest, NotFound, StaleWrite
from leadflow.rules.conditions import Condition
from leadflow.services import dashboards as arranging
from leadflow.services.dashboards import Dashboard, dashboard_of, read_dashboard
from leadflow.services.date_ranges import CUSTOM, RANGES, DateRange, read_range
from leadflow.services.searches import read_search
from leadflow.services.tiles import Question, Tile, TileValue, read_tile
from leadflow.store import reads
from leadflow.store.conditions import Subject
from leadflow.store.reads import dashboards as numbers
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import dashboard_tiles as tiles
from leadflow.web.pages import desk
from leadflow.web.pages.criteria import sentences_of
from leadflow.web.pages.dashboard_tiles import TileShown

# So long the page counts before it is sent; what is not counted by then, it asks for one by one.
PATIENCE_SECONDS = 0.06
# From here on, tiles that look at all contacts or all events are never counted before the page is sent.
BIG_TABLE = 50_000
HEAVY = ("lead_statuses", "forms", "selection")
MOVES_A_PAGE = 50
ARRANGED_MEANWHILE = _l("Somebody arranged this dashboard since you opened it. It is shown as it is now; decide again.")

RANGE_NAMES = {
    "7d": _l("7 days"),
    "30d": _l("30 days"),
    "90d": _l("90 days"),
    "month": _l("This month"),
    "last-month": _l("Last month"),
    "quarter": _l("This quarter"),
    "last-quarter": _l("Last quarter"),
}


def register(pages: Blueprint) -> None:
    """Add the dashboards to the blueprint."""
    _register_reading(pages)
    _register_arranging(pages)


def _register_reading(pages: Blueprint) -> None:
    @pages.get("/dashboards")
    @requires("viewer")
    def dashboards() -> Any:
        return _show(None)

    @pages.get("/dashboards/<key>")
    @requires("viewer")
    def dashboard(key: str) -> Any:
        return _show(key)

    @pages.get("/dashboards/<key>/tiles/<tile_id>")
    @requires("viewer")
    def dashboard_tile(key: str, tile_id: str) -> Any:
        return _show_tile(key, tile_id)

    @pages.get("/dashboards/moves")
    @requires("viewer")
    def dashboard_moves() -> Any:
        return _show_moves()


def _register_arranging(pages: Blueprint) -> None:
    @pages.get("/dashboards/<key>/arrange")
    @requires("editor")
    def arrange_dashboard(key: str) -> Any:
        return _show_arranging(key)

    @pages.post("/dashboards/<key>/arrange")
    @requires("editor")
    def rearrange_dashboard(key: str) -> Any:
        return _arrange(key)

    @pages.post("/dashboards")
    @requires("editor")
    def add_dashboard() -> Any:
        return _add_dashboard()


# -- showing -----------------------------------------------------------------------------------------------------------


def _show(key: str | None) -> Any:
    with desk.reading() as connection:
        known = [dashboard_of(one) for one in numbers.dashboards(connection)]
        if not known and key is None:
            return desk.show(connection, "dashboards.html", "dashboards", dashboard=None, dashboards=[])
        chosen = next((one for one in known if key in (None, one.key)), None)
        if chosen is None:
            raise NotFound(f"There is no dashboard '{str(key)[:80]}'.")
        span, problem = _asked_range(connection)
        values = {"dashboard": chosen, "dashboards": known, "shown": _tiles(connection, chosen, span)}
        frame = {**_range_frame(span), "problem": problem, "is_complete": _wants_all()}
        return desk.show(connection, "dashboards.html", "dashboards", 422 if problem else 200, **values, **frame)


def _range_frame(span: DateRange) -> dict[str, Any]:
    """What the bar above the tiles shows and what every address of the page carries."""
    custom = {"from": span.first.isoformat(), "until": span.last.isoformat()}
    return {
        "span": span,
        "span_words": tiles.span_words(span),
        "before_words": tiles.span_words(span.before),
        "ranges": [(key, RANGE_NAMES[key]) for key in RANGES],
        "carried": custom if span.key == CUSTOM else {"range": span.key},
        "tiles": tiles,
    }


def _wants_all() -> bool:
    """Whether the page is to be sent with every number: to browsers without script, and to printers."""
    return request.args.get("complete") == "1"


def _zone(connection: Connection) -> tzinfo:
    """The zone in which criteria read plain days, so that a tile and the list behind it mean the same ones."""
    return web_config().searches.read(connection)[1].zone


def _asked_range(connection: Connection) -> tuple[DateRange, str]:
    """The span in the address, and what is wrong with it; then the usual one is shown."""
    zone, now = _zone(connection), desk.now()
    try:
        return read_range(desk.asked("range"), desk.asked("from"), desk.asked("until"), now, zone), ""
    except InvalidRequest as refusal:
        words = "; ".join(f"“{one.location}” {one.message}" for one in refusal.faults)
        told = str(_("The dates cannot be read: %(words)s.", words=words))
        return read_range("", "", "", now, zone), told


def _tiles(connection: Connection, dashboard: Dashboard, span: DateRange) -> list[TileShown]:
    """The tiles in their order; counted as far as patience goes, the quick kinds first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    is_big = not _wants_all() and _is_big(connection)
    found: dict[str, TileShown] = {}
    for tile in sorted(dashboard.tiles, key=lambda one: one.kind in HEAVY):
        may_count = _wants_all() or (time.monotonic() < deadline and not (is_big and tile.kind in HEAVY))
        unread = tiles.unread(tile, span, desk.lists(connection))
        found[tile.id] = _counted(connection, tile, span) if may_count else unread
    return [found[one.id] for one in dashboard.tiles]


def _is_big(connection: Connection) -> bool:
    return bool(connection.scalar(_BIG, {"big": BIG_TABLE}))


_BIG = text("SELECT max(reltuples) >= :big FROM pg_class WHERE oid IN ('contact'::regclass, 'event'::regclass)")


def _show_tile(key: str, tile_id: str) -> Any:
    with desk.reading() as connection:
        dashboard = read_dashboard(connection, key)
        span, _problem = _asked_range(connection)
        shown = _counted(connection, dashboard.tile(tile_id), span)
        return render_template("parts/tile.html", one=shown, dashboard=dashboard, **_range_frame(span))


def _counted(connection: Connection, tile: Tile, span: DateRange) -> TileShown:
    """The tile with its numbers; what is slow to count is kept for a moment."""
    value = value_of(connection, tile, span)
    return tiles.shown(tile, span, desk.lists(connection), value, _records(connection, value))


def value_of(connection: Connection, tile: Tile, span: DateRange) -> TileValue:
    """What the tile counts in the span."""
    lists = desk.lists(connection)
    known = lists.catalogue.selections.get(tile.selection or "") if tile.kind == "selection" else None
    condition = _condition_of(connection, known.subject, known.slug) if known else None
    question = Question(tile, span, lists, desk.now(), condition, known.subject if known else None)
    return desk.kept(question.key, connection, lambda reader: read_tile(reader, question))


def _condition_of(connection: Connection, subject: Subject, slug: str) -> Condition | None:
    where = {"all": [{"selection": slug}]}
    return read_search(connection, web_config().searches, subject, where, None).condition


def _records(connection: Connection, value: TileValue) -> list[Any]:
    """The first records of a list from a selection."""
    if not value.record_ids:
        return []
    read: Any = reads.contacts_by_id if value.subject == "contact" else reads.companies_by_id
    found = read(connection, set(value.record_ids))
    return [found[one] for one in value.record_ids if one in found]


# -- the moves behind a number -----------------------------------------------------------------------------------------


def _show_moves() -> Any:
    with desk.reading() as connection:
        span, problem = _asked_range(connection)
        rule = desk.asked("rule") or None
        wanted = numbers.MoveFilter(span.start, span.end, rule, is_by_rule=True)
        page = numbers.moves(connection, wanted, desk.asked_after(), MOVES_A_PAGE)
        companies = reads.companies_by_id(connection, {one.entity_id for one in page.items}) if page.items else {}
        values = {"page": page, "companies": companies, "rule": rule, "problem": problem}
        count = numbers.count_moves(connection, wanted)
        return desk.show(connection, "dashboard_moves.html", "dashboards", count=count, **values, **_range_frame(span))


# -- arranging ---------------------------------------------------------------------------------------------------------


def _show_arranging(key: str, refusal: str = "") -> Any:
    with desk.reading() as connection:
        chosen = read_dashboard(connection, key)
        lists = desk.lists(connection)
        values = {
            "dashboard": chosen,
            "refusal": refusal,
            "titles": {one.id: tiles.title_of(one, lists) for one in chosen.tiles},
            "kinds": list(_kinds_on_offer()),
            "sizes": tiles.SIZE_NAMES,
            "selections": sorted(lists.catalogue.selections.values(), key=lambda one: one.title.casefold()),
            "asked_selection": desk.asked("selection"),
            "kind_titles": tiles.KIND_TITLES,
        }
        return desk.show(connection, "dashboard_arrange.html", "dashboards", 409 if refusal else 200, **values)


def _kinds_on_offer() -> Iterator[tuple[str, Any, Any]]:
    """(value of the form, title, help) of each kind of tile but lists from selections, which are chosen by name."""
    for kind in arranging.KINDS:
        if kind == "new_leads":
            yield "new_leads:source", _("New leads by source"), tiles.KIND_HELP[kind]
            yield "new_leads:campaign", _("New leads by campaign"), tiles.KIND_HELP[kind]
        elif kind != "selection":
            yield kind, tiles.KIND_TITLES[kind], tiles.KIND_HELP[kind]


def _arrange(key: str) -> Any:
    """One step of arranging, written at once."""
    step, _colon, tile_id = request.form.get("do", "").partition(":")
    try:
        with desk.writing() as connection:
            told = _take(connection, key, step, tile_id)
    except StaleWrite:
        return _show_arranging(key, str(ARRANGED_MEANWHILE))
    except (Conflict, InvalidRequest) as refusal:
        words = sentences_of(refusal) if isinstance(refusal, InvalidRequest) else str(refusal)
        return _show_arranging(key, words)
    flash(told, "green")
    gone = step == "delete"
    return desk.go(url_for("pages.dashboards") if gone else url_for("pages.arrange_dashboard", key=key))


def _take(connection: Connection, key: str, step: str, tile_id: str) -> str:
    """Take the step; what a person is told. Raises: InvalidRequest for one that is not known."""
    actor, revision, now = current_caller().actor, desk.sent_revision(), desk.now()
    if step == "delete":
        arranging.delete_dashboard(connection, actor, key, revision)
        return str(_("The dashboard is deleted. The numbers stay where they are."))
    if step == "rename":
        title = request.form.get("title", "")
        arranging.change_dashboard(connection, actor, key, now, title=title, expected_revision=revision)
        return str(_("Renamed."))
    arranged = _arranged(connection, read_dashboard(connection, key).tiles, step, tile_id)
    arranging.change_dashboard(connection, actor, key, now, tiles=arranged, expected_revision=revision)
    return str(_("Saved."))


def _arranged(connection: Connection, before: Sequence[Tile], step: str, tile_id: str) -> Sequence[Tile]:
    match step:
        case "add":
            return _with_new(connection, before)
        case "up" | "down":
            return arranging.moved(before, tile_id, -1 if step == "up" else 1)
        case "remove":
            return arranging.without(before, tile_id)
        case "save":
            return arranging.edited(before, tile_id, request.form.get("size", ""), request.form.get("title", ""))
        case "order":
            return arranging.in_order(before, request.form.get("order", "").split(","))
        case _:
            raise InvalidRequest("The page is too old. Load it again and repeat.")


def _with_new(connection: Connection, before: Sequence[Tile]) -> Sequence[Tile]:
    """The tiles and one more, as the form says: `new_leads:source`, or `selection:hot-leads`."""
    kind, _colon, detail = request.form.get("kind", "").partition(":")
    new = {"kind": kind, "by": detail if kind == "new_leads" else None}
    if kind == "selection":
        new["selection"] = detail
    known = desk.lists(connection).catalogue.selections
    kept = {**known, **{one.selection: None for one in before if one.selection}}
    return arranging.read_tiles([*map(arranging.tile_as_json, before), new], kept)


def _add_dashboard() -> Any:
    actor, now = current_caller().actor, desk.now()
    try:
        with desk.writing() as connection:
            key = arranging.create_dashboard(connection, actor, request.form.get("title", ""), (), now)
    except (Conflict, InvalidRequest) as refusal:
        flash(sentences_of(refusal) if isinstance(refusal, InvalidRequest) else str(refusal), "red")
        return desk.go(url_for("pages.dashboards"))
    flash(_("Made. Now add its first tile."), "green")
    return desk.go(url_for("pages.arrange_dashboard", key=key))
