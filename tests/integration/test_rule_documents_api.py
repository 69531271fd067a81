"""Rules over HTTP: documents, checks, plans, versions; the second of two editors is told, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from leadflow.services import rule_documents
from leadflow.services.access import Role, create_account
from tests.integration.api_support import problem_of
from tests.integration.test_rule_sets import TWELVE_MISTAKES
from tests.support.scenes import Scene

NAME = "shared/extra.yaml"
RULE = (
    "leadflow: 1\nrules:\n"
    "  - {{rule: extra, title: Extra, status: {status}, when: {{form_submitted: {{form: fair}}}},"
    " then: [{{add_tag: {tag}}}]}}\n"
)
FINE = RULE.format(status="live", tag="fair")


def documents(scene: Scene) -> dict[str, str]:
    return {one["name"]: one["text"] for one in scene.get("/rules/documents").json["items"]}


def live(scene: Scene) -> int:
    version: int = scene.value("SELECT live_version FROM installation")
    return version


def put(scene: Scene, text: str, version: int | str, name: str = NAME, **more: Any) -> Any:
    headers = {"If-Match": f'"{version}"'}
    return scene.call("PUT", f"/rules/documents/{name}", {"text": text, **more}, headers=headers)


def test_a_document_is_read_written_and_taken_out(scene: Scene) -> None:
    first = put(scene, FINE, live(scene), note="For the fair")
    tag = f'"{live(scene)}"'
    read = scene.get(f"/rules/documents/{NAME}")

    assert (first.status_code, first.headers["ETag"]) == (200, tag)
    assert read.json == first.json
    assert (read.json["text"], read.json["origin"], read.json["is_from_files"]) == (FINE, "api", False)
    assert scene.get("/rules/documents/lifecycle.yaml").json["origin"] == "config"
    assert scene.get(f"/rules/documents/{NAME}", headers={"If-None-Match": tag}).status_code == 304
    gone = scene.delete(f"/rules/documents/{NAME}", headers={"If-Match": tag})
    assert (gone.status_code, gone.json["version"]) == (200, live(scene))
    problem_of(scene.get(f"/rules/documents/{NAME}"), 404)
    assert scene.get(f"/rules/documents/{NAME}?version={first.json['version']}").json["text"] == FINE


def test_the_second_of_two_editors_is_told_who_was_first(scene: Scene) -> None:
    base = live(scene)
    put(scene, FINE, base, note="For the fair")
    second = RULE.format(status="off", tag="other")

    by_header = problem_of(put(scene, second, base), 412)
    by_body = problem_of(scene.call("PUT", f"/rules/documents/{NAME}", {"text": second, "based_on": base}), 409)
    unsaid = problem_of(scene.call("PUT", f"/rules/documents/{NAME}", {"text": second}), 409)

    for problem in (by_header, by_body):
        assert problem["live_version"] == live(scene) > base
        assert [(one["version"], one["by"], one["note"]) for one in problem["published_since"]] == [
            (live(scene), "admin person", "For the fair")
        ]
        assert "admin person published on 1 March 2026" in problem["detail"]
    assert "say which version your edit is based on" in unsaid["detail"]
    assert documents(scene)[NAME] == FINE


@pytest.mark.parametrize("name", ["notes.md", "../up.yaml", ".hidden.yaml", "a//b.yaml", "~/x.yaml", "x.yaml/"])
def test_a_document_is_named_like_a_file(scene: Scene, name: str) -> None:
    assert put(scene, FINE, live(scene), name=name).status_code in (404, 422)
    assert list(documents(scene)) == sorted(documents(scene))
    assert len(documents(scene)) == 8


def test_mistakes_are_told_with_their_places_and_nothing_is_published(scene: Scene) -> None:
    base = live(scene)
    problem = problem_of(put(scene, TWELVE_MISTAKES, base), 422)

    assert len(problem["problems"]) >= 12
    leed = next(one for one in problem["problems"] if "Leed" in one["message"])
    assert (leed["document"], leed["line"], leed["code"], leed["suggestion"]) == (NAME, 16, "unknown-value", "Lead")
    assert leed["source_line"][leed["column"] - 1 :][: leed["width"]] == "Leed"
    assert "Lead" in leed["allowed"]
    assert problem["errors"][0]["location"].startswith(f"{NAME}:")
    assert scene.get("/rule-sets").json["items"][0]["version"] == base


def test_a_check_publishes_nothing(scene: Scene) -> None:
    wrong = scene.post("/rules/check", {"documents": {NAME: TWELVE_MISTAKES}}, role="editor").json
    right = scene.post("/rules/check", {"documents": documents(scene)}, role="editor").json

    assert (wrong["is_publishable"], right["is_publishable"], right["rules"]) == (False, True, 11)
    assert {one["document"] for one in wrong["problems"]} == {NAME}
    assert all(one["severity"] != "error" for one in right["problems"])
    assert scene.count("rule_set") == 1


def test_a_plan_tells_what_a_draft_would_do(scene: Scene) -> None:
    company = scene.make_company("lead")
    contact = scene.make_contact(company_id=company, first_name="Anna", last_name="Berg")
    scene.make_contact("bo@nordwind.example", company, tags=["fair"])
    draft = {**documents(scene), NAME: FINE}

    plan = scene.post("/rules/plan", {"documents": draft}, role="editor").json

    assert (plan["live_version"], plan["unchanged"], plan["problems"]) == (live(scene), 11, [])
    (one,) = plan["rules"]
    assert (one["slug"], one["change"], one["considered"], one["matching"], one["touched"]) == ("extra", "new", 2, 2, 1)
    assert one["basis"] == "Every contact with an address, as if the form “fair” came from each of them now."
    (sample,) = one["samples"]
    assert (sample["contact_id"], sample["name"]) == (contact, "Anna Berg")
    assert [(change["field"], change["old"], change["new"]) for change in sample["changes"]] == [
        ("tags", None, ["fair"])
    ]
    assert scene.count("rule_set") == 1
    broken = scene.post("/rules/plan", {"documents": {NAME: TWELVE_MISTAKES}}).json
    assert broken["problems"]
    assert not broken["rules"]


def test_a_whole_set_is_published_on_the_version_it_was_made_from(scene: Scene) -> None:
    draft, base = {**documents(scene), NAME: FINE}, live(scene)

    first = scene.post("/rules/publish", {"documents": draft, "based_on": base, "note": "Fair"}, role="editor")
    late = scene.post("/rules/publish", {"documents": {NAME: FINE}, "based_on": base})
    again = scene.post("/rules/publish", {"documents": draft, "based_on": live(scene)})

    assert (first.status_code, first.json["note"], first.json["rules"]) == (200, "Fair", 12)
    assert problem_of(late, 409)["live_version"] == live(scene)
    assert problem_of(scene.post("/rules/publish", {"documents": draft}), 409)
    assert again.json["version"] == first.json["version"] == live(scene)
    scene.post_form("fair")
    scene.drain()
    assert scene.value("SELECT tags FROM contact") == ["fair"]


def test_versions_are_listed_compared_and_rolled_back(scene: Scene) -> None:
    one = live(scene)
    two = put(scene, FINE, one).json["version"]
    three = put(scene, RULE.format(status="off", tag="fair"), two, note="Pause").json["version"]

    page = scene.get("/rule-sets?limit=2").json
    rest = scene.get(f"/rule-sets?limit=2&cursor={page['next']}").json
    assert [item["version"] for item in [*page["items"], *rest["items"]]] == [three, two, one]
    assert scene.get(f"/rule-sets/{three}").json == page["items"][0]
    assert page["items"][0]["is_live"] is True

    difference = scene.get(f"/rule-sets/{three}/difference").json
    (document,) = difference["documents"]
    (rule,) = document["rules"]
    assert (difference["against"], document["name"], document["change"]) == (two, NAME, "changed")
    assert (rule["slug"], rule["change"], rule["status_before"], rule["status_after"]) == (
        "extra", "switched_off", "live", "off",
    )  # fmt: skip
    marks = [line["mark"] for line in document["hunks"][0]["lines"]]
    assert marks.count("-") == marks.count("+") == 1

    back = scene.post(f"/rule-sets/{two}/rollback", {"based_on": three}, role="editor").json
    assert (back["version"], back["restores"], back["is_live"]) == (live(scene), two, True)
    assert documents(scene)[NAME] == FINE
    assert problem_of(scene.post(f"/rule-sets/{two}/rollback", {"based_on": live(scene)}), 409)["detail"].endswith(
        "already."
    )
    assert problem_of(scene.post(f"/rule-sets/{two}/rollback", {"based_on": three}), 409)["live_version"] == live(scene)
    problem_of(scene.get("/rule-sets/99999"), 404)


def test_rules_are_listed_with_what_became_of_them(scene: Scene) -> None:
    scene.post_form("demo-request")
    scene.drain()

    rules = {one["slug"]: one for one in scene.get("/rules", role="viewer").json["items"]}

    demo = rules["demo-request-to-mql"]
    assert demo["triggers"] == [{"trigger": "form_submitted", "form": "demo-request"}]
    assert (demo["document"], demo["status"], demo["owner"]) == ("lifecycle.yaml", "live", "marketing-ops")
    assert demo["outcomes"] == {"fired": 1}
    assert demo["last_fired_at"] is not None
    assert rules["renurture-recheck"]["triggers"][0]["every"] == "day"
    assert (rules["renurture-recheck"]["status"], rules["renurture-recheck"]["outcomes"]) == ("off", {})


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/rules", None, "viewer"),
        ("GET", "/rules/documents", None, "viewer"),
        ("GET", "/rule-sets/LIVE", None, "viewer"),
        ("POST", "/rules/check", {"documents": {}}, "editor"),
        ("POST", "/rules/plan", {"documents": {}}, "editor"),
        ("POST", "/rules/publish", {"documents": {}, "based_on": 1}, "editor"),
        ("POST", "/rule-sets/LIVE/rollback", {"based_on": 1}, "editor"),
        ("PUT", f"/rules/documents/{NAME}", {"text": FINE, "based_on": 1}, "editor"),
    ],
)
def test_who_looks_may_read_and_who_edits_may_publish(
    scene: Scene, method: str, path: str, body: object, allowed: str
) -> None:
    path = path.replace("LIVE", str(live(scene)))
    assert scene.call(method, path, body, role="viewer").status_code == (200 if allowed == "viewer" else 403)
    assert scene.call(method, path, body, role="editor").status_code in (200, 409)


def test_what_is_not_there_yet_is_not_found(scene: Scene) -> None:
    problem_of(scene.post("/rules/backtest", {"documents": {}}), 404)


# What the editor's screens ask ---------------------------------------------------------------------------------------


def test_what_a_person_typed_is_kept_until_it_is_published_or_dropped(scene: Scene) -> None:
    with scene.engine.begin() as connection:
        anna, bo = (create_account(connection, f"{n}@x.example", n, Role.EDITOR, scene.clock()) for n in ("Anna", "Bo"))
        rule_documents.keep_draft(connection, anna, NAME, "half a ru\r\nle", 1, scene.clock())
        scene.clock.pass_by(minutes=1)
        rule_documents.keep_draft(connection, anna, NAME, "half a rule\r\n", 1, scene.clock())

    with scene.engine.begin() as connection:
        kept = rule_documents.read_draft(connection, anna, NAME)
        assert kept is not None
        assert (kept.text, kept.based_on, kept.updated_at) == ("half a rule\n", 1, scene.clock())
        assert rule_documents.read_draft(connection, bo, NAME) is None
        assert rule_documents.others_at_work(connection, bo, NAME) == [("Anna", scene.clock())]
        assert [one.document for one in rule_documents.read_drafts(connection, anna)] == [NAME]
        assert rule_documents.drop_draft(connection, anna, NAME)
        assert not rule_documents.drop_draft(connection, anna, NAME)


def test_an_edit_is_told_what_a_later_apply_does_with_it(scene: Scene) -> None:
    def told() -> str:
        with scene.engine.connect() as connection:
            return rule_documents.what_apply_will_do(connection)

    before = told()
    put(scene, FINE, live(scene))
    after = told()
    scene.publish_documents({NAME: FINE.replace("fair", "fairs")})

    assert before.startswith("These rules come from config/")
    assert "refuses to overwrite the edit" in before
    assert after.startswith(f"Edited here, not in files: {NAME} (by admin person, 1 March 2026).")
    assert "`leadflow rules pull` takes it over" in after
    assert told().startswith("These rules come from files")
