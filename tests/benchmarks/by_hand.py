"""The drain as one would write it by hand for this one job: no rules, no traces, the category move in an `if`.

It works on leadflow's own tables, with their indexes and triggers, and writes the same companies, contacts, ledger
rows and settled events. What it leaves out is what leadflow is for: rules that people edit, a reason for every outcome,
order per company, retries, limits, conflicts. With `writes_traces` it also writes as many traces as leadflow does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Json

CLAIM = "SELECT id, body, received_at FROM event WHERE state = 'pending' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
COMPANIES = "SELECT id, domain, category_key FROM company WHERE domain = ANY(%s) ORDER BY id FOR UPDATE"
CONTACTS = "SELECT id, email FROM contact WHERE email = ANY(%s) ORDER BY id FOR UPDATE"
ADD_COMPANY = (
    "INSERT INTO company (name, domain, category_key, first_touch_source, first_touch_campaign, first_touch_at,"
    " created_at, updated_at) SELECT n, d, 'lead', s, c, t, %s, %s"
    " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[]) AS v(n, d, s, c, t)"
    " RETURNING id, domain, category_key"
)
ADD_CONTACT = (
    "INSERT INTO contact (email, first_name, last_name, company_id, lead_status_key, first_touch_source,"
    " first_touch_campaign, first_touch_at, last_touched_at, created_at, updated_at)"
    " SELECT e, f, l, c, 'open', s, m, t, t, %s, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[],"
    " %s::text[], %s::text[], %s::timestamptz[]) AS v(e, f, l, c, s, m, t) RETURNING id, email"
)
MOVE = "UPDATE company SET category_key = 'mql', updated_at = %s WHERE id = ANY(%s) AND category_key = 'lead'"
TOUCH = (
    "UPDATE contact SET last_touched_at = v.t, updated_at = %s FROM unnest(%s::bigint[], %s::timestamptz[]) AS v(id, t)"
    " WHERE contact.id = v.id"
)
AUDIT = (
    "COPY change (at, entity, entity_id, company_id, contact_id, field, old, new, actor_kind, actor_name, event_id,"
    " rule, action) FROM STDIN"
)
TRACE = (
    "COPY run (event_id, rule, version, outcome, is_near_miss, clauses, changes, chain, company_id, contact_id,"
    " duration_us, at) FROM STDIN"
)
CLAUSES = json.dumps(
    [
        {"path": "form.job_title", "test": "contains chief", "holds": False, "value": "Head of operations"},
        {"path": "company.category", "test": "is in the group", "holds": True, "value": "lead"},
    ]
)
DONE = (
    "UPDATE event SET state = 'processed', processed_at = %s, company_id = v.c, contact_id = v.p, fields = v.f"
    " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::jsonb[]) AS v(id, c, p, f) WHERE event.id = v.id"
)


class HandWrittenDrain:
    """Batches of one size, a transaction each."""

    def __init__(self, connection: psycopg.Connection[Any], batch_size: int, *, writes_traces: bool = False) -> None:
        self._connection = connection
        self._batch_size = batch_size
        self._writes_traces = writes_traces

    def drain(self) -> int:
        """Until nothing is pending; how many events there were."""
        count = 0
        while done := self._batch():
            count += done
        return count

    def _batch(self) -> int:
        with self._connection.transaction():
            events = self._connection.execute(CLAIM, (self._batch_size,)).fetchall()
            if not events:
                return 0
            now = datetime.now(UTC)
            forms = [(event_id, json.loads(body), received_at) for event_id, body, received_at in events]
            companies, audit = self._find_or_add_companies(forms, now)
            contacts = self._find_or_add_contacts(forms, companies, audit, now)
            self._move(forms, companies, audit, now)
            self._settle(forms, companies, contacts, now)
            with self._connection.cursor().copy(AUDIT) as copy:
                for row in audit:
                    copy.write_row(row)
            if self._writes_traces:
                self._trace(forms, companies, contacts, now)
        return len(events)

    def _trace(
        self,
        forms: list[tuple[int, Any, Any]],
        companies: Mapping[str, tuple[int, str]],
        contacts: Mapping[str, int],
        now: datetime,
    ) -> None:
        """Two rules look at each form, a third at demo requests."""
        with self._connection.cursor().copy(TRACE) as copy:
            for event_id, form, _ in forms:
                company_id, contact_id = companies[_domain(form)][0], contacts[form["email"].strip().lower()]
                for rule in ("by-hand-1", "by-hand-2", "by-hand-3")[: 3 if form["form"] == "demo-request" else 2]:
                    row: tuple[Any, ...] = (
                        event_id,
                        rule,
                        1,
                        "no_match",
                        True,
                        CLAUSES,
                        "[]",
                        [],
                        company_id,
                        contact_id,
                        10,
                        now,
                    )
                    copy.write_row(row)

    def _find_or_add_companies(
        self, forms: list[tuple[int, Any, Any]], now: datetime
    ) -> tuple[dict[str, tuple[int, str]], list[tuple[Any, ...]]]:
        first = _first_by(forms, _domain)
        rows = self._connection.execute(COMPANIES, (list(first),)).fetchall()
        known = {domain: (company_id, category) for company_id, domain, category in rows}
        new = {domain: form for domain, form in first.items() if domain not in known}
        audit: list[tuple[Any, ...]] = []
        if new:
            forms_of_new = [form for _, form, _ in new.values()]
            columns = (
                [form["company"] for form in forms_of_new],
                list(new),
                [form["utm_source"] for form in forms_of_new],
                [form["utm_campaign"] for form in forms_of_new],
                [received_at for _, _, received_at in new.values()],
            )
            for company_id, domain, category in self._connection.execute(ADD_COMPANY, (now, now, *columns)):
                known[domain] = (company_id, category)
                event_id = new[domain][0]
                audit.append(_audit(now, "company", company_id, company_id, "category", None, "lead", event_id))
        return known, audit

    def _find_or_add_contacts(
        self,
        forms: list[tuple[int, Any, Any]],
        companies: Mapping[str, tuple[int, str]],
        audit: list[tuple[Any, ...]],
        now: datetime,
    ) -> dict[str, int]:
        first = _first_by(forms, lambda form: form["email"].strip().lower())
        known = {email: contact_id for contact_id, email in self._connection.execute(CONTACTS, (list(first),))}
        latest = {form["email"].strip().lower(): received_at for _, form, received_at in forms}
        touched = [known[email] for email in latest if email in known]
        self._connection.execute(TOUCH, (now, touched, [latest[email] for email in latest if email in known]))
        new = {email: form for email, form in first.items() if email not in known}
        if new:
            forms_of_new = [form for _, form, _ in new.values()]
            columns = (
                list(new),
                [form["first_name"] for form in forms_of_new],
                [form["last_name"] for form in forms_of_new],
                [companies[_domain(form)][0] for form in forms_of_new],
                [form["utm_source"] for form in forms_of_new],
                [form["utm_campaign"] for form in forms_of_new],
                [received_at for _, _, received_at in new.values()],
            )
            for contact_id, email in self._connection.execute(ADD_CONTACT, (now, now, *columns)):
                known[email] = contact_id
                event_id, form, _ = new[email]
                company_id = companies[_domain(form)][0]
                audit.append(_audit(now, "contact", contact_id, company_id, "company_id", None, company_id, event_id))
                audit.append(_audit(now, "contact", contact_id, company_id, "lead_status", None, "open", event_id))
        return known

    def _move(
        self,
        forms: list[tuple[int, Any, Any]],
        companies: dict[str, tuple[int, str]],
        audit: list[tuple[Any, ...]],
        now: datetime,
    ) -> None:
        moved = []
        for event_id, form, _ in forms:
            company_id, category = companies[_domain(form)]
            if form["form"] == "demo-request" and category == "lead":
                companies[_domain(form)] = (company_id, "mql")
                moved.append(company_id)
                audit.append(_audit(now, "company", company_id, company_id, "category", "lead", "mql", event_id))
        if moved:
            self._connection.execute(MOVE, (now, moved))

    def _settle(
        self,
        forms: list[tuple[int, Any, Any]],
        companies: Mapping[str, tuple[int, str]],
        contacts: Mapping[str, int],
        now: datetime,
    ) -> None:
        columns = (
            [event_id for event_id, _, _ in forms],
            [companies[_domain(form)][0] for _, form, _ in forms],
            [contacts[form["email"].strip().lower()] for _, form, _ in forms],
            [Json(form) for _, form, _ in forms],
        )
        self._connection.execute(DONE, (now, *columns))


def _domain(form: Mapping[str, Any]) -> str:
    domain: str = form["email"].strip().lower().rpartition("@")[2]
    return domain


def _first_by(forms: Iterable[tuple[int, Any, Any]], key: Any) -> dict[str, tuple[int, Any, Any]]:
    first: dict[str, tuple[int, Any, Any]] = {}
    for one in forms:
        first.setdefault(key(one[1]), one)
    return first


def _audit(
    now: datetime, entity: str, entity_id: int, company_id: int, field: str, old: Any, new: Any, event_id: int
) -> tuple[Any, ...]:
    contact_id = entity_id if entity == "contact" else None
    is_move = field == "category" and old is not None
    return (
        now, entity, entity_id, company_id, contact_id, field, None if old is None else Json(old), Json(new),
        "rule" if is_move else "source", "by hand", event_id, "by-hand" if is_move else None, "",
    )  # fmt: skip
