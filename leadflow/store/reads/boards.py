"""The lanes of boards: which records are in one, how many, and a page of them, the newest first.

However many records there are, a page is bounded work: where finding all that is asked for is cheap, all are found and
counted; else the lane is walked window by window, and its count is the server's estimate.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import String

from leadflow.domain.text import fold
from leadflow.store.conditions import Subject, rows_for
from leadflow.store.expectations import expect, roughly
from leadflow.store.reads.rows import starts_with
from leadflow.store.tables import CompanyRow, ContactRow

LaneField = Literal["lead_status", "category"]
Precision = Literal["exactly", "about", "at_least"]

# In the planner’s units, some 5 ms: up to here a lane is read as a whole.
CHEAP = 1_000.0
# Who narrowed a board looks for few records and waits a little longer for all of them.
CHEAP_IF_NARROWED = 4_000.0
# So many records of a lane are looked at for one page of it.
WINDOW = 5_000
MAX_OWNERS = 100
ALL = true()


@dataclass(frozen=True, slots=True)
class LaneFilter:
    """Which records of a lane: `q` is the beginning of a name or address, `owner` the company's; `asked` a condition.

    `active_under` are the categories under which a lead status is active; None asks nothing of that.
    """

    q: str | None = None
    owner: str | None = None
    asked: ColumnElement[bool] | None = None
    active_under: Collection[str] | None = None

    @property
    def is_narrowed(self) -> bool:
        return bool(self.q or self.owner) or self.asked is not None

    def parts(self, subject: Subject) -> list[ColumnElement[bool]]:
        """What all records must satisfy."""
        parts = [] if self.asked is None else [self.asked]
        if self.q:
            parts.append(_begins_with(subject, self.q))
        if self.owner:
            parts.append(_is_owned_by(fold(self.owner)))
        if self.active_under is not None:
            parts.append(_has_category_in(self.active_under))
        return parts


@dataclass(frozen=True, slots=True)
class LanePage:
    """Some records of a lane, and where the next page begins; None at its end.

    `count` is how many there are in all: exactly so many, about so many by the server's statistics, or at least so many
    where a window had few of them. None on later pages.
    """

    ids: list[int]
    next_after: int | None
    count: int | None = None
    precision: Precision = "exactly"


@dataclass(frozen=True)
class _Lane:
    """The records of a lane: the walk by which an index finds them in the order of their ids, and all that holds."""

    subject: Subject
    walk: ColumnElement[bool]
    holds: tuple[ColumnElement[bool], ...]

    @property
    def id(self) -> ColumnElement[int]:
        return (ContactRow if self.subject == "contact" else CompanyRow).__table__.c.id

    @property
    def query(self) -> Select[Any]:
        """All of them."""
        return select(self.id.label("id")).select_from(rows_for(self.subject, *self.holds)).where(*self.holds)

    def floor(self, connection: Connection, after: int | None) -> int | None:
        """The id at which the next window ends; None if it reaches to the end."""
        query = select(self.id).where(self.walk).order_by(self.id.desc()).offset(WINDOW).limit(1)
        return connection.scalar(query if after is None else query.where(self.id < after))


def read_lane(
    connection: Connection,
    subject: Subject,
    field: LaneField,
    key: str | None,
    wanted: LaneFilter,
    after: int | None,
    limit: int,
) -> LanePage:
    """One page of the records whose `field` is `key`; the first page says how many there are."""
    holds = (_is_in_lane(subject, field, key), *wanted.parts(subject))
    lane = _Lane(subject, _walk(subject, field, key), holds)
    # By another question with the same answer: it finds the contacts of few companies quickly, but in no order.
    whole = lane if key is None or lane.walk is not ALL else replace(lane, holds=(_is_of_category(key), *holds[1:]))
    expected = expect(connection, whole.query)
    if expected.cost <= (CHEAP_IF_NARROWED if wanted.is_narrowed else CHEAP):
        return _read_whole(connection, whole, after, limit)
    page = _read_window(connection, lane, after, limit)
    return page if after is not None else _counted(page, limit, expected.rows)


def _counted(page: LanePage, limit: int, expected: int) -> LanePage:
    found = len(page.ids)
    if page.next_after is None:
        return replace(page, count=found)
    if found < limit:
        return replace(page, count=found, precision="at_least")
    return replace(page, count=max(roughly(expected), found), precision="about")


def _read_whole(connection: Connection, lane: _Lane, after: int | None, limit: int) -> LanePage:
    """All are found first, so that the server does not walk through everything for the order's sake."""
    found = lane.query.cte("found").prefix_with("MATERIALIZED")
    total = select(func.count()).select_from(found).scalar_subquery()
    query = select(found.c.id, total.label("total")).order_by(found.c.id.desc()).limit(limit + 1)
    rows = connection.execute(query if after is None else query.where(found.c.id < after)).all()
    ids = [row.id for row in rows]
    count = (rows[0].total if rows else 0) if after is None else None
    return LanePage(ids[:limit], ids[limit - 1] if len(ids) > limit else None, count)


def _read_window(connection: Connection, lane: _Lane, after: int | None, limit: int) -> LanePage:
    floor = lane.floor(connection, after)
    query = lane.query.order_by(lane.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(lane.id < after)
    if floor is not None:
        query = query.where(lane.id > floor)
    ids = list(connection.scalars(query))
    if len(ids) > limit:
        return LanePage(ids[:limit], ids[limit - 1])
    return LanePage(ids, None if floor is None else floor + 1)


def owners(connection: Connection) -> list[str]:
    """The first owners of companies by name: a walk along the index, not a scan of the companies."""
    begin = func.left(CompanyRow.owner_norm, 100)
    names: list[str] = []
    last = ""
    while len(names) < MAX_OWNERS:
        query = select(begin, CompanyRow.owner).where(begin > last).order_by(begin).limit(1)
        row = connection.execute(query).one_or_none()
        if row is None:
            break
        last = row[0]
        names.append(row.owner)
    return names


# What is asked of a record -------------------------------------------------------------------------------------------


def _is_in_lane(subject: Subject, field: LaneField, key: str | None) -> ColumnElement[bool]:
    if field == "lead_status":
        return ContactRow.__table__.c.lead_status_key == key
    own = CompanyRow.__table__.c.category_key
    if subject == "company":
        return own == key
    if key is not None:
        return _has_category_in([key])
    return own.is_(None) & ContactRow.__table__.c.category_key.is_(None)


def _walk(subject: Subject, field: LaneField, key: str | None) -> ColumnElement[bool]:
    """The part of a lane that an index on the table itself knows: nothing of contacts by category, but of the rest."""
    return ALL if subject == "contact" and field == "category" else _is_in_lane(subject, field, key)


def _is_of_category(key: str) -> ColumnElement[bool]:
    """The same as `_has_category_in` one key, by the ids of the contacts."""
    contact, company = ContactRow.__table__.alias(), CompanyRow.__table__.alias()
    at_company = select(contact.c.id).join(company, company.c.id == contact.c.company_id)
    with_own = select(contact.c.id).where(contact.c.category_key == key)
    return ContactRow.__table__.c.id.in_(at_company.where(company.c.category_key == key).union_all(with_own))


def _has_category_in(keys: Collection[str]) -> ColumnElement[bool]:
    """The effective category of a contact is one of these: at a company it has none of its own."""
    wanted = literal(sorted(keys), ARRAY(String))
    of_company, own = CompanyRow.__table__.c.category_key, ContactRow.__table__.c.category_key
    return or_(of_company == func.any(wanted), own == func.any(wanted))


def _begins_with(subject: Subject, text: str) -> ColumnElement[bool]:
    company, contact = CompanyRow.__table__.c, ContactRow.__table__.c
    columns = (company.name_norm, company.domain) if subject == "company" else (contact.name_norm, contact.email)
    return or_(*(starts_with(one, text) for one in columns))


def _is_owned_by(owner: str) -> ColumnElement[bool]:
    column = CompanyRow.__table__.c.owner_norm
    return (func.left(column, 100) == owner[:100]) & (column == owner)
