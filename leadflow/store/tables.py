"""The tables, typed. The category guard and the ledger's append-only rule live in the migrations as triggers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Numeric,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


PATHS = {"fields_norm": "jsonb_path_ops"}
NO_BLANK_NORMS = (
    "{} <> '' AND {} <> '' AND first_touch_source_norm <> '' AND first_touch_medium_norm <> ''"
    " AND first_touch_campaign_norm <> '' AND first_touch_term_norm <> '' AND first_touch_content_norm <> ''"
    " AND first_touch_referrer_norm <> ''"
)


class Base(DeclarativeBase):
    """All tables. Text is unlimited, times are zone-aware, documents are jsonb."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        list[str]: ARRAY(String),
        bytes: BYTEA,
    }


def _bigint_key() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(), primary_key=True)


class CategoryRow(Base):
    __tablename__ = "category"

    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    short_name: Mapped[str | None]
    description: Mapped[str]
    group_key: Mapped[str | None]
    rank: Mapped[int]
    lead_status_enabled: Mapped[bool]
    former_names: Mapped[list[str]] = mapped_column(server_default="{}")
    deleted_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        CheckConstraint(
            "group_key IN ('customer', 'potential_customer', 'partner', 'lost', 'other')", name="known_group"
        ),
    )


class LeadStatusRow(Base):
    __tablename__ = "lead_status"

    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    rank: Mapped[int]
    is_default: Mapped[bool]
    former_names: Mapped[list[str]] = mapped_column(server_default="{}")
    deleted_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        Index("uq_lead_status_one_default", "is_default", unique=True, postgresql_where=text("is_default")),
        CheckConstraint("NOT (is_default AND deleted_at IS NOT NULL)", name="default_stays"),
    )


class EdgeRow(Base):
    """One step automation may take; a source of NULL is a company without a category."""

    __tablename__ = "lifecycle_edge"

    id: Mapped[int] = _bigint_key()
    source_key: Mapped[str | None] = mapped_column(ForeignKey("category.key"))
    target_key: Mapped[str] = mapped_column(ForeignKey("category.key"))
    kind: Mapped[str]

    __table_args__ = (
        UniqueConstraint("source_key", "target_key", postgresql_nulls_not_distinct=True),
        CheckConstraint("kind IN ('move', 'exit')", name="known_kind"),
    )


class Installation(Base):
    """One row: what every process must agree on. A transaction that sees a new revision reads the lists again."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lifecycle_revision: Mapped[int]
    on_reentry: Mapped[str]
    custom_fields: Mapped[list[Any]]
    # The declared events as [name, label], in the order in which they were declared.
    events: Mapped[list[Any]] = mapped_column(server_default="[]")
    live_version: Mapped[int | None] = mapped_column(ForeignKey("rule_set.version"))
    demo_loaded_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)


class FirstTouchColumns:
    """UTM values and referrer at creation; never written again (invariant 9, kept by a trigger)."""

    first_touch_source: Mapped[str | None]
    first_touch_medium: Mapped[str | None]
    first_touch_campaign: Mapped[str | None]
    first_touch_term: Mapped[str | None]
    first_touch_content: Mapped[str | None]
    first_touch_referrer: Mapped[str | None]
    first_touch_at: Mapped[datetime | None]
    # As they compare: case-folded by Python, so that the database's collation plays no part.
    first_touch_source_norm: Mapped[str | None]
    first_touch_medium_norm: Mapped[str | None]
    first_touch_campaign_norm: Mapped[str | None]
    first_touch_term_norm: Mapped[str | None]
    first_touch_content_norm: Mapped[str | None]
    first_touch_referrer_norm: Mapped[str | None]


class CompanyRow(FirstTouchColumns, Base):
    __tablename__ = "company"

    id: Mapped[int] = _bigint_key()
    name: Mapped[str | None]
    name_norm: Mapped[str | None]
    domain: Mapped[str | None]
    category_key: Mapped[str | None] = mapped_column(ForeignKey("category.key"))
    owner: Mapped[str | None]
    owner_norm: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default="{}")
    tags_norm: Mapped[list[str]] = mapped_column(server_default="{}")
    fields: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    fields_norm: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    do_not_automate: Mapped[bool] = mapped_column(server_default="false")
    open_sales: Mapped[int] = mapped_column(server_default="0")
    external_ids: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        Index("uq_company_domain", "domain", unique=True),
        Index("ix_company_category_key_id", "category_key", "id"),
        Index("ix_company_name_norm", "name_norm", postgresql_ops={"name_norm": "text_pattern_ops"}),
        Index("ix_company_domain_begins", "domain", postgresql_ops={"domain": "text_pattern_ops"}),
        Index("ix_company_tags_norm", "tags_norm", postgresql_using="gin"),
        Index("ix_company_fields_norm", "fields_norm", postgresql_using="gin", postgresql_ops=PATHS),
        # By the beginning, because a text of any length would not fit into an index.
        Index("ix_company_owner_begins", text('"left"(owner_norm, 100)'), "id"),
        CheckConstraint("name <> '' AND domain <> '' AND owner <> ''", name="no_blanks"),
        CheckConstraint(NO_BLANK_NORMS.format("name_norm", "owner_norm"), name="no_blank_norms"),
    )


class ContactRow(FirstTouchColumns, Base):
    __tablename__ = "contact"

    id: Mapped[int] = _bigint_key()
    email: Mapped[str | None]
    email_host: Mapped[str | None]
    first_name: Mapped[str | None]
    first_name_norm: Mapped[str | None]
    last_name: Mapped[str | None]
    last_name_norm: Mapped[str | None]
    name_norm: Mapped[str | None]
    company_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("company.id"))
    category_key: Mapped[str | None] = mapped_column(ForeignKey("category.key"))
    lead_status_key: Mapped[str | None] = mapped_column(ForeignKey("lead_status.key"))
    tags: Mapped[list[str]] = mapped_column(server_default="{}")
    tags_norm: Mapped[list[str]] = mapped_column(server_default="{}")
    fields: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    fields_norm: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    do_not_automate: Mapped[bool] = mapped_column(server_default="false")
    last_touched_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        Index("uq_contact_email", "email", unique=True),
        Index("ix_contact_company_id_id", "company_id", "id"),
        Index("ix_contact_lead_status_key_id", "lead_status_key", "id"),
        Index("ix_contact_name_norm", "name_norm", postgresql_ops={"name_norm": "text_pattern_ops"}),
        Index("ix_contact_last_name_norm", "last_name_norm", postgresql_ops={"last_name_norm": "text_pattern_ops"}),
        Index("ix_contact_email_begins", "email", postgresql_ops={"email": "text_pattern_ops"}),
        CheckConstraint("company_id IS NULL OR category_key IS NULL", name="category_is_the_companys"),
        Index("ix_contact_email_host", "email_host"),
        Index("ix_contact_tags_norm", "tags_norm", postgresql_using="gin"),
        Index("ix_contact_fields_norm", "fields_norm", postgresql_using="gin", postgresql_ops=PATHS),
        # Few contacts have a category of their own: those without a company that a person gave one.
        Index("ix_contact_category_key_id", "category_key", "id", postgresql_where=text("category_key IS NOT NULL")),
        Index("ix_contact_created_at", "created_at", postgresql_include=["lead_status_key"]),
        Index("ix_contact_last_touched_at", "last_touched_at", "id"),
        CheckConstraint("email <> '' AND first_name <> '' AND last_name <> ''", name="no_blanks"),
        CheckConstraint(NO_BLANK_NORMS.format("first_name_norm", "last_name_norm"), name="no_blank_norms"),
    )


class EventRow(Base):
    """The inbox. `lane` is a hash of the company (or address) the event belongs to; order holds per lane.

    `name` is the case-folded name of an `event` trigger. `fields_norm` holds those of `fields` that compare in
    another form (text that case-folding changes, the hosts of addresses and URLs); NULL where there is none.

    `starts` counts attempts that began and were not heard of again (their worker died), `failures` those that
    ended in an error.
    """

    __tablename__ = "event"

    id: Mapped[int] = _bigint_key()
    source: Mapped[str]
    delivery_id: Mapped[str]
    type: Mapped[str]
    name: Mapped[str | None]
    state: Mapped[str]
    lane: Mapped[int] = mapped_column(BigInteger)
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
    content_type: Mapped[str | None]
    body: Mapped[bytes | None]
    body_sha256: Mapped[bytes]
    fields: Mapped[dict[str, Any] | None]
    fields_norm: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    company_id: Mapped[int | None] = mapped_column(BigInteger)
    contact_id: Mapped[int | None] = mapped_column(BigInteger)
    starts: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime | None]
    error: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("source", "delivery_id"),
        Index("ix_event_pending", "id", postgresql_where=text("state = 'pending'")),
        Index("ix_event_pending_lane", "lane", "id", postgresql_where=text("state = 'pending'")),
        Index(
            "ix_event_waiting",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND next_attempt_at IS NOT NULL"),
        ),
        Index("ix_event_unsettled", "state", "id", postgresql_where=text("state IN ('held', 'failed')")),
        # Every event is written three times (accepted, tried, settled), so an index that most of them do not need is
        # partial, and half of each page is left free: that an attempt began is then noted without touching an index.
        Index(
            "ix_event_body",
            *("source", "body_sha256", "received_at"),
            postgresql_where=text("delivery_id LIKE 'body:%'"),
        ),
        Index("ix_event_company_id_id", "company_id", "id", postgresql_where=text("company_id IS NOT NULL")),
        Index("ix_event_contact_id_id", "contact_id", "id", postgresql_where=text("contact_id IS NOT NULL")),
        Index("ix_event_received_at", "received_at"),
        CheckConstraint("state IN ('pending', 'processed', 'held', 'failed')", name="known_state"),
        {"postgresql_with": {"fillfactor": 50}},
    )


class DeliveryConflict(Base):
    """A delivery that came with an id seen before but another body: the first is kept, this one is recorded."""

    __tablename__ = "delivery_conflict"

    id: Mapped[int] = _bigint_key()
    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("event.id"), index=True)
    received_at: Mapped[datetime]
    body: Mapped[bytes | None]
    body_sha256: Mapped[bytes]

    __table_args__ = (UniqueConstraint("event_id", "body_sha256"),)


class RunRow(Base):
    """The trace of one rule on one event or one record of a sweep: outcome, every clause, the guard, the changes."""

    __tablename__ = "run"

    id: Mapped[int] = _bigint_key()
    event_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    sweep_id: Mapped[int | None] = mapped_column(BigInteger)
    rule: Mapped[str]
    version: Mapped[int]
    outcome: Mapped[str]
    is_near_miss: Mapped[bool]
    clauses: Mapped[list[Any]]
    guard: Mapped[str | None]
    error: Mapped[str | None]
    changes: Mapped[list[Any]]
    chain: Mapped[list[str]]
    company_id: Mapped[int | None] = mapped_column(BigInteger)
    contact_id: Mapped[int | None] = mapped_column(BigInteger)
    duration_us: Mapped[int]
    at: Mapped[datetime]

    __table_args__ = (
        Index("ix_run_rule_at", "rule", "at"),
        Index("ix_run_sweep_id_id", "sweep_id", "id", postgresql_where=text("sweep_id IS NOT NULL")),
        CheckConstraint("(event_id IS NULL) <> (sweep_id IS NULL)", name="one_cause"),
        Index("ix_run_company_id_id", "company_id", "id"),
        Index("ix_run_contact_id_id", "contact_id", "id"),
    )


class RunDayRow(Base):
    """How the runs of a rule ended on one finished day (UTC), so that nobody counts millions of traces for a page."""

    __tablename__ = "run_day"

    rule: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int] = mapped_column(BigInteger)
    near_misses: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]


class ChangeRow(Base):
    """The ledger: append-only, for everybody. `undoes` points back; nothing is ever marked forward."""

    __tablename__ = "change"

    id: Mapped[int] = _bigint_key()
    at: Mapped[datetime]
    entity: Mapped[str]
    entity_id: Mapped[int] = mapped_column(BigInteger)
    company_id: Mapped[int | None] = mapped_column(BigInteger)
    contact_id: Mapped[int | None] = mapped_column(BigInteger)
    field: Mapped[str]
    old: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    new: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    # {old, new}: how they compare, where case-folding does more than lower() of ASCII letters; else NULL.
    values_norm: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    actor_kind: Mapped[str]
    actor_id: Mapped[str | None]
    actor_name: Mapped[str]
    event_id: Mapped[int | None] = mapped_column(BigInteger)
    sweep_id: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    rule: Mapped[str | None]
    action: Mapped[str]
    undoes: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("change.id"), unique=True)

    __table_args__ = (
        Index(
            "uq_change_effect",
            *("event_id", "rule", "action", "entity", "entity_id", "field"),
            unique=True,
            postgresql_where=text("event_id IS NOT NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        # A sweep changes a record once, however often it is started again.
        Index(
            "uq_change_sweep_effect",
            *("sweep_id", "action", "entity", "entity_id", "field"),
            unique=True,
            postgresql_where=text("sweep_id IS NOT NULL"),
        ),
        Index("ix_change_entity_entity_id_id", "entity", "entity_id", "id"),
        Index("ix_change_company_id_id", "company_id", "id"),
        Index("ix_change_contact_id_id", "contact_id", "id"),
        Index("ix_change_rule_id", "rule", "id", postgresql_where=text("rule IS NOT NULL")),
        Index("ix_change_at", "at"),
        # The moves of companies in a span of time, for the numbers of dashboards.
        Index(
            "ix_change_moves",
            *("at", "entity_id", "new", "old", "rule"),
            postgresql_where=text("entity = 'company' AND field = 'category'"),
        ),
    )


class SaleRow(Base):
    __tablename__ = "sale"

    id: Mapped[int] = _bigint_key()
    company_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("company.id"), index=True)
    contact_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("contact.id"), index=True)
    status: Mapped[str]
    title: Mapped[str | None]
    amount: Mapped[Decimal | None] = mapped_column(Numeric)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (CheckConstraint("status IN ('open', 'sold', 'lost', 'stalled')", name="known_status"),)


class TaskRow(Base):
    __tablename__ = "task"

    id: Mapped[int] = _bigint_key()
    title: Mapped[str]
    owner: Mapped[str | None]
    due_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    company_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("company.id"), index=True)
    contact_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("contact.id"), index=True)
    created_by: Mapped[str]
    rule: Mapped[str | None]
    event_id: Mapped[int | None] = mapped_column(BigInteger)
    sweep_id: Mapped[int | None] = mapped_column(BigInteger)
    action: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        Index(
            "uq_task_sweep_effect",
            *("sweep_id", "action", "company_id", "contact_id"),
            unique=True,
            postgresql_where=text("sweep_id IS NOT NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        Index(
            "uq_task_effect",
            *("event_id", "rule", "action", "company_id", "contact_id"),
            unique=True,
            postgresql_where=text("event_id IS NOT NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_task_open", "due_at", "id", postgresql_where=text("done_at IS NULL")),
    )


class RuleSetRow(Base):
    """A published version of all rule documents."""

    __tablename__ = "rule_set"

    version: Mapped[int] = mapped_column(Identity(), primary_key=True)
    created_at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_name: Mapped[str]
    origin: Mapped[str]
    # What the publisher said of it, and the version whose documents a rollback took.
    note: Mapped[str | None]
    restores: Mapped[int | None]
    # Which changes and creations running rules listen to: {"record_changed": [paths], "record_created": [records]}.
    listens: Mapped[dict[str, Any]]


class RuleDocumentRow(Base):
    __tablename__ = "rule_document"

    version: Mapped[int] = mapped_column(ForeignKey("rule_set.version"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


class RuleLimitRow(Base):
    """When a rule with `limit` last acted on a subject."""

    __tablename__ = "rule_limit"

    rule: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    acted_at: Mapped[datetime]
    event_id: Mapped[int | None] = mapped_column(BigInteger)


class ScheduleRow(Base):
    """When a scheduled rule is due next. Rows follow the live rules; a tick turns what is due into a sweep."""

    __tablename__ = "schedule"

    rule: Mapped[str] = mapped_column(primary_key=True)
    # What the due time was computed from: {"every", "at", "on", "zone"}; another definition starts anew.
    definition: Mapped[dict[str, Any]]
    next_due_at: Mapped[datetime] = mapped_column(index=True)


class SweepRow(Base):
    """One run of a scheduled rule over all records, page by page.

    `evaluated_at` is the one moment that the whole sweep is judged at; `cursor` the last record of the last committed
    page. States: waiting, running, done, braked (too many records; waits for a person), cancelled, failed.
    """

    __tablename__ = "sweep"

    id: Mapped[int] = _bigint_key()
    rule: Mapped[str]
    version: Mapped[int | None]
    origin: Mapped[str]
    subject: Mapped[str | None]
    due_at: Mapped[datetime]
    state: Mapped[str]
    evaluated_at: Mapped[datetime | None]
    cursor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # [["contacts", 1200000], ["Lead status is Re-nurture", 24310], …, ["within the limit", 2711]]
    funnel: Mapped[list[Any]] = mapped_column(server_default="[]")
    matching: Mapped[int | None] = mapped_column(BigInteger)
    seen: Mapped[int] = mapped_column(BigInteger, server_default="0")
    changed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    is_approved: Mapped[bool] = mapped_column(server_default="false")
    actor_name: Mapped[str]
    error: Mapped[str | None]
    # Attempts at the present page that began and were not heard of again: their worker died.
    starts: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("rule", "due_at"),
        Index("ix_sweep_unfinished", "id", postgresql_where=text("state IN ('waiting', 'running')")),
        CheckConstraint("state IN ('waiting', 'running', 'done', 'braked', 'cancelled', 'failed')", name="known_state"),
        CheckConstraint("origin IN ('schedule', 'person')", name="known_origin"),
    )


class WaitingRow(Base):
    """A rule that waits between two of its actions for one subject. When it is due, it becomes an event of its own.

    `step` is the number of the action to go on with; `situation` what the event said, to judge again by.
    States: open, queued (behind another one of the same rule and subject), due (its event is in the inbox), done,
    cancelled.
    """

    __tablename__ = "waiting"

    id: Mapped[int] = _bigint_key()
    rule: Mapped[str]
    version: Mapped[int]
    step: Mapped[int]
    recheck: Mapped[bool]
    event_id: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[int] = mapped_column(BigInteger)
    company_id: Mapped[int | None] = mapped_column(BigInteger)
    contact_id: Mapped[int | None] = mapped_column(BigInteger)
    situation: Mapped[dict[str, Any]]
    state: Mapped[str]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("run_id", "step"),
        Index("ix_waiting_due", "due_at", postgresql_where=text("state = 'open'")),
        Index(
            "ix_waiting_subject",
            *("rule", "contact_id", "company_id"),
            postgresql_where=text("state IN ('open', 'queued', 'due')"),
        ),
        CheckConstraint("state IN ('open', 'queued', 'due', 'done', 'cancelled')", name="known_state"),
    )


class TurnRow(Base):
    """How many companies a rule's round robin has given away: whose turn it is next."""

    __tablename__ = "turn"

    rule: Mapped[str] = mapped_column(primary_key=True)
    taken: Mapped[int] = mapped_column(BigInteger, server_default="0")


class SelectionRow(Base):
    """Records with a name: those that a condition finds (`dynamic`), or members that people chose (`static`).

    `slug` is what rules and addresses say; `condition` is the rule language as JSON, NULL for a static one. Plain dates
    in it are days in the time zone `zone`.
    """

    __tablename__ = "selection"

    id: Mapped[int] = _bigint_key()
    slug: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    subject: Mapped[str]
    kind: Mapped[str]
    condition: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    zone: Mapped[str] = mapped_column(server_default="UTC")
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        CheckConstraint("subject IN ('company', 'contact')", name="known_subject"),
        CheckConstraint("kind IN ('dynamic', 'static')", name="known_kind"),
        CheckConstraint("kind = 'dynamic' OR condition IS NULL", name="static_has_no_condition"),
    )


class SelectionMemberRow(Base):
    """A member of a static selection: the id of a company or contact, as the selection's subject says."""

    __tablename__ = "selection_member"

    selection_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("selection.id"), primary_key=True)
    record_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    added_by: Mapped[str]
    added_at: Mapped[datetime]

    __table_args__ = (Index("ix_selection_member_record_id", "record_id", "selection_id"),)


class BulkChangeRow(Base):
    """One change that a person makes to many records, page by page: each page is a transaction and moves `last_id`.

    `record_ids` are the records that were ticked; NULL: those that `criteria` find (what the list's address said).
    Records made after the start, with an id beyond `until_id`, are none of them.
    """

    __tablename__ = "bulk_change"

    id: Mapped[int] = _bigint_key()
    subject: Mapped[str]
    effect: Mapped[dict[str, Any]]
    criteria: Mapped[dict[str, Any]]
    record_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    state: Mapped[str]
    last_id: Mapped[int] = mapped_column(BigInteger, server_default="0")
    until_id: Mapped[int] = mapped_column(BigInteger)
    expected: Mapped[int]
    seen: Mapped[int] = mapped_column(server_default="0")
    changed: Mapped[int] = mapped_column(server_default="0")
    account_id: Mapped[int] = mapped_column(BigInteger)
    actor_name: Mapped[str]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("subject IN ('company', 'contact')", name="known_subject"),
        CheckConstraint("state IN ('running', 'done', 'stopped')", name="known_state"),
    )


class BulkLeftOutRow(Base):
    """A record that a bulk change left as it was, and why."""

    __tablename__ = "bulk_left_out"

    bulk_change_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("bulk_change.id"), primary_key=True)
    record_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str]

    __table_args__ = (Index("ix_bulk_left_out_reason", "bulk_change_id", "reason"),)


class SourceRow(Base):
    """An inbound source as people changed or made it on the screens; it goes before the file of the same name.

    `definition` is what a file of `config/sources/` holds; secrets are in `sealed` and nowhere else.
    """

    __tablename__ = "source"

    name: Mapped[str] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    sealed: Mapped[bytes | None]
    is_enabled: Mapped[bool] = mapped_column(server_default="true")
    changed_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(server_default="1")


class ReplayRow(Base):
    """Held or failed events that somebody had tried again together: which, so that their progress can be told."""

    __tablename__ = "replay"

    id: Mapped[int] = _bigint_key()
    title: Mapped[str]
    event_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    started_by: Mapped[str]
    created_at: Mapped[datetime]


class DashboardRow(Base):
    """A dashboard: `tiles` are its tiles in their order, each a mapping with its `kind`."""

    __tablename__ = "dashboard"

    key: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    tiles: Mapped[list[Any]]
    changed_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(server_default="1")


class RuleDraftRow(Base):
    """What a person has written in the editor and not published yet; one per account and document."""

    __tablename__ = "rule_draft"

    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"), primary_key=True)
    document: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    based_on: Mapped[int | None]
    updated_at: Mapped[datetime]


class ProposalRow(Base):
    """What a rule with status `propose` would do, for a person to accept, change or decline."""

    __tablename__ = "proposal"

    id: Mapped[int] = _bigint_key()
    rule: Mapped[str]
    version: Mapped[int]
    event_id: Mapped[int | None] = mapped_column(BigInteger)
    sweep_id: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    company_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    contact_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    # [{"entity", "entity_id", "field", "old", "new"}, …]: as in a trace
    changes: Mapped[list[Any]]
    state: Mapped[str]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str | None]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        Index("ix_proposal_open", "id", postgresql_where=text("state = 'open'")),
        CheckConstraint("state IN ('open', 'accepted', 'declined', 'overtaken')", name="known_state"),
    )


class EndpointRow(Base):
    """Where rules may send something: a signed webhook, or a channel for notifications. Secrets are sealed."""

    __tablename__ = "endpoint"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    title: Mapped[str]
    # For a channel the address may hold a password, so it is sealed and only its scheme stands here: `mailtos://…`.
    url: Mapped[str]
    sealed: Mapped[bytes]
    is_enabled: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (CheckConstraint("kind IN ('webhook', 'channel')", name="known_kind"),)


class OutboxRow(Base):
    """What leaves the system: written with the change that caused it, delivered at least once, in order per lane.

    States: pending, sent, parked (given up after three days, or nowhere to send it; a person may send it again).
    """

    __tablename__ = "outbox"

    id: Mapped[int] = _bigint_key()
    kind: Mapped[str]
    endpoint: Mapped[str]
    topic: Mapped[str]
    payload: Mapped[dict[str, Any]]
    lane: Mapped[str]
    company_id: Mapped[int | None] = mapped_column(BigInteger)
    contact_id: Mapped[int | None] = mapped_column(BigInteger)
    event_id: Mapped[int | None] = mapped_column(BigInteger)
    sweep_id: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    rule: Mapped[str | None]
    action: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")
    # While a worker sends it, this is the end of the worker's lease: a worker that dies is waited for until then.
    next_attempt_at: Mapped[datetime]
    give_up_at: Mapped[datetime]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_outbox_effect",
            *("event_id", "sweep_id", "rule", "action", "company_id", "contact_id"),
            unique=True,
            postgresql_where=text("rule IS NOT NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_outbox_pending", "endpoint", "lane", "id", postgresql_where=text("state = 'pending'")),
        Index("ix_outbox_due", "endpoint", "next_attempt_at", "id", postgresql_where=text("state = 'pending'")),
        Index("ix_outbox_parked", "endpoint", "id", postgresql_where=text("state = 'parked'")),
        Index("ix_outbox_kept", "ended_at", postgresql_where=text("state = 'sent' AND payload <> '{}'::jsonb")),
        Index("ix_outbox_company_id", "company_id", "id", postgresql_where=text("company_id IS NOT NULL")),
        Index("ix_outbox_contact_id", "contact_id", "id", postgresql_where=text("contact_id IS NOT NULL")),
        CheckConstraint("kind IN ('webhook', 'notification')", name="known_kind"),
        CheckConstraint("state IN ('pending', 'sent', 'parked')", name="known_state"),
    )


class AccountRow(Base):
    """A person who signs in."""

    __tablename__ = "account"

    id: Mapped[int] = _bigint_key()
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str | None]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (CheckConstraint("role IN ('viewer', 'editor', 'admin')", name="known_role"),)


class SessionRow(Base):
    """A signed-in browser; only the hash of its token is kept."""

    __tablename__ = "session"

    token_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    # From where and with what it was opened, so that people know their own sessions from others'.
    remote: Mapped[str | None]
    agent: Mapped[str | None]


class SignInLinkRow(Base):
    """A one-time link to sign in."""

    __tablename__ = "sign_in_link"

    token_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    # Whoever uses it chooses a password first: an invitation, or a forgotten password.
    asks_password: Mapped[bool] = mapped_column(server_default="false")


class SignInFailure(Base):
    """Failed sign-ins per address and per network address, for throttling."""

    __tablename__ = "sign_in_failure"

    id: Mapped[int] = _bigint_key()
    subject: Mapped[str]
    at: Mapped[datetime]

    __table_args__ = (Index("ix_sign_in_failure_subject_at", "subject", "at"),)


class ApiKeyRow(Base):
    """An API key `lf_<id>_<secret>`; only the SHA-256 of the secret is kept."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(primary_key=True)
    secret_sha256: Mapped[bytes]
    name: Mapped[str]
    role: Mapped[str]
    acts_as: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")

    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'editor', 'admin')", name="known_role"),
        CheckConstraint("acts_as IN ('person', 'automation')", name="known_acts_as"),
    )


class IdempotencyRow(Base):
    """The answer to a POST that carried an Idempotency-Key, given again to its repeats."""

    __tablename__ = "idempotency"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[bytes]
    status: Mapped[int]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)


class HeartbeatRow(Base):
    """Which processes are alive, for `doctor` and the system page."""

    __tablename__ = "heartbeat"

    role: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    pid: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    did_work: Mapped[int] = mapped_column(BigInteger, server_default="0")


class GuardOverride(Base):
    """Each category change that only a person or connector may make, noted by the trigger itself."""

    __tablename__ = "guard_override"

    id: Mapped[int] = _bigint_key()
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    company_id: Mapped[int] = mapped_column(BigInteger)
    old_category: Mapped[str | None]
    new_category: Mapped[str | None]
    actor: Mapped[str]
    database_user: Mapped[str]
