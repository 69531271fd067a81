"""The plan of a rule equals what the rule then does: same records, same values, nothing more and nothing less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import text

from leadflow.rules.model import Outcome
from leadflow.services import records
from leadflow.services.processing import Desk
from leadflow.services.rule_plans import UNBOUNDED, ListedCount, RulePlan, RulesPlan, make_plan
from leadflow.services.rule_sets import live_documents
from leadflow.services.runs import Run
from leadflow.services.sweeps import PageSize, Workbench, advance, has_acted, start_sweep
from leadflow.store import reads
from leadflow.store.engine import name_actor
from tests.acceptance.leadforge_log import LogEvent, load
from tests.support.reuse import ReusedDatabase
from tests.support.scenes import PERSON, Scene, open_scene

LEADS = 250
CATEGORIES = ("lead", "mql", "opportunity", "lost-opportunity", "customer", "partner", None)
BATCH = 400

# (entity, id, field, old, new), as the ledger has it
Effect = tuple[str, int | None, str, Any, Any]


@dataclass
class Seen:
    """What a plan played through: the effects of one rule, and by contact and company those of each run."""

    slug: str
    effects: Counter[tuple[Any, ...]]
    by_record: dict[tuple[int | None, int | None], tuple[Outcome, list[tuple[Any, ...]]]]

    def __call__(self, runs: Sequence[Run]) -> None:
        for run in runs:
            if run.rule.slug != self.slug:
                continue
            made = [effect_of(one) for one in run.changes] if has_acted(run) else []
            self.effects.update(made)
            self.by_record[run.company_id, run.contact_id] = (run.outcome, made)


def effect_of(change: dict[str, Any]) -> tuple[Any, ...]:
    def plain(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    return (change["entity"], change.get("entity_id"), change["field"], plain(change["old"]), plain(change["new"]))


def bench_of(scene: Scene, max_changes: int | None = 10**9) -> Workbench:
    return Workbench(Desk(scene.configuration.sources), max_changes)


def with_rule(scene: Scene, rule: str) -> dict[str, str]:
    """The live documents and one with this rule."""
    with scene.engine.connect() as connection:
        _, documents = live_documents(connection)
    return {**documents, "tested.yaml": f"leadflow: 1\nrules:\n  - {rule}\n"}


def plan(scene: Scene, documents: dict[str, str], slug: str = "tested", **more: Any) -> tuple[RulePlan, Seen]:
    seen = Seen(slug, Counter(), {})
    found = plan_all(scene, documents, watch=seen, **more)
    (one,) = [one for one in found.rules if one.slug == slug]
    return one, seen


def plan_all(scene: Scene, documents: dict[str, str], **more: Any) -> RulesPlan:
    with scene.engine.begin() as connection:
        more.setdefault("bounds", UNBOUNDED)
        return make_plan(connection, bench_of(scene), documents, scene.clock(), **more)


def sweep(scene: Scene, slug: str = "tested") -> None:
    """The whole sweep, in pages that part companies."""
    bench = bench_of(scene)
    with scene.engine.begin() as connection:
        sweep_id = start_sweep(connection, bench.desk, slug, "Paula", scene.clock())
    while True:
        with scene.engine.begin() as connection:
            progress = advance(connection, bench, sweep_id, scene.clock(), PageSize(100_000, 37))
        if progress is None or progress.state != "running":
            break
    assert scene.value("SELECT state FROM sweep WHERE id = :id", id=sweep_id) == "done"


def done_by(scene: Scene, slug: str = "tested") -> Counter[tuple[Any, ...]]:
    """What the rule really did, by its traces, which the ledger follows."""
    rows = scene.rows("SELECT changes FROM run WHERE rule = :rule AND outcome IN ('fired', 'waiting')", rule=slug)
    ledger = scene.value("SELECT count(*) FROM change WHERE rule = :rule", rule=slug)
    done = Counter(effect_of(one) for row in rows for one in row.changes)
    assert ledger == sum(number for effect, number in done.items() if effect[0] in ("company", "contact"))
    return done


# -- the leadforge data ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forged(reused_database: ReusedDatabase) -> Iterator[Scene]:
    """Companies and contacts with the history that the leadforge log gave them; tests leave nothing behind."""
    with open_scene(reused_database.fresh()) as scene:
        replay(scene, load(seed=42, leads=LEADS).events)
        work_by_hand(scene)
        yield scene


def replay(scene: Scene, events: Sequence[LogEvent]) -> None:
    """The log through the inbox, some weeks at a time."""
    sales: dict[str, int] = {}
    remaining = iter(events)
    while batch := list(islice(remaining, BATCH)):
        scene.clock.now = batch[-1].at
        scene.accept_forms([one.body for one in batch if one.body])
        scene.drain(60)
        for one in batch:
            if one.kind == "sale_registered":
                sales[one.sale or ""] = scene.make_sale(scene.company_id(one.domain), title=one.title)
            elif one.kind != "form":
                scene.change_sale(sales[one.sale or ""], one.kind.removeprefix("sale_"))
        scene.drain(60)
    scene.clock.pass_by(days=1)


def work_by_hand(scene: Scene) -> None:
    """What people at the firm did meanwhile, so that there is something of everything."""
    statuses = ("re-nurture", "qualified", "contacting", "disqualified")
    with scene.engine.begin() as connection:
        name_actor(connection, "person")
        for number, row in enumerate(connection.execute(text("SELECT id FROM company ORDER BY id")).all()):
            sent = {"category": CATEGORIES[number % len(CATEGORIES)], "tags": ["key"] if number % 6 == 0 else []}
            sent |= {"owner": ("Anna", None, "Bo")[number % 3], "do_not_automate": number % 11 == 3}
            records.change_company(connection, PERSON, row.id, sent, scene.clock() - timedelta(days=number % 200))
        query = text("SELECT id FROM contact WHERE lead_status_key IS NOT NULL ORDER BY id")
        for number, row in enumerate(connection.execute(query).all()):
            sent = {"do_not_automate": number % 13 == 5, "tags": ["hot"] if number % 4 == 1 else []}
            at = scene.clock() - timedelta(days=number % 170)
            records.change_contact(connection, PERSON, row.id, sent, at)
            if reads.contact(connection, row.id).lead_status_active:
                records.change_contact(connection, PERSON, row.id, {"lead_status": statuses[number % 4]}, at)


# -- scheduled rules ---------------------------------------------------------------------------------------------------

SCHEDULED = {
    # Statements on sets, contacts.
    "open-again": "if: {contact.lead_status: Re-nurture}, then: [{set_lead_status: {to: Open}}, {add_tag: asked},"
    " {create_task: {title: Ask again}}], limit: {once_per: contact, within: 90 days}",
    # The company is written: the first contact decides for it.
    "up": "if: {contact.lead_status: [Qualified, Open]}, then: [{set_category: {to: Opportunity}}],"
    " limit: {once_per: company}",
    # Both: what a contact is given follows from what its company has become; judged record by record.
    "mixed": "if: {company.category: {not_in: [Opportunity]}}, then: [{set_category: {to: MQL}}, {add_tag: seen}],"
    " limit: {once_per: contact, within: 1 day}",
    # A step that differs from record to record, and owners in turn.
    "turns": "if: {contact.tags: {has: hot}}, then: [{assign_owner: {round_robin: [Ida, Ole, Per]}},"
    " {add_tag: \"of {{ company.name | default('nobody') }}\"}], limit: {once_per: contact}",
    "waiting": "if: {contact.lead_status: {exists: true}}, then: [{add_tag: first}, {wait: 3 days}, {add_tag: second}],"
    " limit: {once_per: contact}",
    "all": "if: {company.tags: {has: key}}, then: [{set_lead_status: {to: Contacting, of: all_contacts}}],"
    " limit: {once_per: company}",
    "old": "if: {last_change: {field: contact.lead_status, to: Re-nurture, older_than: 20 days}},"
    " then: [{set_lead_status: {to: Disqualified}}], limit: {once_per: contact}",
}
OF_COMPANIES = {
    "entering": "if: {company.category: {exists: false}}, then: [{set_category: {to: Lead}}],"
    " limit: {once_per: company}",
    "lost": "if: {company.category: [Opportunity, MQL, Lead]}, then: [{set_category: {to: Lost opportunity}},"
    " {add_tag: {tag: cold, of: company}}], limit: {once_per: company}",
    "counted": "if: {event_count: {of: form_submitted, by: company, within_last: 400 days, gte: 80}},"
    " then: [{set_field: {field: company.owner, to: Zoe}}], limit: {once_per: company}",
}
EVERY_DAY = "when: {{schedule: {{every: day, for_each: {subject}}}}}"


@pytest.mark.parametrize("name", [*OF_COMPANIES, *SCHEDULED])
def test_a_sweep_does_what_was_planned(forged: Scene, name: str) -> None:
    subject = "contact" if name in SCHEDULED else "company"
    body = SCHEDULED.get(name) or OF_COMPANIES[name]
    slug = f"swept-{name}"
    documents = with_rule(forged, f"{{rule: {slug}, {EVERY_DAY.format(subject=subject)}, {body}}}")
    before = fingerprint(forged)
    planned, seen = plan(forged, documents, slug)
    assert fingerprint(forged) == before, "a plan leaves no trace"

    forged.publish_documents(documents)
    sweep(forged, slug)

    assert done_by(forged, slug) == seen.effects
    assert seen.effects, "a rule that does nothing proves nothing"
    changed = forged.value("SELECT changed FROM sweep WHERE rule = :rule", rule=slug)
    assert (planned.touched, planned.is_exact, planned.is_complete) == (changed, True, True)
    assert counts(planned.categories) == categories(forged)
    assert counts(planned.lead_statuses) == lead_statuses(forged)


def counts(listed: Sequence[ListedCount]) -> dict[str | None, int]:
    return {one.key: one.after for one in listed if one.after}


def categories(scene: Scene) -> dict[str | None, int]:
    return dict(map(tuple, scene.rows("SELECT category_key, count(*) FROM company GROUP BY 1")))


def lead_statuses(scene: Scene) -> dict[str | None, int]:
    return dict(map(tuple, scene.rows("SELECT lead_status_key, count(*) FROM contact GROUP BY 1")))


def fingerprint(scene: Scene) -> list[Any]:
    """Everything that a plan could leave behind: rows, and numbers drawn from sequences."""
    tables = ("company", "contact", "change", "run", "event", "task", "outbox", "proposal", "waiting", "turn", "sweep")
    rows = [scene.value(f"SELECT count(*) FROM {table}") for table in tables]
    drawn = scene.value("SELECT string_agg(sequencename || coalesce(last_value, 0), ' ' ORDER BY 1) FROM pg_sequences")
    return [*rows, drawn, scene.value("SELECT max(updated_at) FROM contact")]


# -- rules that wait for something -------------------------------------------------------------------------------------

ON_FORMS = {
    "demo": "when: {form_submitted: {form: demo-request}}, if: {company.category: [Lead, MQL, Lost opportunity]},"
    " then: [{set_category: {to: Opportunity}},"
    " {create_task: {title: \"Call {{ contact.first_name | default('them') }}\"}}]",
    "twice": "when: {form_submitted: {form: content-download}}, if: {all: [{event_count: {of: form_submitted,"
    " where: {form: content-download}, by: contact, within_last: 300 days, gte: 3}}]},"
    " then: [{add_tag: reader}, {set_lead_status: {to: Qualified}}], limit: {once_per: company, within: 7 days}",
    "campaign": "when: {form_submitted: {form: content-download}}, if: {form.utm_source: google},"
    " then: [{add_tag: \"from {{ form.utm_campaign | default('nowhere') }}\"}]",
    "everybody": "when: {form_submitted: any}, if: {company.tags: {has: key}},"
    " then: [{set_lead_status: {to: Contacting, of: all_contacts}}]",
    "flagged": "when: {form_submitted: {form: webinar}}, then: [{set_category: {to: Customer}},"
    " {set_field: {field: company.owner, to: Zoe}}]",
    "idle": "when: {form_submitted: {form: webinar}}, if: {contact.last_touched_at: {older_than: 1 hour}},"
    " then: [{add_tag: never}]",
}


@pytest.mark.parametrize("name", ON_FORMS)
def test_a_form_does_what_was_planned(forged: Scene, name: str) -> None:
    slug = f"form-{name}"
    documents = with_rule(forged, f"{{rule: {slug}, priority: 90, {ON_FORMS[name]}}}")
    planned, seen = plan(forged, documents, slug)
    assert planned.touched == sum(bool(made) for _, made in seen.by_record.values())
    forged.publish_documents(documents)

    sample = sample_of(forged, seen)
    assert any(seen.by_record[company_id, id][1] for id, (company_id, _) in sample.items()) is (name != "idle")
    newest = newest_forms(forged)
    form = ON_FORMS[name].partition("form: ")[2].partition("}")[0] if "any" not in ON_FORMS[name][:30] else None
    events = {}
    for contact_id, (company_id, email) in sample.items():
        said = newest.get((contact_id, form)) or {}
        body = {**said, "form": form or said.get("form", "any"), "email": email}
        (events[contact_id, company_id],) = forged.accept_forms([body])
    forged.drain(30)

    for (contact_id, company_id), event_id in events.items():
        known = newest.get((contact_id, form))
        planned_here = seen.by_record.get((company_id, contact_id))
        done = forged.rows(
            "SELECT outcome, changes FROM run WHERE event_id = :id AND rule = :rule", id=event_id, rule=slug
        )
        happened = [(Outcome(row.outcome), [effect_of(one) for one in row.changes]) for row in done]
        if planned_here is None:  # it was known beforehand that the condition cannot hold
            assert [outcome for outcome, _ in happened] in ([Outcome.NO_MATCH], [])
        elif known is not None or planned.is_exact:
            assert happened == [planned_here], (contact_id, company_id, known)


def sample_of(scene: Scene, seen: Seen, most: int = 40) -> dict[int, tuple[int, str]]:
    """One contact of each company, for the others would find what the first has left; first those that are touched."""
    rows = scene.rows("SELECT id, company_id, email FROM contact WHERE company_id IS NOT NULL ORDER BY id")
    ranked = sorted(rows, key=lambda row: not seen.by_record.get((row.company_id, row.id), (None, []))[1])
    of_company = {row.company_id: row for row in reversed(ranked)}
    chosen = sorted(of_company.values(), key=ranked.index)
    few = [*chosen[: most // 2], *chosen[-most // 2 :]]
    return {row.id: (row.company_id, row.email) for row in few}


def newest_forms(scene: Scene) -> dict[tuple[int, str | None], dict[str, Any]]:
    """What each contact's last form said, by its name; under None the last of all."""
    found: dict[tuple[int, str | None], dict[str, Any]] = {}
    for row in scene.rows("SELECT contact_id, fields FROM event WHERE type = 'form_submitted' ORDER BY id"):
        found[row.contact_id, row.fields.get("form")] = row.fields
        found[row.contact_id, None] = row.fields
    return found
