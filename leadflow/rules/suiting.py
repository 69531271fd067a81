"""One field at a time: whether a value is in a domain, and which value of the domain lies nearest to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from leadflow.domain.fields import MAX_NUMBER_DIGITS, Field, Value
from leadflow.domain.text import fold
from leadflow.rules.linting.domains import Chosen, Domain, Values
from leadflow.rules.linting.lines import Line, line_of
from leadflow.rules.linting.texts import Texts, TextSets
from leadflow.rules.linting.times import EVERY_TICK, Times, moment_of, ticks_of
from leadflow.rules.predicates import Anything
from leadflow.rules.values import first_moment_of

# How far from an end that does not belong to a range a number is looked for.
STEPS = (Decimal(1), Decimal("0.01"))


# Narrows texts of which nothing is asked but what they are not to one that can be found.
ANY_TEXT = Texts(must=frozenset({Anything()}))


def is_blank(value: object) -> bool:
    """Whether conditions take the value for a blank."""
    return value is None or value == () or (isinstance(value, str) and not value.strip())


def is_in(domain: Domain, value: Any, now: datetime) -> bool:
    """Whether the value, as it is kept in memory, is one of the domain; what is of another kind never is."""
    if is_blank(value):
        return domain.has_blank
    match domain.values:
        case Chosen(values):
            return isinstance(value, str | bool) and value in values
        case Line() as line:
            is_number = isinstance(value, Decimal | int) and not isinstance(value, bool)
            return is_number and line.holds(value) and not (line.is_whole and value != int(value))
        case Times() as times:
            return _is_time_in(times, value, now)
        case Texts() as texts:
            return isinstance(value, str) and _is_text_in(texts, fold(value))
        case TextSets() as sets:
            return isinstance(value, tuple) and is_list_in(sets, frozenset(map(fold, value)))
        case _:
            return False


def _is_time_in(times: Times, value: Any, now: datetime) -> bool:
    if times.zone is None:
        return isinstance(value, datetime) and times.at(ticks_of(now)).holds(ticks_of(value))
    if not isinstance(value, date) or isinstance(value, datetime):
        return False
    begins = ticks_of(first_moment_of(value, times.zone))
    return times.absolute.holds(value.toordinal()) and times.relative.shifted(ticks_of(now)).holds(begins)


def _is_text_in(texts: Texts, text: str) -> bool:
    return (texts.among is None or text in texts.among) and texts.fits(text)


def is_list_in(sets: TextSets, texts: frozenset[str]) -> bool:
    """Whether a list with these texts, case-folded, is one of the sets."""
    return (
        sets.has <= texts
        and sets.lacks.isdisjoint(texts)
        and all(not one.isdisjoint(texts) for one in sets.some)
        and not any(one <= texts for one in sets.not_all)
    )


def moment_when_suits(domain: Domain, value: Any, now: datetime) -> datetime | None:
    """The first moment from now on at which the unchanged time is in the domain, as time passes; None if never."""
    times = domain.values
    if not isinstance(times, Times) or is_blank(value) or not isinstance(value, date):
        return None
    if times.zone is None:
        fixed = Times(times.absolute & line_of([ticks_of(value)], is_whole=True), times.relative)  # type: ignore[arg-type]
    else:
        day = value.date() if isinstance(value, datetime) else value
        fixed = Times(times.absolute & line_of([day.toordinal()], is_whole=True), times.relative, times.zone)
    if fixed.is_empty or times.relative == EVERY_TICK:
        return None
    later = (max(low[0], ticks_of(now)) for low, high in fixed.nows().spans if high[0] > ticks_of(now))
    return next((moment_of(int(one)) for one in later if one < float("inf")), None)


# -- the nearest value -------------------------------------------------------------------------------------------------


def nearest_in(domain: Domain, field: Field | None, current: Any, now: datetime) -> Value:
    """A value of the domain that differs from the current one as little as it can; None is blank.

    Raises: NothingSuits, where none is found.
    """
    for value in _candidates(domain.values, field, current, now):
        if not is_blank(value) and is_in(domain, value, now):
            return value  # type: ignore[no-any-return]
    if domain.has_blank:
        return None
    if isinstance(domain.values, Texts) and (text := (domain.values & ANY_TEXT).pick()) is not None:
        return text
    raise NothingSuits


class NothingSuits(Exception):
    """No value of a domain was found."""


def _candidates(values: Values, field: Field | None, current: Any, now: datetime) -> Iterable[Any]:
    match values:
        case Chosen(chosen):
            return _choices(chosen, field)
        case Line() as line:
            return _numbers(line, current)
        case Times() as times:
            return (value for value in (times.pick(ticks_of(now)),) if value is not None)
        case Texts(among=None, must=must) if not must:
            return ()  # nothing is asked but what it is not: leaving it blank is the least; else any text
        case Texts() as texts:
            return (text for text in (texts.pick(),) if text is not None)
        case TextSets() as sets:
            return _lists(sets, current if isinstance(current, tuple) else ())
        case _:
            return ()


def _choices(chosen: frozenset[Any], field: Field | None) -> Iterator[Any]:
    """In the order of the list, deleted ones last; of truths, false first."""
    if field is not None:
        yield from (one.key for one in (*field.choices, *field.retired) if one.key in chosen)
    yield from sorted(chosen, key=str)


def _numbers(line: Line, current: Any) -> Iterator[Decimal]:
    edges = [Decimal(cut[0]) for span in line.spans for cut in span if abs(cut[0]) != float("inf")]
    near = [*edges, *(edge + sign * step for edge in edges for step in STEPS for sign in (1, -1))]
    start = Decimal(current) if isinstance(current, Decimal | int) else Decimal(0)
    if line.is_whole:
        near = [Decimal(int(one)) for one in near if one == one.to_integral_value()]
    fitting = [one for one in near if line.holds(one) and len(one.as_tuple().digits) <= MAX_NUMBER_DIGITS]
    yield from sorted(fitting, key=lambda one: abs(one - start))
    picked = line.pick()
    if picked is not None:
        yield Decimal(picked)


def _lists(sets: TextSets, current: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The list with as few texts added and taken away as possible; then any that fits."""
    texts = {fold(one): one for one in current}
    for one in sets.lacks:
        texts.pop(one, None)
    for one in sorted(sets.has):
        texts.setdefault(one, one)
    for wanted in sorted(sets.some, key=len):
        if wanted.isdisjoint(texts) and (free := sorted(wanted - sets.lacks)):
            texts[free[0]] = free[0]
    for unwanted in sets.not_all:
        if unwanted <= texts.keys() and (spare := sorted(unwanted - sets.has)):
            del texts[spare[0]]
    yield tuple(texts.values())
    picked = sets.pick()
    if picked is not None:
        yield picked
