"""Tests of rules, against a database and against what workers do; and where they stand in the way of a publish."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, false, true
from sqlalchemy.pool import NullPool

from leadflow.domain.events import Trigger
from leadflow.domain.history import History
from leadflow.rules.evaluation import RuleIndex
from leadflow.rules.model import Outcome, Rule, RuleSet, RuleStatus
from leadflow.rules.parsing import ParsedRules, parse_documents
from leadflow.rules.problems import render_text
from leadflow.rules.testing.model import RuleTest
from leadflow.rules.testing.playing import Play, Played
from leadflow.rules.testing.stage import Ground, Stage, set_stage
from leadflow.services import rule_tests
from leadflow.services.acting import Ledger
from leadflow.services.configuration import read_rule_documents
from leadflow.services.gathering import Case
from leadflow.services.judging import Judge
from leadflow.services.readings import Reading
from leadflow.services.rule_sets import RulesHaveProblems
from leadflow.services.rule_tests import ground_of_configuration, run_tests
from leadflow.services.runs import Run
from leadflow.store.engine import normalise_url
from leadflow.store.inbox import ClaimedEvent
from leadflow.store.limits import Limits
from leadflow.store.waiting import Waits
from tests.integration.api_support import problem_of
from tests.integration.test_command_line import Run as Command
from tests.integration.test_command_line import alone, run  # noqa: F401 - fixtures
from tests.support.scenes import ANNA, CONFIG, CONFIGURATION, Scene

CASES = Path(__file__).parents[1] / "cases"
GROUND: Ground = ground_of_configuration(CONFIGURATION)


def parse(folder: Path) -> ParsedRules:
    parsed = parse_documents(read_rule_documents(folder), GROUND.catalogue)
    assert not parsed.problems, render_text(parsed.problems)
    return parsed


SHIPPED, RETOLD = parse(CONFIG / "rules"), parse(CASES)
EVERY_TEST = [
    (rule, test)
    for parsed in (SHIPPED, RETOLD)
    for rule in parsed.rule_set.rules
    for test in parsed.tests
    if test.rule == rule.slug
]


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    """A connection to a database in which leadflow has no tables, in another time zone."""
    engine = create_engine(normalise_url(postgres_url), poolclass=NullPool)
    with engine.connect() as opened:
        opened.exec_driver_sql("SET TIME ZONE 'America/New_York'")
        yield opened
    engine.dispose()


# Memory and SQL -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parsed", "at_least"), [(SHIPPED, 80), (RETOLD, 110)], ids=["config/rules", "tests/cases"])
def test_every_test_holds_in_memory_and_as_sql(connection: Connection, parsed: ParsedRules, at_least: int) -> None:
    report = run_tests(parsed, GROUND, connection)

    assert [(one.test.name, one.faults) for one in report.failed] == []
    assert len(report.results) >= at_least
    assert report.in_sql == len(report.results)


def test_each_rule_that_is_shipped_has_tests_that_saw_all_its_clauses() -> None:
    report = run_tests(SHIPPED, GROUND)

    assert report.untested == ()
    assert [clause.path for seen in report.seen for clause in seen.clauses if not clause.is_covered] == []


def test_a_condition_that_sql_sees_otherwise_fails_the_test(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_tests, "render", lambda condition, *_: false() if condition else true())

    report = run_tests(SHIPPED, GROUND, connection)

    told = {fault for one in report.failed for fault in one.faults}
    assert told == {"memory and SQL differ: in memory the condition holds, as SQL it does not hold"}
    assert len(report.failed) > 20


def test_a_condition_that_sql_cannot_ask_fails_the_test(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise rule_tests.LeadflowError("no such question")

    monkeypatch.setattr(rule_tests, "render", refuse)

    assert run_tests(SHIPPED, GROUND, connection).results[0].faults == (
        "the condition cannot be asked as SQL: no such question",
    )


def test_the_installation_is_neither_read_nor_written(scene: Scene) -> None:
    company = scene.make_company(category="customer")
    scene.make_contact(ANNA, company)
    before = [scene.rows(f"SELECT * FROM {table} ORDER BY id") for table in ("company", "contact", "event", "change")]
    document = parse_documents(
        {
            "a.yaml": "leadflow: 1\nrules:\n  - rule: a\n    when: {manual: contact}\n"
            "    if: {all: [{company.category: Lead}, {event_count: {of: form_submitted, is: 1}}]}\n"
            "    then: [{create_task: Look}]\n    tests:\n"
            "      - test: the same address and domain as somebody in the database\n"
            f"        given: {{company: {{category: Lead, domain: nordwind.example}}, contact: {{email: {ANNA}}},"
            " history: [{ago: 1 day, form_submitted: any}]}\n"
            "        expect: {fires: true}\n"
        },
        GROUND.catalogue,
    )
    with scene.engine.begin() as connection:
        report = run_tests(document, GROUND, connection)
        inside = connection.exec_driver_sql("SELECT count(*) FROM contact").scalar()

    assert not document.problems
    assert (report.failed, report.in_sql, inside) == ((), 1, 1)
    after = [scene.rows(f"SELECT * FROM {table} ORDER BY id") for table in ("company", "contact", "event", "change")]
    assert after == before


# Memory and workers ---------------------------------------------------------------------------------------------------


class Turn:
    """A round robin whose next turn is known."""

    def __init__(self, number: int) -> None:
        self.number = number

    def next(self, rule: str) -> int:
        return self.number


def judged_live(rule: Rule, test: RuleTest) -> tuple[Run | None, Stage]:
    """What a worker would do with the rule, were it live and alone, and the stage that it did it on."""
    live = replace(rule, status=RuleStatus.LIVE, group=None)
    stage = set_stage(live, test, GROUND)
    situation = stage.situation
    limits = Limits()
    if rule.limit and stage.acted_at and (record := getattr(situation, rule.limit.once_per)):
        limits.note((rule.slug, rule.limit.once_per, record.id), stage.acted_at, 0)
    ledger = Ledger(limits, Waits(), Turn(stage.turn))  # type: ignore[arg-type]
    trigger = situation.occurrence.trigger
    is_counted = trigger in (Trigger.FORM_SUBMITTED, Trigger.EVENT, Trigger.SALE)
    history = History(stage.events[:-1] if is_counted else stage.events, stage.changes)
    judge = Judge(RuleIndex(RuleSet(1, (live,))), stage.records, history, ledger, count(1))
    if trigger is Trigger.SCHEDULE:
        runs = judge.judge_record(live, situation.company, situation.contact, 1, test.now)
    else:
        runs = judge.judge(Case(reading_of(stage, test.now), situation.company, situation.contact))
    return next((one for one in runs if one.rule.slug == rule.slug), None), stage


def reading_of(stage: Stage, now: datetime) -> Reading:
    situation = stage.situation
    event = ClaimedEvent(99, "test", situation.occurrence.trigger.value, 0, now, None, b"", 0, 0)
    return Reading(
        event,
        situation.occurrence,
        form=situation.form,
        said=situation.event,
        sale=situation.sale,
        user=situation.user,
    )


@pytest.mark.parametrize(("rule", "test"), EVERY_TEST, ids=lambda one: getattr(one, "name", ""))
def test_a_test_plays_what_a_worker_does(rule: Rule, test: RuleTest) -> None:
    played: Played = Play(rule, test, GROUND).try_rule()
    live, stage = judged_live(rule, test)

    assert (live.outcome if live else Outcome.NO_MATCH) is played.outcome
    assert (played.company, played.contact) == (stage.situation.company, stage.situation.contact)
    assert played.tasks == tuple(one.title for one in stage.records.tasks)
    assert len(played.messages) == len(stage.records.messages)
    if live is not None:
        assert live.judgement.clauses == played.judgement.clauses
        assert (live.guard or "") == " ".join(played.reasons) or live.judgement.error


# Publishing -----------------------------------------------------------------------------------------------------------

RULE = """leadflow: 1
rules:
  - rule: tag
    status: {status}
    when: {{form_submitted: any}}
    if: {{company.category: Lead}}
    then: [{{add_tag: x}}]
"""
TEST = """leadflow: 1
tests:
  - {test: customers get no tag, rule: tag, given: {company: {category: %s}}, expect: {fires: false}}
"""


def test_a_rule_goes_live_only_if_its_own_tests_pass(scene: Scene) -> None:
    version = scene.value("SELECT live_version FROM installation")
    with pytest.raises(RulesHaveProblems) as refused:
        scene.publish_documents({"a.yaml": RULE.format(status="live"), "a.test.yaml": TEST % "Lead"})

    (problem,) = refused.value.problems
    assert (problem.code, problem.file, problem.line, problem.column) == ("failing-test", "a.test.yaml", 3, 5)
    assert "expected that the rule does not fire, but the rule fired" in str(refused.value)
    assert scene.value("SELECT live_version FROM installation") == version

    assert scene.publish_documents({"a.yaml": RULE.format(status="off"), "a.test.yaml": TEST % "Lead"}) > version
    assert scene.publish_documents({"a.yaml": RULE.format(status="live"), "a.test.yaml": TEST % "Customer"})


def test_workers_pass_over_tests(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.publish_documents({"a.yaml": RULE.format(status="live"), "a.test.yaml": TEST % "Customer"})
    monkeypatch.setattr("leadflow.rules.parsing.documents.read_all_tests", None)

    event = scene.post_form()
    scene.drain()

    assert scene.runs(event)["tag"] == "fired"


# The API --------------------------------------------------------------------------------------------------------------


def test_a_viewer_may_test_rules_that_are_not_published(scene: Scene) -> None:
    documents = {"a.yaml": RULE.format(status="live"), "a.test.yaml": TEST % "Lead"}

    answer = scene.post("/rules/test", {"documents": documents}, role="viewer")

    assert answer.status_code == 200, answer.text
    shown = answer.json
    assert (shown["tests"], shown["failed"], shown["tests_in_sql"], shown["problems"]) == (1, 1, 1, [])
    (test,) = shown["rules"][0]["tests"]
    assert (test["document"], test["line"], test["outcome"]) == ("a.test.yaml", 3, "fired")
    assert test["faults"] == ["expected that the rule does not fire, but the rule fired"]
    assert shown["rules"][0]["survivors"]


def test_the_database_can_be_left_out(scene: Scene) -> None:
    documents = {"a.yaml": RULE.format(status="live"), "a.test.yaml": TEST % "Customer"}

    shown = scene.post("/rules/test", {"documents": documents, "memory_only": True}).json

    assert (shown["failed"], shown["tests_in_sql"]) == (0, None)


def test_documents_with_problems_are_not_tested(scene: Scene) -> None:
    shown = scene.post("/rules/test", {"documents": {"a.yaml": RULE.format(status="alive")}}).json

    assert [(one["code"], one["file"], one["line"]) for one in shown["problems"]] == [("unknown-value", "a.yaml", 4)]
    assert shown["rules"] == []


def test_more_tests_than_can_be_run_at_once_are_refused(scene: Scene) -> None:
    rows = ", ".join(["[Lead, true]"] * 2_001)
    table = f"leadflow: 1\ntests: [{{table: t, rule: tag, columns: [company.category, fires], rows: [{rows}]}}]"

    answer = scene.post("/rules/test", {"documents": {"a.yaml": RULE.format(status="live"), "b.test.yaml": table}})

    assert "2,001 tests of 1 clauses" in problem_of(answer, 422)["detail"]


def test_a_condition_with_more_mutants_than_can_be_tried_at_once_is_refused(scene: Scene) -> None:
    clauses = ", ".join(f"{{company.name: name {number}}}" for number in range(600))
    rule = RULE.format(status="live").replace("{company.category: Lead}", f"{{any: [{clauses}]}}")

    answer = scene.post("/rules/test", {"documents": {"a.yaml": rule, "a.test.yaml": TEST % "Lead"}})

    assert "1 tests of 600 clauses" in problem_of(answer, 422)["detail"]


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(RULE.format(status="live"))
    (tmp_path / "a.test.yaml").write_text(TEST % "Customer")
    return tmp_path


def test_the_command_tells_how_tests_ended(run: Command, folder: Path) -> None:  # noqa: F811
    fine = run("rules", "test", folder)
    assert fine.exit_code == 0, fine.output
    assert "1 tests of 1 rules: 1 ok, 0 failed; in memory, 1 of them as SQL too." in fine.output

    (folder / "a.test.yaml").write_text(TEST % "Lead")
    failed = run("rules", "test", folder)
    assert failed.exit_code == 1
    assert "FAILED customers get no tag" in failed.output

    assert run("rules", "test", folder, "--format", "pdf").exit_code == 2


@pytest.mark.parametrize("name", ["a.yaml", "a.test.yaml"])
def test_a_document_brings_its_tests_and_tests_bring_their_document(alone: Command, folder: Path, name: str) -> None:  # noqa: F811
    shown = alone("rules", "test", folder / name, "--memory-only")

    assert shown.exit_code == 0, shown.output
    assert "1 ok, 0 failed; in memory only." in shown.output


def test_problems_of_tests_are_told_by_check_and_by_test(alone: Command, folder: Path) -> None:  # noqa: F811
    (folder / "a.test.yaml").write_text(TEST % "Leed")

    for command in ("check", "test"):
        shown = alone("rules", command, folder)
        assert shown.exit_code == 1
        assert "a.test.yaml:3:73: error[unknown-value]: 'Leed' is not a value of company.category" in shown.output


def test_programs_read_json_and_build_servers_junit(alone: Command, folder: Path) -> None:  # noqa: F811
    as_json = alone("rules", "test", folder, "--memory-only", "--format", "json")
    as_junit = alone("rules", "test", folder, "--memory-only", "--format", "junit")

    assert json.loads(as_json.stdout)["failed"] == 0
    assert ElementTree.fromstring(as_junit.stdout).get("tests") == "1"


def test_without_any_database_one_is_started_and_removed(alone: Command, folder: Path) -> None:  # noqa: F811
    shown = alone("rules", "test", folder, "--data", folder / "none")

    assert shown.exit_code == 0, shown.output
    assert "1 of them as SQL too" in shown.output
    assert not (folder / "none").exists()
