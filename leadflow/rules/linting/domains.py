"""Which values a field can have: a set of values of its kind, and whether it may be blank.

A set claims to be empty only where that is certain; for every other question it may hold more than it should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from leadflow.domain.fields import Field, Kind
from leadflow.rules.linting.lines import Line, full_line, line_between, line_of
from leadflow.rules.linting.texts import Texts, TextSets, texts_where, texts_where_not
from leadflow.rules.linting.times import CALENDAR, DAYS, EVERY_TICK, Times, days_in, ticks_of
from leadflow.rules.predicates import Anything, HasAll, HasAny, Interval, OneOf, Predicate, Question
from leadflow.rules.values import CHOICE_KINDS, TIME_KINDS
from leadflow.rules.week import WorkingHours

MINUTES_A_WEEK = 7 * 24 * 60
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some of the few values that a field can have at all."""

    values: frozenset[Any]

    @property
    def is_empty(self) -> bool:
        return not self.values

    def __and__(self, other: Chosen) -> Chosen:
        return Chosen(self.values & other.values)

    def __or__(self, other: Chosen) -> Chosen:
        return Chosen(self.values | other.values)

    @property
    def single(self) -> Any:
        """The only value; None if there are more, or none."""
        return next(iter(self.values)) if len(self.values) == 1 else None


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the week by the clock on the wall, each a bit."""

    minutes: int

    @property
    def is_empty(self) -> bool:
        return not self.minutes

    def __and__(self, other: Hours) -> Hours:
        return Hours(self.minutes & other.minutes)

    def __or__(self, other: Hours) -> Hours:
        return Hours(self.minutes | other.minutes)

    def __invert__(self) -> Hours:
        return Hours(((1 << MINUTES_A_WEEK) - 1) & ~self.minutes)

    def include(self, moment: datetime, zone: tzinfo) -> bool:
        """Whether the moment lies in one of the minutes."""
        local = moment.astimezone(zone)
        return bool(self.minutes >> (local.weekday() * 1440 + local.hour * 60 + local.minute) & 1)


@cache
def hours_of(hours: WorkingHours) -> Hours:
    """The minutes that a clause about `now` names."""
    wall = replace(hours, zone=UTC)
    inside = (minute for minute in range(MINUTES_A_WEEK) if wall.include(MONDAY + timedelta(minutes=minute)))
    return Hours(sum(1 << minute for minute in inside))


Values = Chosen | Line | Times | Texts | TextSets | Hours


@dataclass(frozen=True, slots=True)
class Domain:
    """The values, and blank beside them where `has_blank`."""

    values: Values
    has_blank: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.has_blank and self.values.is_empty

    def __and__(self, other: Domain) -> Domain:
        return Domain(self.values & other.values, self.has_blank and other.has_blank)  # type: ignore[operator]

    def united(self, other: Domain) -> Domain | None:
        """The values of either, if that can be said in one; the two are of one field."""
        if self.values == other.values:
            return Domain(self.values, self.has_blank or other.has_blank)
        match self.values, other.values:
            case (Chosen() as mine, Chosen() as theirs) | (Line() as mine, Line() as theirs):
                joined: Values | None = mine | theirs  # type: ignore[operator]
            case Hours() as mine, Hours() as theirs:
                joined = mine | theirs
            case Texts() as mine, Texts() as theirs:
                joined = mine.united(theirs)
            case _:
                joined = None
        return None if joined is None else Domain(joined, self.has_blank or other.has_blank)


@dataclass(frozen=True, slots=True)
class Space:
    """All that is thinkable for a field: its values, whether it can be blank, and the zone in which days begin.

    `is_narrow`: the values are fewer than a predicate may ask for.
    """

    values: Values
    zone: tzinfo
    is_day: bool = False
    can_be_blank: bool = True
    is_narrow: bool = False

    def everything(self) -> Domain:
        return Domain(self.values, self.can_be_blank)

    def present(self) -> Domain:
        """Any value that is not blank."""
        return Domain(self.values)

    def blank(self) -> Domain:
        """Blank, and nothing else."""
        return Domain(self.nothing(), self.can_be_blank)

    def nothing(self) -> Values:
        """No value of the field's kind."""
        match self.values:
            case Chosen():
                return Chosen(frozenset())
            case Line(is_whole=is_whole):
                return Line((), is_whole)
            case Times():
                return replace(self.values, absolute=Line((), is_whole=True))
            case Texts():
                return Texts(frozenset())
            case TextSets():
                return TextSets(some=frozenset({frozenset()}))
            case Hours():
                return Hours(0)


def space_of(field: Field, zone: tzinfo) -> Space:
    """What the field can be at all."""
    if field.kind in CHOICE_KINDS:
        return Space(Chosen(frozenset(one.key for one in (*field.choices, *field.retired))), zone)
    if field.kind is Kind.BOOLEAN:
        return Space(Chosen(frozenset({True, False})), zone)
    if field.kind is Kind.NUMBER:
        is_count = field.path in WHOLE_NUMBERS
        return Space(_COUNTS if is_count else full_line(), zone, is_narrow=is_count)
    if field.kind in TIME_KINDS:
        is_day = field.kind is Kind.DATE
        return Space(Times(DAYS, EVERY_TICK, zone) if is_day else Times(CALENDAR), zone, is_day)
    return Space(TextSets() if field.kind is Kind.LIST else Texts(), zone)


# Fields that count something; what they hold is a whole number, zero or more.
WHOLE_NUMBERS = frozenset({"company.open_sales", "event_count"})
_COUNTS = line_between(0, None, True, True, is_whole=True)

# What asks the same question of any pinned moment.
Ask = Callable[[datetime], Question]


def domain_where(ask: Ask, space: Space, now: datetime) -> Domain:
    """The values that satisfy the question, blanks included."""
    question = ask(now)
    inside, outside = _split(ask, question.predicate, space, now)
    return _within(space, Domain(outside, space.can_be_blank) if question.is_negated else Domain(inside))


def domain_where_not(ask: Ask, space: Space, now: datetime) -> Domain:
    """All other values."""
    question = ask(now)
    inside, outside = _split(ask, question.predicate, space, now)
    return _within(space, Domain(inside) if question.is_negated else Domain(outside, space.can_be_blank))


def _within(space: Space, domain: Domain) -> Domain:
    return domain & space.everything() if space.is_narrow else domain


def _split(ask: Ask, predicate: Predicate, space: Space, now: datetime) -> tuple[Values, Values]:
    """The values that satisfy the predicate, and those that do not. Undecided: all of them, on both sides."""
    match space.values, predicate:
        case _, Anything():
            return space.values, space.nothing()
        case Chosen(values), OneOf(asked):
            return Chosen(values & asked), Chosen(values - asked)
        case Line(is_whole=is_whole), OneOf(asked):
            line = line_of(asked, is_whole=is_whole)
            return line, ~line
        case Line(is_whole=is_whole), Interval(low, high, has_low, has_high):
            line = line_between(low, high, has_low, has_high, is_whole=is_whole)
            return line, ~line
        case Times(), Interval():
            times = _times_where(ask, predicate, space, now)
            return times, ~times
        case TextSets(), HasAny(texts):
            return TextSets(some=frozenset({texts})), TextSets(lacks=texts)
        case TextSets(), HasAll(texts):
            return TextSets(has=texts), TextSets(not_all=frozenset({texts}))
        case Texts(), _:
            return texts_where(predicate), texts_where_not(predicate)
        case _:
            return space.values, space.values


def _times_where(ask: Ask, predicate: Interval, space: Space, now: datetime) -> Times:
    """An interval that is another one tomorrow moves with the clock."""
    low, high = (None if end is None else ticks_of(end) for end in (predicate.low, predicate.high))
    ticks = line_between(low, high, predicate.has_low, predicate.has_high, is_whole=True)
    zone = space.zone if space.is_day else None
    if ask(now + timedelta(days=1)).predicate != predicate:
        return Times(DAYS if space.is_day else CALENDAR, ticks.shifted(-ticks_of(now)), zone)
    return Times(days_in(ticks, space.zone) if space.is_day else ticks & CALENDAR, EVERY_TICK, zone)


def domain_of_values(values: Iterable[Any], space: Space) -> Domain:
    """Exactly these values, None being blank."""
    listed = frozenset(values)
    present = listed - {None}
    domain = domain_where(lambda now: Question(OneOf(present)), space, MONDAY) if present else Domain(space.nothing())
    return Domain(domain.values, None in listed and space.can_be_blank)


def domain_without_values(values: Iterable[Any], space: Space) -> Domain:
    """Every other value, blank too unless None is listed."""
    listed = frozenset(values)
    present = listed - {None}
    others = space.everything()
    if present:
        others = domain_where_not(lambda now: Question(OneOf(present)), space, MONDAY)
    return Domain(others.values, None not in listed and space.can_be_blank)
