"""Statements on sets and the judge in memory do the same: random rules over random small data, compared row by row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from leadflow.domain.events import SYSTEM
from leadflow.services import records, rule_sets, sweeps
from leadflow.services.processing import Desk
from leadflow.services.sweeps import PageSize, Workbench, advance, start_sweep
from leadflow.store.replay import find_differences
from tests.support.scenes import PERSON, Scene

CATEGORIES = (None, "lead", "mql", "opportunity", "lost-opportunity", "customer", "partner")
STATUSES = ("open", "contacting", "re-nurture", "qualified")
TAGS = ("hot", "Cold", "ÅRE", "vip")

# Steps and conditions in flow style; those of a contact are not for sweeps of companies.
COMPANY_STEPS = (
    "set_category: {to: Marketing qualified lead}",
    "set_category: {to: Lead, from: [blank]}",
    "set_category: {to: Opportunity, from: [Lead, Marketing qualified lead]}",
    "set_category: {to: Customer}",
    "set_field: {field: company.owner, to: Anna}",
    "set_field: {field: company.owner, to: ÅSE}",
    "set_field: {field: company.fields.industry, to: Retail}",
    "add_tag: {tag: hot, of: company}",
    "add_tag: {tag: åre, of: company}",
    "remove_tag: {tag: COLD, of: company}",
)
CONTACT_STEPS = (
    "set_lead_status: {to: Open}",
    "set_lead_status: {to: Qualified, from: [Open, Re-nurture]}",
    "set_lead_status: {to: Re-nurture, from: [Contacting, blank]}",
    "set_field: {field: contact.fields.job_title, to: Sjef på Åre}",
    "set_field: {field: contact.fields.newsletter, to: true}",
    "add_tag: {tag: vip, of: contact}",
    "add_tag: {tag: Hot, of: contact}",
    "remove_tag: {tag: hot, of: contact}",
    "remove_tag: {tag: vip, of: contact}",
)
EITHER_STEPS = ("create_task: {title: Look at it, owner: sales, due_in: 1 day}", "create_task: {title: And again}")
COMPANY_CLAUSES = (
    "company.category: {in: [Lead, Marketing qualified lead], or_blank: true}",
    "company.category: {not_in: [Opportunity]}",
    "company.tags: {has_none: [vip]}",
    "company.owner: {exists: false}",
    "any: [{company.category: Customer}, {company.tags: {has: hot}}]",
    "none: [{company.owner: Anna}, {company.fields.industry: Retail}]",
    "last_change: {field: company.category, older_than: 1 day, or_blank: true}",
)
CONTACT_CLAUSES = (
    "contact.lead_status: [Open, Re-nurture]",
    "contact.lead_status: {is_not: Qualified}",
    "contact.tags: {has_none: [vip]}",
    "contact.created_at: {older_than: 1 hour}",
    "last_change: {field: contact.lead_status, to: Re-nurture, older_than: 1 day}",
    "event_count: {of: form_submitted, by: contact, is: 0}",
    "contact.last_touched_at: {exists: false}",
    "now: {between: ['08:00', '17:00']}",
    "any: [{contact.tags: {has: hot}}, {contact.fields.newsletter: true}]",
)


@dataclass(frozen=True)
class World:
    """A rule, and the companies and contacts it is let loose on."""

    subject: str
    clauses: tuple[str, ...]
    steps: tuple[str, ...]
    once_per: str
    companies: tuple[dict[str, Any], ...]
    contacts: tuple[dict[str, Any], ...]
    page: int

    @property
    def document(self) -> str:
        condition = ", ".join(f"{{{one}}}" for one in self.clauses)
        steps = ", ".join(f"{{{one}}}" for one in self.steps)
        return (
            "leadflow: 1\nrules:\n"
            f"  - {{rule: tested, when: {{schedule: {{every: day, for_each: {self.subject}}}}},"
            f" if: {{all: [{condition}]}},"
            f" then: [{steps}], limit: {{once_per: {self.once_per}, within: 7 days}}}}\n"
        )


def tags() -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(TAGS), unique=True, max_size=3)


COMPANIES = st.fixed_dictionaries(
    {
        "category": st.sampled_from(CATEGORIES),
        "owner": st.sampled_from((None, "Anna", "åse", "İpek")),
        "tags": tags(),
        "fields": st.sampled_from(({}, {"industry": "retail"}, {"industry": "software"})),
        "do_not_automate": st.sampled_from((False, False, False, True)),
    }
)
CONTACTS = st.fixed_dictionaries(
    {
        "at": st.integers(-1, 3),
        "lead_status": st.sampled_from(STATUSES),
        "tags": tags(),
        "fields": st.sampled_from(({}, {"newsletter": True}, {"job_title": "SJEF PÅ ÅRE"}, {"job_title": "İmam"})),
        "do_not_automate": st.sampled_from((False, False, False, True)),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    subject = draw(st.sampled_from(("contact", "contact", "company")))
    steps, clauses = COMPANY_STEPS, COMPANY_CLAUSES
    if subject == "contact":
        # Both kinds together are for statements on sets only where the limit counts by company.
        steps = draw(st.sampled_from((COMPANY_STEPS, CONTACT_STEPS, COMPANY_STEPS + CONTACT_STEPS)))
        clauses = COMPANY_CLAUSES + CONTACT_CLAUSES
    return World(
        subject,
        # One clause, mostly: with more of them hardly anybody is left to act on.
        tuple(draw(st.lists(st.sampled_from(clauses), min_size=1, max_size=draw(st.integers(1, 2)), unique=True))),
        tuple(draw(st.lists(st.sampled_from(steps + EITHER_STEPS), min_size=1, max_size=4, unique=True))),
        "company" if subject == "company" else draw(st.sampled_from(("contact", "company"))),
        tuple(draw(st.lists(COMPANIES, min_size=1, max_size=4))),
        tuple(draw(st.lists(CONTACTS, min_size=1, max_size=6))),
        draw(st.integers(1, 4)),
    )


# Every category with every tag, each with contacts in different states: whatever a step does, it does it to somebody.
EVERYBODY = tuple(
    {
        "category": category,
        "owner": (None, "Anna", "İpek")[number % 3],
        "tags": list(TAGS[: number % 5]),
        "fields": ({}, {"industry": "retail"}, {"industry": "software"})[number % 3],
        "do_not_automate": number == 11,
    }
    for number, category in enumerate(CATEGORIES * 2)
)
CROWD = tuple(
    {
        "at": number % 15 - 1,
        "lead_status": STATUSES[number % 4],
        "tags": list(TAGS[number % 3 : number % 5]),
        "fields": ({}, {"newsletter": True}, {"job_title": "SJEF PÅ ÅRE"}, {"job_title": "İmam"})[number % 4],
        "do_not_automate": number == 17,
    }
    for number in range(40)
)


def populate(connection: Connection, world: World, now: datetime) -> None:
    """The world's records, made by a person two days ago and edited yesterday."""
    long_ago = now - timedelta(days=2)
    company_ids = [
        records.create_company(
            connection, PERSON, {**one, "name": f"C{number}", "domain": f"c{number}.example"}, long_ago
        )
        for number, one in enumerate(world.companies)
    ]
    for number, one in enumerate(world.contacts):
        company_id = company_ids[one["at"] % len(company_ids)] if company_ids and one["at"] >= 0 else None
        sent = {name: value for name, value in one.items() if name not in ("at", "lead_status")}
        sent |= {"email": f"p{number}@x.example", "company_id": company_id}
        contact_id = records.create_contact(connection, PERSON, sent, long_ago)
        active = text("SELECT lead_status_key IS NOT NULL FROM contact WHERE id = :id")
        if connection.scalar(active, {"id": contact_id}):
            when = now - timedelta(hours=30 if number % 2 else 3)
            records.change_contact(connection, PERSON, contact_id, {"lead_status": one["lead_status"]}, when)


def sweep(connection: Connection, desk: Desk, world: World, now: datetime) -> list[int]:
    """Two sweeps, the second right after the first; how many records each changed."""
    changed = []
    for number in range(2):
        moment = now + timedelta(seconds=number)
        bench = Workbench(desk, max_changes=1_000)
        sweep_id = start_sweep(connection, desk, "tested", "Paula", moment)
        while (progress := advance(connection, bench, sweep_id, moment, PageSize(1_000, world.page))) is not None:
            if progress.state != "running":
                break
        row = connection.execute(text("SELECT * FROM sweep WHERE id = :id"), {"id": sweep_id}).one()
        assert (row.state, row.error) == ("done", None)
        changed.append(row.changed)
    return changed


QUERIES = {
    "company": (
        "SELECT id, category_key, owner, owner_norm, tags, tags_norm, fields, fields_norm, updated_at FROM company"
    ),
    "contact": "SELECT id, lead_status_key, tags, tags_norm, fields, fields_norm, updated_at FROM contact",
    "change": (
        "SELECT change.at, entity, entity_id, change.company_id, change.contact_id, field, old, new, values_norm,"
        " actor_kind, actor_id, actor_name, change.rule, action, run.company_id AS of_company,"
        " run.contact_id AS of_contact FROM change JOIN run ON run.id = run_id ORDER BY change.id"
    ),
    "run": (
        "SELECT company_id, contact_id, rule, version, outcome, guard, changes, clauses, error, at FROM run ORDER BY id"
    ),
    "task": "SELECT title, owner, due_at, company_id, contact_id, created_by, rule, action, created_at FROM task",
    "rule_limit": "SELECT rule, subject, subject_id, acted_at, event_id FROM rule_limit",
}


def state(connection: Connection) -> dict[str, list[Any]]:
    found = {}
    for name, query in QUERIES.items():
        rows = [dict(row) for row in connection.execute(text(query)).mappings()]
        found[name] = rows if "ORDER BY" in query else sorted(rows, key=str)
    for run in found["run"]:
        run["changes"] = [{k: v for k, v in one.items() if k not in ("action", "norms")} for one in run["changes"]]
        run["clauses"] = [one for one in run["clauses"] if one["path"] != "record"]  # memory tells the trigger, too
    return found


Outcome = tuple[list[int], dict[str, list[Any]]]


def assert_same(sets: Outcome, memory: Outcome) -> None:
    """The same numbers and the same rows, and nothing left for the second sweep."""
    # Where a company is written, memory also keeps who decided that nothing was to be changed.
    for _, rows_of in (sets, memory):
        rows_of["run"] = [one for one in rows_of["run"] if one["changes"]]
    for name, rows in sets[1].items():
        assert rows == memory[1][name], name
    assert sets[0] == memory[0]
    assert sets[0][1] == 0, "a second sweep changes nothing"


@pytest.mark.parametrize(
    ("subject", "once_per"), [("contact", "contact"), ("contact", "company"), ("company", "company")]
)
def test_each_step_does_the_same_both_ways(scene: Scene, subject: str, once_per: str) -> None:
    steps = COMPANY_STEPS if subject == "company" else COMPANY_STEPS + CONTACT_STEPS
    worlds_of_steps = [
        World(subject, ("company.name: {not_in: [nobody]}",), (step,), once_per, EVERYBODY, CROWD, 7)
        for step in steps + EITHER_STEPS
    ]
    with populated(scene, worlds_of_steps[0]) as connection:
        for world in worlds_of_steps:
            sets, memory = both_ways(connection, scene, world)
            assert_same(sets, memory)
            assert sets[0][0] > 0, f"{world.steps} did nothing to anybody"


def test_both_ways_end_in_the_same_state_with_the_same_ledger(scene: Scene) -> None:
    @settings(max_examples=40)
    @given(world=worlds())
    def check(world: World) -> None:
        with populated(scene, world) as connection:
            assert_same(*both_ways(connection, scene, world))

    check()


@contextmanager
def populated(scene: Scene, world: World) -> Iterator[Connection]:
    """A transaction in which the world's records are there; in the end they are not."""
    with scene.engine.connect() as connection, connection.begin() as outer:
        populate(connection, world, scene.clock())
        yield connection
        outer.rollback()


def both_ways(connection: Connection, scene: Scene, world: World) -> list[Outcome]:
    """How many records each of two sweeps changed and the state after them: by statements on sets, then in memory."""
    outcomes: list[Outcome] = []
    now = scene.clock()
    with connection.begin_nested() as published:
        rule_sets.publish(connection, SYSTEM, {"t.yaml": world.document}, origin="files", now=now)
        for choose in (sweeps.set_based_effects, lambda rule, subject, lists: None):
            with pytest.MonkeyPatch.context() as patch, connection.begin_nested() as trial:
                patch.setattr(sweeps, "set_based_effects", choose)
                changed = sweep(connection, Desk(scene.configuration.sources), world, now)
                outcomes.append((changed, state(connection)))
                assert find_differences(connection) == []
                trial.rollback()
        published.rollback()
    return outcomes
