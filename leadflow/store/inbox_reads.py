"""The inbox as people look through it: filters and search that cost the same however much it holds, and one event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, LargeBinary, Select, bindparam, func, or_, select, text, union_all

from leadflow.domain.text import fold
from leadflow.store import reads
from leadflow.store.reads.rows import starts_with
from leadflow.store.tables import CompanyRow, ContactRow, DeliveryConflict, EventRow

# A filter that no index serves looks at so many events at most; then the page says so and offers to go on.
WINDOW = 10_000
FORMS_WINDOW = 2_000
STUCK_WINDOW = 1_000
FOUND_RECORDS = 50
UNSETTLED = ("pending", "held", "failed")


@dataclass(frozen=True, slots=True)
class InboxFilter:
    """Which events. `q` is part of whom they are about: a name, an address, a domain, a number, a delivery id."""

    state: str | None = None
    source: str | None = None
    form: str | None = None
    q: str | None = None

    @property
    def needs_window(self) -> bool:
        return self.source is not None or self.form is not None

    @property
    def is_any(self) -> bool:
        return any((self.state, self.source, self.form, self.q))


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Events, newest first. `looked_back_to` is the event that the search stopped at before it had found enough."""

    items: list[reads.EventView]
    next_key: int | None
    looked_back_to: int | None = None


def inbox_page(connection: Connection, wanted: InboxFilter, *, after: int | None, limit: int) -> InboxPage:
    """One page of the inbox."""
    query = _narrow(select(EventRow.id, EventRow.source, EventRow.fields), wanted, after)
    if wanted.q is not None:
        query = query.where(_about(connection, wanted))
    query = query.order_by(EventRow.id.desc())
    window = query.limit(WINDOW).subquery() if wanted.needs_window else query.limit(limit + 1).subquery()
    chosen = select(window.c.id)
    if wanted.source is not None:
        chosen = chosen.where(window.c.source == wanted.source)
    if wanted.form is not None:
        chosen = chosen.where(window.c.fields["form"].astext == wanted.form)
    ids = list(connection.scalars(chosen.order_by(window.c.id.desc()).limit(limit + 1)))
    next_key = ids[limit - 1] if len(ids) > limit else None
    stopped_at = _end_of(connection, query) if wanted.needs_window and next_key is None else None
    return InboxPage(reads.events_by_number(connection, ids[:limit]), next_key, stopped_at)


def _narrow(query: Select[Any], wanted: InboxFilter, after: int | None) -> Select[Any]:
    if wanted.state is not None:
        query = query.where(EventRow.state == wanted.state)
    return query if after is None else query.where(EventRow.id < after)


def _end_of(connection: Connection, query: Select[Any]) -> int | None:
    """The last event that a window reached, if there are more behind it."""
    last: int | None = connection.scalar(query.with_only_columns(EventRow.id).offset(WINDOW - 1).limit(1))
    return last


def _about(connection: Connection, wanted: InboxFilter) -> Any:
    """The condition for events about what people typed, by the indexes of what they are about."""
    said = fold(wanted.q or "")
    contact = or_(starts_with(ContactRow.email, said), starts_with(ContactRow.name_norm, said))
    company = or_(starts_with(CompanyRow.domain, said), starts_with(CompanyRow.name_norm, said))
    contacts = list(connection.scalars(select(ContactRow.id).where(contact).limit(FOUND_RECORDS)))
    companies = list(connection.scalars(select(CompanyRow.id).where(company).limit(FOUND_RECORDS)))
    numbers = [*_numbered(said), *_delivered(connection, wanted.q or ""), *_stuck(connection, wanted.q or "")]
    return or_(EventRow.id.in_(numbers), EventRow.contact_id.in_(contacts), EventRow.company_id.in_(companies))


def _numbered(said: str) -> list[int]:
    return [int(said)] if said.isascii() and said.isdigit() and len(said) <= 18 else []


def _delivered(connection: Connection, said: str) -> list[int]:
    """Events with this delivery id, one look into the unique index for each source."""
    sources = source_names(connection)
    return list(
        connection.scalars(select(EventRow.id).where(EventRow.source.in_(sources), EventRow.delivery_id == said))
    )


def _stuck(connection: Connection, said: str) -> list[int]:
    """Held and failed events belong to nobody yet: what was typed is looked for in their text and their reason."""
    columns = (EventRow.id, EventRow.body, EventRow.error)
    newest = (
        select(*columns).where(EventRow.state == state).order_by(EventRow.id.desc()).limit(STUCK_WINDOW)
        for state in ("held", "failed")
    )
    window = union_all(*(one.subquery().select() for one in newest)).subquery()
    # As bytes: what cannot be read as text is looked through, too.
    in_body = text("position(:said in body) > 0").bindparams(bindparam("said", said.encode(), type_=LargeBinary))
    found = or_(in_body, func.strpos(func.lower(window.c.error), said.lower()) > 0)
    return list(connection.scalars(select(window.c.id).where(found).limit(FOUND_RECORDS)))


def source_names(connection: Connection) -> list[str]:
    """The sources that events came from, by name: a walk along the index, not a scan of the inbox."""
    names: list[str] = []
    name = connection.scalar(select(func.min(EventRow.source)))
    while name is not None:
        names.append(name)
        name = connection.scalar(select(func.min(EventRow.source)).where(EventRow.source > name))
    return names


def recent_forms(connection: Connection, limit: int = 40) -> list[str]:
    """The names of the forms that came lately, for a list to choose from."""
    window = select(EventRow.fields).order_by(EventRow.id.desc()).limit(FORMS_WINDOW).subquery()
    form = window.c.fields["form"].astext
    return list(connection.scalars(select(form).where(form.is_not(None)).distinct().order_by(form).limit(limit)))


# -- one event ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OtherBody:
    """A later delivery under the same id that said something else; the body is None once it has been cleared away."""

    received_at: datetime
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came in for an event, byte for byte, and how often it was tried."""

    content_type: str | None
    body: bytes | None
    failures: int
    starts: int
    others: list[OtherBody]


def delivered(connection: Connection, event_id: int) -> Delivered:
    """What came in for this event."""
    columns = (EventRow.content_type, EventRow.body, EventRow.failures, EventRow.starts)
    row = connection.execute(select(*columns).where(EventRow.id == event_id)).one()
    conflicts = select(DeliveryConflict.received_at, DeliveryConflict.body).where(DeliveryConflict.event_id == event_id)
    others = connection.execute(conflicts.order_by(DeliveryConflict.id).limit(10))
    body = None if row.body is None else bytes(row.body)
    return Delivered(row.content_type, body, row.failures, row.starts, [OtherBody(*one) for one in others])
