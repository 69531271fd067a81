"""Checks of rules against an installation: its records as examples, its numbers, and the certificate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from leadflow.cli import main
from leadflow.errors import ConfigurationError
from leadflow.rules.problems import Problem
from leadflow.services import linting
from leadflow.services.installation import apply_configuration
from leadflow.services.linting import review
from leadflow.services.rule_sets import RulesHaveProblems
from tests.support.scenes import Scene

LEAD_TO_MQL = "{rule: first, when: {form_submitted: any}, if: {company.category: Lead}, then: [{set_category: MQL}]}"
TAGGED = (
    "{rule: second, when: {form_submitted: any}, if: {all: [{contact.tags: fair}, {form.country: 'NO'}]},"
    " then: [{set_category: Opportunity}]}"
)
NOT_DISQUALIFIED = (
    "{rule: open, when: {form_submitted: any}, if: {contact.lead_status: {is_not: Disqualified}}, then: [{add_tag: x}]}"
)
NEVER = "{rule: never, when: {form_submitted: {form: a}}, if: {form.form: b}, then: [{add_tag: x}]}"
BACKWARDS = "{rule: back, when: {form_submitted: any}, if: {company.category: Customer}, then: [{set_category: Lead}]}"


def documents(*rules: str) -> dict[str, str]:
    return {"test.yaml": "leadflow: 1\nrules:\n" + "".join(f"  - {rule}\n" for rule in rules)}


def look_at(scene: Scene, *rules: str) -> list[Problem]:
    with scene.engine.begin() as connection:
        return list(review(connection, documents(*rules), scene.clock()))


# -- examples and numbers out of the data ------------------------------------------------------------------------------


def test_a_conflict_is_shown_on_a_record_that_both_rules_select(scene: Scene) -> None:
    lead, other = scene.make_company("lead", "nordwind.example"), scene.make_company("mql", "sudwind.example")
    scene.make_contact("bo@nordwind.example", lead)
    scene.make_contact("eva@sudwind.example", other, tags=["fair"])
    anna = scene.make_contact("anna@nordwind.example", lead, tags=["fair"])

    (problem,) = look_at(scene, LEAD_TO_MQL, TAGGED)

    assert (problem.severity, problem.code) == ("warning", "conflict")
    assert f"for example on the contact {anna}, anna@nordwind.example" in problem.message


def test_without_such_a_record_the_example_is_made_up(scene: Scene) -> None:
    scene.make_contact("anna@nordwind.example", scene.make_company("mql"), tags=["fair"])

    (problem,) = look_at(scene, LEAD_TO_MQL, TAGGED)

    assert (
        "for example where company.category is Lead and contact.tags is fair and form.country is no" in problem.message
    )


def test_a_look_up_that_takes_too_long_is_left_out_and_the_transaction_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.make_contact("anna@nordwind.example", scene.make_company("lead"), tags=["fair"])
    monkeypatch.setattr(linting, "MAX_LOOK_UP_MILLISECONDS", 1)
    monkeypatch.setattr(linting, "render", lambda *_: text("pg_sleep(1) IS NOT NULL"))

    with scene.engine.begin() as connection:
        problems = review(connection, documents(LEAD_TO_MQL, TAGGED), scene.clock())
        still_there = connection.scalar(text("SELECT 1"))
        timeout = connection.scalar(text("SHOW statement_timeout"))

    assert "for example where company.category is Lead" in problems[0].message
    assert (still_there, timeout == "1ms") == (1, False)


def test_blanks_are_counted_today(scene: Scene) -> None:
    for number in range(3):
        scene.make_contact(f"c{number}@other.example", scene.make_company("customer", f"c{number}.example"))
    scene.make_contact("anna@nordwind.example", scene.make_company("lead"))

    (note,) = look_at(scene, NOT_DISQUALIFIED)

    assert (note.severity, note.code) == ("note", "also-blank")
    assert note.message.endswith("also matches blank (3 contacts today)")


def test_mistakes_come_before_checks(scene: Scene) -> None:
    assert [one.code for one in look_at(scene, NEVER, "{rule: typo, when: {form_submited: any}, then: []}")] == [
        "unknown-trigger",
        "empty-list",
    ]


# -- publishing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "code"), [(NEVER, "never-true"), (BACKWARDS, "outside-graph")])
def test_a_rule_that_can_never_act_is_not_published_and_what_ran_keeps_running(
    scene: Scene, rule: str, code: str
) -> None:
    version = scene.publish(LEAD_TO_MQL)

    with pytest.raises(RulesHaveProblems, match=rf"error\[{code}\]"):
        scene.publish(rule)

    assert scene.rows("SELECT live_version FROM installation")[0].live_version == version


def test_warnings_and_notes_keep_nothing_from_being_published(scene: Scene) -> None:
    assert scene.publish(LEAD_TO_MQL, TAGGED, NOT_DISQUALIFIED)


# -- certificate -------------------------------------------------------------------------------------------------------


def lead_out_of_customer(scene: Scene) -> None:
    """An edge that the database refuses: only its owner, who can take the guard away, can write it."""
    statement = "INSERT INTO lifecycle_edge (source_key, target_key, kind) VALUES ('customer', 'lead', 'move')"
    with scene.owner.begin() as connection:
        connection.execute(text("ALTER TABLE lifecycle_edge DISABLE TRIGGER USER"))
        connection.execute(text(statement))


def test_the_live_rules_have_a_certificate(scene: Scene) -> None:
    version = scene.publish(LEAD_TO_MQL)

    answer = scene.get("/rules/certificate", role="viewer")

    assert answer.status_code == 200
    certificate = answer.get_json()
    assert (certificate["holds"], certificate["version"], certificate["rules"]) == (True, version, 1)
    assert {"rule": "first", "source": "lead", "target": "mql"} in certificate["moves"]
    assert (certificate["story"], certificate["faults"]) == ([], [])
    assert len(certificate["graph_hash"]) == 64


def test_a_draft_has_a_certificate_before_it_is_live(scene: Scene) -> None:
    answer = scene.post("/rules/certificate", {"documents": documents(LEAD_TO_MQL)}, role="editor")

    assert answer.status_code == 200
    assert {"rule": "first", "source": "lead", "target": "mql"} in answer.get_json()["moves"]
    live = scene.post("/rules/certificate", {}, role="editor").get_json()
    assert live == scene.get("/rules/certificate").get_json()
    assert {"rule": "first", "source": "lead", "target": "mql"} not in live["moves"]


def test_a_draft_that_cannot_be_read_has_none(scene: Scene) -> None:
    answer = scene.post("/rules/certificate", {"documents": {"draft.yaml": "leadflow: 2"}}, role="editor")

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["location"] == "draft.yaml:1:1"


def test_a_graph_that_leads_out_of_a_protected_group_has_none(scene: Scene) -> None:
    before = scene.get("/rules/certificate").get_json()
    lead_out_of_customer(scene)

    certificate = scene.get("/rules/certificate").get_json()

    assert not certificate["holds"]
    assert certificate["faults"] == ["customer → lead: automation cannot leave a protected group"]
    assert certificate["graph_hash"] != before["graph_hash"]


def test_the_command_certifies_files_and_what_is_live(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text(documents(LEAD_TO_MQL)["test.yaml"])
    monkeypatch.setenv("LEADFLOW_DATABASE_URL", scene.url)
    scene.publish(LEAD_TO_MQL)

    for paths in ([str(tmp_path / "rules.yaml")], []):
        result = CliRunner().invoke(main, ["rules", "certify", *paths])
        assert (result.exit_code, "Lead → Marketing qualified lead" in result.output) == (0, True), result.output


def test_the_command_fails_where_the_promise_can_be_broken(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADFLOW_DATABASE_URL", scene.url)
    lead_out_of_customer(scene)

    result = CliRunner().invoke(main, ["rules", "certify"])

    assert result.exit_code == 1
    assert "The certificate does NOT hold:" in result.output


# -- the command that checks -------------------------------------------------------------------------------------------


def check_files(tmp_path: Path, *rules: str, form: str = "text") -> tuple[int, str]:
    (tmp_path / "rules.yaml").write_text(documents(*rules)["test.yaml"])
    result = CliRunner().invoke(main, ["rules", "check", str(tmp_path / "rules.yaml"), "--format", form])
    return result.exit_code, result.output


def test_the_check_ends_with_1_for_an_error_and_with_0_for_a_warning(tmp_path: Path) -> None:
    status, shown = check_files(tmp_path, NEVER)
    assert (status, "error[never-true]" in shown) == (1, True)

    status, shown = check_files(tmp_path, LEAD_TO_MQL, TAGGED)
    assert (status, "warning[conflict]" in shown) == (0, True)
    assert shown.endswith("2 rules in 1 document(s): no problems, 1 to think about.\n")


def test_the_check_tells_programs_and_pull_requests_how_bad_it_is(tmp_path: Path) -> None:
    status, shown = check_files(tmp_path, LEAD_TO_MQL, TAGGED, form="json")
    assert (status, [one["severity"] for one in json.loads(shown)]) == (0, ["warning"])

    status, shown = check_files(tmp_path, LEAD_TO_MQL, TAGGED, form="github")
    assert (status, shown.startswith("::warning file=")) == (0, True)


def test_configured_rules_that_can_never_act_are_a_fault_of_the_configuration(scene: Scene) -> None:
    configuration = replace(scene.configuration, rule_documents=documents(NEVER))

    with scene.transaction("configuration") as connection, pytest.raises(ConfigurationError, match="never-true"):
        apply_configuration(connection, configuration, scene.clock())
