"""Sweeps: a scheduled rule over all records. Counted first, braked, page by page, and never twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from leadflow.errors import Conflict, NotFound
from leadflow.services import sweeps as stories
from leadflow.services.checking import check_database
from leadflow.services.processing import Desk
from leadflow.services.sweeps import (
    MAX_STARTS,
    PageSize,
    Rehearsal,
    Workbench,
    approve_sweep,
    cancel_sweep,
    rehearse,
    start_sweep,
)
from leadflow.store.records import LostRace
from leadflow.store.sweeps import counting, reads
from leadflow.store.sweeps.pages import PageStatements
from leadflow.tasks import events
from leadflow.tasks.events import Workplace
from leadflow.tasks.sweeping import Sweeper
from tests.support.scenes import Scene

ONE_PAGE = PageSize(1_000_000, 1_000)
PAIRS = PageSize(1_000_000, 2)
NURTURE = "{contact.lead_status: Re-nurture}"


def rule(
    then: str = "{set_lead_status: {to: Open}}",
    condition: str = NURTURE,
    limit: str = "{once_per: contact, within: 90 days}",
    each: str = "contact",
    more: str = "",
) -> str:
    return (
        f"{{rule: wake, when: {{schedule: {{every: day, for_each: {each}}}}}, if: {{all: [{condition}]}},"
        f" then: [{then}], limit: {limit}{more}}}"
    )


PER_COMPANY = "{once_per: company, within: 90 days}"


class Sweeping:
    """Sweeps of one scene."""

    def __init__(self, scene: Scene, size: PageSize = ONE_PAGE, max_changes: int | None = None) -> None:
        self.scene = scene
        self.desk = Desk(scene.configuration.sources)
        self.max_changes = max_changes
        self.sweeper = Sweeper(scene.new_engine(), self.desk, scene.clock, max_changes=max_changes, size=size)

    def start(self, slug: str = "wake") -> int:
        with self.scene.engine.begin() as connection:
            return start_sweep(connection, self.desk, slug, "Paula", self.scene.clock())

    def run(self, slug: str = "wake") -> reads.SweepView:
        """Start a sweep and take it as far as it goes."""
        sweep_id = self.start(slug)
        assert self.sweeper.sweep(60) is False
        return self.view(sweep_id)

    def view(self, sweep_id: int) -> reads.SweepView:
        with self.scene.engine.begin() as connection:
            return reads.sweep(connection, sweep_id)

    def rehearse(self, slug: str = "wake") -> Rehearsal:
        with self.scene.engine.begin() as connection:
            return rehearse(connection, Workbench(self.desk, self.max_changes), slug, self.scene.clock())

    def approve(self, sweep_id: int) -> None:
        with self.scene.engine.begin() as connection:
            approve_sweep(connection, sweep_id, "Paula")

    def cancel(self, sweep_id: int) -> None:
        with self.scene.engine.begin() as connection:
            cancel_sweep(connection, sweep_id, "Paula", self.scene.clock())


@pytest.fixture
def sweeping(scene: Scene) -> Iterator[Sweeping]:
    """Sweeps whose database is right at the end, whatever happened."""
    yield Sweeping(scene)
    assert_clean(scene)


def assert_clean(scene: Scene) -> None:
    with scene.engine.begin() as connection:
        assert [one for one in check_database(connection) if not one.is_fine] == []


def make_lead(scene: Scene, number: int, status: str | None = "re-nurture", category: str = "lead", **more: Any) -> int:
    """A contact at a company of its own, with this lead status."""
    domain = f"firm{number}.example"
    contact_id = scene.make_contact(f"p{number}@{domain}", scene.make_company(category, domain), **more)
    if status is not None and scene.lead_status(contact_id) is not None:
        scene.change_contact(contact_id, lead_status=status)
    return contact_id


def make_leads(scene: Scene, count: int) -> list[int]:
    return [make_lead(scene, number) for number in range(count)]


def company_of(scene: Scene, contact_id: int) -> int:
    return int(scene.value("SELECT company_id FROM contact WHERE id = :id", id=contact_id))


def traces(scene: Scene, sweep_id: int | None) -> list[Any]:
    return scene.rows("SELECT * FROM run WHERE sweep_id = :id ORDER BY id", id=sweep_id)


def by_rules(scene: Scene) -> int:
    """How many rows of the ledger rules have written."""
    return int(scene.value("SELECT count(*) FROM change WHERE actor_kind = 'rule'"))


# -- what it does ------------------------------------------------------------------------------------------------------


def test_a_sweep_acts_on_every_record_that_matches_and_writes_why(scene: Scene, sweeping: Sweeping) -> None:
    contacts = make_leads(scene, 3)
    make_lead(scene, 7, "qualified")
    scene.publish(rule("{set_lead_status: {to: Open}}, {create_task: {title: Call, owner: sales, due_in: 1 day}}"))

    view = sweeping.run()

    assert (view.state, view.matching, view.changed) == ("done", 3, 3)
    assert [(one.what, one.records) for one in view.funnel] == [
        ("contacts", 4),
        ("Lead status is Re-nurture", 3),
        ("within the limit", 3),
    ]
    assert {scene.lead_status(one) for one in contacts} == {"open"}
    assert scene.steps("contact", contacts[0], "lead_status")[-1] == ("re-nurture", "open", "rule")
    trace = traces(scene, view.id)[0]
    assert (trace.outcome, trace.contact_id, trace.guard) == ("fired", contacts[0], None)
    assert trace.clauses == [
        {"path": "contact.lead_status", "test": "is Re-nurture", "holds": True, "value": "re-nurture"}
    ]
    (change, *_) = scene.rows("SELECT * FROM change WHERE sweep_id = :id ORDER BY id", id=view.id)
    assert (change.run_id, change.rule, change.action, change.actor_id) == (
        trace.id,
        "wake",
        "0:set_lead_status",
        str(view.version),
    )
    (task, *_) = scene.rows("SELECT * FROM task ORDER BY id")
    assert (task.title, task.owner, task.contact_id, task.sweep_id) == ("Call", "sales", contacts[0], view.id)
    assert (task.due_at - scene.clock()).days == 1


def test_a_second_sweep_changes_nothing(scene: Scene, sweeping: Sweeping) -> None:
    make_leads(scene, 3)
    # The condition holds afterwards as before: only limit and guard keep it from acting again.
    scene.publish(rule("{add_tag: woken}, {create_task: {title: Call}}", "{contact.email: {exists: true}}"))

    assert sweeping.run().changed == 3
    rows = scene.count("change"), scene.count("run"), scene.count("task")
    scene.clock.pass_by(days=1)
    view = sweeping.run()

    assert (view.state, view.matching, view.changed) == ("done", 0, 0)
    assert (scene.count("change"), scene.count("run"), scene.count("task")) == rows
    assert ("within the limit", 0) in [(one.what, one.records) for one in view.funnel]


def test_after_its_limit_the_rule_acts_again_and_without_within_never(scene: Scene, sweeping: Sweeping) -> None:
    (contact,) = make_leads(scene, 1)
    for within, again in ((", within: 10 days", 1), ("", 0)):
        scene.publish(rule(limit=f"{{once_per: contact{within}}}").replace("wake", f"wake-{again}"))
        for days, changed in ((1, 1), (9, 0), (1, again)):
            scene.change_contact(contact, lead_status="re-nurture")
            view = sweeping.run(f"wake-{again}")
            assert view.changed == changed, (within, days)
            scene.clock.pass_by(days=days)


def test_what_has_nothing_to_change_is_told_by_the_funnel_and_left_alone(scene: Scene, sweeping: Sweeping) -> None:
    contacts = make_leads(scene, 2)
    scene.change_contact(contacts[0], tags=["Woken"])
    scene.publish(rule("{add_tag: woken}"))

    view = sweeping.run()

    assert [(one.what, one.records) for one in view.funnel][-2:] == [
        ("within the limit", 2),
        ("with something to change", 1),
    ]
    assert [one.contact_id for one in traces(scene, view.id)] == [contacts[1]]
    assert scene.count("rule_limit") == 1


def test_the_records_of_a_big_table_are_not_counted_but_known(
    scene: Scene, sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_leads(scene, 3)
    scene.publish(rule())
    with scene.owner.begin() as connection:
        connection.execute(text("ANALYZE contact"))
    monkeypatch.setattr(counting, "BIG_TABLE", 3)

    view = sweeping.run()

    assert (view.funnel[0].what, view.funnel[0].records) == ("contacts, about", 3)
    assert (view.matching, view.changed) == (3, 3)


def test_parts_about_company_and_past_are_asked_after_those_about_the_record(scene: Scene, sweeping: Sweeping) -> None:
    contacts = make_leads(scene, 4)
    make_lead(scene, 8, category="mql")
    scene.change_contact(contacts[0], lead_status="open")
    scene.change_contact(contacts[0], lead_status="re-nurture")
    scene.clock.pass_by(days=2)
    scene.change_contact(contacts[1], lead_status="open")
    scene.change_contact(contacts[2], lead_status="open")
    scene.change_contact(contacts[2], lead_status="re-nurture")
    scene.publish(
        rule(
            condition=(
                "{last_change: {field: contact.lead_status, to: Re-nurture, older_than: 1 day}},"
                f" {{company.category: Lead}}, {NURTURE}, {{contact.email: {{ends_with: .example}}}}"
            )
        )
    )

    view = sweeping.run()

    assert [one.records for one in view.funnel] == [5, 4, 4, 3, 2, 2]
    assert [one.what for one in view.funnel] == [
        "contacts",
        "Lead status is Re-nurture",
        "E-mail ends with .example",
        "Category is Lead",
        "The last change (Lead status to Re-nurture) is more than 1 day ago",
        "within the limit",
    ]
    assert [one.contact_id for one in traces(scene, view.id)] == [contacts[0], contacts[3]]


# -- guards ------------------------------------------------------------------------------------------------------------


def test_the_guard_lets_no_customer_go_whatever_the_condition_says(scene: Scene, sweeping: Sweeping) -> None:
    protected = {
        category: scene.make_company(category, f"{category}.example")
        for category in ("customer", "former-customer", "partner", "other")
    }
    lead = scene.make_company("lead", "lead.example")
    scene.publish(rule("{set_category: {to: Opportunity}}", "{company.name: {exists: true}}", PER_COMPANY, "company"))

    view = sweeping.run()

    assert {category: scene.category(one) for category, one in protected.items()} == {one: one for one in protected}
    assert scene.category(lead) == "opportunity"
    assert (view.matching, view.changed) == (1, 1)


def test_lead_statuses_that_are_not_active_stay_hidden_and_unchanged(scene: Scene, sweeping: Sweeping) -> None:
    contact = make_lead(scene, 1)
    scene.change_company(company_of(scene, contact), category="customer")
    scene.publish(rule("{set_lead_status: {to: Open}}, {create_task: {title: Ask}}"))

    view = sweeping.run()

    assert scene.lead_status(contact) == "re-nurture"
    (trace,) = traces(scene, view.id)
    assert [one["field"] for one in trace.changes] == ["title"]
    assert trace.guard == "Lead status is not active while the category is Customer; the value is kept and hidden."


def test_who_is_marked_do_not_automate_is_left_out(scene: Scene, sweeping: Sweeping) -> None:
    flagged, at_flagged_company, free = make_leads(scene, 3)
    scene.change_contact(flagged, do_not_automate=True)
    scene.change_company(company_of(scene, at_flagged_company), do_not_automate=True)
    scene.publish(rule())

    view = sweeping.run()

    assert [scene.lead_status(one) for one in (flagged, at_flagged_company, free)] == [
        "re-nurture",
        "re-nurture",
        "open",
    ]
    assert [(one.what, one.records) for one in view.funnel][2:] == [
        ("free to be automated", 1),
        ("within the limit", 1),
    ]


def test_a_company_that_enters_an_enabled_category_opens_its_contacts(scene: Scene, sweeping: Sweeping) -> None:
    company = scene.make_company(None, "new.example")
    contacts = [scene.make_contact(f"p{number}@new.example", company) for number in range(3)]
    assert [scene.lead_status(one) for one in contacts] == [None] * 3
    scene.publish(rule("{set_category: {to: Lead}}", "{company.category: {exists: false}}", PER_COMPANY, "company"))

    view = sweeping.run()

    assert [scene.lead_status(one) for one in contacts] == ["open"] * 3
    (trace,) = traces(scene, view.id)
    assert [(one["entity"], one["field"], one["new"]) for one in trace.changes] == [
        ("company", "category", "lead"),
        *[("contact", "lead_status", "open")] * 3,
    ]
    assert scene.steps("contact", contacts[2], "lead_status") == [(None, "open", "rule")]


def test_the_first_contact_that_matches_decides_for_its_company_once(scene: Scene) -> None:
    company = scene.make_company("lead", "many.example")
    others = scene.make_company("lead", "others.example")
    contacts = [scene.make_contact(f"p{number}@many.example", company, tags=["hot"]) for number in range(5)]
    scene.make_contact("q@others.example", others)
    # Judged on each contact, this sets the owner to and fro for ever.
    scene.publish(
        rule(
            "{set_field: {field: company.owner, to: Anna}}, {set_field: {field: company.owner, to: Berit}}",
            "{contact.tags: {has: hot}}",
        )
    )

    view = Sweeping(scene, PAIRS).run()

    assert [one.contact_id for one in traces(scene, view.id)] == [contacts[0]]
    assert scene.steps("company", company, "owner") == [(None, "Anna", "rule"), ("Anna", "Berit", "rule")]
    assert (view.matching, view.changed) == (1, 1)
    assert ("companies of these", 1) in [(one.what, one.records) for one in view.funnel]
    assert_clean(scene)


def test_each_contact_gets_its_own_and_the_company_what_the_first_one_says(scene: Scene) -> None:
    company = scene.make_company("lead", "many.example")
    names = ("Anna", "Berit", "Carl", "Dina", "Erik")
    contacts = [scene.make_contact(f"{name}@many.example", company, first_name=name) for name in names]
    scene.publish(
        rule(
            "{set_field: {field: company.owner, to: \"{{ contact.first_name | default('nobody') }}\"}},"
            " {add_tag: \"seen:{{ contact.first_name | default('nobody') }}\"}",
            "{contact.email: {exists: true}}",
        )
    )

    view = Sweeping(scene, PAIRS).run()

    assert scene.steps("company", company, "owner") == [(None, "Anna", "rule")]
    found = scene.rows("SELECT tags FROM contact WHERE id = ANY(:ids) ORDER BY id", ids=contacts)
    assert [one.tags for one in found] == [[f"seen:{name}"] for name in names]
    assert view.changed == 5
    scene.clock.pass_by(days=100)
    assert Sweeping(scene, PAIRS).run().changed == 0
    assert_clean(scene)


# -- the brake ---------------------------------------------------------------------------------------------------------


def test_the_brake_says_the_number_before_anything_is_written(scene: Scene) -> None:
    contacts = make_leads(scene, 3)
    scene.publish(rule())
    sweeping = Sweeping(scene, max_changes=2)

    view = sweeping.run()

    assert (view.state, view.matching, view.changed) == ("braked", 3, 0)
    assert by_rules(scene) == scene.count("run") == scene.count("rule_limit") == 0

    sweeping.approve(view.id or 0)
    assert sweeping.sweeper.sweep() is False
    assert sweeping.view(view.id or 0).state == "done"
    assert {scene.lead_status(one) for one in contacts} == {"open"}


def test_a_person_agrees_to_the_number_that_was_counted_not_to_any(scene: Scene) -> None:
    make_leads(scene, 3)
    scene.publish(rule())
    sweeping = Sweeping(scene, max_changes=2)
    view = sweeping.run()
    for number in range(3, 9):
        make_lead(scene, number)

    sweeping.approve(view.id or 0)
    sweeping.sweeper.sweep()

    again = sweeping.view(view.id or 0)
    assert (again.state, again.matching) == ("braked", 9)
    assert by_rules(scene) == 0


def test_without_a_setting_the_brake_is_500_or_5_per_cent(scene: Scene) -> None:
    bench = Workbench(Desk(scene.configuration.sources))

    assert bench.allowed_changes(stories.Tally([], 0, 1_000)) == 500
    assert bench.allowed_changes(stories.Tally([], 0, 100_000)) == 5_000


def test_a_braked_sweep_can_be_cancelled_and_is_overtaken_by_the_next(scene: Scene) -> None:
    make_leads(scene, 3)
    scene.publish(rule())
    sweeping = Sweeping(scene, max_changes=2)
    first = sweeping.run().id or 0
    scene.clock.pass_by(days=1)
    second = sweeping.run().id or 0

    assert (sweeping.view(first).state, sweeping.view(second).state) == ("cancelled", "braked")
    sweeping.cancel(second)
    assert sweeping.view(second).error == "Cancelled by Paula."
    for forbidden in (sweeping.approve, sweeping.cancel):
        with pytest.raises(Conflict):
            forbidden(second)
    assert by_rules(scene) == 0


def test_a_rehearsal_counts_shows_samples_and_leaves_no_trace(scene: Scene) -> None:
    contacts = make_leads(scene, 3)
    scene.publish(rule("{set_lead_status: {to: Open}}, {create_task: {title: Call}}"))
    sweeping = Sweeping(scene, max_changes=2)

    rehearsal = sweeping.rehearse()

    assert (rehearsal.matching, rehearsal.max_changes, rehearsal.is_braked) == (3, 2, True)
    assert [one.contact_id for one in rehearsal.samples] == contacts
    assert rehearsal.samples[0].changes[0]["new"] == "open"
    assert by_rules(scene) == scene.count("run") == scene.count("task") == scene.count("sweep") == 0
    with pytest.raises(NotFound):
        sweeping.rehearse("nobody")


# -- races -------------------------------------------------------------------------------------------------------------


@contextmanager
def between_reading_and_locking(act: Callable[[], object], what: str = "lock") -> Iterator[None]:
    """Something happens right after a page was read and before its records are locked; once."""
    real, is_done = getattr(PageStatements, what), []

    def lock(self: PageStatements, *more: Any) -> Any:
        if not is_done:
            is_done.append(True)
            act()
        return real(self, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PageStatements, what, lock)
        yield
    assert is_done


def test_a_promotion_made_while_a_page_was_read_is_kept(scene: Scene, sweeping: Sweeping) -> None:
    companies = [scene.make_company("lead", f"c{number}.example") for number in range(3)]
    scene.publish(rule("{set_category: {to: MQL}}", "{company.category: Lead}", PER_COMPANY, "company"))

    with between_reading_and_locking(lambda: scene.change_company(companies[1], category="opportunity")):
        view = sweeping.run()

    assert [scene.category(one) for one in companies] == ["mql", "opportunity", "mql"]
    assert (view.matching, view.changed) == (3, 2)


def test_a_contact_whose_company_was_promoted_meanwhile_is_judged_again(scene: Scene, sweeping: Sweeping) -> None:
    kept, woken = make_leads(scene, 2)
    scene.publish(rule("{add_tag: woken}", f"{NURTURE}, {{company.category: Lead}}"))

    promote = lambda: scene.change_company(company_of(scene, kept), category="customer")  # noqa: E731
    with between_reading_and_locking(promote):
        view = sweeping.run()

    assert [one.contact_id for one in traces(scene, view.id)] == [woken]


def test_a_contact_who_moved_meanwhile_is_judged_where_it_is(scene: Scene, sweeping: Sweeping) -> None:
    moved, woken = make_leads(scene, 2)
    customer = scene.make_company("customer", "elsewhere.example")
    scene.publish(rule())

    with between_reading_and_locking(lambda: scene.change_contact(moved, company_id=customer)):
        view = sweeping.run()

    assert [one.contact_id for one in traces(scene, view.id)] == [woken]
    assert scene.lead_status(moved) == "re-nurture"


def test_a_contact_who_moved_while_the_companies_were_locked_waits_for_the_next_sweep(
    scene: Scene, sweeping: Sweeping
) -> None:
    moved, woken = make_leads(scene, 2)
    elsewhere = scene.make_company("lead", "elsewhere.example")
    scene.publish(rule())

    # The engine's own way around: plain SQL by somebody who does not lock companies first.
    with between_reading_and_locking(lambda: move_past_locks(scene, moved, elsewhere), "_lock_contacts"):
        view = sweeping.run()

    assert [one.contact_id for one in traces(scene, view.id)] == [woken]
    scene.clock.pass_by(days=1)
    assert sweeping.run().changed == 1


def move_past_locks(scene: Scene, contact_id: int, company_id: int) -> None:
    """Move a contact as nobody does who keeps the order of locks, with its row in the ledger."""
    with scene.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO change (at, entity, entity_id, company_id, contact_id, field, old, new, actor_kind,"
                " actor_name, action) SELECT now(), 'contact', id, :company, id, 'company_id', to_jsonb(company_id),"
                " to_jsonb(CAST(:company AS bigint)), 'person', 'Paula', '' FROM contact WHERE id = :contact"
            ),
            {"contact": contact_id, "company": company_id},
        )
        statement = text("UPDATE contact SET company_id = :company WHERE id = :contact")
        connection.execute(statement, {"contact": contact_id, "company": company_id})


def test_a_page_waits_for_a_writer_and_then_judges_what_that_one_left(scene: Scene, sweeping: Sweeping) -> None:
    company = scene.make_company("lead", "c.example")
    scene.publish(rule("{set_category: {to: MQL}}", "{company.category: Lead}", PER_COMPANY, "company"))
    sweep_id = sweeping.start()
    sweeping.sweeper.step(sweep_id)  # counted

    with scene.new_engine().begin() as writer:
        writer.execute(text("SELECT set_config('leadflow.actor', 'person', true)"))
        writer.execute(text("UPDATE company SET category_key = 'customer' WHERE id = :id"), {"id": company})
        writer.execute(
            text(
                "INSERT INTO change (at, entity, entity_id, company_id, field, old, new, actor_kind, actor_name,"
                " action) VALUES (now(), 'company', :id, :id, 'category', to_jsonb('lead'::text),"
                " to_jsonb('customer'::text), 'person', 'Paula', '')"
            ),
            {"id": company},
        )
        worker = threading.Thread(target=sweeping.sweeper.sweep)
        worker.start()
        worker.join(0.5)
        assert worker.is_alive(), "the page is done though its company is locked by somebody else"
    worker.join(20)

    assert scene.category(company) == "customer"
    assert (sweeping.view(sweep_id).state, by_rules(scene)) == ("done", 0)


def test_many_workers_do_a_sweep_once(scene: Scene, sweeping: Sweeping) -> None:
    contacts = make_leads(scene, 12)
    scene.publish(rule("{set_lead_status: {to: Open}}, {create_task: {title: Call}}"))
    sweep_id = sweeping.start()
    workers = [threading.Thread(target=Sweeping(scene, PAIRS).sweeper.sweep) for _ in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(60)

    assert (sweeping.view(sweep_id).state, sweeping.view(sweep_id).changed) == ("done", 12)
    assert [one.contact_id for one in traces(scene, sweep_id)] == contacts
    assert scene.count("task") == 12


# -- what goes wrong ---------------------------------------------------------------------------------------------------

PLACES = (
    (Workbench, "find"),
    (PageStatements, "lock"),
    (PageStatements, "write"),
    (stories.queue, "note_page"),
    (stories.queue, "note_counted"),
    (stories.queue, "finish"),
)


@contextmanager
def dying_at(place: tuple[Any, str], turn: int, how: Callable[[], None]) -> Iterator[None]:
    """The process comes to its end at this place, at this turn, before or after its work."""
    holder, name = place
    real, turns = getattr(holder, name), []

    def die(*given: Any, **more: Any) -> Any:
        turns.append(True)
        answer = real(*given, **more)
        if len(turns) == turn:
            how()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holder, name, die)
        yield


@pytest.mark.parametrize("how", ["exception", "connection"])
@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[1])
def test_a_worker_that_dies_anywhere_leaves_a_sweep_that_goes_on_without_a_double(
    scene: Scene, place: tuple[Any, str], turn: int, how: str
) -> None:
    contacts = make_leads(scene, 5)
    scene.publish(rule("{set_lead_status: {to: Open}}, {add_tag: woken}, {create_task: {title: Call}}"))
    sweeping = Sweeping(scene, PAIRS)
    sweep_id = sweeping.start()

    def die() -> None:
        if how == "exception":
            raise KeyboardInterrupt
        kill_sweepers(scene)

    with dying_at(place, turn, die), suppress(KeyboardInterrupt, DBAPIError):
        sweeping.sweeper.sweep()
    Sweeping(scene, PAIRS).sweeper.sweep()

    view = sweeping.view(sweep_id)
    assert (view.state, view.changed, view.seen) == ("done", 5, 5)
    assert [one.contact_id for one in traces(scene, sweep_id)] == contacts
    assert scene.count("task") == scene.count("rule_limit") == 5
    assert by_rules(scene) == 10
    assert_clean(scene)


def kill_sweepers(scene: Scene) -> None:
    """End every connection that holds a sweep's row."""
    with scene.owner.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE relation = 'sweep'::regclass"
                " AND mode = 'RowShareLock' AND pid <> pg_backend_pid()"
            )
        )


def test_a_page_that_fails_is_told_tried_again_later_and_then_given_up(
    scene: Scene, sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_leads(scene, 2)
    scene.publish(rule())
    sweep_id = sweeping.start()
    monkeypatch.setattr(PageStatements, "write", lambda *_: 1 / 0)

    for seconds in (5, 30, 120):
        assert sweeping.sweeper.sweep() is False
        view = sweeping.view(sweep_id)
        assert (view.state, view.error) == ("running", "ZeroDivisionError: division by zero")
        assert view.next_attempt_at is not None
        assert (view.next_attempt_at - scene.clock()).total_seconds() == seconds
        scene.clock.pass_by(seconds=seconds)
    sweeping.sweeper.sweep()

    view = sweeping.view(sweep_id)
    assert (view.state, view.changed) == ("failed", 0)
    assert view.finished_at == scene.clock()


class Died(BaseException):
    """As if the worker had been killed: nobody catches it, nobody notes it."""


def test_a_page_of_which_every_worker_dies_is_given_up(
    scene: Scene, sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_leads(scene, 2)
    scene.publish(rule())
    sweep_id = sweeping.start()

    def die(*_: Any) -> int:
        raise Died

    monkeypatch.setattr(PageStatements, "write", die)
    for _ in range(MAX_STARTS):
        with pytest.raises(Died):
            sweeping.sweeper.sweep()

    assert sweeping.sweeper.sweep() is False

    view = sweeping.view(sweep_id)
    assert (view.state, view.changed) == ("failed", 0)
    assert view.error == "It was given up: 5 workers stopped in the middle of its next page. See their logs."


def test_a_page_that_is_done_forgets_the_workers_that_died_before(
    scene: Scene, sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_leads(scene, 2)
    scene.publish(rule())
    sweep_id = sweeping.start()
    with monkeypatch.context() as broken:
        broken.setattr(PageStatements, "write", lambda *_: (_ for _ in ()).throw(Died()))
        with pytest.raises(Died):
            sweeping.sweeper.sweep()

    sweeping.sweeper.sweep()

    assert sweeping.view(sweep_id).state == "done"
    assert scene.value("SELECT starts FROM sweep") == 0


def test_a_fault_that_passes_is_not_told(scene: Scene, sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch) -> None:
    make_leads(scene, 2)
    scene.publish(rule())
    sweep_id = sweeping.start()
    real, faults = PageStatements.write, [True, True]

    def write(self: PageStatements, *more: Any) -> int:
        if faults:
            faults.pop()
            raise LostRace("another was quicker")
        return real(self, *more)

    monkeypatch.setattr(PageStatements, "write", write)
    sweeping.sweeper.sweep()

    view = sweeping.view(sweep_id)
    assert (view.state, view.changed, view.error) == ("done", 2, None)


def test_a_rule_that_is_switched_off_stops_where_its_sweep_is(scene: Scene) -> None:
    make_leads(scene, 6)
    scene.publish(rule())
    sweeping = Sweeping(scene, PAIRS)
    sweep_id = sweeping.start()
    for _ in range(3):  # counted, and two pages
        sweeping.sweeper.step(sweep_id)
    scene.publish(rule(more=", status: off"))

    sweeping.sweeper.sweep()

    view = sweeping.view(sweep_id)
    assert (view.state, view.changed) == ("cancelled", 4)
    assert view.error == "The rule was switched off while it was swept."


def test_a_sweep_goes_on_by_the_version_it_began_with(scene: Scene) -> None:
    contacts = make_leads(scene, 4)
    version = scene.publish(rule())
    sweeping = Sweeping(scene, PAIRS)
    sweep_id = sweeping.start()
    for _ in range(2):
        sweeping.sweeper.step(sweep_id)
    scene.publish(rule("{set_lead_status: {to: Qualified}}"))

    sweeping.sweeper.sweep()

    assert {scene.lead_status(one) for one in contacts} == {"open"}
    assert {one.version for one in traces(scene, sweep_id)} == {version}


def test_a_cancelled_sweep_keeps_what_it_did(scene: Scene) -> None:
    make_leads(scene, 4)
    scene.publish(rule())
    sweeping = Sweeping(scene, PAIRS)
    sweep_id = sweeping.start()
    for _ in range(2):
        sweeping.sweeper.step(sweep_id)
    sweeping.cancel(sweep_id)

    assert sweeping.sweeper.sweep() is False
    assert (sweeping.view(sweep_id).state, sweeping.view(sweep_id).changed) == ("cancelled", 2)


def test_only_one_sweep_of_a_rule_is_under_way(scene: Scene, sweeping: Sweeping) -> None:
    scene.publish(rule(), "{rule: unscheduled, when: {form_submitted: any}, then: [{add_tag: x}]}")
    first = sweeping.start()

    with pytest.raises(Conflict) as refused:
        sweeping.start()
    assert refused.value.existing_id == first
    with pytest.raises(NotFound):
        sweeping.start("unscheduled")


# -- what statements on sets cannot do ---------------------------------------------------------------------------------


def test_a_rule_with_texts_from_the_record_is_judged_record_by_record(scene: Scene) -> None:
    contacts = [make_lead(scene, number, first_name=f"P{number}") for number in range(5)]
    scene.publish(
        rule(
            "{set_lead_status: {to: Open}}, {create_task: {title: \"Call {{ contact.first_name | default('them') }}\"}}"
        )
    )

    view = Sweeping(scene, PAIRS).run()

    assert (view.state, view.changed) == ("done", 5)
    assert [one.title for one in scene.rows("SELECT title FROM task ORDER BY id")] == [f"Call P{n}" for n in range(5)]
    assert {scene.lead_status(one) for one in contacts} == {"open"}
    assert Sweeping(scene, PAIRS).rehearse().matching == 0
    assert_clean(scene)


def test_a_shadow_rule_writes_down_what_it_would_do(scene: Scene, sweeping: Sweeping) -> None:
    contacts = make_leads(scene, 2)
    scene.publish(rule(more=", status: shadow"))

    view = sweeping.run()

    assert [one.outcome for one in traces(scene, view.id)] == ["shadow", "shadow"]
    assert {scene.lead_status(one) for one in contacts} == {"re-nurture"}
    assert by_rules(scene) == 0


def test_a_proposing_rule_asks_a_person_for_each_record(scene: Scene, sweeping: Sweeping) -> None:
    make_leads(scene, 2)
    scene.publish(rule(more=", status: propose"))

    view = sweeping.run()

    assert [one.outcome for one in traces(scene, view.id)] == ["proposed", "proposed"]
    assert scene.count("proposal") == 2
    assert by_rules(scene) == 0


def test_a_change_by_a_sweep_calls_rules_that_listen_to_rules(scene: Scene, sweeping: Sweeping) -> None:
    (contact,) = make_leads(scene, 1)
    scene.publish(
        rule(),
        "{rule: listener, when: {record_changed: [contact.lead_status]}, then: [{add_tag: changed}],"
        " also_from_rules: true}",
    )

    view = sweeping.run()

    assert [(one.rule, one.outcome, one.chain) for one in traces(scene, view.id)] == [
        ("wake", "fired", []),
        ("listener", "fired", ["wake"]),
    ]
    assert scene.value("SELECT tags FROM contact WHERE id = :id", id=contact) == ["changed"]


# -- beside events -----------------------------------------------------------------------------------------------------


def test_events_are_worked_on_between_the_pages_of_a_sweep(scene: Scene) -> None:
    make_leads(scene, 4)
    scene.publish(rule(), "{rule: form, when: {form_submitted: any}, then: [{add_tag: came}]}")
    seen_by_pages: list[int] = []
    real = Workbench.find

    def find(self: Workbench, connection: Any, *more: Any) -> Any:
        pending = scene.value("SELECT count(*) FROM event WHERE state = 'pending'")
        seen_by_pages.append(int(pending))
        scene.accept_forms([{"email": f"new{len(seen_by_pages)}@new.example"}])
        return real(self, connection, *more)

    workplace = Workplace(scene.new_engine, lambda: Desk(scene.configuration.sources))
    sweep_id = Sweeping(scene).start()
    scene.clock.pass_by(days=-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workbench, "find", find)
        patch.setattr(events, "Sweeper", partial(Sweeper, size=PAIRS))
        assert workplace.sweep() is False

    assert Sweeping(scene).view(sweep_id).state == "done"
    assert len(seen_by_pages) >= 2
    assert set(seen_by_pages) == {0}
    assert set(scene.states()) == {"processed"}
