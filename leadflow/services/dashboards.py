"""Dashboards: what people arranged, and the story of arranging it. Each is written as a whole, by its revision."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import Connection, delete, insert, select, update

from leadflow.domain.events import Actor
from leadflow.domain.text import clean_text
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound, Refused, StaleWrite
from leadflow.services.tiles import Kind, Tile
from leadflow.store.reads.dashboards import DashboardView
from leadflow.store.tables import DashboardRow

KINDS: tuple[str, ...] = get_args(Kind)
SIZES = ("slim", "half", "wide", "full")
BY = ("source", "campaign")
MAX_TILES = 24
MAX_DASHBOARDS = 50
MAX_TITLE_LENGTH = 120
TILE_KEYS = ("id", "kind", "size", "title", "by", "selection")


@dataclass(frozen=True)
class Dashboard:
    """A dashboard as people see it."""

    key: str
    title: str
    tiles: tuple[Tile, ...]
    revision: int = 1

    def tile(self, tile_id: str) -> Tile:
        """Raises: NotFound."""
        for one in self.tiles:
            if one.id == tile_id:
                return one
        raise NotFound("There is no such tile on this dashboard; somebody may have removed it.")


# Reading --------------------------------------------------------------------------------------------------------------


def dashboard_of(view: DashboardView) -> Dashboard:
    """The stored dashboard with its tiles read; what an older version left that nobody knows now is passed over."""
    tiles = tuple(_tile(one) for one in view.tiles if one.get("kind") in KINDS and one.get("id"))
    return Dashboard(view.key, view.title, tiles, view.revision)


def read_dashboard(connection: Connection, key: str) -> Dashboard:
    """One dashboard. Raises: NotFound."""
    row = connection.execute(select(DashboardRow.__table__).where(DashboardRow.key == key)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no dashboard '{key[:80]}'.")
    return dashboard_of(DashboardView(**row))


def read_tiles(sent: Sequence[Mapping[str, Any]], selections: Mapping[str, Any]) -> tuple[Tile, ...]:
    """Tiles as callers send them; those without an id get one. Raises: InvalidRequest with every fault."""
    faults: list[Fault] = []
    if len(sent) > MAX_TILES:
        faults.append(Fault("tiles", f"are more than {MAX_TILES}"))
    for place, one in enumerate(sent):
        faults += [Fault(f"tiles.{place}.{name}", why) for name, why in _faults_of(one, selections)]
    taken = [str(one["id"]) for one in sent if one.get("id")]
    faults += [Fault("tiles", f"have the id '{one}' twice") for one in sorted({x for x in taken if taken.count(x) > 1})]
    if faults:
        raise InvalidRequest(faults)
    free = (f"t{number}" for number in range(1, 10_000) if f"t{number}" not in taken)
    return tuple(_tile({**one, "id": one.get("id") or next(free)}) for one in sent)


def _faults_of(sent: Mapping[str, Any], selections: Mapping[str, Any]) -> list[tuple[str, str]]:
    kind, by, selection = sent.get("kind"), sent.get("by"), sent.get("selection")
    faults = []
    if kind not in KINDS:
        faults.append(("kind", f"is not known; allowed: {', '.join(KINDS)}"))
    if sent.get("size", "half") not in SIZES:
        faults.append(("size", f"is not known; allowed: {', '.join(SIZES)}"))
    if kind == "new_leads" and (by or "source") not in BY:
        faults.append(("by", f"is not known; allowed: {', '.join(BY)}"))
    if kind == "selection" and selection not in selections:
        faults.append(("selection", "is missing" if not selection else f"there is no selection '{selection}'"))
    if not re.fullmatch(r"[a-z0-9-]{0,40}", str(sent.get("id") or "")):
        faults.append(("id", "has other characters than a–z, 0–9 and -"))
    return faults


def _tile(sent: Mapping[str, Any]) -> Tile:
    kind = sent["kind"]
    return Tile(
        id=str(sent["id"]),
        kind=kind,
        size=sent.get("size") or "half",
        title=(clean_text(sent.get("title") or "") or "")[:MAX_TITLE_LENGTH],
        by=(sent.get("by") or "source") if kind == "new_leads" else None,
        selection=sent.get("selection") if kind == "selection" else None,
    )


def tile_as_json(tile: Tile) -> dict[str, Any]:
    """What is stored of a tile: only what it has."""
    return {key: value for key in TILE_KEYS if (value := getattr(tile, key))}


# Writing --------------------------------------------------------------------------------------------------------------


def create_dashboard(
    connection: Connection, actor: Actor, title: str, tiles: Sequence[Tile], now: datetime, key: str | None = None
) -> str:
    """Add a dashboard; its key. Raises: InvalidRequest, Conflict for a key that is taken, Refused."""
    _refuse_automation(actor)
    title = _title(title)
    known = set(connection.scalars(select(DashboardRow.key)))
    if len(known) >= MAX_DASHBOARDS:
        raise Refused(f"There are {MAX_DASHBOARDS} dashboards already; delete one that nobody looks at.")
    if key is not None and key in known:
        raise Conflict(f"There is a dashboard '{key}' already.")
    key = key or _free_key(title, known)
    values = {"key": key, "title": title, "tiles": [tile_as_json(one) for one in tiles], "changed_by": actor.name}
    connection.execute(insert(DashboardRow), {**values, "created_at": now, "updated_at": now})
    return key


def change_dashboard(
    connection: Connection,
    actor: Actor,
    key: str,
    now: datetime,
    *,
    title: str | None = None,
    tiles: Sequence[Tile] | None = None,
    expected_revision: int | None = None,
) -> None:
    """Write a dashboard's title, its tiles, or both. Raises: NotFound, StaleWrite, InvalidRequest, Refused."""
    _refuse_automation(actor)
    _require_revision(connection, key, expected_revision)
    values: dict[str, Any] = {"changed_by": actor.name, "updated_at": now, "revision": DashboardRow.revision + 1}
    if title is not None:
        values["title"] = _title(title)
    if tiles is not None:
        values["tiles"] = [tile_as_json(one) for one in tiles]
    connection.execute(update(DashboardRow).where(DashboardRow.key == key).values(**values))


def delete_dashboard(connection: Connection, actor: Actor, key: str, expected_revision: int | None) -> None:
    """Take a dashboard away; the numbers stay where they are. Raises: NotFound, StaleWrite, Refused."""
    _refuse_automation(actor)
    _require_revision(connection, key, expected_revision)
    connection.execute(delete(DashboardRow).where(DashboardRow.key == key))


def _require_revision(connection: Connection, key: str, expected: int | None) -> None:
    statement = select(DashboardRow.revision).where(DashboardRow.key == key).with_for_update()
    revision = connection.scalar(statement)
    if revision is None:
        raise NotFound(f"There is no dashboard '{key[:80]}'.")
    if expected is not None and revision != expected:
        raise StaleWrite("Somebody arranged this dashboard since you opened it.")


def _refuse_automation(actor: Actor) -> None:
    if actor.is_automation:
        raise Refused("Dashboards are arranged by people; this key acts as automation.")


def _title(text: str) -> str:
    title = clean_text(text)
    if not title or len(title) > MAX_TITLE_LENGTH:
        raise InvalidRequest([Fault("title", f"must have 1 to {MAX_TITLE_LENGTH} characters")])
    return title


def _free_key(title: str, known: set[str]) -> str:
    plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:50].strip("-") or "dashboard"
    names = [stem, *(f"{stem}-{number}" for number in range(2, MAX_DASHBOARDS + 2))]
    return next(one for one in names if one not in known and one not in RESERVED_KEYS)


# Words that stand for something else in addresses.
RESERVED_KEYS = ("moves", "new")


# Arranging ------------------------------------------------------------------------------------------------------------


def without(tiles: Sequence[Tile], tile_id: str) -> tuple[Tile, ...]:
    return tuple(one for one in tiles if one.id != tile_id)


def moved(tiles: Sequence[Tile], tile_id: str, by: int) -> tuple[Tile, ...]:
    """The tiles with one of them some places further on; at an end it stays."""
    order = list(tiles)
    at = next((place for place, one in enumerate(order) if one.id == tile_id), None)
    if at is not None and 0 <= at + by < len(order):
        order.insert(at + by, order.pop(at))
    return tuple(order)


def in_order(tiles: Sequence[Tile], ids: Sequence[str]) -> tuple[Tile, ...]:
    """The tiles in the order of these ids; those that it does not name keep to the end."""
    places = {one: place for place, one in enumerate(ids)}
    return tuple(sorted(tiles, key=lambda one: places.get(one.id, len(places))))


def edited(tiles: Sequence[Tile], tile_id: str, size: str, title: str) -> tuple[Tile, ...]:
    """The tiles with one of them in another size, under another title."""
    if size not in SIZES:
        raise InvalidRequest([Fault("size", f"is not known; allowed: {', '.join(SIZES)}")])
    title = (clean_text(title) or "")[:MAX_TITLE_LENGTH]
    return tuple(replace(one, size=size, title=title) if one.id == tile_id else one for one in tiles)


def seed_dashboards(connection: Connection, shipped: Sequence[Dashboard], now: datetime) -> None:
    """The shipped dashboards, where there is none yet; afterwards they belong to the people."""
    if connection.scalar(select(DashboardRow.key).limit(1)) is not None:
        return
    for one in shipped:
        tiles = [tile_as_json(tile) for tile in one.tiles]
        values = {"key": one.key, "title": one.title, "tiles": tiles, "changed_by": "leadflow"}
        connection.execute(insert(DashboardRow), {**values, "created_at": now, "updated_at": now})
