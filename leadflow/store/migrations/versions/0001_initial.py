"""Initial tables, the category guard and the append-only ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GUARD = Path(__file__).parent.parent / "sql" / "0001_guard.sql"


def upgrade() -> None:  # noqa: PLR0915 - a list of tables
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'admin')", name=op.f("ck_account_known_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email", name=op.f("uq_account_email")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret_sha256", postgresql.BYTEA(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("acts_as", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("acts_as IN ('person', 'automation')", name=op.f("ck_api_key_known_acts_as")),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'admin')", name=op.f("ck_api_key_known_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
    )
    op.create_table(
        "category",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("short_name", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("group_key", sa.String(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("lead_status_enabled", sa.Boolean(), nullable=False),
        sa.Column("former_names", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "group_key IN ('customer', 'potential_customer', 'partner', 'lost', 'other')",
            name=op.f("ck_category_known_group"),
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_category")),
    )
    op.create_table(
        "change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("entity_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("old", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("new", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=True),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["undoes"], ["change.id"], name=op.f("fk_change_undoes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
        sa.UniqueConstraint("undoes", name=op.f("uq_change_undoes")),
    )
    op.create_index("ix_change_at", "change", ["at"], unique=False)
    op.create_index("ix_change_company_id_id", "change", ["company_id", "id"], unique=False)
    op.create_index("ix_change_contact_id_id", "change", ["contact_id", "id"], unique=False)
    op.create_index("ix_change_entity_entity_id_id", "change", ["entity", "entity_id", "id"], unique=False)
    op.create_index(
        "ix_change_rule_id", "change", ["rule", "id"], unique=False, postgresql_where=sa.text("rule IS NOT NULL")
    )
    op.create_index(
        "uq_change_effect",
        "change",
        ["event_id", "rule", "action", "entity", "entity_id", "field"],
        unique=True,
        postgresql_where=sa.text("event_id IS NOT NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("content_type", sa.String(), nullable=True),
        sa.Column("body", postgresql.BYTEA(), nullable=True),
        sa.Column("body_sha256", postgresql.BYTEA(), nullable=False),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("starts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'processed', 'held', 'failed')", name=op.f("ck_event_known_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("source", "delivery_id", name=op.f("uq_event_source_delivery_id")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        "ix_event_body",
        "event",
        ["source", "body_sha256", "received_at"],
        unique=False,
        postgresql_where=sa.text("delivery_id LIKE 'body:%'"),
    )
    for column in ("company_id", "contact_id"):
        op.create_index(
            f"ix_event_{column}_id",
            "event",
            [column, "id"],
            unique=False,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index("ix_event_pending", "event", ["id"], unique=False, postgresql_where=sa.text("state = 'pending'"))
    op.create_index(
        "ix_event_pending_lane", "event", ["lane", "id"], unique=False, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index("ix_event_received_at", "event", ["received_at"], unique=False)
    op.create_index(
        "ix_event_waiting",
        "event",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending' AND next_attempt_at IS NOT NULL"),
    )
    op.create_index(
        "ix_event_unsettled",
        "event",
        ["state", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('held', 'failed')"),
    )
    op.create_table(
        "guard_override",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("old_category", sa.String(), nullable=True),
        sa.Column("new_category", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("database_user", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guard_override")),
    )
    op.create_table(
        "heartbeat",
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("did_work", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("role", "host", "pid", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_sha256", postgresql.BYTEA(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "lead_status",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("former_names", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("NOT (is_default AND deleted_at IS NOT NULL)", name=op.f("ck_lead_status_default_stays")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_lead_status")),
    )
    op.create_index(
        "uq_lead_status_one_default", "lead_status", ["is_default"], unique=True, postgresql_where=sa.text("is_default")
    )
    op.create_table(
        "rule_limit",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("acted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("rule", "subject", "subject_id", name=op.f("pk_rule_limit")),
    )
    op.create_table(
        "rule_set",
        sa.Column("version", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("listens", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_rule_set")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("is_near_miss", sa.Boolean(), nullable=False),
        sa.Column("clauses", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("guard", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("chain", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("duration_us", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index("ix_run_company_id_id", "run", ["company_id", "id"], unique=False)
    op.create_index("ix_run_contact_id_id", "run", ["contact_id", "id"], unique=False)
    op.create_index(op.f("ix_run_event_id"), "run", ["event_id"], unique=False)
    op.create_index("ix_run_rule_at", "run", ["rule", "at"], unique=False)
    op.create_table(
        "sign_in_failure",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_failure")),
    )
    op.create_index("ix_sign_in_failure_subject_at", "sign_in_failure", ["subject", "at"], unique=False)
    op.create_table(
        "company",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("name_norm", sa.String(), nullable=True),
        sa.Column("domain", sa.String(), nullable=True),
        sa.Column("category_key", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("do_not_automate", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("open_sales", sa.Integer(), server_default="0", nullable=False),
        sa.Column("external_ids", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("first_touch_source", sa.String(), nullable=True),
        sa.Column("first_touch_medium", sa.String(), nullable=True),
        sa.Column("first_touch_campaign", sa.String(), nullable=True),
        sa.Column("first_touch_term", sa.String(), nullable=True),
        sa.Column("first_touch_content", sa.String(), nullable=True),
        sa.Column("first_touch_referrer", sa.String(), nullable=True),
        sa.Column("first_touch_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("name <> '' AND domain <> '' AND owner <> ''", name=op.f("ck_company_no_blanks")),
        sa.ForeignKeyConstraint(["category_key"], ["category.key"], name=op.f("fk_company_category_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
    )
    op.create_index("ix_company_category_key_id", "company", ["category_key", "id"], unique=False)
    op.create_index(
        "ix_company_name_norm", "company", ["name_norm"], unique=False, postgresql_ops={"name_norm": "text_pattern_ops"}
    )
    op.create_index("uq_company_domain", "company", ["domain"], unique=True)
    op.create_table(
        "delivery_conflict",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", postgresql.BYTEA(), nullable=True),
        sa.Column("body_sha256", postgresql.BYTEA(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_delivery_conflict_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_conflict")),
        sa.UniqueConstraint("event_id", "body_sha256", name=op.f("uq_delivery_conflict_event_id_body_sha256")),
    )
    op.create_index(op.f("ix_delivery_conflict_event_id"), "delivery_conflict", ["event_id"], unique=False)
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lifecycle_revision", sa.Integer(), nullable=False),
        sa.Column("on_reentry", sa.String(), nullable=False),
        sa.Column("custom_fields", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("live_version", sa.Integer(), nullable=True),
        sa.Column("demo_loaded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_single_row")),
        sa.ForeignKeyConstraint(["live_version"], ["rule_set.version"], name=op.f("fk_installation_live_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "lifecycle_edge",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_key", sa.String(), nullable=True),
        sa.Column("target_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.CheckConstraint("kind IN ('move', 'exit')", name=op.f("ck_lifecycle_edge_known_kind")),
        sa.ForeignKeyConstraint(["source_key"], ["category.key"], name=op.f("fk_lifecycle_edge_source_key")),
        sa.ForeignKeyConstraint(["target_key"], ["category.key"], name=op.f("fk_lifecycle_edge_target_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lifecycle_edge")),
        sa.UniqueConstraint(
            "source_key",
            "target_key",
            name=op.f("uq_lifecycle_edge_source_key_target_key"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "rule_document",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["rule_set.version"], name=op.f("fk_rule_document_version")),
        sa.PrimaryKeyConstraint("version", "name", name=op.f("pk_rule_document")),
    )
    op.create_table(
        "session",
        sa.Column("token_sha256", postgresql.BYTEA(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_session_account_id")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_account_id"), "session", ["account_id"], unique=False)
    op.create_table(
        "sign_in_link",
        sa.Column("token_sha256", postgresql.BYTEA(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_sign_in_link_account_id")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_sign_in_link")),
    )
    op.create_index(op.f("ix_sign_in_link_account_id"), "sign_in_link", ["account_id"], unique=False)
    op.create_table(
        "contact",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("first_name", sa.String(), nullable=True),
        sa.Column("last_name", sa.String(), nullable=True),
        sa.Column("name_norm", sa.String(), nullable=True),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("category_key", sa.String(), nullable=True),
        sa.Column("lead_status_key", sa.String(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("do_not_automate", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("last_touched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("first_touch_source", sa.String(), nullable=True),
        sa.Column("first_touch_medium", sa.String(), nullable=True),
        sa.Column("first_touch_campaign", sa.String(), nullable=True),
        sa.Column("first_touch_term", sa.String(), nullable=True),
        sa.Column("first_touch_content", sa.String(), nullable=True),
        sa.Column("first_touch_referrer", sa.String(), nullable=True),
        sa.Column("first_touch_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("email <> '' AND first_name <> '' AND last_name <> ''", name=op.f("ck_contact_no_blanks")),
        sa.CheckConstraint(
            "company_id IS NULL OR category_key IS NULL", name=op.f("ck_contact_category_is_the_companys")
        ),
        sa.ForeignKeyConstraint(["category_key"], ["category.key"], name=op.f("fk_contact_category_key")),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_contact_company_id")),
        sa.ForeignKeyConstraint(["lead_status_key"], ["lead_status.key"], name=op.f("fk_contact_lead_status_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
    )
    op.create_index("ix_contact_company_id_id", "contact", ["company_id", "id"], unique=False)
    op.create_index("ix_contact_lead_status_key_id", "contact", ["lead_status_key", "id"], unique=False)
    op.create_index(
        "ix_contact_name_norm", "contact", ["name_norm"], unique=False, postgresql_ops={"name_norm": "text_pattern_ops"}
    )
    op.create_index("uq_contact_email", "contact", ["email"], unique=True)
    op.create_table(
        "sale",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("amount", sa.Numeric(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("status IN ('open', 'sold', 'lost', 'stalled')", name=op.f("ck_sale_known_status")),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_sale_company_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_sale_contact_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sale")),
    )
    op.create_index(op.f("ix_sale_company_id"), "sale", ["company_id"], unique=False)
    op.create_index(op.f("ix_sale_contact_id"), "sale", ["contact_id"], unique=False)
    op.create_table(
        "task",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_task_company_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_task_contact_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    op.create_index(op.f("ix_task_company_id"), "task", ["company_id"], unique=False)
    op.create_index(op.f("ix_task_contact_id"), "task", ["contact_id"], unique=False)
    op.create_index("ix_task_open", "task", ["due_at", "id"], unique=False, postgresql_where=sa.text("done_at IS NULL"))
    op.create_index(
        "uq_task_effect",
        "task",
        ["event_id", "rule", "action", "company_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("event_id IS NOT NULL"),
        postgresql_nulls_not_distinct=True,
    )
    # Straight to the driver: the text holds percent signs, which are no placeholders.
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(GUARD.read_text(encoding="utf-8"))


def downgrade() -> None:
    raise NotImplementedError("the first revision has nothing below it")
