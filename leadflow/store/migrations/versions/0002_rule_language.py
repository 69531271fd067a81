"""The whole rule language: compared forms, sweeps, waits, proposals, the outbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from leadflow.domain.text import fold
from leadflow.store.norms import change_norms, email_host, event_norms, norm, norms_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NO_BLANK_NORMS = (
    "{} <> '' AND {} <> '' AND first_touch_source_norm <> '' AND first_touch_medium_norm <> ''"
    " AND first_touch_campaign_norm <> '' AND first_touch_term_norm <> '' AND first_touch_content_norm <> ''"
    " AND first_touch_referrer_norm <> ''"
)


def upgrade() -> None:  # noqa: PLR0915 - a list of tables and columns
    op.create_table(
        "endpoint",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("sealed", postgresql.BYTEA(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("kind IN ('webhook', 'channel')", name=op.f("ck_endpoint_known_kind")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_endpoint")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("sweep_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('webhook', 'notification')", name=op.f("ck_outbox_known_kind")),
        sa.CheckConstraint("state IN ('pending', 'sent', 'parked')", name=op.f("ck_outbox_known_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["endpoint", "next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_outbox_parked", "outbox", ["endpoint", "id"], unique=False, postgresql_where=sa.text("state = 'parked'")
    )
    op.create_index(
        "ix_outbox_kept",
        "outbox",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("state = 'sent' AND payload <> '{}'::jsonb"),
    )
    for subject in ("company_id", "contact_id"):
        op.create_index(
            f"ix_outbox_{subject}",
            "outbox",
            [subject, "id"],
            unique=False,
            postgresql_where=sa.text(f"{subject} IS NOT NULL"),
        )
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["endpoint", "lane", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "uq_outbox_effect",
        "outbox",
        ["event_id", "sweep_id", "rule", "action", "company_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("rule IS NOT NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("sweep_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'accepted', 'declined', 'overtaken')", name=op.f("ck_proposal_known_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
        sa.UniqueConstraint("run_id", name=op.f("uq_proposal_run_id")),
    )
    op.create_index(op.f("ix_proposal_company_id"), "proposal", ["company_id"], unique=False)
    op.create_index(op.f("ix_proposal_contact_id"), "proposal", ["contact_id"], unique=False)
    op.create_index("ix_proposal_open", "proposal", ["id"], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_table(
        "schedule",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_schedule")),
    )
    op.create_index(op.f("ix_schedule_next_due_at"), "schedule", ["next_due_at"], unique=False)
    op.create_table(
        "sweep",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("funnel", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("matching", sa.BigInteger(), nullable=True),
        sa.Column("seen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("is_approved", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("origin IN ('schedule', 'person')", name=op.f("ck_sweep_known_origin")),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'braked', 'cancelled', 'failed')",
            name=op.f("ck_sweep_known_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
        sa.UniqueConstraint("rule", "due_at", name=op.f("uq_sweep_rule_due_at")),
    )
    op.create_index(
        "ix_sweep_unfinished",
        "sweep",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'running')"),
    )
    op.create_table(
        "turn",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_turn")),
    )
    op.create_table(
        "waiting",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("recheck", sa.Boolean(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("situation", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'queued', 'due', 'done', 'cancelled')", name=op.f("ck_waiting_known_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting")),
        sa.UniqueConstraint("run_id", "step", name=op.f("uq_waiting_run_id_step")),
    )
    op.create_index("ix_waiting_due", "waiting", ["due_at"], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_index(
        "ix_waiting_subject",
        "waiting",
        ["rule", "contact_id", "company_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('open', 'queued', 'due')"),
    )
    op.add_column("change", sa.Column("sweep_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "change", sa.Column("values_norm", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
    )
    op.create_index(
        "uq_change_sweep_effect",
        "change",
        ["sweep_id", "action", "entity", "entity_id", "field"],
        unique=True,
        postgresql_where=sa.text("sweep_id IS NOT NULL"),
    )
    op.add_column("company", sa.Column("owner_norm", sa.String(), nullable=True))
    op.add_column("company", sa.Column("tags_norm", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False))
    op.add_column(
        "company",
        sa.Column("fields_norm", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column("company", sa.Column("first_touch_source_norm", sa.String(), nullable=True))
    op.add_column("company", sa.Column("first_touch_medium_norm", sa.String(), nullable=True))
    op.add_column("company", sa.Column("first_touch_campaign_norm", sa.String(), nullable=True))
    op.add_column("company", sa.Column("first_touch_term_norm", sa.String(), nullable=True))
    op.add_column("company", sa.Column("first_touch_content_norm", sa.String(), nullable=True))
    op.add_column("company", sa.Column("first_touch_referrer_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("email_host", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("first_name_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("last_name_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("tags_norm", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False))
    op.add_column(
        "contact",
        sa.Column("fields_norm", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column("contact", sa.Column("first_touch_source_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("first_touch_medium_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("first_touch_campaign_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("first_touch_term_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("first_touch_content_norm", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("first_touch_referrer_norm", sa.String(), nullable=True))
    op.add_column("event", sa.Column("name", sa.String(), nullable=True))
    op.add_column(
        "event", sa.Column("fields_norm", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
    )
    op.add_column(
        "installation",
        sa.Column("events", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    op.add_column("run", sa.Column("sweep_id", sa.BigInteger(), nullable=True))
    op.alter_column("run", "event_id", existing_type=sa.BIGINT(), nullable=True)
    op.create_index(
        "ix_run_sweep_id_id", "run", ["sweep_id", "id"], unique=False, postgresql_where=sa.text("sweep_id IS NOT NULL")
    )
    op.add_column("task", sa.Column("sweep_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "uq_task_sweep_effect",
        "task",
        ["sweep_id", "action", "company_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("sweep_id IS NOT NULL"),
        postgresql_nulls_not_distinct=True,
    )
    _write_compared_forms(op.get_bind())
    op.create_index(
        "ix_company_fields_norm",
        "company",
        ["fields_norm"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"fields_norm": "jsonb_path_ops"},
    )
    op.create_index("ix_company_tags_norm", "company", ["tags_norm"], unique=False, postgresql_using="gin")
    op.create_index("ix_contact_email_host", "contact", ["email_host"], unique=False)
    op.create_index(
        "ix_contact_fields_norm",
        "contact",
        ["fields_norm"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"fields_norm": "jsonb_path_ops"},
    )
    op.create_index("ix_contact_tags_norm", "contact", ["tags_norm"], unique=False, postgresql_using="gin")
    for table, first, second in (
        ("company", "name_norm", "owner_norm"),
        ("contact", "first_name_norm", "last_name_norm"),
    ):
        op.create_check_constraint(op.f(f"ck_{table}_no_blank_norms"), table, NO_BLANK_NORMS.format(first, second))
    op.create_check_constraint(op.f("ck_run_one_cause"), "run", "(event_id IS NULL) <> (sweep_id IS NULL)")


# The compared forms of what is there already --------------------------------------------------------------------------

ROWS_AT_ONCE = 2_000
FIRST_TOUCH = ("source", "medium", "campaign", "term", "content", "referrer")


def _write_compared_forms(connection: sa.Connection) -> None:
    _fill(connection, "company", ("owner", "tags", "fields"), _company_forms)
    _fill(connection, "contact", ("email", "first_name", "last_name", "tags", "fields"), _contact_forms)
    _fill(connection, "event", ("fields",), _event_forms, "fields IS NOT NULL")
    # The ledger takes no updates; this adds nothing to what it says.
    connection.execute(sa.text("ALTER TABLE change DISABLE TRIGGER append_only"))
    unusual = " OR ".join(f"octet_length({side}::text) > char_length({side}::text)" for side in ("old", "new"))
    _fill(connection, "change", ("old", "new"), _change_forms, f"({unusual})")
    connection.execute(sa.text("ALTER TABLE change ENABLE ALWAYS TRIGGER append_only"))


def _fill(
    connection: sa.Connection,
    table: str,
    columns: tuple[str, ...],
    forms_of: Callable[[sa.Row[Any]], dict[str, Any] | None],
    among: str = "true",
) -> None:
    """Write what `forms_of` says of each row, page by page; None leaves the row as it is."""
    read = [*columns, *(f"first_touch_{name}" for name in FIRST_TOUCH if table in ("company", "contact"))]
    page = sa.text(
        f"SELECT id, {', '.join(read)} FROM {table} WHERE id > :last AND {among} ORDER BY id LIMIT {ROWS_AT_ONCE}"
    )
    last = 0
    while rows := connection.execute(page, {"last": last}).all():
        found = [{"id": row.id, **forms} for row in rows if (forms := forms_of(row)) is not None]
        if found:
            connection.execute(_update(table, found[0].keys()), found)
        last = rows[-1].id


def _update(table: str, names: Iterable[str]) -> sa.TextClause:
    types = {"fields_norm": "jsonb", "values_norm": "jsonb", "tags_norm": "text[]"}
    values = (f"{name} = CAST(:{name} AS {types.get(name, 'text')})" for name in names if name != "id")
    return sa.text(f"UPDATE {table} SET {', '.join(values)} WHERE id = :id")


def _company_forms(row: sa.Row[Any]) -> dict[str, Any]:
    return {"owner_norm": norm(row.owner), **_common_forms(row)}


def _contact_forms(row: sa.Row[Any]) -> dict[str, Any]:
    names = {f"{name}_norm": norm(getattr(row, name)) for name in ("first_name", "last_name")}
    return {"email_host": email_host(row.email), **names, **_common_forms(row)}


def _common_forms(row: sa.Row[Any]) -> dict[str, Any]:
    touch = {f"first_touch_{name}_norm": norm(getattr(row, f"first_touch_{name}")) for name in FIRST_TOUCH}
    return {"tags_norm": [fold(tag) for tag in row.tags], "fields_norm": json.dumps(norms_of(row.fields)), **touch}


def _event_forms(row: sa.Row[Any]) -> dict[str, Any] | None:
    norms = event_norms(row.fields)
    return {"fields_norm": json.dumps(norms)} if norms else None


def _change_forms(row: sa.Row[Any]) -> dict[str, Any] | None:
    norms = change_norms(row.old, row.new)
    return {"values_norm": json.dumps(norms)} if norms else None


def downgrade() -> None:
    raise NotImplementedError("restore a backup: what sweeps and waits wrote has no place in the tables before")
