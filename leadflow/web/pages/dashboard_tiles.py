"""A tile as the page shows it: its title, its numbers with the way to their records, and what its chart is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from leadflow.services.date_ranges import DateRange
from leadflow.services.tiles import Row, Tile, TileValue
from leadflow.store.lists import Lists
from leadflow.web.pages import wording
from leadflow.web.pages.criteria import records_url

KIND_TITLES = {
    "funnel": _l("Qualification funnel"),
    "new_leads": _l("New leads"),
    "lead_statuses": _l("Leads by status"),
    "categories": _l("Companies by category"),
    "forms": _l("Leads per form"),
    "moves_by_rule": _l("Companies moved by rules"),
    "time_to_mql": _l("From lead to MQL"),
    "selection": _l("Selection"),
}
KIND_HELP = {
    "funnel": _l("Companies that reached each stage. One that reached it twice counts where it did so last."),
    "new_leads": _l("Contacts that came in and became leads, by where they first came from."),
    "lead_statuses": _l("Contacts by lead status now. Where it is not active, it is kept and counted apart."),
    "categories": _l("All companies by their category now."),
    "forms": _l("Contacts by the form they sent. One that sent a form twice counts where it did so last."),
    "moves_by_rule": _l("Every change of a category that a rule made."),
    "time_to_mql": _l("How long companies stay Lead before they become MQL: half of them are quicker, half slower."),
    "selection": _l("How many records are in the selection now, and the first of them."),
}
# Series of a chart without colours of their own.
SERIES_TONES = ("indigo", "sky", "amber", "green", "violet", "rose", "grey")
SIZE_NAMES = {"slim": _l("a third"), "half": _l("half"), "wide": _l("two thirds"), "full": _l("whole width")}


@dataclass(frozen=True, slots=True)
class Delta:
    """The difference to the span before: in words, and whether it grew."""

    words: str
    before: str
    is_more: bool | None


@dataclass(frozen=True, slots=True)
class RowShown:
    """A row with its ways. `share` is per cent of the stage before it, in a funnel."""

    row: Row
    url: str
    delta: Delta | None
    tone: str
    share: str = ""
    kept_url: str = ""


@dataclass(frozen=True)
class TileShown:
    """A tile on the page; without a value it is still being counted."""

    tile: Tile
    title: str
    help: str
    range: DateRange
    value: TileValue | None = None
    rows: Sequence[RowShown] = ()
    url: str = ""
    delta: Delta | None = None
    records: Sequence[Any] = ()

    @property
    def has_chart(self) -> bool:
        return self.tile.kind in ("new_leads", "moves_by_rule", "lead_statuses", "categories", "forms")

    @property
    def has_nothing(self) -> bool:
        """Whether there is no number at all to be shown."""
        return not any(one.row.number or one.row.before or one.row.kept for one in self.rows)

    @property
    def chart(self) -> str:
        """What the script draws, as JSON."""
        over_time = self.tile.kind in ("new_leads", "moves_by_rule")
        return json.dumps(self._over_time() if over_time else self._bars(), ensure_ascii=False)

    @property
    def chart_words(self) -> str:
        """What a screen reader says instead of the chart."""
        parts = ", ".join(f"{one.row.label} {one.row.number:,}" for one in self.rows[:8])
        return f"{self.title}: {parts}" if parts else self.title

    def _over_time(self) -> dict[str, Any]:
        series = [
            {"name": one.row.label, "values": list(one.row.points), "tone": one.tone, "url": one.url}
            for one in self.rows
            if one.row.number
        ]
        return {"kind": "time", "labels": [_point(day) for day in self.range.points], "series": series}

    def _bars(self) -> dict[str, Any]:
        bars = [
            {"name": one.row.label, "value": one.row.number, "tone": one.tone, "url": one.url}
            | ({"kept": one.row.kept, "keptUrl": one.kept_url} if self.tile.kind == "lead_statuses" else {})
            for one in self.rows
        ]
        return {"kind": "bars", "bars": bars, "keptName": _("kept, not active"), "name": _("active")}


def _point(day: date) -> str:
    return f"{day.day} {day:%b}"


def title_of(tile: Tile, lists: Lists) -> str:
    """What people called it, else what it counts."""
    if tile.title:
        return tile.title
    if tile.kind == "selection":
        known = lists.catalogue.selections.get(tile.selection or "")
        return known.title if known else str(_("Selection that is gone"))
    if tile.kind == "new_leads":
        return str(_("New leads by campaign") if tile.by == "campaign" else _("New leads by source"))
    return str(KIND_TITLES[tile.kind])


def unread(tile: Tile, span: DateRange, lists: Lists) -> TileShown:
    """The tile before it is counted."""
    return TileShown(tile, title_of(tile, lists), str(KIND_HELP[tile.kind]), span)


def shown(tile: Tile, span: DateRange, lists: Lists, value: TileValue, records: Sequence[Any]) -> TileShown:
    """The tile with its numbers."""
    rows = [_row(tile, span, value, place) for place in range(len(value.rows))]
    url = records_url(value.subject or "company", value.where) if value.where is not None else ""
    if tile.kind == "moves_by_rule":
        url = _moves_url(None, span)
    if tile.kind == "lead_statuses":
        url = records_url("contact", None, status="active")
    delta = delta_of(value.total, value.before)
    return TileShown(tile, title_of(tile, lists), str(KIND_HELP[tile.kind]), span, value, rows, url, delta, records)


def _row(tile: Tile, span: DateRange, value: TileValue, place: int) -> RowShown:
    row = value.rows[place]
    kept_url = records_url("contact", row.kept_where) if row.kept_where else ""
    return RowShown(
        row, row_url(value, row, span), delta_of(row.number, row.before), _tone(tile, row, place), kept_url=kept_url,
        share=_share(value.rows, place) if tile.kind == "funnel" else "",
    )  # fmt: skip


def row_url(value: TileValue, row: Row, span: DateRange) -> str:
    """Where the records behind a number are."""
    if row.rule is not None:
        return _moves_url(row.rule, span)
    if row.status is not None:
        return records_url("contact", None, status=row.status)
    return records_url(value.subject or "company", row.where)


def _moves_url(rule: str | None, span: DateRange) -> str:
    days: dict[str, Any] = {"from": span.first.isoformat(), "until": span.last.isoformat()}
    return url_for("pages.dashboard_moves", rule=rule, **days)


def _share(rows: Sequence[Row], place: int) -> str:
    """How many per cent of those that reached the stage before reached this one."""
    if place == 0 or not rows[place - 1].number:
        return ""
    return f"{100 * rows[place].number / rows[place - 1].number:.0f} %"


def _tone(tile: Tile, row: Row, place: int) -> str:
    if tile.kind in ("funnel", "categories"):
        return wording.category_tone(row.key, row.group) if row.key else "grey"
    if tile.kind == "lead_statuses":
        return wording.status_tone(row.key or "")
    return "indigo" if tile.kind == "forms" else SERIES_TONES[min(place, len(SERIES_TONES) - 1)]


def delta_of(number: float | None, before: float | None) -> Delta | None:
    """How a number differs from that of the span before; None where there is nothing to compare."""
    if number is None or not before:
        return None
    told = f"{before:,.0f}"
    change = 100 * (number - before) / before
    if abs(change) < 0.5:
        return Delta(_("as before"), told, None)
    return Delta(f"{'▲' if change > 0 else '▼'} {abs(change):,.0f} %", told, change > 0)


def span_words(span: DateRange) -> str:
    """`25 Oct – 22 Nov 2026`."""
    first, last = span.first, span.last
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%b}{year} – {last.day} {last:%b} {last.year}"


def duration_words(seconds: float | None) -> str:
    """`3.5 days`, `7 hours`, `12 minutes`."""
    if seconds is None:
        return "–"
    for unit, length in ((_("days"), 86_400), (_("hours"), 3_600)):
        if seconds >= 1.5 * length:
            count = seconds / length
            return f"{count:.1f} {unit}" if count < 10 else f"{count:,.0f} {unit}"
    return f"{max(round(seconds / 60), 0)} {_('minutes')}"
