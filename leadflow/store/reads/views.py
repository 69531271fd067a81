"""What readers get: frozen values whose field names are the names of the JSON contract."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

View = TypeVar("View")

SaleStatus = Literal["open", "sold", "lost", "stalled"]
EventState = Literal["pending", "processed", "held", "failed"]
ProposalState = Literal["open", "accepted", "declined", "overtaken"]
GroupKey = Literal["customer", "potential_customer", "partner", "lost", "other"]


@dataclass(frozen=True, slots=True)
class Page(Generic[View]):
    """Some records and the key after which the next page begins; None at the end."""

    items: list[View]
    next_key: int | None


@dataclass(frozen=True, slots=True)
class CategoryRef:
    """The category as a record shows it; a deleted one keeps its name."""

    key: str
    name: str
    group: GroupKey | None


@dataclass(frozen=True, slots=True)
class LeadStatusRef:
    """The lead status as a contact shows it."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class FirstTouchView:
    """Where a record first came from."""

    source: str | None
    medium: str | None
    campaign: str | None
    term: str | None
    content: str | None
    referrer: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class CompanyView:
    """A company."""

    id: int
    name: str | None
    domain: str | None
    category: CategoryRef | None
    owner: str | None
    tags: list[str]
    fields: dict[str, Any]
    do_not_automate: bool
    open_sales: int
    first_touch: FirstTouchView | None
    external_ids: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class ContactView:
    """A contact. `category` is the effective one; an inactive lead status is kept and marked as such."""

    id: int
    email: str | None
    first_name: str | None
    last_name: str | None
    company_id: int | None
    category: CategoryRef | None
    lead_status: LeadStatusRef | None
    lead_status_active: bool
    tags: list[str]
    fields: dict[str, Any]
    do_not_automate: bool
    first_touch: FirstTouchView | None
    last_touched_at: datetime | None
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class RunView:
    """The trace of one rule on one event, or on one record of a sweep; `clauses` and `changes` are as recorded."""

    id: int
    event_id: int | None
    sweep_id: int | None
    rule: str
    version: int
    outcome: str
    clauses: list[dict[str, Any]]
    guard: str | None
    error: str | None
    near_miss: bool
    chain: list[str]
    changes: list[dict[str, Any]]
    company_id: int | None
    contact_id: int | None
    duration_us: int
    at: datetime


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the inbox, with the rules that were tried on it."""

    id: int
    source: str
    delivery_id: str
    type: str
    name: str | None
    state: EventState
    received_at: datetime
    processed_at: datetime | None
    company_id: int | None
    contact_id: int | None
    error: str | None
    next_attempt_at: datetime | None
    fields: dict[str, Any] | None
    runs: list[RunView]


@dataclass(frozen=True, slots=True)
class ActorView:
    """Who changed something; a rule's `name` is its slug."""

    kind: str
    id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One row of the ledger; `undone_by` is the change that took it back."""

    id: int
    at: datetime
    entity: str
    entity_id: int
    company_id: int | None
    contact_id: int | None
    field: str
    old: Any
    new: Any
    actor: ActorView
    event_id: int | None
    sweep_id: int | None
    run_id: int | None
    undone_by: int | None


@dataclass(frozen=True, slots=True)
class SaleView:
    """A sale; `amount` is an exact decimal."""

    id: int
    company_id: int
    contact_id: int | None
    status: SaleStatus
    title: str | None
    amount: Decimal | None
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """A follow-up for people; `rule` and `event_id` say why, where a rule made it."""

    id: int
    title: str
    owner: str | None
    due_at: datetime | None
    done_at: datetime | None
    company_id: int | None
    contact_id: int | None
    created_by: str
    rule: str | None
    event_id: int | None
    sweep_id: int | None
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class ProposalView:
    """What a rule with status `propose` would do to a record, and what a person made of it."""

    id: int
    rule: str
    version: int
    event_id: int | None
    sweep_id: int | None
    run_id: int
    company_id: int | None
    contact_id: int | None
    changes: list[dict[str, Any]]
    state: ProposalState
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    revision: int


@dataclass(frozen=True, slots=True)
class CategoryView:
    """A category of the installation's list."""

    key: str
    name: str
    short_name: str | None
    description: str
    group: GroupKey | None
    rank: int
    lead_status_enabled: bool
    deleted_at: datetime | None
    revision: int


@dataclass(frozen=True, slots=True)
class LeadStatusView:
    """A lead status of the installation's list; exactly one is the default."""

    key: str
    name: str
    description: str
    rank: int
    is_default: bool
    deleted_at: datetime | None
    revision: int


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """How often a rule ended how, since some time, and when it last fired."""

    rule: str
    outcomes: dict[str, int]
    near_misses: int
    last_fired_at: datetime | None


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many events of one day (UTC) are in one state."""

    day: date
    state: str
    events: int
