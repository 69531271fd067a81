"""What "explain" says is true: its nearest miss, applied, makes the rule act; where it says no way, there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from leadflow.domain.events import Trigger
from leadflow.domain.history import History, PastChange, PastEvent
from leadflow.domain.records import Company, Contact
from leadflow.domain.text import fold
from leadflow.rules.model import Rule, RuleSet
from leadflow.rules.nearest import Miss, Need, NoWay, apply_needs
from leadflow.rules.parsing.special import is_kept
from leadflow.rules.staging import Scene
from leadflow.services.bare_scenes import Told
from leadflow.services.explanations import Ground, Study, study_scene, why_no_way
from leadflow.services.rehearsing import Court, index_with
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
