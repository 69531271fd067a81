"""Checks of two rules on one trigger: do they want different things, can the later one ever act?

Rules are compared where they could meet: pairs that pin one field to different values are never formed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from leadflow.domain.effects import Step, StopHere, Wait, wanted_value
from leadflow.domain.events import Trigger
from leadflow.rules.conditions import All
from leadflow.rules.linting.cases import Algebra, Key
from leadflow.rules.linting.domains import Chosen, Domain
from leadflow.rules.linting.examples import find_example
from leadflow.rules.linting.findings import Finding, Setting, Study
from leadflow.rules.linting.texts import Texts
from leadflow.rules.model import PlannedStep, Rule, RuleStatus, TriggerFilter
from leadflow.rules.problems import quoted

# Below so many rules every pair is looked at.
FEW = 12
# So many alternatives of rules are joined with those of others in the time of a save.
MAX_JOINS = 50_000
# A field counts as pinned where a rule leaves it so few values.
MAX_PINNED = 8


@dataclass(frozen=True, slots=True)
class _Write:
    """An action before the rule's first wait; `value` is None where a template decides."""

    planned: PlannedStep
    field: str
    value: Step | None


class Rivals:
    """The live rules of a set, in their order, pair by pair."""

    def __init__(self, studies: Sequence[Study], algebra: Algebra, cautious: Algebra, setting: Setting) -> None:
        self._studies = [one for one in studies if one.rule.status is RuleStatus.LIVE]
        self._writes = [{one.field: one for one in _writes_of(study.rule)} for study in self._studies]
        self._algebra = algebra
        self._cautious = cautious
        self._setting = setting

    def find(self) -> Iterator[Finding]:
        """Later rules that can never act, then actions that lose to an earlier rule."""
        pairs, is_complete = self._affordable_pairs()
        idle: set[int] = set()
        for first, second in pairs:
            if second not in idle and _never_acts_after(self._studies[first], self._studies[second], self._cautious):
                idle.add(second)
                slug = quoted(self._studies[first].rule.slug)
                message = f"the rule can never act: whenever it matches, {slug} has decided before"
                yield self._studies[second].find("subsumed", "warning", message)
        lost: set[tuple[int, str]] = set()
        for first, second in pairs:
            if second not in idle:
                yield from self._conflicts(first, second, lost)
        if not is_complete:
            message = f"so many rules may meet that only the first {len(pairs):,} pairs were compared, up to this rule"
            yield self._studies[pairs[-1][0]].find("too-many-pairs", "note", message)

    def _affordable_pairs(self) -> tuple[list[tuple[int, int]], bool]:
        """The pairs that can be compared in the time of a save, and whether they are all."""
        pairs: list[tuple[int, int]] = []
        joins = 0
        for first, second in self._pairs():
            joins += 1 + len(self._studies[first].cases) * len(self._studies[second].cases)
            if pairs and joins > MAX_JOINS:
                return pairs, False
            pairs.append((first, second))
        return pairs, True

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Pairs of rules that may match together and have something to do with each other; the earlier in front."""
        pins = [_pins_of(study) for study in self._studies]
        seen: set[tuple[int, int]] = set()
        for pair in _meeting(range(len(self._studies)), pins, frozenset()):
            if pair not in seen and self._is_close(*pair):
                seen.add(pair)
                yield pair

    def _is_close(self, first: int, second: int) -> bool:
        one, other = self._studies[first].rule, self._studies[second].rule
        return (
            _stops(one) or _share_group(one, other) or not self._writes[first].keys().isdisjoint(self._writes[second])
        )

    def _conflicts(self, first: int, second: int, lost: set[tuple[int, str]]) -> Iterator[Finding]:
        """The later rule's actions that want another value than the earlier one; each is told once."""
        one, other = self._studies[first], self._studies[second]
        decided = self._writes[first]
        writes = [
            write
            for field, write in self._writes[second].items()
            if field in decided and (second, field) not in lost and _differ(decided[field], write)
        ]
        example = self._example(one, other) if writes and _meet_freely(one.rule, other.rule) else None
        for write in writes if example is not None else ():
            lost.add((second, write.field))
            yield other.find("conflict", "warning", _told(one, write, example or ""), write.planned.place)

    def _example(self, first: Study, second: Study) -> str | None:
        """A record on which both act, out of the data if there is one; None if nothing shows that they meet."""
        made = find_example(
            self._algebra,
            first.cases & second.cases,
            lambda situation: first.rule.judge(situation).holds and second.rule.judge(situation).holds,
        )
        if made is None:
            return None
        conditions = tuple(one for one in (first.rule.condition, second.rule.condition) if one is not None)
        subject = first.subject if first.subject == second.subject else "contact"
        known = self._setting.data.find_record(subject, All(conditions) if conditions else None, made.situation)
        return known or (f"where {made.words}" if made.words else "on any record")


def _told(first: Study, write: _Write, example: str) -> str:
    both = f"{quoted(first.rule.slug)} writes another value to {write.field} when both match, for example {example}"
    if first.is_scheduled:
        return f"{both}; each sweep undoes the other's work"
    return f"{both}; it is tried first and wins. If that is meant, put both in one group or let it 'stop_here'"


# -- which rules meet ------------------------------------------------------------------------------------------------

Pins = dict[Key, frozenset[object]]


def _pins_of(study: Study) -> Pins:
    """The fields that have one of a few values wherever the rule matches."""
    alternatives = study.cases.alternatives
    if not alternatives:
        return {}
    common = set(alternatives[0].domains).intersection(*(case.domains for case in alternatives[1:]))
    pins: Pins = {}
    for key in common:
        values = [_few_values(case.domains[key]) for case in alternatives]
        known = [one for one in values if one is not None]
        joined = frozenset().union(*known)
        if len(known) == len(values) and len(joined) <= MAX_PINNED:
            pins[key] = joined
    return pins


def _few_values(domain: Domain) -> frozenset[object] | None:
    match domain.values:
        case Chosen(values) | Texts(among=frozenset() as values) if not domain.has_blank:
            return values
        case _:
            return None


def _meeting(places: Sequence[int], pins: Sequence[Pins], used: frozenset[Key]) -> Iterator[tuple[int, int]]:
    """Pairs of places, lower first, whose rules pin no field to different values, as far as it pays to know."""
    key = _best_key(places, pins, used) if len(places) > FEW else None
    if key is None:
        yield from combinations(places, 2)
        return
    loose = [place for place in places if key not in pins[place]]
    by_value: dict[object, list[int]] = defaultdict(list)
    for place in places:
        for value in pins[place].get(key, ()):
            by_value[value].append(place)
    for group in by_value.values():
        yield from _meeting(group, pins, used | {key})
    yield from _meeting(loose, pins, used | {key})
    pinned = [place for place in places if key in pins[place]]
    yield from ((min(pair), max(pair)) for pair in product(loose, pinned))


def _best_key(places: Iterable[int], pins: Sequence[Pins], used: frozenset[Key]) -> Key | None:
    """The field that most of the rules pin to different values."""
    values: dict[Key, set[object]] = defaultdict(set)
    counts: dict[Key, int] = defaultdict(int)
    for place in places:
        for key, pinned in pins[place].items():
            if key not in used:
                values[key] |= pinned
                counts[key] += 1
    useful = [key for key in values if len(values[key]) > 1]
    return max(useful, key=lambda key: (counts[key], len(values[key])), default=None)


def _meet_freely(first: Rule, second: Rule) -> bool:
    """Whether nothing but the order decides between the two: no group, no stop, no dates that part them."""
    if _share_group(first, second) or _stops(first):
        return False
    starts = max((one.starts_at for one in (first, second) if one.starts_at), default=None)
    ends = min((one.ends_at for one in (first, second) if one.ends_at), default=None)
    return starts is None or ends is None or starts < ends


def _steps_at_once(rule: Rule) -> Iterator[PlannedStep]:
    """The actions before the first wait: what is done on the event itself."""
    for planned in rule.actions:
        if isinstance(planned.step, Wait):
            return
        yield planned


def _share_group(first: Rule, second: Rule) -> bool:
    return first.group is not None and first.group == second.group


def _stops(rule: Rule) -> bool:
    return any(isinstance(one.step, StopHere) for one in _steps_at_once(rule))


def _writes_of(rule: Rule) -> list[_Write]:
    return [_Write(one, one.writes, one.step) for one in _steps_at_once(rule) if one.writes is not None]


def _differ(one: _Write, other: _Write) -> bool:
    """Whether the two may want different values; of a template nobody knows."""
    return one.value is None or other.value is None or wanted_value(one.value) != wanted_value(other.value)


# -- rules that never act --------------------------------------------------------------------------------------------


def _never_acts_after(first: Study, second: Study, algebra: Algebra) -> bool:
    """Whether the first rule decides everything that the second one would do, wherever that matches."""
    if not _acts_whenever(first.rule, second.rule) or second.cases.is_never:
        return False
    if not (_decides_all(first.rule, second.rule) and _hears_all(first.rule, second.rule)):
        return False
    others = algebra.cases(first.rule.condition, negated=True)
    return (second.guarded_cases & others).is_impossible(algebra.now)


def _decides_all(first: Rule, second: Rule) -> bool:
    if _stops(first) or _share_group(first, second):
        return True
    decided = {one.field for one in _writes_of(first)}
    return not second.waits and all(one.writes in decided for one in second.actions)


def _acts_whenever(first: Rule, second: Rule) -> bool:
    """Whether the first rule acts each time that it matches where the second does: no limit, no date, no chain."""
    in_group = _share_group(first, second)
    return (
        (first.limit is None or in_group)
        and (first.group is None or in_group)
        and not (first.waits or first.schedule or second.schedule or second.also_from_rules)
        and (first.include_import or not second.include_import)
        and (first.starts_at is None or (second.starts_at is not None and first.starts_at <= second.starts_at))
        and (first.ends_at is None or (second.ends_at is not None and second.ends_at <= first.ends_at))
    )


def _hears_all(first: Rule, second: Rule) -> bool:
    """Whether whatever triggers the second rule triggers the first."""
    return all(any(_hears(mine, theirs) for mine in first.triggers) for theirs in second.triggers)


def _hears(mine: TriggerFilter, theirs: TriggerFilter) -> bool:
    if mine.trigger is not theirs.trigger or mine.trigger is Trigger.SCHEDULE:
        return False
    if any(theirs.wants.get(name) != wanted for name, wanted in mine.wants.items()):
        return False
    return all(_watches(mine, path, sides) for path, sides in theirs.watched.items())


def _watches(mine: TriggerFilter, path: str, sides: tuple[frozenset[object] | None, frozenset[object] | None]) -> bool:
    if path not in mine.watched:
        return False
    pairs = zip(mine.watched[path], sides, strict=True)
    return all(wanted is None or (asked is not None and asked <= wanted) for wanted, asked in pairs)
