"""What rules propose."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, select

from leadflow.errors import NotFound
from leadflow.store.reads.records import DEFAULT_PAGE_SIZE
from leadflow.store.reads.rows import read_page
from leadflow.store.reads.views import Page, ProposalView
from leadflow.store.tables import ProposalRow


@dataclass(frozen=True, slots=True)
class ProposalFilter:
    """Which proposals."""

    state: str | None = None
    rule: str | None = None
    company_id: int | None = None
    contact_id: int | None = None


def proposals(
    connection: Connection,
    wanted: ProposalFilter = ProposalFilter(),
    *,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[ProposalView]:
    """Proposals, the oldest first."""
    query = select(ProposalRow.__table__)
    for name in ("state", "rule", "company_id", "contact_id"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(ProposalRow, name) == value)
    return read_page(connection, query, ProposalRow.id, after, limit, _view)


def decided_proposals(connection: Connection, *, limit: int) -> list[ProposalView]:
    """The newest proposals about which a person, or a person's edit, has decided."""
    query = select(ProposalRow.__table__).where(ProposalRow.state != "open").order_by(ProposalRow.id.desc())
    return [_view(row) for row in connection.execute(query.limit(limit)).mappings()]


def open_proposal_counts(connection: Connection, *, limit: int) -> dict[str, int]:
    """How many of the first `limit` open proposals each rule made, most first."""
    first = select(ProposalRow.rule).where(ProposalRow.state == "open").limit(limit).subquery()
    number = func.count()
    query = select(first.c.rule, number.label("open")).group_by(first.c.rule).order_by(number.desc(), first.c.rule)
    return {row.rule: row.open for row in connection.execute(query)}


def proposal(connection: Connection, proposal_id: int) -> ProposalView:
    """One proposal. Raises: NotFound."""
    query = select(ProposalRow.__table__).where(ProposalRow.id == proposal_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    return _view(row)


def _view(row: RowMapping) -> ProposalView:
    return ProposalView(**row)
