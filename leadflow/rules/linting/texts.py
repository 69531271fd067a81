"""Sets of texts: known ones, or all that satisfy patterns. What cannot be decided counts as "may be there"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from leadflow.domain.text import clean_text, fold
from leadflow.rules.hosts import host_of
from leadflow.rules.predicates import (
    Anything,
    Containing,
    EndingWith,
    HostIn,
    OneOf,
    Predicate,
    StartingWith,
    Wildcards,
)

# What a picked text is filled up with, in turn, until every pattern is content.
FILLERS = ("", "a", "x1", "example")

# As many lists of texts are tried before the question counts as undecided.
MAX_CHOICES = 2_000


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that are `among` these (None: all texts), not `without`, fit all of `must` and none of `must_not`."""

    among: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    must: frozenset[Predicate] = frozenset()
    must_not: frozenset[Predicate] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether there is certainly no such text."""
        return not self.among if self.among is not None else _contradict(self.must, self.must_not)

    def __and__(self, other: Texts) -> Texts:
        both = Texts(
            _common(self.among, other.among),
            self.without | other.without,
            self.must | other.must,
            self.must_not | other.must_not,
        )
        if both.among is None:
            return both
        return Texts(frozenset(text for text in both.among if both.fits(text)))

    def united(self, other: Texts) -> Texts | None:
        """The texts of either, if that can be said in one."""
        if self.among is not None and other.among is not None:
            return Texts(self.among | other.among)
        return None

    def fits(self, text: str) -> bool:
        """Whether the text satisfies what is asked beside being known."""
        return (
            text not in self.without
            and all(satisfies(one, text) for one in self.must)
            and not any(satisfies(one, text) for one in self.must_not)
        )

    def pick(self) -> str | None:
        """One of the texts as it can be stored; None if none is found."""
        candidates: Iterable[str] = sorted(self.among) if self.among is not None else self._candidates()
        return next((text for text in candidates if _can_be_stored(text) and self.fits(text)), None)

    def _candidates(self) -> Iterator[str]:
        hosts = sorted(self._hosts()) if any(isinstance(one, HostIn) for one in self.must) else []
        starts = sorted((_facts(one).start for one in self.must), key=len)[-1:] or [""]
        ends = sorted((_facts(one).end for one in self.must), key=len)[-1:] or [""]
        inside = sorted({piece for one in self.must for piece in _facts(one).pieces})
        for filler, other in product(FILLERS, FILLERS):
            text = starts[0] + filler + other.join(inside) + other + ends[0]
            yield from (f"{text or 'a'}@{host}" for host in hosts)
            yield text
            yield from (filler.join((starts[0], piece, ends[0])) for piece in inside)
            yield from (_written_out(one.text, filler) for one in self.must if isinstance(one, Wildcards))

    def _hosts(self) -> frozenset[str]:
        named = [one.hosts for one in self.must if isinstance(one, HostIn)]
        refused = [one.hosts for one in self.must_not if isinstance(one, HostIn)]
        return frozenset.intersection(*named).difference(*refused) if named else frozenset()


def texts_where(predicate: Predicate) -> Texts:
    """The texts that satisfy a predicate about texts."""
    match simplified(predicate):
        case OneOf(values):
            return Texts(values)
        case Anything():
            return Texts()
        case simple:
            return Texts(must=frozenset({simple}))


def texts_where_not(predicate: Predicate) -> Texts:
    """The other texts."""
    match simplified(predicate):
        case OneOf(values):
            return Texts(without=values)
        case Anything():
            return Texts(frozenset())
        case simple:
            return Texts(must_not=frozenset({simple}))


def simplified(predicate: Predicate) -> Predicate:
    """A pattern with stars as the plainer predicate that asks the same, where there is one."""
    if not isinstance(predicate, Wildcards) or "?" in predicate.text:
        return predicate
    head, *others = predicate.text.split("*")
    if not others:
        return OneOf(frozenset({head}))
    *middle, tail = others
    inside = [piece for piece in middle if piece]
    match (bool(head), inside, bool(tail)):
        case (False, [], False):
            return Anything()
        case (True, [], False):
            return StartingWith(head)
        case (False, [], True):
            return EndingWith(tail)
        case (False, [piece], False):
            return Containing(piece)
        case _:
            return predicate


def satisfies(predicate: Predicate, text: str) -> bool:
    """Whether a text, in comparable form, satisfies a predicate about texts."""
    match predicate:
        case OneOf(values):
            return text in values
        case Containing(part):
            return part in text
        case StartingWith(part):
            return text.startswith(part)
        case EndingWith(part):
            return text.endswith(part)
        case Wildcards():
            return predicate.fits(text)
        case HostIn(hosts):
            return host_of(text) in hosts
        case _:
            return True


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is certain of every text that satisfies a predicate: its start, its end, what occurs in it."""

    start: str = ""
    end: str = ""
    pieces: frozenset[str] = frozenset()


def _facts(predicate: Predicate) -> _Facts:
    match predicate:
        case StartingWith(part):
            return _Facts(start=part, pieces=frozenset({part}))
        case EndingWith(part):
            return _Facts(end=part, pieces=frozenset({part}))
        case Containing(part):
            return _Facts(pieces=frozenset({part}))
        case Wildcards(text=text):
            parts = re.split(r"[*?]", text)
            return _Facts(parts[0], parts[-1], frozenset(part for part in parts if part))
        case _:
            return _Facts()


def implies(one: Predicate, other: Predicate) -> bool:
    """Whether every text that satisfies `one` certainly satisfies `other`."""
    facts = _facts(one)
    match other:
        case Containing(part):
            return any(part in piece for piece in facts.pieces)
        case StartingWith(part):
            return facts.start.startswith(part)
        case EndingWith(part):
            return facts.end.endswith(part)
        case HostIn(hosts):
            return isinstance(one, HostIn) and one.hosts <= hosts
        case _:
            return one == other


def _contradict(must: frozenset[Predicate], must_not: frozenset[Predicate]) -> bool:
    """Whether it is certain that no text satisfies all of the first and none of the others."""
    if any(implies(one, other) for one in must for other in must_not):
        return True
    if any(isinstance(one, HostIn) for one in must) and not Texts(must=must, must_not=must_not)._hosts():
        return True
    starts = sorted((_facts(one).start for one in must), key=len)
    ends = sorted((_facts(one).end for one in must), key=len)
    return any(not starts[-1].startswith(start) for start in starts) or any(not ends[-1].endswith(end) for end in ends)


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _written_out(pattern: str, filler: str) -> str:
    return pattern.replace("*", filler).replace("?", "a")


def _can_be_stored(text: str) -> bool:
    """Whether the text would enter and compare as it is."""
    return bool(text) and clean_text(text) == text == fold(text)


@dataclass(frozen=True, slots=True)
class TextSets:
    """Sets of texts, as of a list field: `has` all of these, `lacks` all of these.

    Of each set in `some` it has at least one text, and of each in `not_all` it lacks at least one.
    """

    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    some: frozenset[frozenset[str]] = frozenset()
    not_all: frozenset[frozenset[str]] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether there is certainly no such list that has any text."""
        if any(one <= self.lacks for one in self.some):
            return True
        return not self._is_too_much() and self._solve() is None

    def __and__(self, other: TextSets) -> TextSets:
        has, lacks = self.has | other.has, self.lacks | other.lacks
        return TextSets(has, lacks, self.some | other.some, self.not_all | other.not_all)

    def pick(self) -> tuple[str, ...] | None:
        """One of the lists."""
        found = None if self._is_too_much() else self._solve()
        return None if found is None else tuple(sorted(found)) or (self._fresh_text(),)

    def _is_too_much(self) -> bool:
        """Whether trying all choices would take too long."""
        return bool(self.not_all) and math.prod(len(one) for one in self.some) > MAX_CHOICES

    def _solve(self) -> frozenset[str] | None:
        """The texts of a fitting list, chosen one by one; nothing when no choice fits."""
        if self.has & self.lacks or any(one <= self.has for one in self.not_all):
            return None
        wanting = next((one for one in sorted(self.some, key=len) if not one & self.has), None)
        if wanting is None:
            return self.has
        choices = (replace(self, has=self.has | {text}) for text in sorted(wanting - self.lacks))
        return next((found for choice in choices if (found := choice._solve()) is not None), None)

    def _fresh_text(self) -> str:
        named = self.lacks.union(*self.not_all)
        return next(
            text for text in ("tag", *(f"tag-{number}" for number in range(len(named) + 1))) if text not in named
        )
