"""What people make on the screens: selections, sources, dashboards, drafts of rules, notes of what they publish."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dashboard",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("tiles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_dashboard")),
    )
    op.create_table(
        "run_day",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("near_misses", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("rule", "day", "outcome", name=op.f("pk_run_day")),
    )
    op.create_table(
        "selection",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), server_default="", nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("condition", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("zone", sa.String(), server_default="UTC", nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("kind = 'dynamic' OR condition IS NULL", name=op.f("ck_selection_static_has_no_condition")),
        sa.CheckConstraint("kind IN ('dynamic', 'static')", name=op.f("ck_selection_known_kind")),
        sa.CheckConstraint("subject IN ('company', 'contact')", name=op.f("ck_selection_known_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_selection")),
        sa.UniqueConstraint("slug", name=op.f("uq_selection_slug")),
    )
    op.create_table(
        "source",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sealed", postgresql.BYTEA(), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_source")),
    )
    op.create_table(
        "replay",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("event_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("started_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay")),
    )
    op.create_table(
        "rule_draft",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("based_on", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_rule_draft_account_id")),
        sa.PrimaryKeyConstraint("account_id", "document", name=op.f("pk_rule_draft")),
    )
    op.create_table(
        "selection_member",
        sa.Column("selection_id", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["selection_id"], ["selection.id"], name=op.f("fk_selection_member_selection_id")),
        sa.PrimaryKeyConstraint("selection_id", "record_id", name=op.f("pk_selection_member")),
    )
    op.create_index("ix_selection_member_record_id", "selection_member", ["record_id", "selection_id"], unique=False)
    op.add_column("sweep", sa.Column("starts", sa.Integer(), server_default="0", nullable=False))
    _make_bulk_changes()
    op.add_column("rule_set", sa.Column("note", sa.String(), nullable=True))
    op.add_column("rule_set", sa.Column("restores", sa.Integer(), nullable=True))
    for table in ("account", "api_key"):
        op.add_column(table, sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
    for name in ("remote", "agent"):
        op.add_column("session", sa.Column(name, sa.String(), nullable=True))
    op.add_column("sign_in_link", sa.Column("asks_password", sa.Boolean(), server_default="false", nullable=False))
    _index_what_boards_and_dashboards_ask()


def _make_bulk_changes() -> None:
    op.create_table(
        "bulk_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("effect", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("criteria", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("record_ids", postgresql.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("until_id", sa.BigInteger(), nullable=False),
        sa.Column("expected", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("subject IN ('company', 'contact')", name=op.f("ck_bulk_change_known_subject")),
        sa.CheckConstraint("state IN ('running', 'done', 'stopped')", name=op.f("ck_bulk_change_known_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_change")),
    )
    op.create_table(
        "bulk_left_out",
        sa.Column("bulk_change_id", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["bulk_change_id"], ["bulk_change.id"], name=op.f("fk_bulk_left_out_bulk_change_id")),
        sa.PrimaryKeyConstraint("bulk_change_id", "record_id", name=op.f("pk_bulk_left_out")),
    )
    op.create_index("ix_bulk_left_out_reason", "bulk_left_out", ["bulk_change_id", "reason"], unique=False)


def _index_what_boards_and_dashboards_ask() -> None:
    is_own = sa.text("category_key IS NOT NULL")
    is_move = sa.text("entity = 'company' AND field = 'category'")
    op.create_index("ix_company_owner_begins", "company", [sa.text('"left"(owner_norm, 100)'), "id"])
    op.create_index("ix_contact_category_key_id", "contact", ["category_key", "id"], postgresql_where=is_own)
    op.create_index("ix_contact_created_at", "contact", ["created_at"], postgresql_include=["lead_status_key"])
    op.create_index("ix_contact_last_touched_at", "contact", ["last_touched_at", "id"])
    op.create_index("ix_change_moves", "change", ["at", "entity_id", "new", "old", "rule"], postgresql_where=is_move)
    for table, column in (("company", "domain"), ("contact", "email")):
        # What a person types is the beginning; the unique index serves that only in the C collation.
        op.create_index(f"ix_{table}_{column}_begins", table, [column], postgresql_ops={column: "text_pattern_ops"})
    by_last_name = {"last_name_norm": "text_pattern_ops"}
    op.create_index("ix_contact_last_name_norm", "contact", ["last_name_norm"], postgresql_ops=by_last_name)


def downgrade() -> None:
    raise NotImplementedError("restore a backup: what people made on the screens has no place in the tables before")
