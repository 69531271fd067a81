"""What a test asks of a value that is not blank, as data.

Every operator says its question in one of these few forms. The store renders them as SQL, the checks reason about
them as sets of values, tests of rules change them a little to see whether anybody notices. Values are in comparable
form: text case-folded, numbers exact, times as moments in UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from leadflow.domain.fields import Field


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these."""

    values: frozenset[Any]


@dataclass(frozen=True, slots=True)
class Interval:
    """The value lies between two ends; an end of None is open, an end that is not `has_…` is not included."""

    low: Any = None
    high: Any = None
    has_low: bool = True
    has_high: bool = True


@dataclass(frozen=True, slots=True)
class Containing:
    """`text` occurs in the value."""

    text: str


@dataclass(frozen=True, slots=True)
class StartingWith:
    """The value begins with `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class EndingWith:
    """The value ends with `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class Wildcards:
    """A text in which `*` stands for any characters and `?` for one; everything else is literal. Fits whole values."""

    text: str
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", _compile(self.text))

    def fits(self, value: str) -> bool:
        """Whether the whole value fits."""
        return self.compiled.fullmatch(value) is not None


def _compile(pattern: str) -> re.Pattern[str]:
    """A regular expression for the whole value. Atomic groups keep it from backtracking, whatever the pattern."""
    first, *others = ["".join("." if c == "?" else re.escape(c) for c in part) for part in pattern.split("*")]
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    searched = "".join(f"(?>.*?{part})" for part in middle if part)
    return re.compile(f"{first}{searched}.*{last}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HostIn:
    """The whole host of the e-mail address or URL is one of these."""

    hosts: frozenset[str]


@dataclass(frozen=True, slots=True)
class HasAny:
    """The list has at least one of these texts."""

    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class HasAll:
    """The list has every one of these texts."""

    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value that is not blank."""


@dataclass(frozen=True, slots=True)
class EqualTo:
    """The value is that of another field, which is not blank; lists are equal as sets."""

    path: str
    field: Field


@dataclass(frozen=True, slots=True)
class Moved:
    """The change that triggered the rule touched the field: from one of `old` and to one of `new` (None: any).

    Only there under record_changed, so never in SQL.
    """

    old: frozenset[Any] | None = None
    new: frozenset[Any] | None = None


Predicate = (
    OneOf
    | Interval
    | Containing
    | StartingWith
    | EndingWith
    | Wildcards
    | HostIn
    | HasAny
    | HasAll
    | Anything
    | EqualTo
    | Moved
)


@dataclass(frozen=True, slots=True)
class Question:
    """A predicate, or with `is_negated` its exact complement, which holds for blanks too."""

    predicate: Predicate
    is_negated: bool = False
