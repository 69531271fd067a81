"""What a condition asks of the past: which events or changes are meant, and how they are found in a history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from leadflow.domain.fields import Field
from leadflow.domain.history import PastEvent, Record
from leadflow.rules.values import Read, comparable

if TYPE_CHECKING:
    from leadflow.rules.conditions import Condition
    from leadflow.rules.model import Situation

# Whether a past event is one of those meant, in a situation.
IsMeant = Callable[[PastEvent, "Situation"], bool]


@dataclass(frozen=True, slots=True)
class EventsAsked:
    """Events named `name` (`form_submitted`, `sale`, or a declared event) by the contact, or by its whole company.

    `where` narrows them by their own fields, `within` to the last so much time, now included.
    """

    name: str
    by: Record
    where: Condition | None
    within: timedelta | None
    words: str
    # Made from `where`: two that ask the same are equal.
    is_meant: IsMeant | None = dataclass_field(default=None, repr=False, compare=False)

    def reader_of_count(self) -> Read:
        """How many there are; none, where the record itself is missing."""
        return lambda situation: Decimal(sum(1 for _ in self._found(situation)))

    def reader_of_last(self) -> Read:
        """When the last one was; blank if there is none."""
        return lambda situation: max((event.at for event in self._found(situation)), default=None)

    def _found(self, situation: Situation) -> Iterator[PastEvent]:
        record = getattr(situation, self.by)
        if record is None:
            return
        earliest = None if self.within is None else situation.now - self.within
        for event in situation.history.events_of(self.by, record.id):
            if event.name != self.name or event.at > situation.now:
                continue
            if earliest is not None and event.at < earliest:
                continue
            if self.is_meant is None or self.is_meant(event, situation):
                yield event


@dataclass(frozen=True, slots=True)
class ChangesAsked:
    """Changes of one field in the ledger; from and to these values only, where they are given (None is blank)."""

    field: Field
    sources: frozenset[Any] | None
    targets: frozenset[Any] | None
    words: str

    def reader_of_count(self) -> Read:
        """How many there are."""
        return lambda situation: Decimal(len(self._moments(situation)))

    def reader_of_last(self) -> Read:
        """When the last one was; blank if there is none."""
        return lambda situation: max(self._moments(situation), default=None)

    def _moments(self, situation: Situation) -> list[Any]:
        record = getattr(situation, self.field.root)
        if record is None:
            return []
        return [
            change.at
            for change in situation.history.changes_of(self.field.path, record.id)
            if change.at <= situation.now
            and (self.sources is None or comparable(change.old) in self.sources)
            and (self.targets is None or comparable(change.new) in self.targets)
        ]
