"""The installation's lists (categories, lead statuses), who is affected by a change of them, and counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Date, Select, cast, func, select

from leadflow.errors import NotFound
from leadflow.store.reads.rows import IS_ACTIVE, contacts_with_category, effective_category
from leadflow.store.reads.views import CategoryView, DayCount, LeadStatusView, RuleCounts
from leadflow.store.run_days import days_of_rules, rules_with_runs
from leadflow.store.tables import CategoryRow, CompanyRow, ContactRow, EventRow, LeadStatusRow

SAMPLE_SIZE = 20

_CATEGORY_COLUMNS = [
    column.label("group") if column.name == "group_key" else column
    for column in CategoryRow.__table__.c
    if column.name != "former_names"
]
_STATUS_COLUMNS = [column for column in LeadStatusRow.__table__.c if column.name != "former_names"]


@dataclass(frozen=True, slots=True)
class Impact:
    """Who carries a value of a list: counts, and the first ids of each kind."""

    companies: int
    contacts: int
    company_ids: list[int]
    contact_ids: list[int]


def categories(connection: Connection, *, with_deleted: bool = False) -> list[CategoryView]:
    """All categories in rank order."""
    query = select(*_CATEGORY_COLUMNS).order_by(CategoryRow.rank, CategoryRow.key)
    if not with_deleted:
        query = query.where(CategoryRow.deleted_at.is_(None))
    return [CategoryView(**row) for row in connection.execute(query).mappings()]


def category(connection: Connection, key: str) -> CategoryView:
    """One category, deleted or not. Raises: NotFound."""
    row = connection.execute(select(*_CATEGORY_COLUMNS).where(CategoryRow.key == key)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no category '{key}'.")
    return CategoryView(**row)


def lead_statuses(connection: Connection, *, with_deleted: bool = False) -> list[LeadStatusView]:
    """All lead statuses in rank order."""
    query = select(*_STATUS_COLUMNS).order_by(LeadStatusRow.rank, LeadStatusRow.key)
    if not with_deleted:
        query = query.where(LeadStatusRow.deleted_at.is_(None))
    return [LeadStatusView(**row) for row in connection.execute(query).mappings()]


def lead_status(connection: Connection, key: str) -> LeadStatusView:
    """One lead status, deleted or not. Raises: NotFound."""
    row = connection.execute(select(*_STATUS_COLUMNS).where(LeadStatusRow.key == key)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no lead status '{key}'.")
    return LeadStatusView(**row)


def impact_of_category(connection: Connection, key: str) -> Impact:
    """The companies with this category, and the contacts whose effective category it is."""
    of_contacts = select(ContactRow.id).select_from(contacts_with_category()).where(effective_category() == key)
    companies, company_ids = _count_and_sample(connection, select(CompanyRow.id).where(CompanyRow.category_key == key))
    contacts, contact_ids = _count_and_sample(connection, of_contacts)
    return Impact(companies, contacts, company_ids, contact_ids)


def _count_and_sample(connection: Connection, query: Select[Any]) -> tuple[int, list[int]]:
    count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    first = connection.scalars(query.order_by(query.selected_columns[0]).limit(SAMPLE_SIZE)).all()
    return count, list(first)


def companies_per_category(connection: Connection) -> dict[str | None, int]:
    """How many companies each category key has; None counts those without one."""
    query = select(CompanyRow.category_key, func.count()).group_by(CompanyRow.category_key)
    return dict(connection.execute(query).all())


def contacts_per_lead_status(connection: Connection, *, only_active: bool = True) -> dict[str | None, int]:
    """How many contacts each lead status has; by default only where the lead status is active."""
    query = select(ContactRow.lead_status_key, func.count()).group_by(ContactRow.lead_status_key)
    if only_active:
        query = query.select_from(contacts_with_category()).where(IS_ACTIVE)
    return dict(connection.execute(query).all())


def events_per_state(connection: Connection) -> dict[str, int]:
    """How many events wait, are held or failed: few, each state counted by its own index."""
    states = ("pending", "held", "failed")
    counts = (select(func.count()).where(EventRow.state == one).scalar_subquery() for one in states)
    return dict(zip(states, connection.execute(select(*counts)).one(), strict=True))


def count_events(connection: Connection) -> int:
    """How many events there are in all; it takes longer the more there are."""
    return connection.scalar(select(func.count()).select_from(EventRow)) or 0


def oldest_pending_at(connection: Connection) -> datetime | None:
    """When the event that waits longest was received."""
    return connection.scalar(select(func.min(EventRow.received_at)).where(EventRow.state == "pending"))


def events_per_day(connection: Connection, since: datetime) -> list[DayCount]:
    """Events received since then, by day (UTC) and state, oldest first."""
    day = cast(func.timezone("UTC", EventRow.received_at), Date).label("day")
    query = select(day, EventRow.state, func.count().label("events")).where(EventRow.received_at >= since)
    found = connection.execute(query.group_by(day, EventRow.state).order_by(day, EventRow.state))
    return [DayCount(*row) for row in found]


def rule_counts(connection: Connection, since: datetime) -> dict[str, RuleCounts]:
    """How each rule ended since the beginning of that day (UTC), by slug; rules that were never tried are missing.

    Days that are over were counted once; of today the newest traces of each rule count, see `run_days`.
    """
    found: dict[str, RuleCounts] = {}
    for one in days_of_rules(connection, rules_with_runs(connection), since.astimezone(UTC).date()):
        known = found.get(one.rule, RuleCounts(one.rule, {}, 0, None))
        fired = [at for at in (known.last_fired_at, one.last_at if one.outcome == "fired" else None) if at is not None]
        found[one.rule] = RuleCounts(
            one.rule,
            {**known.outcomes, one.outcome: known.outcomes.get(one.outcome, 0) + one.runs},
            known.near_misses + one.near_misses,
            max(fired, default=None),
        )
    return found
