"""Dashboards: how people arranged them, and the values of their tiles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Annotated, Any

from flask import request
from pydantic import Field

from leadflow.services.dashboards import (
    Dashboard,
    change_dashboard,
    create_dashboard,
    dashboard_of,
    read_dashboard,
    read_tiles,
)
from leadflow.services.date_ranges import RANGES, DateRange, read_range
from leadflow.services.searches import read_search
from leadflow.services.tiles import Kind, Question, Row, Tile, TileValue, read_tile
from leadflow.store.conditions import Subject
from leadflow.store.lists import Lists, read_lists
from leadflow.store.reads import dashboards as numbers
from leadflow.web.api.endpoints import Answer, Call, created, endpoint
from leadflow.web.api.models import Body, Key, KeyPath, Name, Query
from leadflow.web.config import web_config
from leadflow.web.problems import Problem

TAG = "Dashboards"


@dataclass(frozen=True, slots=True)
class TileView:
    """A tile as it is arranged; `by` is of new leads, `selection` of a list from one."""

    id: str
    kind: Kind
    size: str
    title: str
    by: str | None
    selection: str | None


@dataclass(frozen=True, slots=True)
class DashboardView:
    """A dashboard as it is arranged."""

    key: str
    title: str
    tiles: list[TileView]
    revision: int


@dataclass(frozen=True, slots=True)
class NumberView:
    """One number of a tile. Its records satisfy `where`; of `kept`, whose lead status is not active, `kept_where`.

    Where `where` is null, the records are the contacts whose lead status is active and is `key`, or the moves of the
    rule `key`. `points` are its parts over the `points` of the answer.
    """

    key: str | None
    label: str
    number: int
    before: int | None
    where: Any | None
    kept: int
    kept_where: Any | None
    points: list[int]


@dataclass(frozen=True, slots=True)
class ValueView:
    """A tile with its value, as counted at `counted_at`; `is_estimate`: the total is about so many."""

    tile: TileView
    subject: Subject | None
    total: int | None
    before: int | None
    where: Any | None
    is_estimate: bool
    seconds: float | None
    seconds_before: float | None
    numbers: list[NumberView]
    counted_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ValuesView:
    """A dashboard with the values of its tiles from the first day to the last one, both included."""

    key: str
    title: str
    first: date
    last: date
    compared_from: date
    compared_until: date
    points: list[date]
    tiles: list[ValueView]
    revision: int


class RangeQuery(Query):
    range: Annotated[str, Field(max_length=20, description=f"one of {', '.join(RANGES)}, custom; 30d if none")] = ""
    first: Annotated[str, Field(alias="from", max_length=20, description="first day, such as 2026-10-01")] = ""
    until: Annotated[str, Field(max_length=20, description="last day")] = ""


class TileWrite(Body):
    id: Annotated[str | None, Field(max_length=40, description="of a tile that is there; a new one gets one")] = None
    kind: Annotated[str, Field(max_length=40)]
    size: Annotated[str, Field(max_length=10, description="slim, half, wide or full")] = "half"
    title: Annotated[str, Field(max_length=120, description="instead of what it counts")] = ""
    by: Annotated[str | None, Field(max_length=20, description="of new leads: source or campaign")] = None
    selection: Annotated[str | None, Field(max_length=100, description="slug of a selection")] = None


class DashboardCreate(Body):
    key: Key | None = None
    title: Name
    tiles: Annotated[list[TileWrite], Field(max_length=24)] = []


class DashboardChange(Body):
    title: Name | None = None
    tiles: Annotated[list[TileWrite], Field(max_length=24)] | None = None


@endpoint("get", "/dashboards", role="viewer", tag=TAG, view=DashboardView, is_list=True)
def list_dashboards(call: Call) -> list[DashboardView]:
    """List the dashboards as they are arranged."""
    return [_view(dashboard_of(one)) for one in numbers.dashboards(call.connection)]


@endpoint("post", "/dashboards", role="editor", tag=TAG, view=DashboardView, status=201)
def add_dashboard(call: Call, body: DashboardCreate) -> Answer:
    """Make a dashboard. Without a key it gets one from its title."""
    tiles = _tiles(call, body.tiles)
    key = create_dashboard(call.connection, call.caller.actor, body.title, tiles, call.now, body.key)
    return created("/dashboards", _view(read_dashboard(call.connection, key)))


@endpoint("get", "/dashboards/<key>", role="viewer", tag=TAG, view=ValuesView)
def show_dashboard(call: Call, path: KeyPath, query: RangeQuery) -> ValuesView:
    """Read a dashboard with the values of its tiles in a span of days.

    `between` in a number's condition and the days of this answer are days of the rules' time zone.
    """
    dashboard, zone = read_dashboard(call.connection, path.key), _zone(call)
    span = read_range(query.range, query.first, query.until, call.now, zone)
    lists = read_lists(call.connection)
    values = [_value(call, one, span, lists) for one in dashboard.tiles]
    compared = (span.before.first, span.before.last)
    return ValuesView(
        dashboard.key, dashboard.title, span.first, span.last, *compared, span.points, values, dashboard.revision
    )


@endpoint("patch", "/dashboards/<key>", role="editor", tag=TAG, view=DashboardView)
def edit_dashboard(call: Call, path: KeyPath, body: DashboardChange) -> DashboardView:
    """Change a dashboard's title, or all of its tiles. `If-Match` takes the ETag of any answer with this revision."""
    before = read_dashboard(call.connection, path.key)
    _require_revision(before.revision)
    tiles = None if body.tiles is None else _tiles(call, body.tiles, before.tiles)
    change_dashboard(
        call.connection, call.caller.actor, path.key, call.now,
        title=body.title, tiles=tiles, expected_revision=before.revision,
    )  # fmt: skip
    return _view(read_dashboard(call.connection, path.key))


def _require_revision(revision: int) -> None:
    """An ETag begins with the revision: the values behind it may be others, only the arrangement counts."""
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return
    if not any(tag.partition("-")[0] == str(revision) for tag in request.if_match.as_set()):
        raise Problem(412, "The dashboard changed since it was read; read it again and repeat.")


def _tiles(call: Call, sent: list[TileWrite], before: Iterable[Tile] = ()) -> tuple[Tile, ...]:
    """The tiles as sent; a selection that is gone may stay where it was."""
    kept = {one.selection: None for one in before if one.selection}
    known = {**kept, **read_lists(call.connection).catalogue.selections}
    return read_tiles([one.model_dump() for one in sent], known)


def _zone(call: Call) -> tzinfo:
    return web_config().searches.read(call.connection)[1].zone


def _view(one: Dashboard) -> DashboardView:
    return DashboardView(one.key, one.title, [_tile_view(tile) for tile in one.tiles], one.revision)


def _tile_view(one: Tile) -> TileView:
    return TileView(one.id, one.kind, one.size, one.title, one.by, one.selection)


def _value(call: Call, tile: Tile, span: DateRange, lists: Lists) -> ValueView:
    known = lists.catalogue.selections.get(tile.selection or "") if tile.kind == "selection" else None
    condition = None
    if known is not None:
        where = {"all": [{"selection": known.slug}]}
        condition = read_search(call.connection, web_config().searches, known.subject, where, None).condition
    question = Question(tile, span, lists, call.now, condition, known.subject if known else None)
    return _value_view(tile, read_tile(call.connection, question))


def _value_view(tile: Tile, value: TileValue) -> ValueView:
    return ValueView(
        _tile_view(tile),
        value.subject,
        value.total,
        value.before,
        value.where,
        value.is_estimate,
        value.seconds,
        value.seconds_before,
        [_number(one) for one in value.rows],
        value.counted_at,
        value.problem or None,
    )


def _number(one: Row) -> NumberView:
    return NumberView(one.key, one.label, one.number, one.before, one.where, one.kept, one.kept_where, list(one.points))
