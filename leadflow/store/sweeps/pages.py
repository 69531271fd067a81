"""One page of a sweep: its records are found, locked, judged again and changed, and none of them enters Python.

The write is one statement: each step of the rule is a stage (a CTE) that reads the columns as the stage before it left
them; what the last one gives is written as traces, records, tasks and limits. The ledger follows from the traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    FromClause,
    Select,
    String,
    and_,
    any_,
    bindparam,
    case,
    false,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from leadflow.domain.effects import CreateTask, Effect, SetCategory, SetLeadStatus
from leadflow.store.conditions import rows_of
from leadflow.store.records import LostRace
from leadflow.store.sweeps.consequences import append_to_ledger, write_lead_statuses
from leadflow.store.sweeps.plans import Effects, SweepPlan
from leadflow.store.sweeps.steps import Played, columns_of, first_scene, may_enter, play
from leadflow.store.sweeps.tracing import trace_of
from leadflow.store.tables import CompanyRow, ContactRow, RuleLimitRow, RunRow, TaskRow

IDS = bindparam("ids", type_=ARRAY(BigInteger))
COMPANY_IDS = bindparam("company_ids", type_=ARRAY(BigInteger))
NOW = bindparam("now", type_=DateTime(timezone=True))
SWEEP_ID = bindparam("sweep_id", type_=BigInteger)

# The columns of the scene by the record they are written to, and their names there.
WRITTEN_TO = {
    "company": {
        "category": "category_key",
        "company_owner": "owner",
        "company_owner_norm": "owner_norm",
        **{f"company_{name}": name for name in ("tags", "tags_norm", "fields", "fields_norm")},
    },
    "contact": {
        "lead_status": "lead_status_key",
        **{f"contact_{name}": name for name in ("tags", "tags_norm", "fields", "fields_norm")},
    },
}


@dataclass(frozen=True, slots=True)
class Found:
    """The records of a page in id order, the last id that was looked at, and whether there are no more."""

    ids: list[int]
    last_id: int
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Locked:
    """The records of a page and their companies, locked; whether contacts of theirs may get their lead status anew."""

    ids: list[int]
    company_ids: list[int]
    has_entering: bool = False


class PageStatements:
    """The statements of one sweep, made once, so that their texts are compiled and planned once."""

    def __init__(self, plan: SweepPlan) -> None:
        self.plan = plan
        steps = [one.step for one in plan.rule.actions]
        moves = [step for step in steps if isinstance(step, SetCategory)]
        self._may_enter = any(may_enter(step, plan.lists) for step in moves)
        is_active = plan.lists.lifecycle.is_lead_status_active
        self._active = [key for key in plan.lists.lifecycle.categories if is_active(key)]
        sets_status = any(isinstance(step, SetLeadStatus) for step in steps)
        self._sets_status_apart = sets_status and bool(moves)

    @cached_property
    def _find(self) -> Select[Any]:
        return _find_statement(self.plan)

    @cached_property
    def _recheck(self) -> Select[Any]:
        return _recheck_statement(self.plan)

    @cached_property
    def _write(self) -> Select[Any]:
        if self.plan.effects is None:
            raise LookupError(f"{self.plan.rule.slug} is judged in memory")
        return _Writing(self.plan, self.plan.effects).statement()

    def find(self, connection: Connection, sweep_id: int, after: int, span: int, limit: int) -> Found | None:
        """The next records that the rule would act on, out of the next `span` ids; None where no record is left."""
        key = self.plan.table.c.id
        first = connection.scalar(select(func.min(key)).where(key > after))
        if first is None:
            return None
        until = first + span - 1
        asked = {"after": after, "until": until, "limit": limit, "sweep_id": sweep_id}
        ids = list(connection.scalars(self._find, asked))
        return Found(ids, ids[-1] if len(ids) == limit else until)

    def lock(self, connection: Connection, ids: list[int]) -> Locked:
        """Lock the page's companies in id order, then its contacts, as everybody does.

        With them the contacts of companies that may enter a category in which lead status is active: they get it anew.
        """
        is_contact = self.plan.subject == "contact"
        companies = list(connection.scalars(_LOCK_THEIR_COMPANIES if is_contact else _LOCK_COMPANIES, {"ids": ids}))
        return Locked(ids, companies, self._lock_contacts(connection, ids if is_contact else [], companies))

    def _lock_contacts(self, connection: Connection, ids: list[int], companies: list[int]) -> bool:
        """Lock these contacts, and those whose lead status may become active; whether there are any of the latter."""
        entering: set[int] = set()
        if self._may_enter:
            entering.update(connection.scalars(_ENTERING, {"company_ids": companies, "active": self._active}))
        if contacts := entering.union(ids):
            connection.execute(_LOCK_CONTACTS, {"ids": sorted(contacts)})
        return bool(entering)

    def recheck(self, connection: Connection, sweep_id: int, page: Locked) -> list[int]:
        """Those of the locked records for which everything still holds, in id order."""
        return list(connection.scalars(self._recheck, _of_page(page, sweep_id)))

    def write(self, connection: Connection, sweep_id: int, page: Locked, now: datetime) -> int:
        """Act on those of the locked records for which everything still holds; how many these are.

        Raises: LostRace if a row was not as it was read, which cannot happen while everybody locks.
        """
        row = connection.execute(self._write, {**_of_page(page, sweep_id), "now": now}).one()
        if (row.companies_written, row.contacts_written) != (row.companies_meant, row.contacts_meant):
            raise LostRace(f"records of sweep {sweep_id} changed while they were locked")
        if row.runs:
            if self._sets_status_apart or page.has_entering:
                write_lead_statuses(connection, sweep_id, row.first_run, now)
            append_to_ledger(connection, sweep_id, row.first_run, now)
        return int(row.runs)


def _of_page(page: Locked, sweep_id: int) -> dict[str, Any]:
    return {"ids": page.ids, "company_ids": page.company_ids, "sweep_id": sweep_id}


_LOCK_COMPANIES = text("SELECT id FROM company WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE").bindparams(IDS)
_LOCK_THEIR_COMPANIES = text(
    "SELECT id FROM company WHERE id IN (SELECT company_id FROM contact WHERE id = ANY(:ids))"
    " ORDER BY id FOR NO KEY UPDATE"
).bindparams(IDS)
_ENTERING = text(
    "SELECT contact.id FROM company JOIN contact ON contact.company_id = company.id"
    " WHERE company.id = ANY(:company_ids) AND (company.category_key IS NULL OR company.category_key <> ALL(:active))"
).bindparams(COMPANY_IDS, bindparam("active", type_=ARRAY(String)))
_LOCK_CONTACTS = text("SELECT FROM contact WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE").bindparams(IDS)


def _find_statement(plan: SweepPlan) -> Select[Any]:
    key = plan.table.c.id
    return (
        select(key)
        .select_from(rows_of(plan.subject))
        .where(key > bindparam("after", type_=BigInteger), key <= bindparam("until", type_=BigInteger))
        .where(plan.matches(SWEEP_ID))
        .order_by(key)
        .limit(bindparam("limit", type_=BigInteger))
    )


def _recheck_statement(plan: SweepPlan) -> Select[Any]:
    key = plan.table.c.id
    return select(key).select_from(rows_of(plan.subject)).where(_still_matches(plan)).order_by(key)


def _still_matches(plan: SweepPlan) -> ColumnElement[bool]:
    """A record of the page for which everything holds, and whose company is locked with it: nobody moved it since."""
    company_id = CompanyRow.__table__.c.id
    is_locked = or_(company_id.is_(None), company_id == any_(COMPANY_IDS))
    return and_(plan.table.c.id == any_(IDS), is_locked, plan.matches(SWEEP_ID))


# -- the write ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Writing:
    """Makes the statement that acts on a page of locked records."""

    plan: SweepPlan
    effects: Effects

    def statement(self) -> Select[Any]:
        acting = self._acting()
        runs = self._runs(acting)
        statement = select(
            _count(runs).label("runs"),
            select(func.min(runs.c.id)).scalar_subquery().label("first_run"),
        )
        for record, plural in (("company", "companies"), ("contact", "contacts")):
            written = self._update(record, acting)
            meant = literal(0) if written is None else _count(acting, acting.c[f"writes_{record}"])
            done = literal(0) if written is None else _count(written)
            statement = statement.add_columns(meant.label(f"{plural}_meant"), done.label(f"{plural}_written"))
        for action, effect in self.effects:
            if isinstance(effect, CreateTask):
                statement = statement.add_cte(self._tasks(acting, action, effect))
        return statement if self.plan.rule.limit is None else statement.add_cte(self._limits(acting))

    # -- who acts --------------------------------------------------------------------------------------------------

    def _acting(self) -> CTE:
        """The records that are acted on, with their columns as the last step leaves them, and their changes."""
        last, played = self._stages()
        made = [last.c[f"made_{number}"] for number in range(len(played))]
        place = func.row_number().over(partition_by=last.c.company_id, order_by=last.c.id)
        chosen = (
            select(
                *last.c,
                _joined(_tasks_last(made, self.effects)).label("changes"),
                _sentence([last.c[f"refused_{number}"] for number in range(len(played))]).label("guard"),
                self._writes("company", played, made).label("writes_company"),
                self._writes("contact", played, made).label("writes_contact"),
                (place if self.plan.acts_once_per_company else literal_column("1")).label("place"),
            )
            .where(or_(false(), *(one.is_not(None) for one in made)))
            .subquery("chosen")
        )
        return _materialized(select(chosen).where(chosen.c.place == 1), "acting")

    def _stages(self) -> tuple[FromClause, list[Played]]:
        stage, played = self._first_stage(), list[Played]()
        for number, (action, effect) in enumerate(self.effects):
            one = play(effect, action, dict(stage.c), self.plan.lists)
            played.append(one)
            stage = _stage_after(stage, one, number)
        return stage, played

    def _first_stage(self) -> CTE:
        """The page's records for which everything still holds, now that they are locked."""
        plan = self.plan
        needed = {"company_id", "contact_id"}.union(*(columns_of(effect) for _, effect in self.effects))
        columns = [column.label(name) for name, column in first_scene(plan.subject).items() if name in needed]
        clauses = trace_of(plan.rule.condition, plan.subject, plan.evaluated_at).label("clauses")
        found = select(plan.table.c.id.label("id"), *columns, clauses).select_from(rows_of(plan.subject))
        return _materialized(found.where(_still_matches(plan)), "stage")

    def _writes(self, record: str, played: Sequence[Played], made: Sequence[Any]) -> ColumnElement[bool]:
        """Whether the row of the record is written by this statement."""
        here = zip(self.effects, played, made, strict=True)
        parts = [
            change.is_not(None)
            for (_, effect), one, change in here
            if one.record == record and not self._is_written_later(effect)
        ]
        return or_(false(), *parts)

    def _is_written_later(self, effect: Effect) -> bool:
        """Where companies move, lead statuses follow in another statement: the database's guard asks the company."""
        return isinstance(effect, SetLeadStatus) and self._moves_company

    @property
    def _moves_company(self) -> bool:
        return any(isinstance(effect, SetCategory) for _, effect in self.effects)

    # -- what is written -------------------------------------------------------------------------------------------

    def _runs(self, acting: CTE) -> CTE:
        rule = self.plan.rule
        values: dict[str, Any] = {
            "sweep_id": SWEEP_ID,
            "rule": literal(rule.slug),
            "version": literal(self.plan.version),
            "outcome": literal("fired"),
            "is_near_miss": false(),
            "clauses": acting.c.clauses,
            "guard": acting.c.guard,
            "changes": acting.c.changes,
            "chain": literal_column("'{}'::text[]"),
            "company_id": acting.c.company_id,
            "contact_id": acting.c.contact_id,
            "duration_us": literal(0),
            "at": NOW,
        }
        rows = select(*(value.label(name) for name, value in values.items())).select_from(acting)
        table: Any = RunRow.__table__
        return insert(table).from_select(list(values), rows.order_by(acting.c.id)).returning(table.c.id).cte("runs")

    def _update(self, record: str, acting: CTE) -> CTE | None:
        """The row of the record as the last step leaves it; None where no step writes it here."""
        table: Any = (CompanyRow if record == "company" else ContactRow).__table__
        effects = [effect for _, effect in self.effects if not self._is_written_later(effect)]
        names = {name for effect in effects for name in _columns_written(effect)}.intersection(WRITTEN_TO[record])
        if not names:
            return None
        columns = {WRITTEN_TO[record][name]: acting.c[name] for name in sorted(names)}
        return (
            update(table)
            .values(**columns, updated_at=NOW, revision=table.c.revision + 1)
            .where(table.c.id == acting.c[f"{record}_id"], acting.c[f"writes_{record}"])
            .returning(literal_column("1").label("one"))
            .cte(f"{record}_written")
        )

    def _tasks(self, acting: CTE, action: str, effect: CreateTask) -> CTE:
        slug = literal(self.plan.rule.slug)
        values: dict[str, Any] = {
            "title": literal(effect.title),
            "owner": literal(effect.owner, String),
            "due_at": null() if effect.due_in is None else NOW + literal(effect.due_in),
            "company_id": acting.c.company_id,
            "contact_id": acting.c.contact_id,
            "created_by": slug,
            "rule": slug,
            "sweep_id": SWEEP_ID,
            "action": literal(action),
            "created_at": NOW,
            "updated_at": NOW,
        }
        rows = select(*(value.label(name) for name, value in values.items())).select_from(acting)
        name = f"task_{action.partition(':')[0]}"
        return insert(TaskRow).from_select(list(values), rows.order_by(acting.c.id)).cte(name)

    def _limits(self, acting: CTE) -> CTE:
        limit = self.plan.rule.limit
        once_per = limit.once_per if limit else self.plan.subject
        values: dict[str, Any] = {
            "rule": literal(self.plan.rule.slug),
            "subject": literal(once_per),
            "subject_id": acting.c[f"{once_per}_id"],
            "acted_at": NOW,
        }
        rows = select(*(value.label(name) for name, value in values.items())).select_from(acting)
        written = upsert(RuleLimitRow).from_select(list(values), rows.order_by(values["subject_id"]))
        return written.on_conflict_do_update(
            index_elements=["rule", "subject", "subject_id"],
            set_={"acted_at": written.excluded.acted_at, "event_id": null()},
        ).cte("limits")


def _stage_after(stage: FromClause, played: Played, number: int) -> CTE:
    kept = [column for column in stage.c if column.name not in played.becomes]
    became = [value.label(name) for name, value in played.becomes.items() if name in stage.c]
    refused = literal_column("NULL::text", String) if played.refusal is None else played.refusal
    made, told = played.changes.label(f"made_{number}"), refused.label(f"refused_{number}")
    return _materialized(select(*kept, *became, made, told), f"stage_{number}")


def _materialized(rows: Select[Any], name: str) -> CTE:
    """Computed once: the server would otherwise put the text of each stage into the next, which doubles every time."""
    return rows.cte(name).prefix_with("MATERIALIZED")


def _columns_written(effect: Effect) -> frozenset[str]:
    match effect:
        case SetCategory():
            return frozenset({"category"})
        case SetLeadStatus():
            return frozenset({"lead_status"})
        case _:
            return columns_of(effect)


def _tasks_last(made: Sequence[Any], effects: Effects) -> list[Any]:
    """A trace tells the changes first, then the tasks."""
    pairs = list(zip(made, effects, strict=True))
    return [one for one, _ in sorted(pairs, key=lambda pair: isinstance(pair[1][1], CreateTask))]


def _joined(lists: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    joined: ColumnElement[Any] = literal_column("'[]'::jsonb", JSONB)
    for one in lists:
        joined = joined.op("||")(func.coalesce(one, literal_column("'[]'::jsonb")))
    return joined


def _sentence(reasons: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    """What was refused and why, each reason once."""
    told = [
        case((or_(false(), *(reason == earlier for earlier in reasons[:number])), null()), else_=reason)
        for number, reason in enumerate(reasons)
    ]
    return func.nullif(func.concat_ws(" ", *told), "")


def _count(rows: CTE, of: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    counted = select(func.count()).select_from(rows)
    return (counted if of is None else counted.where(of)).scalar_subquery()
