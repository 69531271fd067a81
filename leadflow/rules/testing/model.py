"""A test of a rule as it is read: what is given, what happens, what is expected. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Literal

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Value
from leadflow.domain.history import Record
from leadflow.rules.conditions import Clause
from leadflow.rules.model import Outcome
from leadflow.rules.problems import Problem


@dataclass(frozen=True, slots=True)
class Place:
    """Where a test stands, with its author's line."""

    file: str
    line: int
    column: int
    width: int = 1
    source_line: str = ""

    def problem(self, code: str, message: str) -> Problem:
        """A problem at this place."""
        return Problem(self.file, self.line, self.column, code, message, self.source_line, self.width)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class FromNow:
    """A time so long before the test's `now`: `91 days ago`. A negative length lies ahead: `in 3 days`."""

    ago: timedelta
    is_day: bool = False

    def at(self, now: datetime, zone: tzinfo) -> datetime | date:
        """The moment, or for a date field the day in the document's time zone."""
        moment = now - self.ago
        return moment.astimezone(zone).date() if self.is_day else moment


GivenValue = Value | FromNow

# By the path of the field, as rules name it. None is blank, a path that is missing is left to its default.
Values = Mapping[str, GivenValue]

# Whose event it was: the contact's, that of another contact of the company, or of nobody in particular there.
Whose = Literal["contact", "colleague", "company"]


@dataclass(frozen=True, slots=True)
class GivenEvent:
    """An event of the past. `name` is that of the trigger, or of a declared event."""

    at: FromNow | datetime
    name: str
    values: Values
    by: Whose = "contact"


@dataclass(frozen=True, slots=True)
class GivenChange:
    """A change of the past, one row of the ledger."""

    at: FromNow | datetime
    path: str
    old: GivenValue
    new: GivenValue


@dataclass(frozen=True, slots=True)
class GivenAct:
    """The rule has acted then, as its limit counts."""

    at: FromNow | datetime


GivenPast = GivenEvent | GivenChange | GivenAct


@dataclass(frozen=True, slots=True)
class Given:
    """How things stand before anything happens.

    There is a company and a contact of it, both without values of their own, unless they are said to be `missing`.
    `turn` is how many companies the rule's round robin has given away. `memberships` are the static selections that
    the company or the contact is in, each with which of them it is.
    """

    values: Values = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    colleagues: tuple[Values, ...] = ()
    past: tuple[GivenPast, ...] = ()
    turn: int = 0
    memberships: tuple[tuple[Record, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """A change that triggers the rule; with `is_from_given` it starts from what is given."""

    new: GivenValue
    old: GivenValue = None
    is_from_given: bool = True


@dataclass(frozen=True, slots=True)
class Happening:
    """What the rule is tried on.

    `values` are the fields of the form, event, sale or user by path; `detail` is what a trigger filters on beside them.
    """

    trigger: Trigger
    values: Values = field(default_factory=dict)
    detail: Mapping[str, str] = field(default_factory=dict)
    moves: Mapping[str, Move] = field(default_factory=dict)
    by_rule: str | None = None
    is_import: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be so afterwards; what is not said may be as it likes.

    `because` are paths of false clauses, or words of the reason why nothing was done. `values` are exact (a list as a
    set), `clauses` are tests as rules write them. `tasks` are all titles, `messages` all channels and endpoints.
    """

    fires: bool | None = None
    outcome: Outcome | None = None
    because: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    clauses: tuple[Clause, ...] = ()
    tasks: tuple[str, ...] | None = None
    messages: tuple[str, ...] | None = None

    @property
    def is_empty(self) -> bool:
        return self == Expected()


@dataclass(frozen=True, slots=True)
class Later:
    """What is so when time has gone on after a `wait`; `meanwhile` are values that people wrote in between."""

    after: timedelta
    meanwhile: Values
    expected: Expected


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test of one rule.

    `event` None is what the rule listens to in its first line of `when`; `said` are fields of the event beside it.
    """

    rule: str
    name: str
    place: Place
    now: datetime
    zone: tzinfo
    given: Given = Given()
    event: Happening | None = None
    said: Values = field(default_factory=dict)
    expected: Expected = Expected()
    later: tuple[Later, ...] = ()


def plain(value: Any, now: datetime, zone: tzinfo) -> Any:
    """The value itself; of `91 days ago` the moment or day."""
    return value.at(now, zone) if isinstance(value, FromNow) else value
