"""What a rule listens to: whether a line of `when` fits an occurrence, and how a trace tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Value
from leadflow.domain.text import fold
from leadflow.rules.conditions import JudgePart, Trace
from leadflow.rules.model import ClauseResult, Schedule, Situation, TriggerFilter
from leadflow.rules.values import comparable

# The names that `Occurrence.detail` may have, and the path under which a trace shows each.
DETAIL_PATHS = {
    "form": "form.form",
    "form_type": "form.form_type",
    "name": "event.name",
    "step": "sale.step",
    "record": "record",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """One line of `when`: its filter, and the words for each value it asks for, by the path a trace shows.

    `schedule` is when it comes round, where the line is one.
    """

    filter: TriggerFilter
    words: Mapping[str, str] = field(default_factory=dict)
    schedule: Schedule | None = None


def fits(one: TriggerFilter, occurrence: Occurrence) -> bool:
    """Whether this line of `when` is triggered by the occurrence."""
    if one.trigger is not occurrence.trigger:
        return False
    for name, wanted in one.wants.items():
        if not _is_wanted(occurrence.detail.get(name), wanted):
            return False
    return not one.watched or any(_fits_change(one, path, occurrence) for path in one.watched)


def _is_wanted(value: str | None, wanted: str) -> bool:
    return value is not None and fold(value) == wanted


def _fits_change(one: TriggerFilter, path: str, occurrence: Occurrence) -> bool:
    change = occurrence.changes.get(path)
    if change is None or change[0] == change[1]:  # a change to the same value is none
        return False
    return all(
        wanted is None or comparable(value) in wanted for value, wanted in zip(change, one.watched[path], strict=True)
    )


# Whether a line of `when` fits, with a clause for each value it asks for.
Tell = Callable[[Occurrence], tuple[bool, list[ClauseResult]]]


def judge_trigger(listeners: Sequence[Listener]) -> JudgePart:
    """Whether any line of `when` fits; the trace tells each value that the line asks for: `form.form is demo-request`.

    An occurrence that the rule does not listen to at all does not hold either: `explain` may ask about any.
    """
    names = " or ".join(dict.fromkeys(one.filter.trigger.value for one in listeners))
    tells: dict[Trigger, list[Tell]] = {}
    for one in listeners:
        tells.setdefault(one.filter.trigger, []).append(
            _tell_changes(one) if one.filter.watched else _tell_details(one)
        )

    def judge(situation: Situation, trace: Trace) -> bool:
        occurrence, misfit = situation.occurrence, None
        for tell in tells.get(occurrence.trigger, ()):
            holds, clauses = tell(occurrence)
            if holds:
                trace.clauses += clauses
                return True
            misfit = misfit or clauses
        trace.clauses += misfit or [ClauseResult("trigger", f"is {names}", False, occurrence.trigger.value)]
        return False

    return judge


def _tell_details(listener: Listener) -> Tell:
    lines = [
        (name, wanted, DETAIL_PATHS[name], listener.words.get(DETAIL_PATHS[name], f"is {wanted}"))
        for name, wanted in listener.filter.wants.items()
    ]

    def tell(occurrence: Occurrence) -> tuple[bool, list[ClauseResult]]:
        holds, clauses = True, []
        for name, wanted, path, words in lines:
            value = occurrence.detail.get(name)
            is_wanted = _is_wanted(value, wanted)
            clauses.append(ClauseResult(path, words, is_wanted, value))
            holds = holds and is_wanted
        return holds, clauses

    return tell


def _tell_changes(listener: Listener) -> Tell:
    watched, words = listener.filter, listener.words

    def tell(occurrence: Occurrence) -> tuple[bool, list[ClauseResult]]:
        # Any one of the watched fields will do, so those that did not change are no reasons.
        changed = [path for path in watched.watched if _fits_change(watched, path, occurrence)]
        clauses = [
            ClauseResult(path, words.get(path, "has changed"), bool(changed), _new_value(occurrence, path))
            for path in changed or watched.watched
        ]
        return bool(changed), clauses

    return tell


def _new_value(occurrence: Occurrence, path: str) -> Value:
    change = occurrence.changes.get(path)
    return None if change is None else change[1]  # type: ignore[return-value]
