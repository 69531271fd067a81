"""What the running rules ask of the past, so that it can be read once for all events of a batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from leadflow.domain.history import Record
from leadflow.rules.conditions import Condition, MemberClause, PastClause, leaves_of
from leadflow.rules.past import ChangesAsked, EventsAsked


@dataclass(frozen=True, slots=True)
class PastAsked:
    """The names of events and the paths of fields whose past is asked for; by whom; `within` None is ever.

    `selections` are the static selections whose members are asked for, each with what it has in it.
    """

    events: frozenset[str] = frozenset()
    by: frozenset[Record] = frozenset()
    within: timedelta | None = None
    fields: frozenset[str] = frozenset()
    selections: frozenset[tuple[Record, int]] = frozenset()


def past_asked_by(conditions: Iterable[Condition | None]) -> PastAsked:
    """Everything that any of the conditions asks of the past."""
    leaves = [leaf for one in conditions for leaf in leaves_of(one)]
    asked = [leaf.asked for leaf in leaves if isinstance(leaf, PastClause)]
    events = [one for one in asked if isinstance(one, EventsAsked)]
    windows = [one.within for one in events]
    return PastAsked(
        events=frozenset(one.name for one in events),
        by=frozenset(one.by for one in events),
        within=None if None in windows else max((one for one in windows if one), default=None),
        fields=frozenset(one.field.path for one in asked if isinstance(one, ChangesAsked)),
        selections=frozenset((one.record, one.selection_id) for one in leaves if isinstance(one, MemberClause)),
    )
