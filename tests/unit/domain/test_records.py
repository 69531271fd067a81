"""Records in memory: every change noted once, lead status by the book, effects allowed or refused with a reason."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from leadflow.domain.effects import AddTag, CreateTask, RemoveTag, SetCategory, SetField, SetLeadStatus
from leadflow.domain.events import Actor, ActorKind, Cause
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Group, Lifecycle, Verdict
from leadflow.domain.records import Company, Contact, Records
from tests.unit.domain.test_lifecycle import CONFIGURATION, LIFECYCLE

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STATUSES = LeadStatuses({one.key: one for one in CONFIGURATION.lead_statuses})
RULE = Cause(Actor(ActorKind.RULE, "1", "a-rule"), 1, 1, "0:x")
PERSON = Cause(Actor(ActorKind.PERSON, "1", "Paula"))


def scene(category: str | None = "lead", *statuses: str | None, lifecycle: Lifecycle = LIFECYCLE) -> Records:
    """A company, id 1, with a contact for each status, ids from 11."""
    records = Records(lifecycle, STATUSES, NOW)
    records.hold_company(Company(1, category=category))
    records.hold_contacts(
        Contact(11 + number, company_id=1, lead_status=status) for number, status in enumerate(statuses)
    )
    return records


def test_a_move_is_noted_and_opens_all_contacts():
    records = scene(None, None, "qualified")

    applied = records.apply(SetCategory("lead"), records.companies[1], None, RULE)

    noted = [(one.entity, one.entity_id, one.field, one.old, one.new) for one in applied.changes]
    assert noted == [
        ("company", 1, "category", None, "lead"),
        ("contact", 11, "lead_status", None, "open"),
        ("contact", 12, "lead_status", "qualified", "open"),
    ]


def test_a_person_may_do_what_a_rule_may_not():
    records = scene("customer", "qualified")

    by_rule = records.apply(SetCategory("lead"), records.companies[1], None, RULE)
    by_person = records.apply(SetCategory("lead"), records.companies[1], None, PERSON)

    assert (by_rule.decision.verdict, by_rule.changes) == (Verdict.PROTECTED, ())
    assert by_person.decision.is_allowed
    assert records.contacts[11].lead_status == "open"


def test_from_narrows_and_never_widens():
    narrow, wide = SetCategory("mql", frozenset({"lost-opportunity"})), SetCategory("lead", frozenset({"customer"}))
    records = scene("lead")
    customer = scene("customer")

    assert records.apply(narrow, records.companies[1], None, RULE).decision.verdict is Verdict.NOT_FROM
    assert customer.apply(wide, customer.companies[1], None, RULE).decision.verdict is Verdict.PROTECTED


def test_without_a_company_there_is_no_category_to_set():
    records = scene()

    assert records.apply(SetCategory("mql"), None, None, RULE).decision.verdict is Verdict.NO_COMPANY


def test_a_contacts_flag_does_not_stop_its_company():
    records = scene("lead", "open")
    records.contacts[11].do_not_automate = True

    moved = records.apply(SetCategory("mql"), records.companies[1], records.contacts[11], RULE)
    tagged = records.apply(AddTag("contact", "x"), records.companies[1], records.contacts[11], RULE)

    assert moved.decision.is_allowed
    assert tagged.decision.verdict is Verdict.DO_NOT_AUTOMATE


def test_a_companys_flag_protects_its_contacts_from_rules_and_not_from_people():
    records = scene("lead", "open")
    records.companies[1].do_not_automate = True
    effect = SetLeadStatus("qualified")

    by_rule = records.apply(effect, records.companies[1], records.contacts[11], RULE)
    by_person = records.apply(effect, records.companies[1], records.contacts[11], PERSON)

    assert by_rule.decision.verdict is Verdict.DO_NOT_AUTOMATE
    assert by_person.decision.is_allowed


def test_tags_are_put_on_once_whatever_their_case():
    records = scene()
    company = records.companies[1]

    first = records.apply(AddTag("company", "VIP"), company, None, RULE)
    again = records.apply(AddTag("company", "vip"), company, None, RULE)
    gone = records.apply(RemoveTag("company", "Vip"), company, None, RULE)

    assert [one.decision.verdict for one in (first, again, gone)] == [
        Verdict.ALLOWED, Verdict.UNCHANGED, Verdict.ALLOWED,
    ]  # fmt: skip
    assert company.tags == ()


effects = st.one_of(
    st.sampled_from([*LIFECYCLE.categories]).map(SetCategory),
    st.tuples(st.sampled_from([*STATUSES.by_key]), st.sampled_from(["contact", "all_contacts"])).map(
        lambda pair: SetLeadStatus(pair[0], of=pair[1])  # type: ignore[arg-type]
    ),
    st.sampled_from(["a", "B", "b"]).map(lambda tag: AddTag("company", tag)),
    st.sampled_from(["a", "B", "b"]).map(lambda tag: RemoveTag("contact", tag)),
    st.sampled_from(["Bo", "Eva", None]).map(lambda name: SetField("company.owner", name)),
    st.just(CreateTask("Call")),
)
journeys = st.lists(st.tuples(effects, st.sampled_from([RULE, PERSON])), max_size=15)


@given(st.sampled_from([None, *LIFECYCLE.categories]), journeys)
def test_whatever_happens_the_notes_tell_it_and_no_rule_breaks_the_invariants(start, journey):
    records = scene(start, None, None)
    for contact in records.contacts.values():
        contact.lead_status = "open" if records.is_lead_status_active(contact) else None
    company, contact = records.companies[1], records.contacts[11]
    state = {("company", 1, "category"): company.category}
    state |= {("contact", one.id, "lead_status"): one.lead_status for one in records.contacts.values()}

    for effect, cause in journey:
        before = company.category
        applied = records.apply(effect, company, contact, cause)
        if cause is RULE and company.category != before:
            assert before is None or LIFECYCLE.category(before).group is Group.POTENTIAL_CUSTOMER
            assert LIFECYCLE.decide_move(before, str(company.category)).is_allowed
        assert not (applied.changes and applied.is_refused and not isinstance(effect, SetLeadStatus))

    for change in records.changes:
        key = (change.entity, change.entity_id, change.field)
        assert change.old != change.new
        assert state.setdefault(key, None) == change.old
        state[key] = change.new
    assert state["company", 1, "category"] == company.category
    for one in records.contacts.values():
        assert state["contact", one.id, "lead_status"] == one.lead_status
        assert one.lead_status is not None or not records.is_lead_status_active(one)
