"""The rules in config/rules: they parse, and do what the domain says a new installation does."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from leadflow.domain.effects import AddTag, CreateTask, SetCategory, SetLeadStatus, Step
from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.history import History, PastChange, PastEvent
from leadflow.rules.evaluation import RuleIndex, decide
from leadflow.rules.model import Limit, Rule, RuleSet, RuleStatus, Situation
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import render_text
from leadflow.services.configuration import read_rule_documents
from leadflow.sources.addresses import FREE_MAIL_DOMAINS
from tests.unit.rules.given import (
    CATALOGUE,
    NOW,
    change_situation,
    form_situation,
    make_company,
    make_contact,
    sale_situation,
)

FOLDER = Path(__file__).parents[3] / "config" / "rules"


@pytest.fixture(scope="module")
def shipped() -> RuleSet:
    parsed = parse_documents(read_rule_documents(FOLDER), CATALOGUE)
    assert not parsed.problems, render_text(parsed.problems)
    return parsed.rule_set


def rule_of(shipped: RuleSet, slug: str) -> Rule:
    return next(rule for rule in shipped.rules if rule.slug == slug)


def effects_in(shipped: RuleSet, situation: Situation) -> list[Step]:
    rules = RuleIndex(shipped).candidates(situation.occurrence, NOW)
    return [effect for rule in rules for _, effect in decide(rule, situation)[1]]


def test_only_the_rules_that_the_domain_marks_are_on(shipped):
    assert {rule.slug for rule in shipped.rules if rule.status is RuleStatus.LIVE} == {
        "demo-request-to-mql",
        "demo-request-task",
        "sale-registered-to-opportunity",
        "sale-lost-to-lost-opportunity",
        "sale-sold-to-customer",
    }
    others = {rule.slug: rule.status for rule in shipped.rules if rule.status is not RuleStatus.LIVE}
    assert others.pop("qualified-contact-to-opportunity") is RuleStatus.PROPOSE
    assert set(others.values()) == {RuleStatus.OFF}


def test_every_shipped_rule_says_what_it_is_for(shipped):
    assert all(rule.title != rule.slug and rule.why and rule.owner for rule in shipped.rules)


@pytest.mark.parametrize("category", [None, "lead", "lost-opportunity"])
def test_a_demo_request_makes_an_mql_and_a_task(shipped, category):
    company, contact = make_company(category=category), make_contact(first_name="Anna")

    effects = effects_in(shipped, form_situation({"form": "demo-request"}, company=company, contact=contact))

    assert effects[0] == SetCategory("mql")
    assert isinstance(effects[1], CreateTask)
    assert effects[1].title == "Call Anna about a demo"


@pytest.mark.parametrize("category", ["mql", "opportunity", "customer", "partner", "other"])
def test_a_demo_request_leaves_other_categories_alone(shipped, category):
    situation = form_situation({"form": "demo-request"}, company=make_company(category=category))

    assert [type(effect) for effect in effects_in(shipped, situation)] == [CreateTask]


def test_the_demo_task_is_limited_and_the_move_is_not(shipped):
    task_limit = rule_of(shipped, "demo-request-task").limit

    assert task_limit is not None
    assert (task_limit.once_per, task_limit.within.days) == ("company", 7)
    assert rule_of(shipped, "demo-request-to-mql").limit is None


@pytest.mark.parametrize(
    ("step", "open_sales", "target"),
    [
        ("registered", 1, "opportunity"),
        ("sold", 1, "customer"),
        ("lost", 0, "lost-opportunity"),
        ("lost", 1, None),
    ],
)
def test_the_steps_of_a_sale_move_the_company(shipped, step, open_sales, target):
    situation = sale_situation(step, company=make_company(category="lead", open_sales=open_sales))

    assert effects_in(shipped, situation) == ([SetCategory(target)] if target else [])


def test_the_rules_that_are_off_do_what_they_say_once_switched_on(shipped):
    company, contact = make_company(category="lead"), make_contact(lead_status="open")
    form = form_situation({"email": "anna@gmail.com", "utm_campaign": "spring"}, company=company, contact=contact)
    change = change_situation({"contact.lead_status": ("open", "qualified")}, company=company, contact=contact)

    assert decide(rule_of(shipped, "freemail-or-competitor-disqualified"), form)[1] == (
        ("0:set_lead_status", SetLeadStatus("disqualified", frozenset({"open", None}))),
    )
    assert decide(rule_of(shipped, "campaign-to-tag"), form)[1] == (
        ("0:add_tag", AddTag("contact", "campaign:spring")),
    )
    assert decide(rule_of(shipped, "qualified-contact-to-opportunity"), change)[1] == (
        ("0:set_category", SetCategory("opportunity")),
    )


def downloads(*days_ago: float, form_type: str = "content") -> History:
    """Forms of this type that the contact has sent, so many days ago."""
    return History(
        PastEvent(number, "form_submitted", NOW - timedelta(days=days), {"form_type": form_type}, 1, 2)
        for number, days in enumerate(days_ago)
    )


@pytest.mark.parametrize(
    ("history", "category", "fires"),
    [
        (downloads(0), "lead", False),
        (downloads(0, 29), "lead", True),
        (downloads(0, 30), None, True),
        (downloads(0, 30.01), "lead", False),
        (downloads(0, 29), "mql", False),
        (downloads(0, 1, form_type="contact"), "lead", False),
    ],
)
def test_the_second_piece_of_content_within_30_days_makes_an_mql(shipped, history, category, fires):
    company, contact = make_company(category=category), make_contact()
    form = form_situation({"form_type": "content"}, company=company, contact=contact, history=history)

    assert decide(rule_of(shipped, "content-twice-to-mql"), form)[1] == (
        (("0:set_category", SetCategory("mql")),) if fires else ()
    )


@pytest.mark.parametrize(("days", "fires"), [(179, False), (180, False), (181, True)])
def test_an_opportunity_lost_long_ago_comes_back_with_a_form(shipped, days, fires):
    lost = PastChange("company.category", 1, "opportunity", "lost-opportunity", NOW - timedelta(days=days))
    company = make_company(category="lost-opportunity", name="Nordwind")
    form = form_situation({"form": "x"}, company=company, contact=make_contact(), history=History(changes=[lost]))

    steps = [step for _, step in decide(rule_of(shipped, "lost-opportunity-returns"), form)[1]]

    move = SetCategory("mql", frozenset({"lost-opportunity"}))
    assert steps == ([move, CreateTask("Find out what has changed at Nordwind", "sales")] if fires else [])


@pytest.mark.parametrize(
    ("days", "touched", "tags", "fires"),
    [
        (91, None, (), True),
        (91, 91, (), True),
        (91, 10, (), False),
        (90, None, (), False),
        (91, None, ("Do-not-contact",), False),
    ],
)
def test_a_contact_in_re_nurture_is_asked_again_after_90_quiet_days(shipped, days, touched, tags, fires):
    rule = rule_of(shipped, "renurture-recheck")
    sent = PastChange("contact.lead_status", 2, "open", "re-nurture", NOW - timedelta(days=days))
    contact = make_contact(lead_status="re-nurture", first_name="Anna", tags=tags)
    contact.last_touched_at = None if touched is None else NOW - timedelta(days=touched)
    due = Situation(
        Occurrence(Trigger.SCHEDULE, {"record": "contact"}),
        NOW,
        company=make_company(category="mql"),
        contact=contact,
        history=History(changes=[sent]),
    )

    steps = [step for _, step in decide(rule, due)[1]]

    status = SetLeadStatus("open", frozenset({"re-nurture"}))
    assert steps == ([status, CreateTask("Ask Anna again", "sales", timedelta(weeks=1))] if fires else [])
    assert rule.schedule is not None
    assert (rule.schedule.every, rule.schedule.for_each, rule.schedule.at) == ("day", "contact", time(7))
    assert rule.limit == Limit("contact", timedelta(days=90))


def test_the_shipped_list_has_free_mail_domains_only():
    lines = (FOLDER / "lists" / "freemail.txt").read_text().splitlines()
    domains = [line for line in lines if line and not line.startswith("#")]

    assert len(domains) > 100
    assert domains == sorted(set(domains))
    assert not set(domains) - FREE_MAIL_DOMAINS
