"""What the API takes: paths, query parameters and bodies. What it gives are the views of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from leadflow.domain.fields import UnreadableValue, read_moment
from leadflow.store.reads import DEFAULT_PAGE_SIZE
from leadflow.store.reads.views import EventState, GroupKey, ProposalState, SaleStatus
from leadflow.store.sweeps.reads import SweepState

MAX_PAGE_SIZE = 200

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Key = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Rank = Annotated[int, Field(ge=0, le=1_000_000)]


def _read_moment(raw: object) -> object:
    if raw is None or isinstance(raw, datetime):
        return raw
    if not isinstance(raw, str):
        raise ValueError("expected a time such as 2026-03-01T12:00:00Z")
    # A plus sign that was not escaped in a query arrives as a blank.
    text = raw.strip()
    text = f"{text[:-6]}+{text[-5:]}" if len(text) > 20 and text[-6] == " " else text
    try:
        return read_moment(text, UTC)
    except UnreadableValue as error:
        raise ValueError(str(error)) from None


Moment = Annotated[
    datetime,
    BeforeValidator(_read_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339; without an offset in UTC"}),
]


class Body(BaseModel):
    """Unknown keys are errors, and a number is no text. `may_be_missing`: a request without any body will do."""

    model_config = ConfigDict(extra="forbid", strict=True)

    may_be_missing: ClassVar[bool] = False

    def given(self) -> dict[str, Any]:
        """Only what the caller wrote: a key that is missing leaves its field alone, null empties it."""
        return self.model_dump(exclude_unset=True)


class Query(BaseModel):
    """Unknown parameters are errors."""

    model_config = ConfigDict(extra="forbid")


class RecordPath(BaseModel):
    id: Id


class RulePath(BaseModel):
    rule: Annotated[str, Field(max_length=80)]


class KeyPath(BaseModel):
    key: Annotated[str, Field(max_length=100)]


class PageQuery(Query):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="records on a page")] = DEFAULT_PAGE_SIZE
    cursor: Annotated[str | None, Field(description="`next` of the page before")] = None


class WholeListQuery(Query):
    """Of a short list everything is answered, unless a page is asked for."""

    limit: Annotated[int | None, Field(ge=1, le=MAX_PAGE_SIZE, description="items on a page; all without it")] = None
    cursor: Annotated[str | None, Field(description="`next` of the page before")] = None


class SearchQuery(PageQuery):
    count: Annotated[bool, Field(description="count what is found, too")] = False


class CompanyQuery(PageQuery):
    q: Annotated[str | None, Field(description="beginning of the name or domain, in any case")] = None
    name: Annotated[str | None, Field(description="the whole name, in any case")] = None
    domain: str | None = None
    category: Annotated[str | None, Field(description="key of the category")] = None


class ContactQuery(PageQuery):
    q: Annotated[str | None, Field(description="beginning of the name or address, in any case")] = None
    email: str | None = None
    company_id: Id | None = None
    lead_status: Annotated[str | None, Field(description="key of the lead status, active or not")] = None
    category: Annotated[str | None, Field(description="key of the effective category")] = None


class EventQuery(PageQuery):
    state: EventState | None = None
    source: str | None = None
    company_id: Id | None = None
    contact_id: Id | None = None


class ChangeQuery(PageQuery):
    company_id: Id | None = None
    contact_id: Id | None = None
    rule: Annotated[str | None, Field(description="slug of the rule")] = None
    event_id: Id | None = None
    run_id: Id | None = None
    field: str | None = None
    since: Annotated[Moment | None, Field(description="this moment or later")] = None


class SweepQuery(PageQuery):
    rule: Annotated[str | None, Field(description="slug of the rule")] = None
    state: SweepState | None = None


class SaleQuery(PageQuery):
    company_id: Id | None = None


class TaskQuery(PageQuery):
    done: Annotated[bool | None, Field(description="only done ones, or only open ones")] = None
    company_id: Id | None = None
    contact_id: Id | None = None
    owner: str | None = None


class ListQuery(WholeListQuery):
    with_deleted: Annotated[bool, Field(description="deleted values too")] = False


class SearchBody(Body):
    where: Annotated[
        Any,
        Field(description="a condition of the rule language; without one everything is found"),
        WithJsonSchema({"type": "object", "description": "a condition of the rule language, as JSON"}),
    ] = None
    order_by: Annotated[
        Text | None,
        BeforeValidator(lambda raw: raw[0] if isinstance(raw, list) and len(raw) == 1 else raw),
        Field(description="one field, such as `-company.category`; by id if none"),
    ] = None
    columns: Annotated[list[Text] | None, Field(max_length=100, description="keys of the items; all if none")] = None
    limit: Annotated[int | None, Field(ge=1, le=MAX_PAGE_SIZE, description="records on a page")] = None
    cursor: Annotated[str | None, Field(description="`next` of the page before")] = None
    count: Annotated[bool, Field(description="count what is found, too")] = False


Tag = Annotated[str, Field(max_length=1_000)]
Tags = Annotated[list[Tag], Field(max_length=200)]
OwnFields = Annotated[dict[str, Any], Field(description="the installation's own fields, by name")]


class CompanyWrite(Body):
    name: Text | None = None
    domain: Text | None = None
    category: Annotated[Text | None, Field(description="key of the category")] = None
    owner: Text | None = None
    tags: Tags = []
    fields: OwnFields = {}
    do_not_automate: bool = False
    external_ids: Annotated[dict[str, Text], Field(description="ids of other systems, by system")] = {}


class ContactWrite(Body):
    email: Text | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    company_id: Id | None = None
    category: Annotated[Text | None, Field(description="key; only for a contact without a company")] = None
    lead_status: Annotated[Text | None, Field(description="key; only while the lead status is active")] = None
    tags: Tags = []
    fields: OwnFields = {}
    do_not_automate: bool = False


Amount = Annotated[
    Decimal,
    Field(strict=False, max_digits=60, allow_inf_nan=False),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "number"}],
            "description": "exact decimal as text, such as 12500.00; a number is taken too",
            "examples": ["12500.00"],
        }
    ),
]


class SaleCreate(Body):
    company_id: Id
    contact_id: Id | None = None
    status: SaleStatus = "open"
    title: Text | None = None
    amount: Amount | None = None


class SaleChange(Body):
    status: SaleStatus = "open"
    contact_id: Id | None = None
    title: Text | None = None
    amount: Amount | None = None


class TaskCreate(Body):
    title: Name
    owner: Text | None = None
    due_at: Moment | None = None
    company_id: Id | None = None
    contact_id: Id | None = None


class TaskChange(Body):
    title: Name = ""
    owner: Text | None = None
    due_at: Moment | None = None
    done: bool = False


class CategoryChange(Body):
    name: Name = ""
    short_name: Name | None = None
    description: Text = ""
    group: GroupKey | None = None
    rank: Rank = 0
    lead_status_enabled: bool = False


class CategoryCreate(CategoryChange):
    key: Key
    name: Name


class LeadStatusChange(Body):
    name: Name = ""
    description: Text = ""
    rank: Rank = 0
    is_default: Annotated[bool, Field(description="true makes it the default; the old default stays in the list")] = (
        False
    )


class LeadStatusCreate(Body):
    key: Key
    name: Name
    description: Text = ""
    rank: Rank = 0


class ProposalQuery(PageQuery):
    state: ProposalState | None = None
    rule: Annotated[str | None, Field(description="slug of the rule")] = None
    company_id: Id | None = None
    contact_id: Id | None = None


class ProposalAcceptance(Body):
    may_be_missing = True
    category: Annotated[str | None, Field(description="key of another category than the proposed one")] = None


class ProposalRefusal(Body):
    may_be_missing = True
    reason: Annotated[str | None, Field(max_length=1_000)] = None


class SweepStart(Body):
    rule: Name
    dry_run: Annotated[bool, Field(description="count and show samples; change nothing")] = False


class RuleStart(Body):
    company_id: Id | None = None
    contact_id: Id | None = None
