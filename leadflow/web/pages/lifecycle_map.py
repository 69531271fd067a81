"""The lifecycle as a map: categories as places, and on each way between them the rules that go it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.domain.effects import SetCategory
from leadflow.domain.lifecycle import PROTECTED_GROUPS, Category, Edge, EdgeKind, Group, Lifecycle
from leadflow.rules.evaluation import RUNNING
from leadflow.rules.linting.cases import Algebra
from leadflow.rules.linting.findings import NO_DATA, Setting
from leadflow.rules.linting.moves import possible_categories
from leadflow.rules.model import Rule
from leadflow.services.rule_sets import live_documents
from leadflow.store import reads
from leadflow.store.lists import Lists
from leadflow.web.auth import requires
from leadflow.web.pages import desk, rulebook
from leadflow.web.pages.criteria import records_url

Ends = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A category on the map (`key` None: companies without one): how many companies are there, and where it stands."""

    key: str | None
    name: str
    group: str | None
    description: str
    count: int
    url: str
    x: float = 0.0
    y: float = 0.0

    @property
    def lines(self) -> list[str]:
        """The name in at most two lines of a box."""
        if len(self.name) <= MAX_LINE or " " not in self.name:
            return [self.name]
        words = self.name.split()
        best = min(range(1, len(words)), key=lambda at: abs(len(" ".join(words[:at])) - len(" ".join(words[at:]))))
        return [" ".join(words[:best]), " ".join(words[best:])]


@dataclass(frozen=True, slots=True)
class Way:
    """A step that automation may take, with the running rules that take it."""

    source: Place
    target: Place
    is_exit: bool
    rules: tuple[Rule, ...]
    path: str = ""
    label_x: float = 0.0
    label_y: float = 0.0

    @property
    def anchor(self) -> str:
        return f"way-{self.source.key or 'none'}-{self.target.key}"

    @property
    def words(self) -> str:
        return str(_("%(source)s to %(target)s", source=self.source.name, target=self.target.name))


@dataclass(frozen=True, slots=True)
class Bus:
    """All exits to one category, drawn as one line that they join."""

    target: Place
    ways: tuple[Way, ...]
    rules: tuple[Rule, ...]
    line: str
    drops: tuple[tuple[float, float, float, bool], ...]
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True)
class Map:
    """Everything drawn, on a ground of `width` × `height`."""

    width: float
    height: float
    open_places: tuple[Place, ...]
    protected: tuple[Place, ...]
    band_y: float
    ways: tuple[Way, ...]
    buses: tuple[Bus, ...]


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.get("/lifecycle")
    @requires("viewer")
    def lifecycle_map() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "lifecycle_map.html", "lifecycle_map", **_map(connection))


def _map(connection: Connection) -> dict[str, Any]:
    lists = desk.lists(connection)
    counts = desk.kept("companies per category", connection, reads.companies_per_category)
    rules = rulebook.read(live_documents(connection)[1], lists).rule_set.rules
    going = rules_on_edges([one for one in rules if one.status in RUNNING], lists, desk.now())
    places = _places(lists.lifecycle, counts)
    ways = _ways(lists.lifecycle, places, going)
    return {
        "drawn": draw(list(places.values()), ways),
        "groups": _by_source(places, ways),
        "protected": [one for one in places.values() if one.group in PROTECTED_GROUPS],
        "loose": [one for one in places.values() if one.key is not None and one.group is None],
        "unused": sum(not one.rules for one in ways),
    }


# -- which rule goes which way -----------------------------------------------------------------------------------------


def rules_on_edges(rules: Iterable[Rule], lists: Lists, now: datetime) -> dict[Ends, list[Rule]]:
    """By the ends of each step of the graph: the rules that may take it, judged by their conditions and actions."""
    algebra = Algebra(lists.catalogue, now)
    setting = Setting(lists.catalogue, lists.lifecycle, now, NO_DATA)
    found: dict[Ends, list[Rule]] = {}
    for rule in rules:
        here = possible_categories(algebra.cases(rule.condition), setting)
        for step in (one.step for one in rule.actions if isinstance(one.step, SetCategory)):
            sources = here if step.sources is None else here & step.sources
            for source in sources & lists.lifecycle.sources_of(step.target):
                found.setdefault((source, step.target), []).append(rule)
            here |= {step.target}
    return found


def _places(lifecycle: Lifecycle, counts: Mapping[str | None, int]) -> dict[str | None, Place]:
    """No category first, then the categories in use or on offer, by rank."""
    shown = [one for one in lifecycle.categories.values() if not one.deleted or counts.get(one.key)]
    none_url = records_url("company", {"company.category": {"exists": False}})
    without = Place(
        None, _("No category"), None, _("Companies that nobody has sorted yet"), counts.get(None, 0), none_url
    )
    return {None: without, **{one.key: _place(one, counts) for one in sorted(shown, key=lambda one: one.rank)}}


def _place(one: Category, counts: Mapping[str | None, int]) -> Place:
    url = records_url("company", {"company.category": one.key})
    return Place(one.key, one.name, one.group, one.description, counts.get(one.key, 0), url)


def _ways(lifecycle: Lifecycle, places: Mapping[str | None, Place], going: Mapping[Ends, Sequence[Rule]]) -> list[Way]:
    order = list(places)
    drawn = [one for one in lifecycle.edges if one.source in places and one.target in places]

    def rank(edge: Edge) -> tuple[int, int]:
        return order.index(edge.source), order.index(edge.target)

    return [
        Way(
            places[one.source],
            places[one.target],
            one.kind is EdgeKind.EXIT,
            _each_once(going.get((one.source, one.target), ())),
        )
        for one in sorted(drawn, key=rank)
    ]


def _each_once(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple({one.slug: one for one in rules}.values())


def _by_source(places: Mapping[str | None, Place], ways: Sequence[Way]) -> list[tuple[Place, list[Way]]]:
    """The places that a step leaves, each with its steps."""
    of_place = {key: [one for one in ways if one.source.key == key] for key in places}
    return [(places[key], own) for key, own in of_place.items() if own]


# -- drawing -----------------------------------------------------------------------------------------------------------

MAX_LINE = 16
BOX_WIDTH, BOX_HEIGHT, STEP = 148.0, 74.0, 212.0
MARGIN = 14.0
ARC_BASE, ARC_MORE = 26.0, 34.0
BUS_GAP = 46.0
BAND_PAD = 26.0


def draw(places: Sequence[Place], ways: Sequence[Way]) -> Map:
    """The open places in a row, steps as arcs above and below it, exits joined on their way to the protected band."""
    row = [one for one in places if one.key is None or one.group == Group.POTENTIAL_CUSTOMER]
    index = {one.key: number for number, one in enumerate(row)}
    moves = [one for one in ways if not one.is_exit and one.target.key in index]
    above = max((_span(one, index) for one in moves if _span(one, index) > 1), default=0)
    below = max((-_span(one, index) for one in moves if _span(one, index) < 0), default=0)
    row_y = MARGIN + (ARC_BASE + ARC_MORE * above if above else 0)
    set_row = [_set(one, MARGIN + number * STEP, row_y) for number, one in enumerate(row)]
    at = {one.key: one for one in set_row}
    bus_y = row_y + BOX_HEIGHT + (ARC_BASE + ARC_MORE * below if below else 0) + 12
    protected = [one for one in places if one.group in PROTECTED_GROUPS]
    targets = list(dict.fromkeys(one.target.key for one in ways if one.is_exit))
    band_y = bus_y + BUS_GAP * max(len(targets), 1)
    width = MARGIN * 2 + max((len(row) - 1) * STEP + BOX_WIDTH, len(protected) * STEP - STEP + BOX_WIDTH + 2 * MARGIN)
    set_band = _band(protected, width, band_y + BAND_PAD)
    stand = at | {one.key: one for one in set_band}
    return Map(
        width,
        band_y + BAND_PAD + BOX_HEIGHT + MARGIN * 4,
        tuple(set_row),
        tuple(set_band),
        band_y,
        tuple(_arc(one, at, index) for one in moves),
        tuple(_buses([one for one in ways if one.is_exit], stand, targets, bus_y)),
    )


def _set(one: Place, x: float, y: float) -> Place:
    return Place(one.key, one.name, one.group, one.description, one.count, one.url, round(x, 1), round(y, 1))


def _band(protected: Sequence[Place], width: float, y: float) -> list[Place]:
    """The protected places side by side, in the middle of the band."""
    step = min(STEP, (width - 2 * MARGIN) / max(len(protected), 1))
    start = (width - step * (len(protected) - 1) - BOX_WIDTH) / 2
    return [_set(one, start + number * step, y) for number, one in enumerate(protected)]


def _span(way: Way, index: Mapping[str | None, int]) -> int:
    return index[way.target.key] - index[way.source.key]


def _arc(way: Way, at: Mapping[str | None, Place], index: Mapping[str | None, int]) -> Way:
    """A straight arrow to the neighbour, an arc above to those further on, and one below on the way back."""
    source, target, span = at[way.source.key], at[way.target.key], _span(way, index)
    if span == 1:
        y = source.y + BOX_HEIGHT / 2
        start, end = source.x + BOX_WIDTH, target.x - 7
        return _with_path(way, source, target, f"M{start} {y}H{end}", (start + end) / 2, y)
    height = ARC_BASE + ARC_MORE * abs(span)
    # Arcs that leave a box do so right of those that come in, so that each can be followed.
    left, right = BOX_WIDTH * 0.32, BOX_WIDTH * 0.68
    start, end = (source.x + right, target.x + left) if span > 0 else (source.x + left, target.x + right)
    edge = source.y if span > 0 else source.y + BOX_HEIGHT
    away = -1 if span > 0 else 1
    top = edge + away * height * 4 / 3 * 0.78
    path = f"M{start:.1f} {edge}C{start:.1f} {top:.1f} {end:.1f} {top:.1f} {end:.1f} {edge + away * 7}"
    return _with_path(way, source, target, path, (start + end) / 2, edge + away * height * 0.78)


def _with_path(way: Way, source: Place, target: Place, path: str, x: float, y: float) -> Way:
    return Way(source, target, way.is_exit, way.rules, path, round(x, 1), round(y, 1))


def _buses(
    exits: Sequence[Way], stand: Mapping[str | None, Place], targets: Sequence[str | None], first_y: float
) -> Iterator[Bus]:
    for number, key in enumerate(targets):
        own = [one for one in exits if one.target.key == key]
        y, target = first_y + number * BUS_GAP, stand[key]
        goal = target.x + BOX_WIDTH / 2
        offset = BOX_WIDTH / 2 + 10.0 * number
        drops = tuple(
            (stand[one.source.key].x + offset, stand[one.source.key].y + BOX_HEIGHT, y, bool(one.rules)) for one in own
        )
        ends = [goal, *(x for x, _top, _y, _used in drops)]
        line = f"M{min(ends):.1f} {y}H{max(ends):.1f}M{goal:.1f} {y}V{target.y - 7:.1f}"
        rules = _each_once(rule for one in own for rule in one.rules)
        yield Bus(target, tuple(own), rules, line, drops, round(goal, 1), round(y + BUS_GAP * 0.62, 1))
