"""Sweeps on the screens, in the API and on the command line: progress, the funnel, the brake, dry runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from leadflow import cli
from leadflow.services.access import Role, create_account
from tests.integration.api_support import problem_of
from tests.integration.test_sweeps import Sweeping, by_rules, make_leads, rule
from tests.support.scenes import Scene, open_scene


@pytest.fixture
def braked(scene: Scene) -> Sweeping:
    """Three leads and a brake that lets one go."""
    make_leads(scene, 3)
    scene.publish(rule())
    return Sweeping(scene, max_changes=1)


# -- API ---------------------------------------------------------------------------------------------------------------


def test_a_sweep_is_started_read_and_listed(scene: Scene) -> None:
    make_leads(scene, 2)
    scene.publish(rule())

    made = scene.made("/sweeps", {"rule": "wake"})
    assert (made["state"], made["origin"], made["rule"], made["matching"]) == ("waiting", "person", "wake", None)
    assert problem_of(scene.post("/sweeps", {"rule": "wake"}), 409)["existing_id"] == made["id"]
    Sweeping(scene).sweeper.sweep()

    read = scene.get(f"/sweeps/{made['id']}").json
    assert (read["state"], read["changed"], read["matching"]) == ("done", 2, 2)
    assert read["funnel"][1] == {"what": "Lead status is Re-nurture", "records": 2}
    assert scene.get("/sweeps?rule=wake&state=done").json["items"] == [read]
    assert scene.get("/sweeps?state=braked").json == {"items": [], "next": None}
    problem_of(scene.get("/sweeps/999"), 404)
    problem_of(scene.post("/sweeps", {"rule": "nobody"}), 404)
    problem_of(scene.post("/sweeps", {"rule": "wake"}, role="viewer"), 403)


def test_a_dry_run_answers_what_would_change(scene: Scene) -> None:
    contacts = make_leads(scene, 2)
    scene.publish(rule())

    response = scene.post("/sweeps", {"rule": "wake", "dry_run": True})

    assert response.status_code == 200
    assert (response.json["id"], response.json["state"], response.json["matching"]) == (None, "dry_run", 2)
    assert [one["contact_id"] for one in response.json["samples"]] == contacts
    assert response.json["would_brake"] is False
    assert by_rules(scene) == scene.count("sweep") == scene.count("run") == 0


def test_a_braked_sweep_is_run_or_cancelled_by_an_editor(scene: Scene, braked: Sweeping) -> None:
    sweep_id = braked.run().id
    problem_of(scene.post(f"/sweeps/{sweep_id}/approve", role="viewer"), 403)

    assert scene.post(f"/sweeps/{sweep_id}/approve").json["state"] == "waiting"
    problem_of(scene.post(f"/sweeps/{sweep_id}/approve"), 409)
    braked.sweeper.sweep()
    assert scene.get(f"/sweeps/{sweep_id}").json["changed"] == 3
    problem_of(scene.post(f"/sweeps/{sweep_id}/cancel"), 409)


# -- screens -----------------------------------------------------------------------------------------------------------


class Browser:
    """Somebody who signed in."""

    def __init__(self, scene: Scene, role: str = "editor") -> None:
        self.client: FlaskClient = scene.app.test_client()
        with scene.engine.begin() as connection:
            create_account(
                connection, f"{role}@x.example", role.capitalize(), Role(role), scene.clock(), "correct horse battery"
            )
        form = {"email": f"{role}@x.example", "password": "correct horse battery", "csrf_token": self.token("/sign-in")}
        assert self.client.post("/sign-in", data=form).status_code == 303

    def token(self, path: str) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(path).text)
        assert found, path
        return found[1]

    def see(self, path: str) -> str:
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.text.replace("&nbsp;", " ")))

    def press(self, path: str) -> str:
        response = self.client.post(path, data={"csrf_token": self.token("/sweeps")})
        assert response.status_code == 303, response.text
        return response.headers["Location"]


def test_the_page_of_a_braked_sweep_says_the_number_and_lets_an_editor_decide(scene: Scene, braked: Sweeping) -> None:
    sweep_id = braked.run().id
    editor, viewer = Browser(scene), Browser(scene, "viewer")

    page = editor.see(f"/sweeps/{sweep_id}")
    assert "This would change 3 contacts. Nothing has been changed yet." in page
    assert "Run anyway" in page
    assert "Run anyway" not in viewer.see(f"/sweeps/{sweep_id}")
    assert "1 need you" in editor.see("/sweeps")

    assert editor.press(f"/sweeps/{sweep_id}/approve") == f"/sweeps/{sweep_id}"
    braked.sweeper.sweep()
    page = editor.see(f"/sweeps/{sweep_id}")
    assert "100%" in page
    assert "3 of 3 contacts that match" in page
    assert "Lead status is Re-nurture" in page


def test_a_scheduled_rule_is_run_now_from_the_list(scene: Scene) -> None:
    make_leads(scene, 1)
    scene.publish(rule())
    with scene.engine.begin() as connection:
        from leadflow.services.schedules import Timetable

        Timetable().tick(connection, scene.clock())
    editor = Browser(scene)
    assert "Due next" in editor.see("/sweeps")

    where = editor.press("/sweeps/rules/wake")
    assert editor.press("/sweeps/rules/wake") == where  # it is under way already
    Sweeping(scene).sweeper.sweep()

    assert "Done" in editor.see(where)
    assert "Editor" in editor.see("/sweeps")
    assert editor.client.get("/sweeps?state=odd").status_code == 422
    assert editor.client.get("/sweeps/99999").status_code == 404


# -- command line ------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(configured_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A scene whose database the commands find."""
    monkeypatch.setenv("LEADFLOW_DATABASE_URL", configured_database_url)
    monkeypatch.setenv("LEADFLOW_CONFIG", str(Path(__file__).resolve().parents[2] / "config"))
    with open_scene(configured_database_url) as scene:
        make_leads(scene, 3)
        scene.publish(rule())
        yield scene


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["sweep", *arguments])


def test_the_command_runs_a_sweep_to_its_end(installed: Scene) -> None:
    result = command("wake")

    assert result.exit_code == 0, result.output
    assert "3  Lead status is Re-nurture" in result.output
    assert "3 changed." in result.output
    assert by_rules(installed) == 3
    assert command("wake").output.rstrip().endswith("0 changed.")


def test_the_command_counts_and_shows_without_changing(installed: Scene) -> None:
    result = command("wake", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "lead_status: re-nurture → open" in result.output
    assert "3 would be changed; nothing was." in result.output
    assert by_rules(installed) == installed.count("sweep") == 0


def test_the_command_stops_at_the_brake_unless_told_to_go_on(installed: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADFLOW_MAX_CHANGES", "1")

    result = command("wake")
    assert result.exit_code == 1
    assert "Stopped before anything changed: 3 is more" in result.output
    assert by_rules(installed) == 0
    assert command("wake", "--dry-run").exit_code == 1

    result = command("wake", "--yes")
    assert result.exit_code == 0, result.output
    assert by_rules(installed) == 3


@pytest.mark.parametrize("arguments", [("nobody",), ("nobody", "--dry-run")])
def test_the_command_says_which_rule_it_does_not_know(installed: Scene, arguments: tuple[Any, ...]) -> None:
    result = command(*arguments)

    assert result.exit_code == 1
    assert "There is no running rule nobody with a schedule." in result.output
