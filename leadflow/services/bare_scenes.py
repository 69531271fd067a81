"""The scene for "what if the rule's trigger occurred now for this record": read, never locked, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, select

from leadflow.domain.events import Trigger
from leadflow.domain.history import History
from leadflow.domain.records import Company, Contact
from leadflow.domain.text import fold
from leadflow.errors import NotFound
from leadflow.rules.linting.cases import STATUS_AT
from leadflow.rules.model import TriggerFilter
from leadflow.rules.past_asked import PastAsked
from leadflow.rules.staging import ROOTS_OF_EVENTS, Scene
from leadflow.store.history import read_history
from leadflow.store.lists import Lists
from leadflow.store.records import read_companies, read_contacts
from leadflow.store.tables import ContactRow, EventRow
from leadflow.store.values import read_fields

Found = TypeVar("Found")

# Whom a scene makes up where a company has no contact yet: a form always brings one.
NEW_CONTACT_ID = -2
# As many of a record's latest events are looked through for one that fits; beyond them none is recent.
EVENTS_LOOKED_AT = 200


class Shelf:
    """What was read for one record, so that many rules ask the database once."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def once(self, key: Hashable, read: Callable[[], Found]) -> Found:
        """What `read` gives, the first time."""
        if key not in self._kept:
            self._kept[key] = read()
        return cast("Found", self._kept[key])


@dataclass(frozen=True, slots=True)
class Told:
    """A scene and what had to be assumed for it, in sentences; `event_id` is the event whose words it takes."""

    scene: Scene
    assumed: tuple[str, ...] = ()
    event_id: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """For whom it is asked: the company or the contact, with the contact's company."""

    company: Company | None
    contact: Contact | None
    subject: str
    shelf: Shelf = field(default_factory=Shelf, compare=False)


def read_asked(connection: Connection, lists: Lists, company_id: int | None, contact_id: int | None) -> Asked:
    """The record that is asked about. Raises: NotFound."""
    if contact_id is not None:
        found = read_contacts(connection, lists.catalogue, [contact_id])
        if not found:
            raise NotFound(f"There is no contact {contact_id}.")
        companies = read_companies(connection, lists.catalogue, [found[0].company_id] if found[0].company_id else [])
        return Asked(companies[0] if companies else None, found[0], "contact")
    companies = read_companies(connection, lists.catalogue, [company_id] if company_id is not None else [])
    if not companies:
        raise NotFound(f"There is no company {company_id}.")
    return Asked(companies[0], None, "company")


def bare_scene(
    connection: Connection, lists: Lists, asked: Asked, line: TriggerFilter, past: PastAsked, now: datetime, slug: str
) -> Told:
    """The scene with what the record's newest fitting event said; what is still missing the trigger brings."""
    event = _newest_event(connection, lists, asked, line)
    contact, assumed = _contact_of(connection, lists, asked, line, event)
    own = {ROOTS_OF_EVENTS[line.trigger]: event.fields} if event else {}
    detail = {name: line.wants[name] for name in ("record", "step") if name in line.wants}
    scene = Scene(line.trigger, detail, now, asked.company, contact, own, slug=slug)
    ids = (_id_of(scene.company), _id_of(scene.contact))
    history = asked.shelf.once(("history", past, ids), lambda: _history(connection, lists, past, scene))
    scene = replace(scene, history=history)
    if event is not None:
        when = f"{event.at:%Y-%m-%d %H:%M} UTC"
        assumed = (*assumed, f"It would say what its newest event of this kind said ({when}).")
    return Told(_as_it_happens(scene, line), assumed, event.id if event else None)


def _id_of(record: Company | Contact | None) -> int | None:
    return None if record is None else record.id


def _history(connection: Connection, lists: Lists, past: PastAsked, scene: Scene) -> History:
    companies = [scene.company.id] if scene.company else []
    contacts = [scene.contact.id] if scene.contact else []
    return read_history(connection, lists.catalogue, past, companies, contacts, scene.now)


# -- what was said last ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Event:
    id: int
    at: datetime
    fields: dict[str, Any]
    contact_id: int | None


def _newest_event(connection: Connection, lists: Lists, asked: Asked, line: TriggerFilter) -> _Event | None:
    if line.trigger not in ROOTS_OF_EVENTS:
        return None
    return next(_fitting_events(connection, lists, asked, line), None)


def _fitting_events(connection: Connection, lists: Lists, asked: Asked, line: TriggerFilter) -> Iterator[_Event]:
    is_of_contact = asked.contact is not None and line.trigger is not Trigger.SALE
    record = asked.contact if is_of_contact else asked.company
    if record is None:
        return
    column = EventRow.contact_id if is_of_contact else EventRow.company_id
    names = ("id", "type", "name", "state", "received_at", "fields", "contact_id")
    latest = (
        select(*(getattr(EventRow, name) for name in names))
        .where(column == record.id)
        .order_by(EventRow.id.desc())
        .limit(EVENTS_LOOKED_AT)
    )
    for row in asked.shelf.once(("events", is_of_contact), lambda: connection.execute(latest).all()):
        if row.type != line.trigger.value or row.state != "processed":
            continue
        fields = read_fields(lists.catalogue, ROOTS_OF_EVENTS[line.trigger], row.fields or {})
        if _fits(line, fields, row.name):
            yield _Event(row.id, row.received_at, dict(fields), row.contact_id)


def _fits(line: TriggerFilter, fields: dict[str, Any], name: str | None) -> bool:
    for wanted, value in line.wants.items():
        if wanted == "step":
            said: object = fields.get("status")
            value = STATUS_AT[value]
        else:
            said = name if wanted == "name" else fields.get(wanted)
        if not isinstance(said, str) or fold(said) != value:
            return False
    return True


# -- who is there ------------------------------------------------------------------------------------------------------


def _contact_of(
    connection: Connection, lists: Lists, asked: Asked, line: TriggerFilter, event: _Event | None
) -> tuple[Contact | None, tuple[str, ...]]:
    """Whom the occurrence would be about: the contact asked about, or of a company the one who is most likely it."""
    if is_about_company(line):
        return None, ()
    if asked.contact is not None or asked.company is None:
        return asked.contact, ()
    contact_id = event.contact_id if event else None
    if contact_id is None:
        newest = select(ContactRow.id).where(ContactRow.company_id == asked.company.id)
        newest = newest.order_by(ContactRow.id.desc()).limit(1)
        contact_id = asked.shelf.once("newest contact", lambda: connection.scalar(newest))
    wanted = [] if contact_id is None else [contact_id]
    found = asked.shelf.once(("contact", contact_id), lambda: read_contacts(connection, lists.catalogue, wanted))
    if found:
        one = found[0]
        name = " ".join(part for part in (one.first_name, one.last_name) if part) or one.email
        return one, (f"It would be about {name}, a contact of the company.",)
    if line.trigger in (Trigger.FORM_SUBMITTED, Trigger.EVENT):
        return Contact(NEW_CONTACT_ID, company_id=asked.company.id), ("It would be about somebody new at the company.",)
    return None, ("The company has no contact.",) if line.trigger is not Trigger.SALE else ()


def is_about_company(line: TriggerFilter) -> bool:
    """Whether the occurrence comes without a contact."""
    return line.wants.get("record") == "company" or any(path.startswith("company.") for path in line.watched)


# -- what happening does to the records --------------------------------------------------------------------------------


def _as_it_happens(scene: Scene, line: TriggerFilter) -> Scene:
    """The records as rules find them: a form has touched its contact, a sale counts, what is new is from now."""
    match line.trigger:
        case Trigger.FORM_SUBMITTED | Trigger.EVENT:
            return _touched(scene)
        case Trigger.SALE if scene.company is not None:
            step = {"registered": 1}.get(line.wants.get("step", ""), -1)
            scene = scene.with_value("company.open_sales", max(0, scene.company.open_sales + step))
            return replace(scene, pinned=frozenset({"company.open_sales"} if step == 1 else ()))
        case Trigger.RECORD_CREATED:
            record = line.wants.get("record", "contact")
            return _stamped(scene, record, ("created_at", "updated_at"))
        case Trigger.RECORD_CHANGED:
            roots = {path.partition(".")[0] for path in line.watched}
            return _stamped(scene, roots.pop(), ("updated_at",)) if len(roots) == 1 else scene
        case _:
            return scene


def _touched(scene: Scene) -> Scene:
    """What arriving does before any rule is tried."""
    if scene.contact is None:
        return scene
    root = ROOTS_OF_EVENTS[scene.trigger]
    email = {"email": scene.contact.email} if scene.contact.email else {}
    at = {"submitted_at" if root == "form" else "at": scene.now}
    scene = replace(scene, own={**scene.own, root: {**scene.own.get(root, {}), **email, **at}})
    return _stamped(scene, "contact", ("last_touched_at", "updated_at"))


def _stamped(scene: Scene, record: str, names: tuple[str, ...]) -> Scene:
    if getattr(scene, record) is None:
        return scene
    paths = [f"{record}.{name}" for name in names]
    for path in paths:
        scene = scene.with_value(path, scene.now)
    return replace(scene, pinned=scene.pinned.union(paths))
