"""What happened before: earlier events and changes of a contact or company, as conditions ask for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Unreadable, Value

Record = Literal["company", "contact"]

# The events besides declared ones that conditions count: by the trigger they fired.
COUNTED_TRIGGERS = (Trigger.FORM_SUBMITTED, Trigger.SALE)


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event that took effect. `name` is `form_submitted`, `sale`, or the case-folded name of a declared event.

    `fields` are the event's own (`form.*`, `sale.*`, `event.*`) by name.
    """

    id: int
    name: str
    at: datetime
    fields: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    company_id: int | None = None
    contact_id: int | None = None


@dataclass(frozen=True, slots=True)
class PastChange:
    """One row of the ledger; `path` is the field as rules name it, values as they are kept in memory."""

    path: str
    record_id: int
    old: Value
    new: Value
    at: datetime


class History:
    """The events, changes and memberships of the records that one transaction (or one test of a rule) works on."""

    def __init__(self, events: Iterable[PastEvent] = (), changes: Iterable[PastChange] = ()) -> None:
        self._members: set[tuple[int, int]] = set()
        self._events: dict[tuple[str, int], list[PastEvent]] = defaultdict(list)
        self._changes: dict[tuple[str, int], list[PastChange]] = defaultdict(list)
        for event in events:
            self.note_event(event)
        for change in changes:
            self.note_change(change)

    def note_event(self, event: PastEvent) -> None:
        """Add an event; the one that is being judged is among those counted, so it is noted before."""
        for record, record_id in (("company", event.company_id), ("contact", event.contact_id)):
            if record_id is not None:
                self._events[record, record_id].append(event)

    def note_change(self, change: PastChange) -> None:
        """Add a change; the later one of two at the same moment is noted later."""
        self._changes[change.path, change.record_id].append(change)

    def events_of(self, record: Record, record_id: int) -> Sequence[PastEvent]:
        """The events of a contact or company, in no particular order."""
        return self._events.get((record, record_id), ())

    def changes_of(self, path: str, record_id: int) -> Sequence[PastChange]:
        """The changes of one field of one record, in the order in which they were noted."""
        return self._changes.get((path, record_id), ())

    def note_member(self, selection_id: int, record_id: int) -> None:
        """Add a member of a static selection; what a selection has in it are companies or contacts, never both."""
        self._members.add((selection_id, record_id))

    def is_member(self, selection_id: int, record_id: int) -> bool:
        """Whether the record is a member of a static selection."""
        return (selection_id, record_id) in self._members


NO_HISTORY = History()
