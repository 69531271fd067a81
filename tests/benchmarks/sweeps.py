"""Sweeps over a million contacts, beside SQL written by hand for each rule that writes the very same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import Engine

from leadflow.domain.events import Actor, ActorKind
from leadflow.rules.parsing.json_conditions import Names, read_json_condition
from leadflow.services.configuration import Configuration
from leadflow.services.installation import apply_configuration
from leadflow.services.processing import Desk
from leadflow.services.rule_sets import publish
from leadflow.store.engine import make_engine
from leadflow.store.lists import read_lists
from leadflow.store.migrate import upgrade
from leadflow.store.searches import count_found
from leadflow.store.sweeps import reads
from leadflow.tasks.sweeping import Sweeper
from tests.benchmarks import million
from tests.benchmarks.figures import Figure, Table, ratios
from tests.benchmarks.installation import libpq_address

NOBODY = "cohort-none"

KNOWN = (
    "Known: leadflow counts the funnel before it writes, commits in pages so that events do not wait, and asks every\n"
    "    condition a second time of locked records."
)


@dataclass(frozen=True)
class Job:
    """One scheduled rule, and by hand: where its records are, what is set, and the change as jsonb."""

    slug: str
    each: str
    condition: str
    then: str
    where: str
    sets: str
    field: str
    old: str
    new: str
    clauses: tuple[tuple[str, str, str], ...]
    action: str
    task: str = ""

    def document(self, cohort: str) -> str:
        """The rule for one cohort."""
        return (
            f"  - {{rule: {self.slug}, when: {{schedule: {{every: day, for_each: {self.each}}}}},"
            f" if: {{all: [{self.condition.format(cohort=cohort)}]}}, then: [{self.then}],"
            f" limit: {{once_per: {self.each}, within: 90 days}}}}\n"
        )


COHORT = ("contact.first_touch.term", "is cohort", "to_jsonb(contact.first_touch_term)")
STATUS = ("contact.lead_status", "is Re-nurture", "to_jsonb(contact.lead_status_key)")
JOBS = (
    Job(
        "renurture", "contact",
        "{{contact.lead_status: Re-nurture}}, {{contact.first_touch.term: {cohort}}},"
        " {{last_change: {{field: contact.lead_status, to: Re-nurture, older_than: 30 days}}}}",
        "{set_lead_status: {to: Open}}, {create_task: {owner: sales, title: Re-check this lead}}",
        "contact.lead_status_key = 're-nurture' AND contact.first_touch_term_norm = %(cohort)s"
        " AND company.category_key = ANY(%(active)s) AND EXISTS (SELECT FROM change c WHERE c.entity = 'contact'"
        " AND c.entity_id = contact.id AND c.field = 'lead_status' AND c.new = '\"re-nurture\"')"
        " AND NOT EXISTS (SELECT FROM change c WHERE c.entity = 'contact' AND c.entity_id = contact.id"
        " AND c.field = 'lead_status' AND c.new = '\"re-nurture\"' AND c.at >= now() - interval '30 days')",
        "lead_status_key = 'open'", "lead_status", "to_jsonb(contact.lead_status_key)", "'\"open\"'::jsonb",
        (STATUS, COHORT, ("last_change", "was more than 30 days ago", "to_jsonb(now()::text)")),
        "0:set_lead_status", "Re-check this lead",
    ),
    Job(
        "sleeping", "contact",
        "{{contact.last_touched_at: {{older_than: 150 days}}}}, {{contact.first_touch.term: {cohort}}},"
        " {{contact.tags: {{has_none: [sleeping]}}}}",
        "{add_tag: sleeping}",
        "contact.last_touched_at < now() - interval '150 days' AND contact.first_touch_term_norm = %(cohort)s"
        " AND NOT contact.tags_norm && '{{sleeping}}'",
        "tags = contact.tags || '{{sleeping}}', tags_norm = contact.tags_norm || '{{sleeping}}'",
        "tags", "to_jsonb(contact.tags)", "to_jsonb(contact.tags || '{{sleeping}}')",
        (("contact.last_touched_at", "was more than 150 days ago", "to_jsonb(contact.last_touched_at)"), COHORT,
         ("contact.tags", "has none of sleeping", "to_jsonb(contact.tags)")),
        "0:add_tag",
    ),
    Job(
        "former", "contact",
        "{{contact.created_at: {{older_than: 350 days}}}}, {{contact.first_touch.term: {cohort}}}",
        "{set_field: {field: contact.fields.newsletter, to: false}}",
        "contact.created_at < now() - interval '350 days' AND contact.first_touch_term_norm = %(cohort)s"
        " AND contact.fields -> 'newsletter' IS DISTINCT FROM 'false'",
        "fields = contact.fields || '{{\"newsletter\": false}}',"
        " fields_norm = contact.fields_norm || '{{\"newsletter?\": false}}'",
        "fields.newsletter", "contact.fields -> 'newsletter'", "'false'::jsonb",
        (("contact.created_at", "was more than 350 days ago", "to_jsonb(contact.created_at)"), COHORT),
        "0:set_field",
    ),
    Job(
        "webinar-done", "contact",
        "{{contact.tags: {{has: newsletter}}}}, {{contact.first_touch.term: {cohort}}},"
        " {{company.category: [Lead, Marketing qualified lead, Opportunity]}}",
        "{remove_tag: newsletter}",
        "contact.tags_norm && '{{newsletter}}' AND contact.first_touch_term_norm = %(cohort)s"
        " AND company.category_key = ANY('{{lead,mql,opportunity}}')",
        "tags = array_remove(contact.tags, 'newsletter'), tags_norm = array_remove(contact.tags_norm, 'newsletter')",
        "tags", "to_jsonb(contact.tags)", "to_jsonb(array_remove(contact.tags, 'newsletter'))",
        (("contact.tags", "has newsletter", "to_jsonb(contact.tags)"), COHORT,
         ("company.category", "is one of", "to_jsonb(company.category_key)")),
        "0:remove_tag",
    ),
    Job(
        "given-up", "contact",
        "{{contact.lead_status: [Contacting, Re-nurture]}}, {{contact.first_touch.term: {cohort}}},"
        " {{contact.email: {{not_contains: vip}}}}",
        "{set_lead_status: {to: Disqualified}}",
        "contact.lead_status_key = ANY('{{contacting,re-nurture}}') AND contact.first_touch_term_norm = %(cohort)s"
        " AND contact.email NOT LIKE '%%vip%%' AND company.category_key = ANY(%(active)s)",
        "lead_status_key = 'disqualified'",
        "lead_status", "to_jsonb(contact.lead_status_key)", "'\"disqualified\"'::jsonb",
        (STATUS, COHORT, ("contact.email", "does not contain vip", "to_jsonb(contact.email)")),
        "0:set_lead_status",
    ),
)  # fmt: skip
COMPANY_JOB = Job(
    "promote", "company",
    "{{company.category: Lead}}, {{company.first_touch.term: {cohort}}}",
    "{set_category: {to: Marketing qualified lead}}",
    "company.category_key = 'lead' AND company.first_touch_term_norm = %(cohort)s",
    "category_key = 'mql'", "category", "to_jsonb(company.category_key)", "'\"mql\"'::jsonb",
    (("company.category", "is Lead", "to_jsonb(company.category_key)"),
     ("company.first_touch.term", "is cohort", "to_jsonb(company.first_touch_term)")),
    "0:set_category",
)  # fmt: skip


def by_hand(job: Job) -> str:
    """One statement: find, lock, change, explain, keep the ledger, the limit and the task."""
    contact = job.each == "contact"
    ids = "contact.id AS id, contact.company_id, contact.id AS contact_id" if contact else (
        "company.id AS id, company.id AS company_id, NULL::bigint AS contact_id"
    )  # fmt: skip
    rows = "contact LEFT JOIN company ON company.id = contact.company_id" if contact else "company"
    flags = f"NOT {job.each}.do_not_automate" + (" AND company.do_not_automate IS NOT TRUE" if contact else "")
    clauses = ", ".join(
        f"jsonb_build_object('path', '{path}', 'test', '{test}', 'holds', true, 'value', {value})"
        for path, test, value in job.clauses
    )
    task = f"""tasks AS (
        INSERT INTO task (title, owner, company_id, contact_id, created_by, rule, sweep_id, action, created_at,
                          updated_at)
        SELECT '{job.task}', 'sales', company_id, contact_id, '{job.slug}', '{job.slug}', %(sweep)s, '1:create_task',
               now(), now() FROM found),""" if job.task else ""  # fmt: skip
    return f"""
    WITH found AS MATERIALIZED (
        SELECT {ids}, {job.old} AS old, {job.new} AS new, jsonb_build_array({clauses}) AS clauses FROM {rows}
        WHERE {job.where} AND {flags} AND NOT EXISTS (
            SELECT FROM rule_limit WHERE rule = '{job.slug}' AND subject = '{job.each}' AND subject_id = {job.each}.id
            AND acted_at > now() - interval '90 days')
        ORDER BY id FOR UPDATE OF {job.each}
    ), changed AS (
        UPDATE {job.each} SET {job.sets}, updated_at = now(), revision = revision + 1
        FROM found WHERE {job.each}.id = found.id
    ), runs AS (
        INSERT INTO run (sweep_id, rule, version, outcome, is_near_miss, clauses, changes, chain, company_id,
                         contact_id, duration_us, at)
        SELECT %(sweep)s, '{job.slug}', 1, 'fired', false, clauses, jsonb_build_array(jsonb_build_object(
                   'entity', '{job.each}', 'entity_id', id, 'field', '{job.field}', 'old', old, 'new', new)),
               '{{{{}}}}'::text[], company_id, contact_id, 0, now()
        FROM found ORDER BY id RETURNING id, company_id, contact_id
    ), {task} limits AS (
        INSERT INTO rule_limit (rule, subject, subject_id, acted_at)
        SELECT '{job.slug}', '{job.each}', id, now() FROM found
        ON CONFLICT (rule, subject, subject_id) DO UPDATE SET acted_at = excluded.acted_at
    )
    INSERT INTO change (at, entity, entity_id, company_id, contact_id, field, old, new, actor_kind, actor_id,
                        actor_name, sweep_id, run_id, rule, action)
    SELECT now(), '{job.each}', found.id, found.company_id, found.contact_id, '{job.field}', found.old, found.new,
           'rule', '1', '{job.slug}', %(sweep)s, runs.id, '{job.slug}', '{job.action}'
    FROM found JOIN runs ON runs.{job.each}_id = found.id ORDER BY runs.id
    """.replace("{{", "{").replace("}}", "}")


class Million:
    """A big installation, swept by leadflow and by hand, each cohort once."""

    def __init__(self, url: str, configuration: Configuration, contacts: int) -> None:
        upgrade(url)
        self._engine: Engine = make_engine(url, pool_size=2)
        with self._engine.begin() as connection:
            apply_configuration(connection, configuration, datetime.now(UTC))
        million.fill(libpq_address(url), contacts, contacts // 5)
        self._desk = Desk(configuration.sources)
        self._sweeper = Sweeper(self._engine, self._desk, max_changes=contacts)
        self._hand = psycopg.connect(libpq_address(url), autocommit=True, options="-c jit=off -c random_page_cost=1.1")
        self._hand_sweeps = -1

    def publish(self, jobs: Sequence[Job], cohort: str) -> None:
        """Make the jobs' rules for one cohort the live ones."""
        body = "leadflow: 1\nrules:\n" + "".join(job.document(cohort) for job in jobs)
        with self._engine.begin() as connection:
            actor = Actor(ActorKind.PERSON, None, "benchmark")
            publish(connection, actor, {"sweeps.yaml": body}, origin="files", now=datetime.now(UTC))
        # A worker compiles a version of the rules once, not for each sweep.
        with self._engine.begin() as connection:
            self._desk.rules.read(connection, self._desk.lists.read(connection))

    def sweep(self, jobs: Sequence[Job]) -> int:
        """By leadflow, one sweep after the other; how many records were changed."""
        changed = 0
        for job in jobs:
            sweep_id = self._sweeper.start(job.slug, "benchmark")
            assert self._sweeper.sweep(600) is False
            changed += self._changed(sweep_id)
        return changed

    def _changed(self, sweep_id: int) -> int:
        with self._engine.begin() as connection:
            view = reads.sweep(connection, sweep_id)
        assert view.state == "done", view
        return view.changed

    def sweep_by_hand(self, jobs: Sequence[Job], cohort: str) -> int:
        """By hand, one statement a rule."""
        changed = 0
        for job in jobs:
            self._hand_sweeps -= 1
            parameters = {
                "cohort": cohort,
                "sweep": self._hand_sweeps,
                "active": ["lead", "mql", "opportunity", "lost-opportunity"],
            }
            changed += self._hand.execute(by_hand(job), parameters).rowcount
        return changed

    def counter(self, where: dict[str, Any]) -> Callable[[], int]:
        """How a screen counts what satisfies a condition: read it, render it, ask."""
        with self._engine.begin() as connection:
            catalogue = read_lists(connection).catalogue

        def count() -> int:
            condition = read_json_condition(where, catalogue, frozenset({"contact", "company"}), Names())
            with self._engine.begin() as connection:
                return count_found(connection, "contact", condition, datetime.now(UTC))

        return count

    def count_by_hand(self, statement: str) -> int:
        row = self._hand.execute(statement).fetchone()  # type: ignore[call-overload]
        return int(row[0]) if row else 0

    def settle(self) -> None:
        """Let what was written come to rest, so that no side pays for the other, and plans know what is there."""
        self._hand.execute("ANALYZE rule_limit")
        self._hand.execute("CHECKPOINT")

    def close(self) -> None:
        self._hand.close()
        self._engine.dispose()


def measure_sweeps(table: Table, installation: Million, rounds: int) -> None:
    """Interleaved rounds, each with cohorts of its own."""
    cohorts = iter(range(million.COHORTS))
    _measure(table, installation, rounds, JOBS, "5 rules over the contacts", cohorts, (1.5, 1.2))
    _measure(table, installation, rounds, (COMPANY_JOB,), "1 rule over the companies", cohorts, (1.3, 1.1))


def _measure(
    table: Table,
    installation: Million,
    rounds: int,
    jobs: Sequence[Job],
    name: str,
    cohorts: Any,
    targets: tuple[float, float],
) -> None:
    ours, hand, idle, idle_hand, changed = [], [], [], [], 0
    for _ in range(rounds + 1):  # the first one warms up
        one, other = f"cohort-{next(cohorts)}", f"cohort-{next(cohorts)}"
        installation.publish(jobs, one)
        installation.settle()
        seconds, changed = _timed(lambda: installation.sweep(jobs))
        ours.append(seconds)
        installation.settle()
        seconds, by_hand_changed = _timed(lambda: installation.sweep_by_hand(jobs, other))  # noqa: B023
        hand.append(seconds)
        assert 0.8 < changed / by_hand_changed < 1.25, (changed, by_hand_changed)
        installation.publish(jobs, NOBODY)
        idle.append(_timed(lambda: installation.sweep(jobs))[0])
        idle_hand.append(_timed(lambda: installation.sweep_by_hand(jobs, NOBODY))[0])
    for values in (ours, hand, idle, idle_hand):
        values.pop(0)
    target, aim = targets
    table.heading(f"Sweeps, {name}: {changed:,} records changed, with traces, ledger, limits")
    table.add(Figure("by hand, one statement a rule, seconds", hand))
    table.add(Figure("leadflow, seconds", ours))
    table.add(Figure("sweep ÷ by hand", ratios(ours, hand), target, aim, "at most", reason_if_missed=KNOWN))
    table.add(Figure("nothing to do, by hand, seconds", idle_hand))
    table.add(Figure("nothing to do, leadflow, seconds", idle))
    table.add(
        Figure("nothing to do ÷ by hand", ratios(idle, idle_hand), target, aim, "at most", reason_if_missed=KNOWN)
    )


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done
