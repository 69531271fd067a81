"""The whole story: who does what at which moment of the ninety days before `ends_at`. The same seed tells the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from itertools import count, groupby
from random import Random

from leadflow.demo.cast import Firm, Person, invite_firms, invite_private_people
from leadflow.demo.forms import INTEREST, fill_form, spoilt_deliveries
from leadflow.demo.plots import PARTS, SELLERS, Part, Plot
from leadflow.demo.steps import ContactEdited, Delivery, Step, TasksDone

SEED = 20_261_122
DAYS = 90
SATURDAY = 5
PRIVATE_PEOPLE = 27

# Nothing happens in the last minutes, so that what is sent by hand is the newest.
QUIET_END = timedelta(minutes=4)
# What is so young keeps its time of day, also at night and on Sundays: there is always something new to see.
TODAY = timedelta(hours=8)
# How many forms a person fills beyond the first, and how many days lie between two.
MORE_FORMS = {0: 10, 1: 18, 2: 21, 3: 21, 4: 15, 6: 10, 9: 5}
DAYS_BETWEEN_FORMS = 9.0
SPOILT_DAYS_AGO = (16.3, 6.6, 2.4, 0.9, 0.13)
TODAYS_HOURS_AGO = (0.1, 0.4, 0.7, 1.2, 1.6, 2.3, 3.1, 4.2, 5.0, 6.4)


@dataclass(frozen=True, slots=True)
class Entry:
    """A step and its moment."""

    at: datetime
    step: Step


@dataclass(frozen=True, slots=True)
class Chapter:
    """Days that are told in one go. A chapter has happened if the delivery `mark` has arrived."""

    last_day: int
    entries: tuple[Entry, ...]

    @property
    def mark(self) -> str:
        return next(one.step.delivery_id for one in self.entries if isinstance(one.step, Delivery))


class Calendar:
    """Turns days of the story into moments: in office hours, seldom at weekends, and never in the future."""

    def __init__(self, chance: Random, ends_at: datetime) -> None:
        self._chance = chance
        self._starts_at = ends_at - timedelta(days=DAYS)
        self._last = ends_at - QUIET_END
        self._today = ends_at - TODAY

    def moment(self, day: float, after: datetime | None = None) -> datetime | None:
        """The moment of a day of the story, later than `after`; None if that would be in the future."""
        plain = self._starts_at + timedelta(days=day)
        at = self._in_office_hours(plain)
        if after is not None and at <= after:
            at = after + timedelta(minutes=self._chance.uniform(2, 50))
        return at if at <= self._last else None

    def day_of(self, at: datetime) -> float:
        """The reverse of `moment`."""
        return (at - self._starts_at) / timedelta(days=1)

    def _in_office_hours(self, plain: datetime) -> datetime:
        if plain >= self._today:
            return plain
        day = plain.date()
        if day.weekday() >= SATURDAY and self._chance.random() < 0.8:
            day += timedelta(days=self._chance.choice((-2, 2)))
        is_at_work = self._chance.random() < 0.92
        hour = self._chance.triangular(5.5, 18.5, 9.5) if is_at_work else self._chance.uniform(0, 24)
        at = datetime.combine(day, time(), plain.tzinfo) + timedelta(hours=hour)
        return at if self._starts_at <= at < self._today else plain


def write_story(ends_at: datetime) -> list[Chapter]:
    """All that happens, in the order of time."""
    chance = Random(SEED)
    calendar = Calendar(Random(SEED), ends_at)  # a source of its own: weekdays change the moments, not what happens
    firms = invite_firms(chance)
    entries = [entry for part, firm in _give_parts(firms) for entry in _company_story(calendar, part, firm)]
    entries += _private_stories(chance, calendar)
    entries += _spoilt_story(calendar)
    entries += _todays_story(chance, calendar, firms)
    numbered = _number(_one_after_the_other(entries), f"demo-{int(ends_at.timestamp())}")
    return list(_chapters(numbered, ends_at - timedelta(days=DAYS)))


def _give_parts(firms: list[Firm]) -> Iterator[tuple[Part, Firm]]:
    waiting = iter(firms)
    for part in PARTS:
        for _ in range(part.companies):
            yield part, next(waiting)


def _company_story(calendar: Calendar, part: Part, firm: Firm) -> list[Entry]:
    chance = Random(f"{SEED} {firm.domain}")  # its own: what happens to one company changes nothing for the others
    plot = Plot(firm, chance, chance.choice(SELLERS))
    part.plot(plot)
    entries = _place(calendar, _fit(chance, part, plot))
    if not entries:
        return []
    told = {plot.buyer.email} if isinstance(entries[0].step, Delivery) else set()
    for person in firm.people:
        entries += _interest(chance, calendar, person, firm, entries[0].at, is_known=person.email in told)
    return entries


def _fit(chance: Random, part: Part, plot: Plot) -> list[tuple[float, Step]]:
    """The beats in order, on days that let the plot end when it should; faster if the ninety days are too short."""
    end = DAYS - chance.uniform(*part.ends_days_ago)
    pace = min(1.0, (end - 0.2) / (plot.day or 1.0))
    beats = sorted(plot.beats, key=lambda beat: beat[0])
    return [(end + (day - plot.day) * pace, step) for day, step in beats]


def _place(calendar: Calendar, beats: list[tuple[float, Step]], after: datetime | None = None) -> list[Entry]:
    """The beats at their moments, each later than the one before; what would be in the future is not told."""
    entries: list[Entry] = []
    for day, step in beats:
        at = calendar.moment(day, entries[-1].at if entries else after)
        if at is None:
            break
        entries.append(Entry(at, step))
    return entries


def _interest(
    chance: Random, calendar: Calendar, person: Person, firm: Firm, since: datetime, is_known: bool
) -> list[Entry]:
    """What a person fills in beside the company's plot. Everybody fills one form at least."""
    day = first = calendar.day_of(since)
    day += chance.expovariate(1 / DAYS_BETWEEN_FORMS)
    if day > DAYS - 0.5:
        day = chance.uniform(first, DAYS)
    forms = chance.choices(list(MORE_FORMS), list(MORE_FORMS.values()))[0] + (0 if is_known else 1)
    beats: list[tuple[float, Step]] = []
    for form in _different_interests(chance, forms):
        beats.append((day, fill_form(chance, form, person, firm)))
        day += chance.expovariate(1 / DAYS_BETWEEN_FORMS)
    return _place(calendar, beats, since)


def _different_interests(chance: Random, count: int) -> list[str]:
    """Forms that people fill in out of interest; nobody takes the newsletter twice."""
    chosen: list[str] = []
    while len(chosen) < count:
        form = chance.choices(list(INTEREST), list(INTEREST.values()))[0]
        if form != "newsletter" or form not in chosen:
            chosen.append(form)
    return chosen


def _private_stories(chance: Random, calendar: Calendar) -> list[Entry]:
    """People without a company: it takes a person to make one of them a lead."""
    entries: list[Entry] = []
    for number, person in enumerate(invite_private_people(chance, PRIVATE_PEOPLE)):
        day = chance.uniform(0.5, DAYS - 0.5)
        forms = ["demo-request"] if number % 6 == 0 else _different_interests(chance, chance.randint(1, 3))
        beats: list[tuple[float, Step]] = [
            (day + 4 * place, fill_form(chance, form, person, None)) for place, form in enumerate(forms)
        ]
        if number % 6 == 0:
            seller = chance.choice(SELLERS)
            made_lead = ContactEdited(seller, person.email, {"category": "lead", "lead_status": "contacting"})
            beats += [(day + 0.5, TasksDone(person.email)), (day + 0.5, made_lead)]
        entries += _place(calendar, beats)
    return entries


def _spoilt_story(calendar: Calendar) -> list[Entry]:
    beats = [(DAYS - ago, step) for ago, step in zip(SPOILT_DAYS_AGO, spoilt_deliveries(), strict=True)]
    return _place(calendar, list(beats))


def _todays_story(chance: Random, calendar: Calendar, firms: list[Firm]) -> list[Entry]:
    """Some forms of the last hours."""
    entries: list[Entry] = []
    for hours_ago in TODAYS_HOURS_AGO:
        firm = chance.choice(firms)
        form = chance.choices(list(INTEREST), list(INTEREST.values()))[0]
        beats: list[tuple[float, Step]] = [(DAYS - hours_ago / 24, fill_form(chance, form, firm.people[0], firm))]
        entries += _place(calendar, beats)
    return entries


def _one_after_the_other(entries: list[Entry]) -> list[Entry]:
    """In the order of time, at least two seconds apart."""
    ordered: list[Entry] = []
    for entry in sorted(entries, key=lambda one: one.at):
        earliest = ordered[-1].at + timedelta(seconds=2) if ordered else entry.at
        ordered.append(replace(entry, at=max(entry.at, earliest)))
    return ordered


def _number(entries: list[Entry], prefix: str) -> list[Entry]:
    """Deliveries get ids that are the same whenever the story with this end is written."""
    numbers = count(1)
    return [
        replace(entry, step=replace(entry.step, delivery_id=f"{prefix}-{next(numbers)}"))
        if isinstance(entry.step, Delivery)
        else entry
        for entry in entries
    ]


def _chapters(entries: list[Entry], starts_at: datetime) -> Iterator[Chapter]:
    """A chapter a day; a day without a delivery belongs to the next."""
    waiting: list[Entry] = []
    for day, of_day in groupby(entries, key=lambda one: (one.at - starts_at).days + 1):
        waiting += of_day
        if any(isinstance(one.step, Delivery) for one in waiting):
            yield Chapter(min(day, DAYS), tuple(waiting))
            waiting = []
