"""The nearest miss: the least that would have to be different for a condition to hold in a scene.

The condition becomes alternatives (`linting.cases`), of which those are kept that ask for the fewest changes; what an
alternative asks of one field it asks jointly, and a value is picked that differs the least. The evaluator has the last
word on each: only what makes the rule match is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Any

from leadflow.domain.fields import Field, Kind
from leadflow.domain.lifecycle import Lifecycle
from leadflow.domain.text import fold
from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    MemberClause,
    Named,
    NoneOf,
    PastClause,
    leaves_of,
)
from leadflow.rules.linting.cases import (
    ALWAYS,
    NO,
    YES,
    Algebra,
    Case,
    ChangedKey,
    HoursKey,
    Key,
    MemberKey,
    PastKey,
    SameKey,
    TriggerKey,
    past_key,
)
from leadflow.rules.linting.domains import Chosen, Domain, Hours, space_of
from leadflow.rules.linting.examples import MAX_EVENTS, MINUTES_TRIED, NothingFound, event_like, excluding, moments_for
from leadflow.rules.linting.lines import Line, line_between
from leadflow.rules.model import TriggerFilter
from leadflow.rules.operators import has_changed
from leadflow.rules.past import EventsAsked
from leadflow.rules.staging import Scene
from leadflow.rules.suiting import NothingSuits, is_blank, is_in, moment_when_suits, nearest_in
from leadflow.rules.values import BEFORE, comparable, compare_as, first_moment_of, reader_of

# As many alternatives are kept while a condition is taken apart, and as many of the nearest are tried out.
MAX_KEPT = 160
MAX_TRIED = 64
# As many later moments are tried, where days and hours have to fall just so.
MAX_MOMENTS = 4

POSSIBLE_COUNTS = line_between(0, MAX_EVENTS, True, True, is_whole=True)
LONG_AGO = timedelta(days=40_000)  # before every window that a condition can name
ONE_MINUTE = timedelta(minutes=1)
NEVER = float("inf")


class By(StrEnum):
    """Who or what can bring a change about."""

    PERSON = "person"
    EVENT = "event"  # what happens would have to say it
    HAPPENING = "happening"  # something would have to happen, or not have happened
    TIME = "time"
    NOBODY = "nobody"  # it is written once, or kept by leadflow


COSTS = {By.PERSON: 1.0, By.EVENT: 1.01, By.HAPPENING: 1.2, By.TIME: 1.3, By.NOBODY: 3.0}

# What records have from their creation on, or what counts; no condition finds them blank.
NEVER_BLANK = ("do_not_automate", "open_sales", "created_at", "updated_at")
HAPPENING_FIELDS = frozenset({"company.open_sales", "contact.last_touched_at"})
KEPT_BY_LEADFLOW = ("created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that would have to be different: what, by whom, what it is and what it would have to be.

    `domain` are all values that would do as well. `since` is when time alone brings it about. `clause` is what asks
    for it, of the past and of selections.
    """

    key: Key
    path: str
    by: By
    old: Any
    new: Any
    domain: Domain | None = None
    since: datetime | None = None
    clause: PastClause | MemberClause | None = None
    is_long_ago: bool = False


@dataclass(frozen=True, slots=True)
class Miss:
    """The least that would have to be different, and the scene in which it is."""

    needs: tuple[Need, ...]
    scene: Scene


@dataclass(frozen=True, slots=True)
class NoWay:
    """Why nothing that could be different makes the condition hold; `is_certain` unless too much had to be tried."""

    is_certain: bool
    stuck_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Installation:
    """What the search knows beside the rule."""

    algebra: Algebra
    lifecycle: Lifecycle
    default_status: str


Holds = Callable[[Scene], bool]


def find_nearest(
    home: Installation, scene: Scene, conditions: Sequence[Condition | Case], holds: Holds
) -> Miss | NoWay:
    """The least that makes all the conditions, and what `holds` asks, true in the scene."""
    search = _Search(home, scene, conditions)
    cases = search.alternatives()
    for case in islice(cases, MAX_TRIED):
        for miss in search.try_case(case):
            if holds(miss.scene):
                return _without_idle(home, scene, miss, holds)
    return NoWay(not search.is_cut and not cases, tuple(sorted(search.stuck_on)))


def _without_idle(home: Installation, scene: Scene, miss: Miss, holds: Holds) -> Miss:
    """The same without what turns out not to be needed."""
    needs = list(miss.needs)
    for one in miss.needs:
        fewer = [other for other in needs if other is not one]
        try:
            tried = apply_needs(home, scene, fewer)
        except NothingFound:
            continue
        if holds(tried):
            needs = fewer
    return Miss(tuple(needs), apply_needs(home, scene, needs))


def case_of_trigger(home: Installation, line: TriggerFilter) -> Case:
    """What a line of `when` asks for. Of several watched fields the first one changes."""
    if len(line.watched) > 1:
        path = next(iter(line.watched))
        line = replace(line, watched={path: line.watched[path]})
    return next(iter(home.algebra.cases_of_triggers([line]).alternatives or (ALWAYS,)))


# -- what a scene is like ----------------------------------------------------------------------------------------------


class _Search:
    """The alternatives of the conditions, nearest first, and what each asks for."""

    def __init__(self, home: Installation, scene: Scene, conditions: Sequence[Condition | Case]) -> None:
        self._home = home
        self._scene = scene
        self._situation = scene.situation()
        self._conditions = conditions
        self._leaves = [leaf for one in conditions if not isinstance(one, Case) for leaf in leaves_of(one)]
        self._past = {past_key(leaf): leaf for leaf in self._leaves if isinstance(leaf, PastClause)}
        self._members = {leaf.selection_id: leaf for leaf in self._leaves if isinstance(leaf, MemberClause)}
        self.is_cut = False
        self.stuck_on: set[str] = set()

    # -- alternatives ----------------------------------------------------------------------------------------------

    def alternatives(self) -> list[Case]:
        """The alternatives that can be reached, the nearest first."""
        found = [self._readable()]
        for one in self._conditions:
            found = self._join(found, [one] if isinstance(one, Case) else self._cases(one, False))
        return [case for case in found if not case.is_impossible(self._scene.now)]

    def _readable(self) -> Case:
        """A field that cannot be read makes every judgement an error, whatever else holds."""
        domains: dict[Key, Domain] = {}
        for leaf in self._leaves:
            if isinstance(leaf, Clause) and self._is_faulty(leaf):
                domains[leaf.path] = space_of(leaf.field, leaf.zone).everything()
        return Case(domains)

    def _is_faulty(self, leaf: Clause) -> bool:
        value = reader_of(leaf.path, leaf.field)(self._situation)
        return not is_blank(value) and not _is_of_kind(leaf.field, value)

    def _cases(self, condition: Condition, negated: bool) -> list[Case]:
        match condition:
            case All(parts):
                many = [self._cases(one, negated) for one in parts]
                return self._union(many) if negated else self._product(many)
            case AnyOf(parts):
                many = [self._cases(one, negated) for one in parts]
                return self._product(many) if negated else self._union(many)
            case NoneOf(parts):
                many = [self._cases(one, not negated) for one in parts]
                return self._union(many) if negated else self._product(many)
            case Named(condition=inner):
                return self._cases(inner, negated)
            case leaf:
                return self._best(self._home.algebra.cases(leaf, negated=negated).alternatives or ())

    def _union(self, many: Iterable[Sequence[Case]]) -> list[Case]:
        return self._best(case for one in many for case in one)

    def _product(self, many: Sequence[Sequence[Case]]) -> list[Case]:
        found: list[Case] = [ALWAYS]
        for one in sorted(many, key=len):
            found = self._join(found, one)
        return found

    def _join(self, some: Sequence[Case], others: Sequence[Case]) -> list[Case]:
        return self._best(both for one in some for other in others if (both := one.joined(other)) is not None)

    def _best(self, cases: Iterable[Case]) -> list[Case]:
        ranked = [(cost, place, case) for place, case in enumerate(cases) if (cost := self._cost(case)) < NEVER]
        ranked.sort(key=lambda one: one[:2])
        self.is_cut = self.is_cut or len(ranked) > MAX_KEPT
        return [case for _, _, case in ranked[:MAX_KEPT]]

    def _cost(self, case: Case) -> float:
        return sum(self._cost_of(key, domain) for key, domain in case.domains.items())

    def _cost_of(self, key: Key, domain: Domain) -> float:
        if self.suits(key, domain, self._scene):
            return 0
        if self._is_out_of_reach(key, domain):
            self.stuck_on.add(self._name_of(key))
            return NEVER
        return COSTS[self.by_of(key)]

    def _is_out_of_reach(self, key: Key, domain: Domain) -> bool:
        """Whether nothing can make it so: the occurrence itself decides it, or there is no such record."""
        match key:
            case TriggerKey():
                return True
            case str() if key in self._scene.pinned:
                return True
            case str() if key.startswith("contact.") and self._scene.contact is None:
                return True
            case str():
                is_there = not key.startswith("company.") or self._scene.company is not None
                return is_there and key.partition(".")[2] in NEVER_BLANK and domain.values.is_empty
            case PastKey(kind="event_count") if isinstance(domain.values, Line):
                return (domain.values & POSSIBLE_COUNTS).is_empty or self._is_nobodys(key)
            case PastKey() | MemberKey():
                return self._is_nobodys(key)
            case _:
                return False

    def _name_of(self, key: Key) -> str:
        match key:
            case str():
                return key
            case TriggerKey(name=name):
                return name
            case PastKey():
                return self._past[key].path
            case MemberKey(selection_id=number):
                return self._members[number].path
            case _:
                return "now"

    def _is_nobodys(self, key: PastKey | MemberKey) -> bool:
        """Whether it is about a contact where there is none; a company can be found for everybody."""
        if self._scene.contact is not None:
            return False
        if isinstance(key, MemberKey):
            return self._members[key.selection_id].record == "contact"
        asked = self._past[key].asked
        return (asked.by if isinstance(asked, EventsAsked) else asked.field.root) == "contact"

    # -- what suits ------------------------------------------------------------------------------------------------

    def suits(self, key: Key, domain: Domain, scene: Scene) -> bool:
        """Whether the scene is as the domain asks."""
        match key:
            case str():
                return is_in(domain, scene.current(key), scene.now)
            case TriggerKey(name="trigger"):
                return is_in(domain, scene.trigger.value, scene.now)
            case TriggerKey(name=name):
                detail = {"record": "record", "sale.step": "step"}.get(name, name)
                return is_in(domain, scene.detail.get(detail), scene.now)
            case ChangedKey(path=path):
                return _is(domain, has_changed(scene.situation(), path))
            case SameKey(paths=paths):
                return _is(domain, self._are_same(paths, scene))
            case HoursKey(zone=zone):
                return isinstance(domain.values, Hours) and domain.values.include(scene.now, zone)
            case MemberKey(selection_id=number):
                return _is(domain, self._is_member(number, scene))
            case PastKey():
                return is_in(domain, self.past_value(key, scene), scene.now)

    def _are_same(self, paths: frozenset[str], scene: Scene) -> bool:
        one, other = sorted(paths)
        mine, theirs = (self._comparable(path, scene) for path in (one, other))
        if mine is None or theirs is None:
            return False
        return set(mine) == set(theirs) if isinstance(mine, tuple) else bool(mine == theirs)

    def _comparable(self, path: str, scene: Scene) -> Any:
        field = self.field(path)
        value = scene.current(path)
        zone = next((one.zone for one in self._leaves if isinstance(one, Clause)), scene.now.tzinfo)
        if field is None or zone is None or not (is_blank(value) or _is_of_kind(field, value)):
            return None
        return compare_as(field.kind, zone)(value)

    def field(self, path: str) -> Field | None:
        return self._home.algebra.catalogue.get(path.removeprefix(BEFORE))

    def _is_member(self, selection_id: int, scene: Scene) -> bool:
        record = getattr(scene, self._members[selection_id].record)
        return record is not None and scene.history.is_member(selection_id, record.id)

    def past_value(self, key: PastKey, scene: Scene) -> Any:
        clause = self._past[key]
        asked = clause.asked
        read = asked.reader_of_count() if key.kind == "event_count" else asked.reader_of_last()
        return read(scene.situation())

    def by_of(self, key: Key) -> By:
        match key:
            case str() if key.startswith((BEFORE, "form.", "event.", "sale.", "user.")) or key in self._scene.changes:
                return By.EVENT
            case str() if key in HAPPENING_FIELDS:
                return By.HAPPENING
            case str() if key.rpartition(".")[2] in KEPT_BY_LEADFLOW or ".first_touch." in key:
                return By.NOBODY
            case HoursKey():
                return By.TIME
            case PastKey():
                return By.HAPPENING
            case ChangedKey():
                return By.EVENT
            case _:
                return By.PERSON

    # -- one alternative -------------------------------------------------------------------------------------------

    def try_case(self, case: Case) -> Iterator[Miss]:
        """What the alternative asks for, in one way or another."""
        for way in range(2):
            try:
                yield _Trial(self, self._home, self._scene, case, way).solve()
            except (NothingSuits, NothingFound, KeyError):
                continue
        for moment in islice(moments_for(case, self._scene.now), MAX_MOMENTS):
            if moment != self._scene.now:
                try:
                    yield _Trial(self, self._home, self._scene, case, 0, moment).solve()
                except (NothingSuits, NothingFound, KeyError):
                    continue

    def clause_of(self, key: Key) -> PastClause | MemberClause | None:
        if isinstance(key, PastKey):
            return self._past[key]
        return self._members[key.selection_id] if isinstance(key, MemberKey) else None

    def is_pinned(self, path: str) -> bool:
        return path in self._scene.pinned or (path.startswith("contact.") and self._scene.contact is None)

    def name_of(self, key: Key) -> str:
        return self._name_of(key)


def _is(domain: Domain, truth: bool) -> bool:
    return isinstance(domain.values, Chosen) and truth in domain.values.values


_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.NUMBER: (Decimal, int),
    Kind.DATE: (date,),
    Kind.MOMENT: (datetime,),
    Kind.LIST: (tuple,),
    Kind.BOOLEAN: (bool,),
}


def _is_of_kind(field: Field, value: Any) -> bool:
    """Whether the value, not blank, is one that the field can have; it may have been written when the kind differed."""
    if isinstance(value, bool) is not (field.kind is Kind.BOOLEAN):
        return False
    if field.kind is Kind.DATE and isinstance(value, datetime):
        return False
    return isinstance(value, _TYPES.get(field.kind, (str,)))


# -- one alternative ---------------------------------------------------------------------------------------------------


class _Trial:
    """Works out what one alternative asks for, one thing after the other, on a scene that changes with it.

    `way` 0 lets what is missing happen now, 1 as long ago as it still counts.
    """

    def __init__(
        self,
        search: _Search,
        home: Installation,
        scene: Scene,
        case: Case,
        way: int,
        moment: datetime | None = None,
    ) -> None:
        self._search = search
        self._home = home
        self._first = scene
        self._scene = scene
        self._domains: dict[Key, Domain] = dict(case.domains)
        self._way = way
        self._needs: dict[Key, Need] = {}
        if moment is not None:
            self._add(Need(HoursKey(self._zone()), "now", By.TIME, scene.now, moment, since=moment))

    def solve(self) -> Miss:
        """Everything that is needed. Raises: NothingSuits, NothingFound."""
        self._find_moment()
        self._settle_same()
        for key, domain in list(self._domains.items()):
            if isinstance(key, str):
                self._settle_value(key, domain)
        self._settle_status()
        self._part_same()
        for key, domain in self._domains.items():
            if isinstance(key, ChangedKey):
                self._settle_change(key, domain)
        for key, domain in self._domains.items():
            if isinstance(key, PastKey | MemberKey) and not self._search.suits(key, domain, self._scene):
                self._settle_past(key, domain)
        return Miss(tuple(self._needs.values()), self._scene)

    def _add(self, need: Need) -> None:
        self._needs[need.key] = need
        self._scene = apply_one(self._home, self._scene, need)

    # -- the clock -------------------------------------------------------------------------------------------------

    def _find_moment(self) -> None:
        """The next moment within the hours that are asked for."""
        hours = {key: domain for key, domain in self._domains.items() if isinstance(key, HoursKey)}
        if all(self._search.suits(key, domain, self._scene) for key, domain in hours.items()):
            return
        start = self._scene.now.replace(second=0, microsecond=0)
        for number in range(1, MINUTES_TRIED):
            scene = self._scene.at(start + number * ONE_MINUTE)
            if all(self._search.suits(key, domain, scene) for key, domain in hours.items()):
                key = next(iter(hours))
                self._add(Need(key, "now", By.TIME, self._first.now, scene.now, since=scene.now))
                return
        raise NothingSuits

    # -- fields ----------------------------------------------------------------------------------------------------

    def _settle_value(self, path: str, domain: Domain) -> None:
        if self._search.suits(path, domain, self._scene):
            return
        if self._search.is_pinned(path):
            raise NothingSuits
        new = nearest_in(domain, self._search.field(path), self._scene.current(path), self._scene.now)
        self._need_value(path, new, domain)

    def _need_value(self, path: str, new: Any, domain: Domain | None) -> None:
        old, by = self._first.current(path), self._search.by_of(path)
        since = None if domain is None else moment_when_suits(domain, old, self._scene.now)
        if since is not None and by in (By.NOBODY, By.HAPPENING):
            by = By.TIME
        self._add(Need(path, path, by, old, new, domain, since))

    def _settle_same(self) -> None:
        """Give two fields that have to be the same one of their values, or another that suits both."""
        for key, domain in list(self._domains.items()):
            if isinstance(key, SameKey) and domain == YES:
                one, other = sorted(key.paths, reverse=bool(self._way))
                self._unite(key, one, other)

    def _unite(self, key: SameKey, one: str, other: str) -> None:
        mine, theirs = self._domains[one], self._domains[other]
        is_alike = type(mine.values) is type(theirs.values) and getattr(mine.values, "zone", None) == getattr(
            theirs.values, "zone", None
        )
        if getattr(theirs.values, "is_whole", False):
            mine, theirs = theirs, mine  # what counts something can only be the same as a whole number
        joint = mine & theirs if is_alike else mine
        if is_alike:
            self._domains |= {one: joint, other: joint}
        if self._search.suits(key, YES, self._scene) and self._search.suits(one, joint, self._scene):
            return
        values = [self._scene.current(path) for path in (one, other)]
        fitting = [value for value in values if not is_blank(value) and is_in(joint, value, self._scene.now)]
        value = fitting[0] if fitting else nearest_in(joint, self._search.field(one), values[0], self._scene.now)
        for path in (one, other):
            if self._scene.current(path) != value:
                if self._search.is_pinned(path):
                    raise NothingSuits
                self._need_value(path, self._as_kept_in(path, value, key), self._domains[path])

    def _as_kept_in(self, path: str, value: Any, key: SameKey) -> Any:
        """A day as the moment at which it begins, where the other field holds moments."""
        field = self._search.field(path)
        is_day = isinstance(value, date) and not isinstance(value, datetime)
        if field is not None and field.kind is Kind.MOMENT and is_day:
            return first_moment_of(value, key.zone)
        if field is not None and field.kind is Kind.DATE and isinstance(value, datetime):
            return value.astimezone(key.zone).date()
        return value

    def _part_same(self) -> None:
        for key, domain in self._domains.items():
            if not isinstance(key, SameKey) or domain != NO or self._search.suits(key, domain, self._scene):
                continue
            for path in sorted(key.paths, reverse=bool(self._way)):
                if not self._search.is_pinned(path):
                    self._change_away(path, key)
                    break

    def _change_away(self, path: str, key: SameKey) -> None:
        """Another value than the present one; blank is the simplest."""
        field = self._search.field(path)
        if field is None:
            raise NothingSuits
        domain = self._domains.get(path) or space_of(field, key.zone).everything()
        current = self._scene.current(path)
        compared = compare_as(field.kind, key.zone)(current)
        others = Domain(excluding(domain.values, compared), domain.has_blank)
        new = None if domain.has_blank else nearest_in(others, field, current, self._scene.now)
        self._need_value(path, new, others)

    def _settle_status(self) -> None:
        """Who becomes a lead on the way starts with the default status; where that is not asked for, it is one more."""
        domain = self._domains.get("contact.lead_status")
        if domain is not None and not self._search.suits("contact.lead_status", domain, self._scene):
            self._needs.pop("contact.lead_status", None)
            self._settle_value("contact.lead_status", domain)

    # -- changes, and what happened --------------------------------------------------------------------------------

    def _settle_change(self, key: ChangedKey, domain: Domain) -> None:
        if self._search.suits(key, domain, self._scene):
            return
        if domain == NO:
            self._add(Need(key, key.path, By.EVENT, self._scene.changes.get(key.path), None, domain))
            return
        before, field = BEFORE + key.path, self._search.field(key.path)
        if field is None:
            raise NothingSuits
        wanted = self._domains.get(before) or space_of(field, self._zone()).everything()
        current = self._scene.current(key.path)
        others = Domain(excluding(wanted.values, _folded(current)), wanted.has_blank and not is_blank(current))
        new = nearest_in(others, field, None, self._scene.now)
        self._add(Need(before, before, By.EVENT, None, new, others))

    def _zone(self) -> tzinfo:
        return self._scene.now.tzinfo or UTC

    def _settle_past(self, key: PastKey | MemberKey, domain: Domain) -> None:
        clause = self._search.clause_of(key)
        path, old = self._search.name_of(key), None
        if isinstance(key, MemberKey) and isinstance(clause, MemberClause):
            is_wanted = domain == YES
            self._add(Need(key, path, By.PERSON, not is_wanted, is_wanted, domain, clause=clause))
        elif isinstance(key, PastKey) and isinstance(clause, PastClause):
            old = self._search.past_value(key, self._scene)
            new = nearest_in(domain, clause.field, old, self._scene.now)
            if key.kind == "event_count" and (new is None or Decimal(str(new)) > MAX_EVENTS):
                raise NothingSuits
            since = moment_when_suits(domain, old, self._scene.now) if key.kind != "event_count" else None
            by = By.TIME if since else By.HAPPENING
            need = Need(key, path, by, old, new, domain, since, clause, bool(self._way))
            try:
                self._add(need)
            except NothingFound:
                self._search.stuck_on.add(path)  # no event can be like this
                raise


def _folded(value: Any) -> Any:
    return () if value is None else tuple(map(fold, value)) if isinstance(value, tuple) else comparable(value)


# -- making it so ------------------------------------------------------------------------------------------------------


def apply_needs(home: Installation, scene: Scene, needs: Iterable[Need]) -> Scene:
    """The scene in which everything is as needed. Raises: NothingFound."""
    for one in needs:
        scene = apply_one(home, scene, one)
    return scene


def apply_one(home: Installation, scene: Scene, need: Need) -> Scene:
    """The scene in which this one is as needed. Raises: NothingFound."""
    match need.key, need.clause:
        case HoursKey(), _:
            return scene.at(need.new)
        case ChangedKey(path=path), _:
            return scene.without_change(path)
        case MemberKey(selection_id=number), MemberClause(record=record):
            return scene.with_member(number, record, need.new)
        case PastKey(kind=kind), PastClause() as clause:
            return _with_past(home, scene, need, kind, clause)
        case str() as path, _:
            return _with_value(home, scene, path, need.new)
        case _:
            return scene


def _with_value(home: Installation, scene: Scene, path: str, value: Any) -> Scene:
    """A person's edit, with what it brings: who becomes a lead starts with the default status."""
    category = scene.company.category if scene.company else scene.contact.category if scene.contact else None
    changed = scene.with_value(path, value)
    if path == "company.category" or (scene.company is None and changed.company is not None):
        return changed.settled(category, home.lifecycle, home.default_status)
    return changed


def _with_past(home: Installation, scene: Scene, need: Need, kind: str, clause: PastClause) -> Scene:
    asked = clause.asked
    is_added = need.new is not None and (kind != "event_count" or need.new > need.old)
    example = event_like(home.algebra, asked.where, scene.now) if isinstance(asked, EventsAsked) and is_added else {}
    if kind != "event_count":
        return scene.with_last(clause, need.new, example)
    within = asked.within if isinstance(asked, EventsAsked) else None
    at = scene.now - (within or LONG_AGO) if need.is_long_ago else scene.now
    return scene.with_count(clause, int(need.new), example, at)
