"""Checks of what rules do to themselves and each other: circles of triggers, sweeps that find their own work again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from leadflow.domain.effects import (
    AddTag,
    AssignOwner,
    RemoveTag,
    SetCategory,
    SetField,
    SetLeadStatus,
    Step,
    wanted_value,
)
from leadflow.domain.text import fold
from leadflow.rules.linting.cases import NEVER, Algebra, Case, Cases, Key, PastKey, any_of
from leadflow.rules.linting.domains import Chosen, Domain, Space, domain_of_values, space_of
from leadflow.rules.linting.findings import Finding, Setting, Study, listed
from leadflow.rules.linting.texts import TextSets
from leadflow.rules.model import PlannedStep, RuleStatus, TriggerFilter
from leadflow.rules.problems import quoted
from leadflow.rules.values import comparable

# So many listeners are asked in the time of a save.
MAX_JOINS = 20_000

# A field that a rule writes, and the values that it has then; None where nobody can say.
Written = Mapping[str, Domain | None]


def written_by(study: Study, setting: Setting) -> Written:
    """The fields that the rule writes, and what they hold then."""
    written: dict[str, Domain | None] = {}
    for planned in study.rule.actions:
        path, domain = _written(planned, setting)
        if path is not None:
            written[path] = domain if path not in written else None
    return written


def _written(planned: PlannedStep, setting: Setting) -> tuple[str | None, Domain | None]:
    path = None if planned.writes is None else planned.writes.partition("[")[0]
    if path is None or path not in setting.catalogue.fields:
        return None, None
    space = space_of(setting.catalogue.fields[path], setting.now.tzinfo)  # type: ignore[arg-type]
    return path, _domain_after(planned.step, space)


def _domain_after(step: Step | None, space: Space) -> Domain | None:
    match step:
        case SetCategory(target=value) | SetLeadStatus(target=value):
            return domain_of_values([value], space)
        case SetField(value=value) if isinstance(value, str | bool | Decimal):
            return domain_of_values([value if isinstance(space.values, Chosen) else comparable(value)], space)
        case AssignOwner(candidates=(owner,)):
            return domain_of_values([comparable(owner)], space)
        case AddTag(tag=tag):
            return Domain(TextSets(has=frozenset({fold(tag)})))
        case RemoveTag(tag=tag):
            return Domain(TextSets(lacks=frozenset({fold(tag)})), has_blank=True)
        case _:
            return None


# -- circles ---------------------------------------------------------------------------------------------------------


def find_circles(studies: Sequence[Study], algebra: Algebra, setting: Setting) -> Iterator[Finding]:
    """Live rules that trigger each other, or themselves, around and around; each circle is told once."""
    live = [one for one in studies if one.rule.status is RuleStatus.LIVE]
    chain = _Chain(live, algebra, setting)
    told: set[int] = set()
    for place in chain.listening:
        circle = None if place in told else chain.circle_from(place)
        if circle is None or told & set(circle) or not chain.goes_on(circle):
            continue
        told |= set(circle)
        slugs = [quoted(live[one].rule.slug) for one in (*circle, place)]
        message = f"rules trigger each other in a circle: {' → '.join(slugs)}; it is cut off after three in a row"
        yield live[place].find("trigger-cycle", "warning", message)
    if chain.joins > MAX_JOINS and live:
        yield live[0].find(
            "too-many-pairs", "note", "so many rules hear of each other that not all circles were sought"
        )


@dataclass(frozen=True, slots=True)
class _Listener:
    """A rule that hears of other rules' changes of one field, and what must be so for it to act on one."""

    place: int
    wanted: Cases


class _Chain:
    """Which rule sets off which, worked out as it is asked for."""

    def __init__(self, live: Sequence[Study], algebra: Algebra, setting: Setting) -> None:
        self._live = live
        self._now = setting.now
        self._listeners = _listeners(live, algebra)
        self._written = [written_by(study, setting) for study in live] if self._listeners else []
        self._followers: dict[int, list[int]] = {}
        self.joins = 0

    @property
    def listening(self) -> list[int]:
        """The places of the rules that hear of others; without one of these there is no circle."""
        return sorted({one.place for heard in self._listeners.values() for one in heard})

    def circle_from(self, start: int) -> tuple[int, ...] | None:
        """The shortest way back to the start."""
        waiting: deque[tuple[int, ...]] = deque([(start,)])
        seen: set[int] = set()
        while waiting:
            way = waiting.popleft()
            for place in self._set_off_by(way[-1]):
                if place == start:
                    return way
                if place not in seen:
                    seen.add(place)
                    waiting.append((*way, place))
        return None

    def goes_on(self, circle: Sequence[int]) -> bool:
        """Whether a record that went around once can go around again, with something to write."""
        state = self._live[circle[0]].cases
        for place, following in pairwise((*circle, *circle, circle[0])):
            wanted = any_of(one.wanted for one in self._heard(place) if one.place == following)
            state = _after(state, self._written[place], self._now) & wanted
        return bool(state.possible(self._now)) and not _comes_to_rest([self._live[place] for place in circle])

    def _set_off_by(self, place: int) -> list[int]:
        if place not in self._followers:
            heard = self._heard(place)
            self.joins += len(heard)
            after = _after(self._live[place].cases, self._written[place], self._now) if heard else NEVER
            known = heard if self.joins <= MAX_JOINS else ()
            self._followers[place] = sorted({one.place for one in known if (one.wanted & after).possible(self._now)})
        return self._followers[place]

    def _heard(self, place: int) -> list[_Listener]:
        return [one for path in self._written[place] for one in self._listeners.get(path, ())]


def _comes_to_rest(circle: Sequence[Study]) -> bool:
    """Whether all write the same each time: in the second round there is no change that any could hear of."""
    values: dict[str, set[object]] = defaultdict(set)
    for study in circle:
        for planned in study.rule.actions:
            if planned.writes is not None:
                values[planned.writes].add(_value_of(planned))
    return all(len(found) == 1 and None not in found for found in values.values())


def _value_of(planned: PlannedStep) -> object:
    """What the action writes each time; None where that may be another one."""
    value = None if planned.step is None else wanted_value(planned.step)
    return None if isinstance(planned.step, AssignOwner) and isinstance(value, tuple) else value


def _listeners(studies: Sequence[Study], algebra: Algebra) -> dict[str, list[_Listener]]:
    """By the field they watch."""
    found: dict[str, list[_Listener]] = defaultdict(list)
    for place, study in enumerate(studies):
        for one in study.rule.triggers if study.rule.also_from_rules else ():
            for path, sides in one.watched.items():
                alone = algebra.cases_of_triggers([TriggerFilter(one.trigger, one.wants, {path: sides})])
                found[path].append(_Listener(place, alone & algebra.cases(study.rule.condition)))
    return found


def _after(cases: Cases, written: Written, now: datetime) -> Cases:
    """How such records can be when a rule has acted on them: as they were, but for what it wrote."""
    return Cases(tuple(_case_after(case, written) for case in cases.possible(now)))


def _case_after(case: Case, written: Written) -> Case:
    kept = {key: domain for key, domain in case.domains.items() if _stays(key) and key not in written}
    return Case({**kept, **{path: domain for path, domain in written.items() if domain is not None}})


def _stays(key: Key) -> bool:
    """Whether the key is a field of a record that no write changes on the side."""
    return isinstance(key, str) and key.startswith(("company.", "contact.")) and not key.endswith("updated_at")


# -- sweeps ----------------------------------------------------------------------------------------------------------


def find_restless_sweep(study: Study, algebra: Algebra, setting: Setting) -> Iterator[Finding]:
    """A sweep that only writes fields, and finds the record again when its limit has passed, with nothing to write."""
    limit, steps = study.rule.limit, [planned.step for planned in study.rule.actions]
    is_only_writing = all(isinstance(one, SetCategory | SetLeadStatus | SetField | AddTag | RemoveTag) for one in steps)
    if not study.is_scheduled or limit is None or limit.within is None or not is_only_writing:
        return
    written = written_by(study, setting)
    if any(_selects_again(case, written) for case in study.cases.possible(algebra.now)):
        fields = listed(sorted(written))
        message = f"the sweep selects its own output again: its condition still holds when it has written {fields}"
        yield study.find("selects-itself", "warning", message)


def _selects_again(case: Case, written: Written) -> bool:
    """Whether a record of this case is certainly still one when the fields are written."""
    if any(isinstance(key, PastKey) and key.asked[0] in written for key in case.domains):
        return False
    return all(path not in case.domains or _still_fits(domain, case.domains[path]) for path, domain in written.items())


def _still_fits(after: Domain | None, wanted: Domain) -> bool:
    return after is not None and not (after & wanted).is_empty
