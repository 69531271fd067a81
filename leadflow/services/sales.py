"""Sales: registered, sold, lost. Each step takes its place in the company's order of events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from leadflow.domain.events import Actor, SaleStep, Trigger
from leadflow.domain.fields import SALE_STATUSES, UnreadableValue, read_number, read_text
from leadflow.errors import Fault, InvalidRequest, NotFound, StaleWrite
from leadflow.services.inbox import store_own_event
from leadflow.services.readings import SALES_SOURCE
from leadflow.store.tables import CompanyRow, ContactRow, SaleRow

FIELDS = ("company_id", "contact_id", "status", "title", "amount")


def create_sale(connection: Connection, actor: Actor, sent: Mapping[str, Any], now: datetime) -> tuple[int, int]:
    """A new sale; its id and the id of the event that tells the rules (the last, if it was created sold or lost).

    Raises: InvalidRequest with every fault.
    """
    draft = _read(sent, FIELDS, required=("company_id",))
    draft.setdefault("status", "open")
    domain = _lock_company(connection, draft["company_id"])
    _require_contact(connection, draft.get("contact_id"))
    values = {"contact_id": None, "title": None, "amount": None, **draft, "created_at": now, "updated_at": now}
    sale_id: int = connection.execute(insert(SaleRow).values(**values).returning(SaleRow.id)).scalar_one()
    steps = [SaleStep.REGISTERED.value]
    if draft["status"] != "open":
        steps.append(draft["status"])
    event_ids = [_tell(connection, sale_id, values, domain, step, now) for step in steps]
    return sale_id, event_ids[-1]


def change_sale(
    connection: Connection,
    actor: Actor,
    sale_id: int,
    sent: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> int | None:
    """Write some fields of a sale; the id of the event of a new status, None while the status stays.

    Raises: NotFound, StaleWrite, InvalidRequest.
    """
    draft = _read(sent, FIELDS[1:])
    company_id = connection.scalar(select(SaleRow.company_id).where(SaleRow.id == sale_id))
    if company_id is None:
        raise NotFound(f"There is no sale {sale_id}.")
    domain = _lock_company(connection, company_id)
    row = connection.execute(select(SaleRow.__table__).where(SaleRow.id == sale_id).with_for_update()).one()
    if expected_revision is not None and row.revision != expected_revision:
        raise StaleWrite("The sale changed since you read it.")
    _require_contact(connection, draft.get("contact_id"))
    changed = {name: value for name, value in draft.items() if getattr(row, name) != value}
    if not changed:
        return None
    assignments = {**changed, "updated_at": now, "revision": SaleRow.revision + 1}
    connection.execute(update(SaleRow).where(SaleRow.id == sale_id).values(**assignments))
    if "status" not in changed:
        return None
    return _tell(connection, sale_id, {**row._asdict(), **changed}, domain, changed["status"], now)


def _lock_company(connection: Connection, company_id: int) -> str | None:
    """The company's domain; its sales come one after the other while it is locked."""
    statement = select(CompanyRow.domain).where(CompanyRow.id == company_id).with_for_update()
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise InvalidRequest([Fault("company_id", f"there is no company {company_id}")])
    domain: str | None = row.domain
    return domain


def _require_contact(connection: Connection, contact_id: int | None) -> None:
    if contact_id is not None and connection.scalar(select(ContactRow.id).where(ContactRow.id == contact_id)) is None:
        raise InvalidRequest([Fault("contact_id", f"there is no contact {contact_id}")])


def _tell(
    connection: Connection, sale_id: int, sale: Mapping[str, Any], domain: str | None, step: str, now: datetime
) -> int:
    company_id, amount = sale["company_id"], sale["amount"]
    counted = select(func.count()).where(SaleRow.company_id == company_id, SaleRow.status == "open")
    open_sales = connection.scalar(counted) or 0
    document = {
        "sale_id": sale_id,
        # The rules see a sale that was registered and sold at once as open first, as if it had come in two steps.
        "step": step,
        "status": "open" if step == SaleStep.REGISTERED.value else sale["status"],
        "title": sale["title"],
        "amount": None if amount is None else str(amount),
        "company_id": company_id,
        "contact_id": sale["contact_id"],
        "open_sales": open_sales,
    }
    contact = None if sale["contact_id"] is None else (sale["contact_id"], None)
    return store_own_event(connection, SALES_SOURCE, Trigger.SALE, document, (company_id, domain), contact, now)


def _read(sent: Mapping[str, Any], allowed: tuple[str, ...], required: tuple[str, ...] = ()) -> dict[str, Any]:
    faults = [Fault(name, "is required") for name in required if sent.get(name) is None]
    draft: dict[str, Any] = {}
    for name, raw in sent.items():
        if name not in allowed:
            faults.append(Fault(name, f"is not a field that can be written; allowed: {', '.join(allowed)}"))
            continue
        try:
            draft[name] = _value(name, raw)
        except UnreadableValue as error:
            faults.append(Fault(name, str(error)))
    if faults:
        raise InvalidRequest(faults)
    return draft


def _value(name: str, raw: Any) -> str | int | Decimal | None:
    if name == "status":
        if raw not in SALE_STATUSES:
            raise UnreadableValue(f"must be one of {', '.join(SALE_STATUSES)}")
        return str(raw)
    if raw is None:
        return None
    if name == "title":
        return read_text(raw)
    if name == "amount":
        return read_number(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 < raw < 2**63:
        raise UnreadableValue("must be an id")
    return raw
