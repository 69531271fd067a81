"""The nearest miss of single conditions: the cheapest branch, joint demands, lists, and what only time can change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from leadflow.domain.events import Trigger
from leadflow.domain.records import Company, Contact
from leadflow.rules.linting.cases import Algebra
from leadflow.rules.nearest import By, Installation, Miss, NoWay, find_nearest
from leadflow.rules.nearest_words import sentence_of
from leadflow.rules.parsing import parse_documents
from leadflow.rules.staging import Scene
from tests.support.random_conditions import CATALOGUE, NOW
from tests.unit.rules.given import LIFECYCLE, STATUSES

HOME = Installation(Algebra(CATALOGUE, NOW), LIFECYCLE, STATUSES.default.key)


def nearest(condition: str, **company: Any) -> Miss | NoWay:
    """Of a condition about a company, which has these values."""
    text = (
        "leadflow: 1\nrules:\n  - rule: a\n    when: {schedule: {every: day, for_each: contact}}\n"
        f"    if: {condition}\n    then: [{{add_tag: x}}]\n    limit: {{once_per: contact}}\n"
    )
    parsed = parse_documents({"a.yaml": text}, CATALOGUE)
    assert not parsed.problems
    (rule,) = parsed.rule_set.rules
    record = Company(1, **{"created_at": NOW, "updated_at": NOW, **company})
    contact = Contact(2, company_id=1, created_at=NOW, updated_at=NOW)
    scene = Scene(Trigger.SCHEDULE, {"record": "contact"}, NOW, record, contact, slug="a")
    assert rule.condition is not None
    return find_nearest(HOME, scene, [rule.condition], lambda one: rule.judge(one.situation()).holds)


def changes(found: Miss | NoWay) -> dict[str, Any]:
    assert isinstance(found, Miss)
    return {one.path: one.new for one in found.needs}


def test_the_branch_that_asks_for_the_least_is_taken() -> None:
    found = nearest("{any: [{all: [{company.owner: anna}, {company.name: x}]}, {company.owner: bert}]}")

    assert changes(found) == {"company.owner": "bert"}


def test_demands_on_one_field_are_met_together() -> None:
    clauses = "{company.fields.number_x: {gt: 3}}, {company.fields.number_x: {lte: 5}}"

    found = nearest(f"{{all: [{clauses}, {{company.fields.number_x: {{is_not: 4}}}}]}}", fields={})

    value = changes(found)["company.fields.number_x"]
    assert 3 < value <= 5
    assert value != 4


def test_tags_are_added_and_taken_away_and_the_others_stay() -> None:
    found = nearest("{all: [{company.tags: fair}, {company.tags: {has_none: [old]}}]}", tags=("VIP", "Old"))

    assert changes(found) == {"company.tags": ("VIP", "fair")}
    assert isinstance(found, Miss)
    words = sentence_of(found.needs[0], CATALOGUE, NOW.tzinfo)  # type: ignore[arg-type]
    assert words == "Company tags: “fair” would have to be added and “Old” would have to be taken away."


def test_what_time_alone_brings_is_told_with_its_moment() -> None:
    created = NOW - timedelta(days=3)

    found = nearest("{company.created_at: {older_than: 7 days}}", created_at=created)

    assert isinstance(found, Miss)
    (need,) = found.needs
    assert need.by is By.TIME
    assert need.since is not None
    assert timedelta(0) < need.since - (created + timedelta(days=7)) < timedelta(seconds=1)


def test_hours_of_the_week_are_waited_for() -> None:
    found = nearest('{now: {weekday_in: [wed], between: ["08:00", "17:00"]}}')

    assert isinstance(found, Miss)
    assert found.needs[0].by is By.TIME
    assert found.scene.now.weekday() == 2


def test_more_events_are_told_as_a_number() -> None:
    found = nearest("{event_count: {of: form_submitted, by: company, within_last: 30 days, gte: 2}}")

    assert isinstance(found, Miss)
    assert (found.needs[0].old, found.needs[0].new, found.needs[0].by) == (0, 2, By.HAPPENING)


def test_what_contradicts_itself_has_no_way() -> None:
    found = nearest("{all: [{company.owner: anna}, {none: [{company.owner: {starts_with: an}}]}]}")

    assert found == NoWay(is_certain=True)


def test_what_never_is_blank_is_named() -> None:
    found = nearest("{company.open_sales: {exists: false}}")

    assert isinstance(found, NoWay)
    assert found.stuck_on == ("company.open_sales",)
