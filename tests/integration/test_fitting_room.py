"""The fitting room: a mapping is tried on stored payloads without a trace, mended, and each held event works once."""

from __future__ import annotations

import json
import threading
from typing import Any

from sqlalchemy import text

from leadflow.services import fitting
from leadflow.store import sources as store
from tests.integration.api_support import problem_of
from tests.support.scenes import Scene

MENDED = {"fields": {"email": ["who.mail"], "form": ["what"], "company": ["who.firm"]}}
TABLES = ("event", "company", "contact", "run", "change", "task", "outbox", "rule_limit", "proposal", "turn", "waiting")


def payload(name: str, domain: str = "nordwind.example", **more: Any) -> dict[str, Any]:
    return {"what": "demo-request", "who": {"mail": f"{name}@{domain}", "firm": "Nordwind AS"}, **more}


def hold(scene: Scene, *payloads: dict[str, Any], source: str = "shop") -> list[int]:
    """Deliveries that the present mapping cannot read; their events' ids."""
    ids = []
    for one in payloads:
        scene.clock.pass_by(seconds=1)
        name = f"p-{scene.clock.now.isoformat()}"
        ids.append(scene.deliver(json.dumps(one).encode(), delivery_id=name, source=source).json["event_id"])
    scene.drain()
    assert set(scene.states()) == {"held"}
    return ids


def facts(scene: Scene) -> list[Any]:
    """Everything that an effect leaves behind, without numbers and times."""
    query = (
        "SELECT entity, field, old, new, actor_name FROM change ORDER BY entity, entity_id, field, id",
        "SELECT title, rule FROM task ORDER BY title",
        "SELECT name, domain, category_key FROM company ORDER BY domain",
        "SELECT email FROM contact ORDER BY email",
    )
    return [[tuple(row) for row in scene.rows(one)] for one in query]


def make_shop(scene: Scene) -> None:
    scene.made("/sources", {"name": "shop", "title": "Shop"})


def test_trying_on_says_what_would_happen_and_writes_nothing(scene: Scene) -> None:
    make_shop(scene)
    (first,) = hold(scene, payload("anna"))
    before = {table: scene.count(table) for table in TABLES}

    answer = scene.post("/sources/shop/fitting", MENDED).json
    assert (answer["held"], answer["taken"]) == (1, 1)
    (one,) = answer["items"]
    assert (one["event_id"], one["present"]["state"], one["new"]["state"]) == (first, "held", "processed")
    assert one["new"]["fields"]["form.email"] == {"value": "anna@nordwind.example", "place": "who.mail"}
    assert {"rule": "demo-request-to-mql", "outcome": "fired", "near_miss": False} in one["new"]["runs"]
    assert before == {table: scene.count(table) for table in TABLES}
    assert scene.event(first).state == "held"
    assert scene.get("/sources/shop").json["fields"] == {}


def test_what_is_tried_on_is_what_happens_then(scene: Scene) -> None:
    make_shop(scene)
    ids = hold(scene, payload("anna"), payload("sam", "gmail.com"), {"what": "demo-request"})
    tried = {one["event_id"]: one["new"] for one in scene.post("/sources/shop/fitting", MENDED).json["items"]}

    scene.patch("/sources/shop", MENDED)
    scene.post("/events/replay", {"source": "shop"})
    scene.drain()
    for event_id in ids:
        event = scene.event(event_id)
        assert (event.state, event.error) == (tried[event_id]["state"], tried[event_id]["error"])
        outcomes = {run["rule"]: run["outcome"] for run in tried[event_id]["runs"]}
        assert scene.runs(event_id) == outcomes


def test_held_events_that_are_tried_again_twice_work_once(scene: Scene) -> None:
    make_shop(scene)
    ids = hold(scene, payload("anna"), payload("bo"), payload("cleo", "kestrel.example"))
    scene.patch("/sources/shop", MENDED)

    assert scene.post("/events/replay", {"source": "shop"}).json["events"] == 3
    problem_of(scene.post("/events/replay", {"source": "shop"}), 409)
    scene.drain()
    after = facts(scene)
    problem_of(scene.post("/events/replay", {"source": "shop"}), 409)
    problem_of(scene.post(f"/events/{ids[0]}/replay"), 409)
    scene.drain()

    assert facts(scene) == after
    assert [row.n for row in scene.rows("SELECT count(*) AS n FROM contact")] == [3]
    assert scene.states() == ["processed"] * 3
    assert scene.differences() == []


def test_a_double_click_opens_each_event_once_while_workers_run(scene: Scene) -> None:
    make_shop(scene)
    hold(scene, *(payload(f"p{number}", f"c{number % 7}.example") for number in range(40)))
    scene.patch("/sources/shop", MENDED)
    drainers = [scene.new_drainer(batch_size=5) for _ in range(2)]
    barrier, opened = threading.Barrier(6), []

    def click() -> None:
        barrier.wait()
        answer = scene.post("/events/replay", {"source": "shop"})
        opened.append(answer.json["events"] if answer.status_code == 200 else 0)

    def work(drainer: Any) -> None:
        barrier.wait()
        for _ in range(3):
            drainer.drain(1)

    scene.key("admin")
    threads = [threading.Thread(target=click) for _ in range(4)]
    threads += [threading.Thread(target=work, args=(one,)) for one in drainers]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    scene.drain()

    assert sum(opened) == 40
    assert scene.states() == ["processed"] * 40
    doubled = "SELECT event_id FROM run WHERE outcome = 'fired' GROUP BY event_id, rule, contact_id HAVING count(*) > 1"
    assert scene.rows(doubled) == []
    assert [row.n for row in scene.rows("SELECT count(*) AS n FROM contact")] == [40]
    assert [row.n for row in scene.rows("SELECT count(*) AS n FROM company")] == [7]
    assert scene.differences() == []


def test_events_tried_again_take_their_place_in_the_order_of_their_company(scene: Scene) -> None:
    make_shop(scene)
    ids = hold(scene, payload("anna"), payload("bo"))
    lanes = {row.lane for row in scene.rows("SELECT lane FROM event")}
    assert len(lanes) == 2  # nobody knew whose they were
    scene.patch("/sources/shop", MENDED)
    scene.post("/events/replay", {"source": "shop"})

    (lane,) = {row.lane for row in scene.rows("SELECT lane FROM event")}
    later = scene.post_form(email="cleo@nordwind.example")
    assert scene.event(later).lane == lane
    assert ids == sorted(ids)


def test_the_outlook_counts_what_stays_held_and_why(scene: Scene) -> None:
    make_shop(scene)
    hold(scene, payload("anna"), {"what": "x"}, {"what": "y"}, {"who": {"mail": "no address"}})
    with scene.engine.connect() as connection:
        desk = scene.app.extensions["leadflow"].desk
        present = fitting.source_to_fit(connection, desk.book, "shop")
        catalogue = desk.lists.read(connection).catalogue
        seen = fitting.outlook(connection, fitting.with_mapping(present, MENDED), catalogue, 4)
    assert (seen.held, seen.looked_at, seen.taken) == (4, 4, 1)
    assert [count for _, count in seen.staying] == [2, 1]


def test_newest_held_payloads_come_first_and_others_after_them(scene: Scene) -> None:
    make_shop(scene)
    ids = hold(scene, payload("anna"), payload("bo"))
    scene.deliver(json.dumps({"email": "cleo@nordwind.example"}).encode(), delivery_id="fine", source="shop")
    scene.drain()
    with scene.engine.connect() as connection:
        found = store.payloads(connection, "shop", 10)
    assert [one.id for one in found][:2] == ids[::-1]
    assert [one.state for one in found] == ["held", "held", "processed"]


def test_a_company_that_is_worked_on_is_told_and_not_waited_for(scene: Scene) -> None:
    make_shop(scene)
    scene.made("/companies", {"name": "Nordwind", "domain": "nordwind.example"})
    hold(scene, payload("anna"))
    with scene.new_engine().begin() as writer:
        writer.execute(text("SELECT id FROM company FOR UPDATE"))
        with scene.engine.connect() as connection:
            desk = scene.app.extensions["leadflow"].desk
            present = fitting.source_to_fit(connection, desk.book, "shop")
            new = fitting.with_mapping(present, MENDED)
            (one,) = fitting.try_on(
                connection, desk, present, new, store.payloads(connection, "shop", 5), scene.clock()
            )
    assert one.new.is_busy


def test_a_wrong_mapping_is_refused_with_its_place(scene: Scene) -> None:
    make_shop(scene)
    faults = problem_of(scene.post("/sources/shop/fitting", {"answers": "no braces"}), 422)["errors"]
    assert [one["location"] for one in faults] == ["answers"]
