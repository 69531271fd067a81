"""One change to many records: looked at first, done page by page, and a reason for every record left out."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from leadflow.domain.events import Actor, ActorKind
from leadflow.errors import Refused
from leadflow.services import bulk as stories
from leadflow.services.bulk import ALREADY_SO, OF_THE_COMPANY, BulkEffect, Target
from leadflow.services.searches import SearchDesk
from leadflow.store import bulk_changes
from leadflow.store.bulk_changes import BulkChange
from leadflow.store.replay import find_differences
from tests.support.scenes import Scene

PAULA = Actor(ActorKind.PERSON, "1", "Paula")
PETER = Actor(ActorKind.PERSON, "2", "Peter")
LEADS = {"company.category": "lead"}


def companies(scene: Scene, category: str | None, count: int, contacts: int = 0, **more: Any) -> list[int]:
    """Companies of a category, each with some contacts; their ids."""
    made = []
    for number in range(count):
        name = f"{category or 'none'}{number}"
        made.append(scene.made("/companies", {"name": name, "category": category, **more})["id"])
        for one in range(contacts):
            scene.made("/contacts", {"email": f"p{one}@{name}.example", "company_id": made[-1]})
    return made


def look(scene: Scene, target: Target, field: str, value: str | None) -> stories.Preview:
    with scene.engine.connect() as connection:
        return stories.preview(connection, SearchDesk(), target, BulkEffect(field, value), PAULA, scene.clock())


def begin(scene: Scene, target: Target, field: str, value: str | None) -> int:
    with scene.engine.begin() as connection:
        return stories.start_bulk(connection, SearchDesk(), target, BulkEffect(field, value), PAULA, scene.clock())


def go_on(scene: Scene, bulk_id: int, actor: Actor = PAULA) -> BulkChange:
    with scene.engine.begin() as connection:
        return stories.run_page(connection, SearchDesk(), bulk_id, actor, scene.clock())


def reasons(scene: Scene, bulk_id: int) -> dict[str, int]:
    with scene.engine.connect() as connection:
        return bulk_changes.reasons(connection, bulk_id)


def ledger(scene: Scene, field: str) -> list[tuple[Any, ...]]:
    columns = "entity, entity_id, old, new, actor_kind, actor_name"
    query = f"SELECT {columns} FROM change WHERE field = :field AND old IS NOT NULL"
    with scene.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"{query} ORDER BY id"), {"field": field})]


def test_a_category_is_changed_with_one_row_of_the_ledger_each(scene: Scene) -> None:
    leads = companies(scene, "lead", 3)
    others = companies(scene, "mql", 1)

    done = go_on(scene, begin(scene, Target("company", where=LEADS), "category", "mql"))

    assert (done.state, done.seen, done.changed, done.left_out) == ("done", 3, 3, 0)
    assert ledger(scene, "category") == [("company", one, "lead", "mql", "person", "Paula") for one in leads]
    assert {scene.get(f"/companies/{one}").json["category"]["key"] for one in leads + others} == {"mql"}


def test_each_record_left_out_has_its_reason(scene: Scene) -> None:
    (lead,) = companies(scene, "lead", 1, contacts=1)
    companies(scene, "customer", 1, contacts=2)
    alone = scene.made("/contacts", {"email": "alone@x.example"})["id"]
    ids = [one["id"] for one in scene.get("/contacts").json["items"]]

    seen = look(scene, Target("contact", ids), "lead_status", "contacting")
    bulk_id = begin(scene, Target("contact", [*ids, 987_654]), "lead_status", "contacting")
    done = go_on(scene, bulk_id)

    customers = "Lead status is not active while the category is Customer; the value is kept and hidden."
    expected = {customers: 2, "Lead status is not active: there is no category.": 1}
    assert (seen.changed, seen.reasons) == (1, expected)
    assert (done.changed, done.left_out) == (1, 4)
    assert reasons(scene, bulk_id) == expected | {stories.IS_GONE: 1}
    assert scene.get(f"/companies/{lead}").json["category"]["key"] == "lead"
    again = begin(scene, Target("contact", [ids[0]]), "lead_status", "contacting")
    go_on(scene, again)
    assert reasons(scene, again) == {ALREADY_SO: 1}
    of_companies = begin(scene, Target("contact", ids), "category", "mql")
    assert go_on(scene, of_companies).changed == 1
    assert reasons(scene, of_companies) == {OF_THE_COMPANY: 3}
    assert scene.get(f"/contacts/{alone}").json["lead_status"]["key"] == "open"


def test_a_preview_writes_nothing(scene: Scene) -> None:
    companies(scene, "lead", 2, contacts=1)
    before = scene.count("change")

    seen = look(scene, Target("company", where=LEADS), "category", "customer")

    assert (seen.changed, seen.looked_at, seen.is_whole) == (2, 2, True)
    assert [(one.old, one.new) for one in seen.samples] == [("lead", "customer")] * 2
    assert scene.count("change") == before
    assert {one["category"]["key"] for one in scene.get("/companies").json["items"]} == {"lead"}


def test_pages_go_on_where_the_last_one_ended(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "PAGE_SIZE", 2)
    companies(scene, "lead", 5)
    bulk_id = begin(scene, Target("company", where=LEADS), "category", "mql")
    companies(scene, "lead", 1, name="later")

    steps = [(one.state, one.seen, one.share) for one in (go_on(scene, bulk_id) for _ in range(4))]

    assert steps == [("running", 2, 40), ("running", 4, 80), ("done", 5, 100), ("done", 5, 100)]
    assert len(ledger(scene, "category")) == 5


def test_open_on_entry_holds_and_the_ledger_replays(scene: Scene) -> None:
    (customer,) = companies(scene, "customer", 1, contacts=2)

    go_on(scene, begin(scene, Target("company", [customer]), "category", "lead"))

    assert [one["lead_status"]["key"] for one in scene.get("/contacts").json["items"]] == ["open", "open"]
    with scene.engine.connect() as connection:
        assert list(find_differences(connection)) == []


def test_do_not_automate_binds_rules_not_people(scene: Scene) -> None:
    companies(scene, "lead", 1, do_not_automate=True)

    seen = look(scene, Target("company", where=LEADS), "add_tag", "fair")
    done = go_on(scene, begin(scene, Target("company", where=LEADS), "add_tag", "fair"))

    assert (seen.changed, seen.flagged) == (1, 1)
    assert done.changed == 1
    assert scene.get("/companies").json["items"][0]["tags"] == ["fair"]


def test_rules_hear_of_each_change(scene: Scene) -> None:
    owned = companies(scene, "lead", 2)
    tagging = "{add_tag: {tag: heard, of: company}}"
    scene.publish(f"{{rule: told, status: live, when: {{record_changed: [company.owner]}}, then: [{tagging}]}}")

    go_on(scene, begin(scene, Target("company", owned), "owner", "Anna"))
    scene.drain()

    assert [one["tags"] for one in scene.get("/companies").json["items"]] == [["heard"], ["heard"]]


def test_nobody_goes_on_with_anothers_change(scene: Scene) -> None:
    companies(scene, "lead", 1)
    bulk_id = begin(scene, Target("company", where=LEADS), "category", "mql")

    with pytest.raises(Refused, match="Paula started this change"):
        go_on(scene, bulk_id, PETER)
