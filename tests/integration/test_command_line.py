"""The command line: 0 is fine, 1 found problems, 2 is wrong usage; what it says helps, and is never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from leadflow.cli import main
from leadflow.services.access import find_key
from leadflow.store.heartbeats import beat
from leadflow.tasks.draining import utc_now
from tests.integration.test_rule_sets import TAG, TWELVE_MISTAKES
from tests.support.scenes import CONFIG, Scene

ROOT = CONFIG.parent
Run = Callable[..., Result]

FINE = TAG.format(status="live", tag="x")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, at the repository's root, without any setting of the machine's."""
    for name in [one for one in os.environ if one.startswith("LEADFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("leadflow.logs.set_up_logs", lambda *_: None)

    def run(*arguments: object, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(main, [str(one) for one in arguments])
        assert "Traceback" not in result.output
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def run(alone: Run, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same with the scene's database."""
    monkeypatch.setenv("LEADFLOW_DATABASE_URL", scene.url)
    return alone


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    (folder / "more").mkdir(parents=True)
    (folder / "a.yaml").write_text(FINE)
    (folder / "more" / "b.yml").write_text(FINE.replace("rule: tag", "rule: other").replace("add_tag: x", "add_tag: y"))
    return folder


# Usage and settings ---------------------------------------------------------------------------------------------------

COMMANDS = [
    (), ("up",), ("web",), ("worker",), ("scheduler",), ("db",), ("db", "upgrade"), ("db", "check"), ("rules",),
    ("rules", "check"), ("rules", "apply"), ("rules", "plan"), ("rules", "pull"), ("explain",), ("users",),
    ("users", "add"), ("api-keys",), ("api-keys", "create"), ("doctor",),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(alone: Run, command: tuple[str, ...]) -> None:
    result = alone(*command, "--help")

    assert result.exit_code == 0
    assert "Usage:" in result.output


@pytest.mark.parametrize(
    "command",
    [
        ("nonsense",), ("rules", "check"), ("rules", "check", "nowhere"), ("rules", "check", ".", "--format", "y"),
        ("explain", "--limit", "0"), ("api-keys", "create", "--role", "king", "--name", "x"), ("up", "--port", "70000"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_2(alone: Run, command: tuple[str, ...]) -> None:
    assert alone(*command).exit_code == 2


def test_unknown_variables_and_wrong_values_are_reported_all_at_once(alone: Run) -> None:
    result = alone(
        "doctor", LEADFLOW_DATABSE_URL="x", LEADFLOW_WEB_PORT="eighty", LEADFLOW_BATCH_SIZE="0", LEADFLOW_SECRET_KEY="k"
    )

    assert result.exit_code == 2
    assert "LEADFLOW_DATABSE_URL: unknown setting; known: " in result.output
    assert "LEADFLOW_DATABASE_URL" in result.output
    for name in ("LEADFLOW_WEB_PORT: ", "LEADFLOW_BATCH_SIZE: ", "LEADFLOW_SECRET_KEY: "):
        assert name in result.output


@pytest.mark.parametrize("command", [("db", "check"), ("db", "upgrade"), ("doctor",), ("explain", "--event", "1")])
def test_a_missing_database_setting_is_told_with_an_example(
    alone: Run, command: tuple[str, ...], tmp_path: Path
) -> None:
    result = alone(*command, "--data", tmp_path / "none")

    assert result.exit_code == 2
    assert "LEADFLOW_DATABASE_URL is not set. Example: postgresql://" in result.output


@pytest.mark.parametrize("command", [("db", "check"), ("explain", "--event", "1"), ("rules", "pull", "x")])
def test_a_database_that_is_away_is_1(alone: Run, command: tuple[str, ...]) -> None:
    result = alone(*command, LEADFLOW_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert result.exit_code == 1
    assert "The database does not answer: " in result.output


def test_a_configuration_folder_that_is_not_there_is_2(alone: Run) -> None:
    result = alone("doctor", LEADFLOW_CONFIG="/no/such/folder")

    assert result.exit_code == 2
    assert "LEADFLOW_CONFIG: there is no folder /no/such/folder" in result.output


@pytest.mark.parametrize("role", ["web", "worker", "scheduler"])
def test_a_role_that_lacks_a_setting_says_which(run: Run, role: str) -> None:
    result = run(role)

    assert result.exit_code == 2
    assert "LEADFLOW_BROKER_URL is not set" in result.output


@pytest.mark.parametrize("role", ["web", "worker", "scheduler"])
def test_a_role_refuses_a_database_of_another_version(alone: Run, fresh_database_url: str, role: str) -> None:
    result = alone(
        role, LEADFLOW_DATABASE_URL=fresh_database_url, LEADFLOW_BROKER_URL="memory://", LEADFLOW_SECRET_KEY="s" * 32
    )

    assert result.exit_code == 1
    assert "run `leadflow db upgrade`" in result.output


# Database -------------------------------------------------------------------------------------------------------------


def test_upgrade_makes_an_installation(alone: Run, fresh_database_url: str) -> None:
    environment = {"LEADFLOW_DATABASE_URL": fresh_database_url, "LEADFLOW_BOOTSTRAP_API_KEY": "lf_boot_" + "x" * 30}

    first, second, checked = alone("db", "upgrade", **environment), alone("db", "upgrade"), alone("db", "check")

    assert [first.exit_code, second.exit_code, checked.exit_code] == [0, 0, 0]
    assert "schema" in checked.output
    assert "ledger" in checked.output


def test_check_finds_a_downgrade_past_the_guard(run: Run, scene: Scene) -> None:
    company = scene.make_company("customer")
    fine = run("db", "check")
    with scene.owner.begin() as connection:
        connection.execute(text("ALTER TABLE company DISABLE TRIGGER guard_update"))
        connection.execute(text("UPDATE company SET category_key = 'lead'"))
        connection.execute(text("ALTER TABLE company ENABLE ALWAYS TRIGGER guard_update"))

    found = run("db", "check")

    assert (fine.exit_code, found.exit_code) == (0, 1)
    assert f"company {company}: category is 'lead', the ledger says 'customer'" in found.output


# Rules ----------------------------------------------------------------------------------------------------------------


def test_fine_rules_are_0(alone: Run, rules: Path) -> None:
    result = alone("rules", "check", rules)

    assert (result.exit_code, result.output) == (0, "2 rules in 2 document(s): no problems.\n")


def test_twelve_mistakes_are_all_told_each_at_its_place(alone: Run, rules: Path) -> None:
    (rules / "bad.yaml").write_text(TWELVE_MISTAKES)

    as_text, as_json, as_github = (
        alone("rules", "check", rules, "--format", one) for one in ("text", "json", "github")
    )

    assert [one.exit_code for one in (as_text, as_json, as_github)] == [1, 1, 1]
    places = set(re.findall(r"^bad\.yaml:(\d+):(\d+): error\[([a-z-]+)\]: ", as_text.output, re.MULTILINE))
    assert len(places) >= 12, as_text.output
    listed = json.loads(as_json.output)
    problems = listed if isinstance(listed, list) else listed["problems"]
    assert {(str(one["line"]), str(one["column"]), one["code"]) for one in problems} == places
    assert len(re.findall(r"^::error file=bad\.yaml,line=\d+,", as_github.output, re.MULTILINE)) == len(problems)
    assert "^" in as_text.output
    assert "did you mean" in as_text.output


def test_a_folder_without_rules_is_2(alone: Run, tmp_path: Path) -> None:
    assert alone("rules", "check", tmp_path).exit_code == 2


def test_apply_publishes_shows_the_difference_and_pull_brings_back(run: Run, rules: Path, tmp_path: Path) -> None:
    applied, again = run("rules", "apply", rules), run("rules", "apply", rules)
    pulled = run("rules", "pull", tmp_path / "out")

    assert [one.exit_code for one in (applied, again, pulled)] == [0, 0, 0]
    assert re.search(r"Version \d+ is live\.", applied.output)
    assert "+  - {rule: tag, status: live" in applied.output
    assert "-  - rule: demo-request-to-mql" in applied.output
    assert re.search(r"No change: version \d+ stays live\.", again.output)
    for name in ("a.yaml", "more/b.yml"):
        assert (tmp_path / "out" / name).read_text() == (rules / name).read_text()
    assert sorted(one.name for one in (tmp_path / "out").rglob("*.y*ml")) == ["a.yaml", "b.yml"]


LIST_RULE = (
    "leadflow: 1\nuse: [shared/lists.yaml]\nrules:\n  - {rule: listed, status: live, when: {form_submitted: any},"
    " if: {any: [{form.email: {domain_in: freemail}}, {form.email: {domain_in: rivals}}]}, then: [{add_tag: x}]}\n"
)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """Rules with a document that they use and files of lists, and beside them files that nobody names."""
    folder = tmp_path / "listing"
    for name in ("shared/lists", "elsewhere"):
        (folder / name).mkdir(parents=True)
    (folder / "a.yaml").write_text(LIST_RULE)
    (folder / "shared" / "lists.yaml").write_text(
        "leadflow: 1\nlists: {freemail: {file: lists/freemail.txt}, rivals: {file: ./rivals.txt}}\n"
    )
    (folder / "shared" / "lists" / "freemail.txt").write_text("# providers\ngmail.com\n", encoding="utf-8")
    (folder / "shared" / "rivals.txt").write_text("rival.example\n")
    (folder / "notes.txt").write_text("not a list")
    return folder


PUBLISHED = ["a.yaml", "shared/lists.yaml", "shared/lists/freemail.txt", "shared/rivals.txt"]


def test_files_of_lists_are_published_with_their_documents_and_written_back(
    run: Run, scene: Scene, listing: Path, tmp_path: Path
) -> None:
    checked, applied = run("rules", "check", listing), run("rules", "apply", listing)
    pulled = run("rules", "pull", tmp_path / "out")
    again = run("rules", "apply", tmp_path / "out")

    assert [one.exit_code for one in (checked, applied, pulled, again)] == [0, 0, 0, 0], applied.output
    version = scene.value("SELECT live_version FROM installation")
    rows = scene.rows("SELECT name FROM rule_document WHERE version = :version ORDER BY name", version=version)
    assert [row.name for row in rows] == PUBLISHED
    assert "+gmail.com" in applied.output
    for name in PUBLISHED:
        assert (tmp_path / "out" / name).read_bytes() == (listing / name).read_bytes()
    assert not (tmp_path / "out" / "notes.txt").exists()
    assert f"No change: version {version} stays live." in again.output


def test_a_published_list_is_what_rules_ask(run: Run, scene: Scene, listing: Path) -> None:
    run("rules", "apply", listing)

    scene.post_form("x", "anna@gmail.com")
    scene.post_form("x", "bo@nordwind.example")
    scene.drain()

    assert [list(row) for row in scene.rows("SELECT email, tags FROM contact ORDER BY email")] == [
        ["anna@gmail.com", ["x"]], ["bo@nordwind.example", []],
    ]  # fmt: skip


def test_one_document_brings_what_it_uses(alone: Run, listing: Path) -> None:
    result = alone("rules", "check", listing / "a.yaml")

    assert (result.exit_code, result.output) == (0, "1 rules in 4 document(s): no problems.\n")


def test_a_fault_in_the_file_of_a_list_is_told_in_that_file(alone: Run, listing: Path) -> None:
    (listing / "shared" / "rivals.txt").write_text("# ours\nrival\n")

    result = alone("rules", "check", listing)

    assert result.exit_code == 1
    assert result.output.startswith("shared/rivals.txt:2:1: error[unreadable-value]: expected a domain")
    assert "    2 | rival\n      | ^^^^^\n" in result.output


@pytest.mark.parametrize(
    "path", ["../../outside.txt", "/etc/hostname.txt", "outside.txt/", '"\\0.txt"', "x" * 300 + ".txt"]
)
def test_nothing_outside_the_folder_is_read(alone: Run, listing: Path, path: str) -> None:
    (listing.parent / "outside.txt").write_text("secret.example\n")
    (listing / "shared" / "lists.yaml").write_text(
        f"leadflow: 1\nlists: {{freemail: {{file: {path}}}, rivals: [rival.example]}}\n"
    )

    result = alone("rules", "check", listing)

    assert result.exit_code == 1
    assert "secret" not in result.output
    assert "error[unknown-file]" in result.output or "error[unreadable-value]" in result.output


def test_two_files_may_not_be_one_document(alone: Run, rules: Path, listing: Path) -> None:
    result = alone("rules", "check", rules, listing)

    assert result.exit_code == 2
    assert "Two different files would both be the document a.yaml" in result.output
    assert alone("rules", "check", rules, rules).exit_code == 0


def test_apply_publishes_nothing_of_a_set_with_problems(run: Run, scene: Scene, rules: Path) -> None:
    (rules / "bad.yaml").write_text(TWELVE_MISTAKES)
    before = scene.value("SELECT live_version FROM installation")

    result = run("rules", "apply", rules)

    assert result.exit_code == 1
    assert len(re.findall(r"bad\.yaml:\d+:\d+: error", result.output)) >= 12
    assert scene.value("SELECT live_version FROM installation") == before


def test_plan_tells_what_apply_would_do_and_changes_nothing(run: Run, scene: Scene, rules: Path) -> None:
    scene.make_contact("anna@nordwind.example", scene.make_company("lead"), first_name="Anna", last_name="Berg")
    before = scene.count("rule_set")

    told = run("rules", "plan", rules)
    data = json.loads(run("rules", "plan", rules, "--format", "json", "--samples", "0").output)

    assert told.exit_code == 0
    assert "2 rules differ" not in told.output, "those that are not in the files would go"
    for line in (
        "tag (new): tag",
        "1 contact would be acted on; 1 of 1 match.",
        "Anna Berg (contact ",
        "): Contact tags none → x",
        "demo-request-to-mql (taken out)",
    ):
        assert line in told.output, told.output
    assert {one["slug"]: one["touched"] for one in data["rules"] if one["change"] == "new"} == {"tag": 1, "other": 1}
    assert scene.count("rule_set") == before


def test_a_plan_of_documents_with_problems_says_these(run: Run, scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(TWELVE_MISTAKES)

    result = run("rules", "plan", tmp_path)

    assert result.exit_code == 1
    assert "wrong.yaml:16:" in result.output
    assert "did you mean 'Lead'?" in result.output


def test_apply_does_not_overwrite_edits_of_the_ui_unless_forced(run: Run, scene: Scene, rules: Path) -> None:
    edited = scene.publish_documents({"a.yaml": TAG.format(status="live", tag="by-hand")}, origin="ui")

    refused = run("rules", "apply", rules)
    between = scene.value("SELECT live_version FROM installation")
    forced = run("rules", "apply", rules, "--force")

    assert (refused.exit_code, between, forced.exit_code) == (1, edited, 0)
    assert "edited in the UI" in refused.output
    assert "by-hand" in refused.output, "the difference was not shown"
    assert scene.value("SELECT live_version FROM installation") > edited


def test_pull_does_not_write_outside_its_folder(run: Run, scene: Scene, tmp_path: Path) -> None:
    scene.publish_documents({"../escaped.yaml": FINE})

    result = run("rules", "pull", tmp_path / "out")

    assert result.exit_code == 1
    assert not (tmp_path / "escaped.yaml").exists()


def test_the_shipped_rules_are_fine(alone: Run) -> None:
    assert alone("rules", "check", CONFIG / "rules").exit_code == 0


# Why ------------------------------------------------------------------------------------------------------------------


def test_explain_tells_why_a_rule_acted_and_another_did_not(run: Run, scene: Scene) -> None:
    event = scene.post_form("demo-request")
    scene.post_form("demo-request")
    scene.drain()

    by_event = run("explain", "--event", event)
    by_company = run("explain", "--company", "Nordwind.example", "--rule", "demo-request-to-mql")
    by_contact = run("explain", "--contact", "Anna@nordwind.example", "--limit", 1)

    assert [one.exit_code for one in (by_event, by_company, by_contact)] == [0, 0, 0]
    assert "Rule demo-request-to-mql (version 1) acted." in by_event.output
    assert "category lead → mql" in by_event.output
    assert "did not match — one clause was missing." in by_company.output
    assert "demo-request-task" not in by_company.output
    assert by_contact.output.count("Event ") == 1


def test_explain_names_what_it_does_not_find(run: Run, scene: Scene) -> None:
    scene.make_company("lead")

    unknown = [run("explain", "--company", "x.example"), run("explain", "--contact", "a@x.example"),
               run("explain", "--event", 77)]  # fmt: skip
    silent = run("explain", "--company", scene.company_id())

    assert [one.exit_code for one in unknown] == [1, 1, 1]
    assert [one.exit_code for one in (run("explain"), run("explain", "--event", 1, "--company", "x"))] == [2, 2]
    assert (silent.exit_code, silent.output) == (0, "No event is known of it.\n")


# Keys and health ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "is_person"), [((), False), (("--acts-as", "person"), True)])
def test_a_key_is_shown_once_and_works(run: Run, scene: Scene, options: tuple[str, ...], is_person: bool) -> None:
    result = run("api-keys", "create", "--role", "editor", "--name", "importer", *options)

    key = result.output.strip()
    assert re.fullmatch(r"lf_[0-9a-f]{12}_[\w-]{43}", key)
    with scene.engine.begin() as connection:
        caller = find_key(connection, key, utc_now())
    assert caller is not None
    assert (caller.role.value, caller.actor.is_automation) == ("editor", not is_person)
    secret = key.rpartition("_")[2]
    assert secret not in str(scene.rows("SELECT * FROM api_key"))


def test_a_user_can_be_added_once(run: Run) -> None:
    command = ("users", "add", "eva@x.example", "--name", "Eva", "--role", "editor", "--password", "a long password 1")

    assert run(*command).exit_code == 0
    assert run(*command).exit_code == 1
    assert run(*command[:-1], "short").exit_code == 1


def test_doctor_says_what_is_wrong_and_how_to_mend_it(run: Run, scene: Scene) -> None:
    ill = run("doctor")
    with scene.engine.begin() as connection:
        for role in ("worker", "scheduler", "web"):
            beat(connection, role, utc_now())

    well = run("doctor")

    assert (ill.exit_code, well.exit_code) == (1, 0), well.output
    for words in ("worker: none was seen in the last 30 seconds", "Start one: `leadflow worker`."):
        assert words in ill.output


def test_doctor_names_a_database_and_a_broker_that_are_away(run: Run, alone: Run) -> None:
    no_broker = run("doctor", LEADFLOW_BROKER_URL="amqp://guest:guest@127.0.0.1:1//")
    no_database = alone("doctor", LEADFLOW_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert (no_broker.exit_code, no_database.exit_code) == (1, 1)
    assert "broker: does not answer" in no_broker.output
    assert "Start the database, or correct LEADFLOW_DATABASE_URL." in no_database.output


def test_doctor_sees_events_that_nobody_works_on(run: Run, scene: Scene) -> None:
    scene.post_form()

    assert "Start more workers." in run("doctor").output


def test_the_module_ends_like_the_command() -> None:
    """As a process of its own: the exit status reaches the shell, and errors go to standard error."""

    def run(folder: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "leadflow", "rules", "check", folder]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    fine, wrong = run("config/rules"), run("nowhere")

    assert (fine.returncode, fine.stderr) == (0, "")
    assert (wrong.returncode, wrong.stdout) == (2, "")
