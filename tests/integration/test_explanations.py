"""What "explain" says is true: its nearest miss, applied, makes the rule act; where it says no way, there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from random import Random

import pytest

from leadflow.domain.events import Trigger
from leadflow.domain.history import History, PastChange, PastEvent
from leadflow.domain.records import Company, Contact
from leadflow.domain.text import fold
from leadflow.rules.model import Rule, RuleSet, TriggerFilter
from leadflow.rules.nearest import Miss, Need, NoWay, apply_needs
from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.special import is_kept
from leadflow.rules.staging import Scene
from leadflow.services.bare_scenes import Told
from leadflow.services.configuration import read_configuration
from leadflow.services.explanations import Ground, Study, study_scene, why_no_way
from leadflow.services.rehearsing import Court, index_with
from leadflow.services.rule_tests import ground_of_configuration
from tests.integration.api_support import CONFIG, Api, problem_of, running_api
from tests.support.random_conditions import (
    CATALOGUE,
    EVENTS,
    NOW,
    Values,
    _company,
    _contact,
    make_conditions,
    moments,
)
from tests.support.reuse import ReusedDatabase
from tests.unit.rules.given import LIFECYCLE, STATUSES

GROUND = Ground(LIFECYCLE, STATUSES, CATALOGUE)
HOME = GROUND.home(NOW)


def random_record(values: Values, number: int) -> tuple[Company | None, Contact]:
    company = replace(_company(values, number), created_at=moments(values.random), updated_at=NOW)
    contact = _contact(values, number + 1, company.id)
    contact = replace(contact, created_at=moments(values.random), updated_at=moments(values.random))
    return (company, contact) if values.random.random() < 0.8 else (None, replace(contact, company_id=None))


def random_past(values: Values, company: Company | None, contact: Contact | None) -> History:
    random, history = values.random, History()
    ids = (company.id if company else None, contact.id if contact else None)
    for number in range(random.randint(0, 4)):
        root = random.choice(("form", "form", "sale", "event"))
        said = {one.path.partition(".")[2]: values.read(one) for one in CATALOGUE.of(root) if random.random() < 0.5}
        name = {"form": "form_submitted"}.get(root) or (fold(random.choice(list(EVENTS))) if root == "event" else root)
        history.note_event(PastEvent(number + 1, name, moments(random), said, *ids))
    kept = [one for one in CATALOGUE.of("company", "contact") if is_kept(one)]
    for one in random.sample(kept, 12):
        record = company if one.root == "company" else contact
        if record is not None:
            history.note_change(PastChange(one.path, record.id, values.read(one), values.read(one), moments(random)))
    return history


def pairs(seed: int, count: int) -> list[tuple[Rule, Scene]]:
    random = Random(seed)
    values, found = Values(random), []
    for subject in ("company", "contact"):
        for _, rule in make_conditions(random, subject, count // 2):
            company, contact = random_record(values, 10 * len(found) + 1)
            if subject == "company":
                company, contact = company or Company(10 * len(found) + 1, created_at=NOW, updated_at=NOW), None
            past = random_past(values, company, contact)
            scene = Scene(Trigger.SCHEDULE, {"record": subject}, NOW, company, contact, history=past, slug=rule.slug)
            found.append((rule, scene))
    return found


def study(rule: Rule, scene: Scene) -> tuple[Study, Court]:
    court = Court(index_with(RuleSet(1, (rule,)), rule), LIFECYCLE, STATUSES)
    return study_scene(HOME, court, rule, rule.triggers[0], Told(scene)), court


def test_of_a_thousand_random_pairs_the_nearest_miss_makes_the_rule_act_or_nothing_can() -> None:
    given = pairs(seed=20261, count=1_000)
    scenes = [scene for _, scene in given]
    seen: Counter[str] = Counter()
    for rule, scene in given:
        found, court = study(rule, scene)
        if found.acts:
            seen["acts"] += 1
        elif isinstance(found.miss, Miss):
            seen["nearest"] += 1
            assert court.acts(found.miss.scene, rule.slug), (rule.source_text, found.miss.needs)
            assert not any(_acts_without(found, court, one) for one in found.miss.needs), rule.source_text
        else:
            assert isinstance(found.miss, NoWay)
            reason = why_no_way(found, CATALOGUE)
            seen[reason.partition(":")[0].partition(".")[0]] += 1
            if "contradict each other" in reason:  # then nobody else satisfies them either
                assert not any(rule.judge_condition(one.situation()).holds for one in scenes[::10]), rule.source_text
    assert seen["nearest"] > 650, seen
    assert seen["No way was found"] <= 5, seen


def _acts_without(found: Study, court: Court, need: Need) -> bool:
    assert isinstance(found.miss, Miss)
    fewer = [one for one in found.miss.needs if one is not need]
    return court.acts(apply_needs(HOME, found.told.scene, fewer), found.rule.slug)


# -- the shipped rules -------------------------------------------------------------------------------------------------


CONFIGURATION = read_configuration(CONFIG, {})
SHIPPED = ground_of_configuration(CONFIGURATION)


def test_for_every_shipped_rule_and_kind_of_record_the_same_holds() -> None:
    parsed = parse_documents(CONFIGURATION.rule_documents, SHIPPED.catalogue, with_tests=False)
    ground = Ground(SHIPPED.lifecycle, SHIPPED.statuses, SHIPPED.catalogue)
    home, seen = ground.home(NOW), Counter[str]()
    for rule, line in [(one, line) for one in parsed.rule_set.rules for line in one.triggers]:
        court = Court(index_with(RuleSet(1, (rule,)), rule), SHIPPED.lifecycle, SHIPPED.statuses)
        for scene in shipped_scenes(line, rule.slug):
            found = study_scene(home, court, rule, line, Told(scene))
            seen[found.verdict] += 1
            if isinstance(found.miss, Miss):
                assert court.acts(found.miss.scene, rule.slug), rule.slug
            elif not found.acts:
                assert "No way" not in why_no_way(found, SHIPPED.catalogue), rule.slug
    assert min(seen["fires"], seen["near_miss"]) > 20, seen


def shipped_scenes(line: TriggerFilter, slug: str) -> Iterator[Scene]:
    detail = {name: line.wants[name] for name in ("record", "step") if name in line.wants}
    for category, status, is_flagged in product([None, *SHIPPED.lifecycle.categories], ["open", "re-nurture"], [0, 1]):
        company = Company(
            1, name="A", category=category, do_not_automate=bool(is_flagged), created_at=NOW, updated_at=NOW
        )
        contact = Contact(2, email="a@a.example", company_id=1, lead_status=status, created_at=NOW, updated_at=NOW)
        is_sweep_of_companies = line.wants.get("record") == "company"
        yield Scene(line.trigger, detail, NOW, company, None if is_sweep_of_companies else contact, slug=slug)


# -- through the doors -------------------------------------------------------------------------------------------------


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh(), with_rules=True) as running:
        yield running


def test_what_is_missing_is_brought_about_through_the_api_and_then_the_rule_would_act(api: Api) -> None:
    company = api.made("/companies", {"name": "Acme", "domain": "acme.example", "category": "mql"})
    path = f"/rules/demo-request-to-mql/explain?company_id={company['id']}"

    before = api.get(path, role="viewer").json
    assert (before["verdict"], before["outcome"]) == ("near_miss", "no_match")
    (need,) = before["nearest"]["needs"]
    assert (need["path"], need["by"], need["old"], need["new"]) == ("company.category", "person", "mql", "lead")
    assert [one["holds"] for one in before["clauses"]] == [True, False]
    api.patch(f"/companies/{company['id']}", {"category": need["new"]})

    after = api.get(path, role="viewer").json
    assert (after["verdict"], after["outcome"], after["nearest"]) == ("fires", "fired", None)
    assert [(one["field"], one["old"], one["new"]) for one in after["changes"]] == [("category", "lead", "mql")]


def test_explaining_writes_nothing(api: Api) -> None:
    company = api.made("/companies", {"name": "Acme", "domain": "acme.example", "category": "lead"})
    tables = ("change", "run", "event", "task", "outbox", "contact", "company", "rule_limit", "proposal")
    before = [api.count(name) for name in tables]

    for slug in (
        "demo-request-to-mql",
        "demo-request-task",
        "sale-sold-to-customer",
        "qualified-contact-to-opportunity",
    ):
        assert api.get(f"/rules/{slug}/explain?company_id={company['id']}").status_code == 200

    assert [api.count(name) for name in tables] == before


def test_a_customer_is_told_what_the_guard_wants(api: Api) -> None:
    company = api.made("/companies", {"name": "Acme", "domain": "acme.example", "category": "customer"})

    told = api.get(f"/rules/sale-registered-to-opportunity/explain?company_id={company['id']}").json

    assert told["outcome"] == "blocked_by_guard"
    assert "never takes a company out of that group" in told["guard"]
    assert told["nearest"]["needs"][0]["path"] == "company.category"


def test_who_names_no_record_or_an_unknown_one_is_told(api: Api) -> None:
    problem_of(api.get("/rules/demo-request-to-mql/explain"), 422)
    problem_of(api.get("/rules/demo-request-to-mql/explain?company_id=999"), 404)
    company = api.made("/companies", {"name": "Acme", "domain": "acme.example"})
    problem_of(api.get(f"/rules/no-such-rule/explain?company_id={company['id']}"), 404)
