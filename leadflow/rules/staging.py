"""A scene in which a rule is tried for who asks "what if": the records, what happens, and what happened before.

Scenes are values: what would have to be different makes a new scene out of one, and nothing that was read is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.history import History, PastChange, PastEvent, Record
from leadflow.domain.lifecycle import Lifecycle
from leadflow.domain.records import Company, Contact
from leadflow.domain.text import fold
from leadflow.rules.conditions import PastClause
from leadflow.rules.model import Situation
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.testing.stage import put
from leadflow.rules.values import BEFORE

# Whom a scene makes up: a company for a contact that has none. No record has such an id.
NEW_COMPANY_ID = -1

OWN_ROOTS = ("form", "event", "sale", "user")
ROOTS_OF_EVENTS = {Trigger.FORM_SUBMITTED: "form", Trigger.EVENT: "event", Trigger.SALE: "sale"}


class Retold(History):
    """A history with some of it left out and some added; the one it is made from stays as it is."""

    def __init__(self, base: History) -> None:
        super().__init__()
        self._base = base
        self._gone: dict[int, object] = {}  # by identity; kept, so that no other object gets their identity
        self._membership: dict[tuple[int, int], bool] = {}

    def forget(self, one: PastEvent | PastChange) -> None:
        """Leave out an event or a change."""
        self._gone[id(one)] = one

    def decide_member(self, selection_id: int, record_id: int, is_member: bool) -> None:
        """Put the record into a static selection, or take it out."""
        self._membership[selection_id, record_id] = is_member

    def events_of(self, record: Record, record_id: int) -> Sequence[PastEvent]:
        known = [*self._base.events_of(record, record_id), *super().events_of(record, record_id)]
        return [one for one in known if id(one) not in self._gone]

    def changes_of(self, path: str, record_id: int) -> Sequence[PastChange]:
        known = [*self._base.changes_of(path, record_id), *super().changes_of(path, record_id)]
        return [one for one in known if id(one) not in self._gone]

    def is_member(self, selection_id: int, record_id: int) -> bool:
        decided = self._membership.get((selection_id, record_id))
        known = self._base.is_member(selection_id, record_id) or super().is_member(selection_id, record_id)
        return known if decided is None else decided


@dataclass(frozen=True, slots=True)
class Scene:
    """What a rule is tried on. `own` are the fields of what happens by root and name, `changes` what it changed.

    `pinned` are fields that the occurrence itself decides, so that they cannot be otherwise in it.
    """

    trigger: Trigger
    detail: Mapping[str, str | None]
    now: datetime
    company: Company | None
    contact: Contact | None
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    history: History = field(default_factory=History)
    pinned: frozenset[str] = frozenset()
    slug: str | None = None

    def occurrence(self) -> Occurrence:
        """What happens, with what `when` may ask for."""
        form, event = self.own.get("form", {}), self.own.get("event", {})
        said = {"form": form.get("form"), "form_type": form.get("form_type"), "name": event.get("name")}
        detail = {**self.detail, **{name: value for name, value in said.items() if isinstance(value, str)}}
        if self.slug is not None and self.trigger in (Trigger.SCHEDULE, Trigger.MANUAL):
            detail["rule"] = self.slug
        return Occurrence(self.trigger, detail, dict(self.changes))

    def situation(self) -> Situation:
        """What conditions are judged on, what happens now being part of the past that they count."""
        own = {root: self.own.get(root, {}) for root in OWN_ROOTS}
        return Situation(
            self.occurrence(), self.now, self.company, self.contact, **own, history=self.history_with_this()
        )

    def history_with_this(self) -> History:
        """The past, what happens now included."""
        history = Retold(self.history)
        if event := self.present_event():
            history.note_event(event)
        for change in self.present_changes():
            history.note_change(change)
        return history

    def present_changes(self) -> Iterator[PastChange]:
        """What has just changed; it is in the ledger already when rules are tried on it."""
        for path, (old, new) in self.changes.items():
            record = self.company if path.startswith("company.") else self.contact
            if record is not None:
                yield PastChange(path, record.id, old, new, self.now)

    def present_event(self) -> PastEvent | None:
        """What happens now, as later conditions would count it; None for what is not counted."""
        root = ROOTS_OF_EVENTS.get(self.trigger)
        if root is None:
            return None
        own = self.own.get(root, {})
        name = fold(str(own.get("name") or "")) if self.trigger is Trigger.EVENT else self.trigger.value
        ids = (None if one is None else one.id for one in (self.company, self.contact))
        return PastEvent(0, name, self.now, own, *ids)

    # -- other scenes ----------------------------------------------------------------------------------------------

    def at(self, now: datetime) -> Scene:
        """The same at another moment."""
        return replace(self, now=now)

    def with_value(self, path: str, value: Any) -> Scene:
        """The same with another value in one field of a record, of what happens, or of what stood before a change."""
        if path.startswith(BEFORE):
            name = path.removeprefix(BEFORE)
            return replace(self, changes={**self.changes, name: (value, self.current(name))})
        root, _, name = path.partition(".")
        if root in OWN_ROOTS:
            return replace(self, own={**self.own, root: {**self.own.get(root, {}), name: value}})
        changed = self.with_company() if root == "company" else self
        record = _copy_of(getattr(changed, root))
        put(record, name, value)
        scene = replace(changed, company=record) if isinstance(record, Company) else replace(changed, contact=record)
        if path in scene.changes:
            scene = replace(scene, changes={**scene.changes, path: (scene.changes[path][0], value)})
        return scene

    def with_company(self) -> Scene:
        """The same with the contact at a company, of which nothing is known where there is none."""
        if self.company is not None:
            return self
        contact = None if self.contact is None else replace(self.contact, company_id=NEW_COMPANY_ID)
        company = Company(NEW_COMPANY_ID, created_at=self.now, updated_at=self.now)
        return replace(self, company=company, contact=contact)

    def without_change(self, path: str) -> Scene:
        """The same with the field untouched by what happens."""
        return replace(self, changes={name: sides for name, sides in self.changes.items() if name != path})

    def settled(self, before: str | None, lifecycle: Lifecycle, default_status: str) -> Scene:
        """The same after the category was another one `before`: who becomes a lead starts with the default status."""
        if self.contact is None or self.company is None:
            return self
        was_active, is_active = map(lifecycle.is_lead_status_active, (before, self.company.category))
        return self if was_active or not is_active else self.with_value("contact.lead_status", default_status)

    def current(self, path: str) -> Any:
        """What stands in a field now; nothing where its record is missing."""
        if path.startswith(BEFORE):
            name = path.removeprefix(BEFORE)
            return self.changes[name][0] if name in self.changes else self.current(name)
        root, _, name = path.partition(".")
        if root in OWN_ROOTS:
            return self.own.get(root, {}).get(name)
        return read_from(getattr(self, root), name)

    # -- another past ----------------------------------------------------------------------------------------------

    def with_count(self, clause: PastClause, wanted: int, example: Mapping[str, Any], at: datetime) -> Scene:
        """The same after so many events as the clause counts; new ones said what `example` says."""
        asked = clause.asked
        if not isinstance(asked, EventsAsked):
            return self
        if asked.by == "company" and self.company is None:
            return self.with_company().with_count(clause, wanted, example, at)
        situation = self.situation()
        history, found = Retold(self.history), sorted(asked._found(situation), key=lambda one: one.at)
        for one in found[: max(0, len(found) - wanted)]:
            history.forget(one)
        for number in range(wanted - len(found)):
            history.note_event(self._new_event(asked, example, at, number))
        return replace(self, history=history)

    def with_last(self, clause: PastClause, wanted: datetime | None, example: Mapping[str, Any]) -> Scene:
        """The same after the event or change of the clause happened last at that moment, or never."""
        asked = clause.asked
        root = asked.by if isinstance(asked, EventsAsked) else asked.field.root
        if root == "company" and self.company is None and wanted is not None:
            return self.with_company().with_last(clause, wanted, example)
        situation, history = self.situation(), Retold(self.history)
        for one in _meant(asked, situation):
            if wanted is None or one.at > wanted:
                history.forget(one)
        if wanted is not None and isinstance(asked, EventsAsked):
            history.note_event(self._new_event(asked, example, wanted, 0))
        elif wanted is not None and isinstance(asked, ChangesAsked):
            record = getattr(situation, asked.field.root)
            old, new = (any_of(side) for side in (asked.sources, asked.targets))
            if record is not None:
                history.note_change(PastChange(asked.field.path, record.id, old, new, wanted))
        return replace(self, history=history)

    def with_member(self, selection_id: int, record: Record, is_member: bool) -> Scene:
        """The same with the record in a static selection, or not in it."""
        if record == "company" and self.company is None and is_member:
            return self.with_company().with_member(selection_id, record, is_member)
        history, one = Retold(self.history), getattr(self, record)
        if one is not None:
            history.decide_member(selection_id, one.id, is_member)
        return replace(self, history=history)

    def _new_event(self, asked: EventsAsked, said: Mapping[str, Any], at: datetime, number: int) -> PastEvent:
        ids = {f"{one}_id": getattr(self, one).id for one in (asked.by,) if getattr(self, one) is not None}
        return PastEvent(-1 - number, asked.name, at, dict(said), **ids)


def _meant(asked: EventsAsked | ChangesAsked, situation: Situation) -> Iterator[PastEvent | PastChange]:
    if isinstance(asked, EventsAsked):
        yield from asked._found(situation)
        return
    record = getattr(situation, asked.field.root)
    moments = set(asked._moments(situation))
    if record is not None:
        for one in situation.history.changes_of(asked.field.path, record.id):
            if one.at in moments:
                yield one


def any_of(values: frozenset[Any] | None) -> Any:
    """One of the values; nothing where any will do."""
    return None if values is None else min(values, key=lambda one: (one is None, str(one)))


def _copy_of(record: Company | Contact) -> Company | Contact:
    return replace(record, fields=dict(record.fields))


def read_from(record: Company | Contact | None, name: str) -> Any:
    """A field of a record by its name in the catalogue."""
    if record is None:
        return None
    if name.startswith("fields."):
        return record.fields.get(name.removeprefix("fields."))
    if name.startswith("first_touch."):
        return getattr(record.first_touch, name.removeprefix("first_touch."))
    return getattr(record, name)
