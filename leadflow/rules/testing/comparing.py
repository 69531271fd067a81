"""What a test expected beside what came, as sentences about the differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from leadflow.domain.fields import Catalogue, Field, Kind, Value
from leadflow.rules.conditions import Trace
from leadflow.rules.model import ClauseResult, Outcome, Situation
from leadflow.rules.testing.model import Expected, plain
from leadflow.rules.testing.playing import Played
from leadflow.rules.values import as_text, comparable, compare_as, reader_of

WORDS = {
    Outcome.FIRED: "the rule fired",
    Outcome.NO_MATCH: "the rule did not match",
    Outcome.LIMITED: "the rule had reached its limit",
    Outcome.BLOCKED_BY_GUARD: "the guard stopped the rule",
    Outcome.WAITING: "the rule waits",
    Outcome.ERROR: "the rule could not be judged",
}


class Comparison:
    """Compares one scene with what was expected of it."""

    def __init__(self, expected: Expected, played: Played, situation: Situation, catalogue: Catalogue) -> None:
        self._expected, self._played = expected, played
        self._situation, self._catalogue = situation, catalogue

    def faults(self, zone: tzinfo) -> tuple[str, ...]:
        """Every difference; none where all is as expected."""
        return (*self._about_outcome(), *self._about_reasons(), *self._about_values(zone), *self._about_doings())

    def _about_outcome(self) -> Iterator[str]:
        expected, played = self._expected, self._played
        came = f"{WORDS.get(played.outcome, played.outcome.value)}{_told(played.reasons)}"
        if expected.fires is not None and expected.fires is not played.has_fired:
            yield f"expected that the rule {'fires' if expected.fires else 'does not fire'}, but {came}"
        if expected.outcome is not None and expected.outcome is not played.outcome:
            yield f"expected the outcome {expected.outcome.value}, but {came}"

    def _about_reasons(self) -> Iterator[str]:
        played = self._played
        false = [one.path for one in played.judgement.clauses if not one.holds]
        for wanted in self._expected.because:
            if played.has_fired:
                yield f"expected that it does not fire because of {wanted}, but it fired"
            elif not any(_is_path(wanted, path) for path in false) and not _is_told(wanted, played.reasons):
                reasons = [*dict.fromkeys(false), *played.reasons]
                yield f"expected it because of {wanted}, but it was because of {', '.join(reasons) or 'nothing told'}"

    def _about_values(self, zone: tzinfo) -> Iterator[str]:
        for path, wanted in self._expected.values.items():
            field = self._catalogue.fields[path]
            if self._record_of(path) is None:
                yield f"expected {path}, but there is no {field.root}"
                continue
            came: Any = reader_of(path, field)(self._situation)
            value = plain(wanted, self._played.now, zone)
            if not _are_equal(field, value, came, zone):
                yield f"expected {path} to be {_shown(field, value, zone)}, but it is {_shown(field, came, zone)}"
        for result in self._judged_clauses():
            if not result.holds:
                shown = _shown(self._catalogue.fields[result.path], result.value, zone)
                yield f"expected that {result.path} {result.test}, but it is {shown}"

    def _judged_clauses(self) -> list[ClauseResult]:
        trace = Trace()
        for clause in self._expected.clauses:
            clause.compile()(self._situation, trace)
        return trace.clauses

    def _record_of(self, path: str) -> object:
        return getattr(self._situation, path.partition(".")[0])

    def _about_doings(self) -> Iterator[str]:
        pairs = (
            ("tasks", self._expected.tasks, self._played.tasks),
            ("messages", self._expected.messages, self._played.messages),
        )
        for what, wanted, came in pairs:
            if wanted is not None and Counter(wanted) != Counter(came):
                yield f"expected the {what} {_listed(wanted)}, but there are {_listed(came)}"


def _is_path(wanted: str, path: str) -> bool:
    """`event_count` is enough for `event_count(form_submitted, …)`."""
    return wanted in (path, path.partition("(")[0])


def _is_told(wanted: str, reasons: tuple[str, ...]) -> bool:
    return any(wanted.casefold() in reason.casefold() for reason in reasons)


def _are_equal(field: Field, wanted: Value, came: Value, zone: tzinfo) -> bool:
    if field.kind is Kind.LIST:
        compare = compare_as(field.kind, zone)
        return set(compare(wanted) or ()) == set(compare(came) or ())
    return bool(comparable(wanted) == comparable(came))


def _shown(field: Field, value: Value, zone: tzinfo) -> str:
    return as_text(field, zone)(value) or "blank"


def _told(reasons: tuple[str, ...]) -> str:
    return f": {' '.join(reasons)}" if reasons else ""


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(f"“{one}”" for one in texts) or "none"
