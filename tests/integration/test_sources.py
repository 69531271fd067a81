"""Sources are data: a change reaches every process, secrets are written and never read, nothing is ever lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from leadflow.outbound.sealing import Seals
from leadflow.outbound.signing import new_secret, signed_headers
from leadflow.services.inbox import replay_events
from leadflow.services.source_book import SourceBook, reseal_sources
from leadflow.services.sources import send_test
from leadflow.sources.definitions import definition_of, read_definition, source_of
from leadflow.sources.mapping import find_answers, leaves, value_at
from leadflow.sources.model import Source
from leadflow.store import replays, sources
from leadflow.store.engine import make_engine
from leadflow.store.inbox import forget_bodies
from leadflow.store.inbox_reads import InboxFilter, inbox_page
from leadflow.store.sources import stored_source
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig
from tests.integration.api_support import problem_of
from tests.support.scenes import CONFIGURATION, Scene, open_scene

FORM = {"form": "demo-request", "email": "anna@nordwind.example"}


@pytest.fixture
def other(scene: Scene) -> Iterator[Scene]:
    """A second web process on the same database."""
    with open_scene(scene.url) as opened:
        yield opened


def deliver(scene: Scene, source: str, document: object = FORM, **more: Any) -> Any:
    scene.delivery = getattr(scene, "delivery", 0) + 1  # type: ignore[attr-defined]
    body = json.dumps(document).encode()
    return scene.deliver(body, delivery_id=f"s-{scene.delivery}", source=source, **more)  # type: ignore[attr-defined]


def sign(scene: Scene, secret: str, delivery_id: str) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(FORM).encode()
    return body, signed_headers([secret], delivery_id, scene.clock(), body)


# -- every process sees it ---------------------------------------------------------------------------------------------


def test_a_new_source_is_known_at_once_to_processes_that_never_heard_of_it(scene: Scene, other: Scene) -> None:
    problem_of(deliver(other, "webshop"), 404)
    scene.made("/sources", {"name": "webshop", "title": "Web shop"})

    assert deliver(other, "webshop").status_code == 200
    other.drain()
    assert other.states() == ["processed"]


def test_what_is_switched_off_is_held_with_the_reason_and_taken_once_it_is_on_again(scene: Scene, other: Scene) -> None:
    scene.drain()  # the worker has read the sources before they change
    assert scene.patch("/sources/generic", {"is_enabled": False}).json["is_enabled"] is False
    event_id = deliver(other, "generic").json["event_id"]
    scene.drain()
    held = scene.event(event_id)
    assert (held.state, "switched off" in held.error) == ("held", True)

    scene.patch("/sources/generic", {"is_enabled": True})
    assert scene.post("/events/replay", {"source": "generic"}).json["events"] == 1
    scene.drain()
    assert scene.event(event_id).state == "processed"


def test_a_row_goes_before_the_file_and_deleting_it_is_back_to_the_file(scene: Scene) -> None:
    changed = scene.patch("/sources/generic", {"title": "Our forms", "fields": {"email": ["who.mail"]}}).json
    assert (changed["origin"], changed["form_types"]["ebook"]) == ("changed", "content")
    event_id = deliver(scene, "generic", {"form": "any", "who": {"mail": "anna@nordwind.example"}}).json["event_id"]
    scene.drain()
    assert scene.event(event_id).state == "processed"

    scene.delete("/sources/generic")
    assert scene.get("/sources/generic").json["origin"] == "file"
    problem_of(scene.delete("/sources/generic"), 409)
    event_id = deliver(scene, "generic", {"form": "any", "who": {"mail": "anna@nordwind.example"}}).json["event_id"]
    scene.drain()
    assert scene.event(event_id).state == "held"


def test_an_idle_process_takes_nothing_by_sources_older_than_a_second(scene: Scene, other: Scene) -> None:
    made = scene.made("/sources", {"name": "signed", "verify": {"kind": "standard-webhooks"}, "new_secret": True})
    body, headers = sign(other, made["secret"], "d-1")
    assert other.deliver(body, source="signed", headers=headers).status_code == 200

    scene.patch("/sources/signed", {"remove_secrets": [made["secrets"][0]["id"]]})
    time.sleep(1.05)
    body, headers = sign(other, made["secret"], "d-2")
    problem_of(other.deliver(body, source="signed", headers=headers), 401)


def test_no_delivery_asks_the_database_for_its_source(scene: Scene) -> None:
    deliver(scene, "generic")
    asked: list[str] = []
    event.listen(scene.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    for _ in range(20):
        assert deliver(scene, "generic").status_code == 200
    looks = [one for one in asked if "installation" in one]
    assert len(looks) <= 2
    assert len([one for one in asked if "INSERT INTO event" in one]) == 20


@pytest.mark.parametrize("source", ["generic", "nobody-knows"])
def test_while_the_database_is_away_no_source_is_unknown(source: str) -> None:
    """A 404 would make some senders give up for good."""
    engine = make_engine("postgresql://postgres@127.0.0.1:1/away")
    app = create_app(WebConfig(engine=engine, secret_key="a secret of the tests", sources=CONFIGURATION.sources))
    answer = app.test_client().post(f"/hooks/{source}", json=FORM)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_secrets_are_written_and_never_read_back(scene: Scene) -> None:
    made = scene.made("/sources", {"name": "signed", "verify": {"kind": "standard-webhooks"}, "new_secret": True})
    secret = made["secret"].removeprefix("whsec_")

    seen = [scene.get("/sources").text, scene.get("/sources/signed").text]
    assert not any(secret in text for text in seen)
    with scene.engine.connect() as connection:
        stored = stored_source(connection, "signed")
        assert stored is not None
        assert stored.sealed is not None
        assert secret.encode() not in stored.sealed
        assert secret not in json.dumps(stored.definition)


def test_several_secrets_are_valid_at_once(scene: Scene) -> None:
    first, second = new_secret(), new_secret()
    scene.made("/sources", {"name": "signed", "verify": {"kind": "standard-webhooks"}, "add_secret": first})
    scene.patch("/sources/signed", {"add_secret": second})
    for number, secret in enumerate((first, second)):
        body, headers = sign(scene, secret, f"d-{number}")
        assert scene.deliver(body, source="signed", headers=headers).status_code == 200

    old = scene.get("/sources/signed").json["secrets"][-1]["id"]
    scene.patch("/sources/signed", {"remove_secrets": [old]})
    time.sleep(1.05)
    answers = []
    for secret in (first, second):
        body, headers = sign(scene, secret, f"d-{secret[-6:]}")
        answers.append(scene.deliver(body, source="signed", headers=headers).status_code)
    assert answers == [401, 200]


def test_a_secret_of_the_environment_holds_beside_those_set_here(reused_database: Any) -> None:
    given, set_here = new_secret(), new_secret()
    book = SourceBook(CONFIGURATION.sources, Seals("a secret of the tests"), {"LEADFLOW_SOURCE_SHOP_SECRET": given})
    with open_scene(reused_database.fresh(), sources=book) as scene:
        scene.made("/sources", {"name": "shop", "verify": {"kind": "standard-webhooks"}, "add_secret": set_here})
        assert {one["origin"] for one in scene.get("/sources/shop").json["secrets"]} == {"environment", "people"}
        for number, secret in enumerate((given, set_here)):
            body, headers = sign(scene, secret, f"d-{number}")
            assert scene.deliver(body, source="shop", headers=headers).status_code == 200


def test_secrets_move_to_a_new_key_and_open_with_it_alone(scene: Scene) -> None:
    old, new = Seals("a secret of the tests"), Seals("another key altogether", ["a secret of the tests"])
    secret = scene.made("/sources", {"name": "s", "verify": {"kind": "standard-webhooks"}, "new_secret": True})[
        "secret"
    ]
    with scene.engine.begin() as connection:
        assert reseal_sources(connection, new) == []
        assert SourceBook({}, Seals("another key altogether")).read(connection)["s"].verification.secrets == (secret,)
        assert SourceBook({}, old).read(connection)["s"].verification.secrets == ()


@pytest.mark.parametrize("secret", ["not base64!", "c2hvcnQ="])
def test_a_secret_that_cannot_sign_is_refused(scene: Scene, secret: str) -> None:
    fault = problem_of(scene.post("/sources", {"name": "s", "add_secret": secret}), 422)["errors"][0]
    assert fault["location"] == "secret"
    problem_of(scene.get("/sources/s"), 404)  # nothing half


# -- administration ----------------------------------------------------------------------------------------------------


def test_two_people_editing_get_a_clear_conflict(scene: Scene) -> None:
    etag = scene.get("/sources/generic").headers["ETag"]
    assert scene.patch("/sources/generic", {"title": "One"}, headers={"If-Match": etag}).status_code == 200
    problem_of(scene.patch("/sources/generic", {"title": "Two"}, headers={"If-Match": etag}), 412)
    assert scene.get("/sources/generic").json["title"] == "One"


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        ({"name": "sales"}, "name"),
        ({"name": "x", "fields": {"emial": ["a"]}}, "fields.emial"),
        ({"name": "x", "new_company_category": "customer"}, "new_company_category"),
        ({"name": "x", "new_company_category": "nothing"}, "new_company_category"),
        ({"name": "x", "answers": "data.{a}.{b}"}, "answers"),
        ({"name": "x", "events": {"a": "undeclared"}}, "events.a"),
    ],
)
def test_what_this_installation_does_not_know_is_refused(scene: Scene, sent: dict[str, Any], location: str) -> None:
    assert problem_of(scene.post("/sources", sent), 422)["errors"][0]["location"] == location


def test_sources_are_for_administrators(scene: Scene) -> None:
    problem_of(scene.get("/sources", role="editor"), 403)
    problem_of(scene.post("/sources", {"name": "x"}, role="editor"), 403)
    problem_of(scene.post("/events/replay", {}, role="viewer"), 403)


def test_a_definition_survives_being_written_down(scene: Scene) -> None:
    for source in CONFIGURATION.sources.values():
        assert source_of(read_definition(definition_of(source).as_document()), source.verification.secrets) == source


# -- a test ------------------------------------------------------------------------------------------------------------


def test_a_test_goes_the_whole_way_and_leaves_nothing(scene: Scene) -> None:
    scene.made("/sources", {"name": "signed", "verify": {"kind": "standard-webhooks"}, "new_secret": True})
    counts = {table: scene.count(table) for table in ("event", "company", "contact", "run", "change", "task")}
    desk, body = scene.app.extensions["leadflow"].desk, json.dumps(FORM).encode()
    with scene.engine.connect() as connection:
        tested = send_test(connection, desk, "signed", "application/json", body, True, scene.clock(), works=True)
        assert (tested.status, tested.is_busy, tested.headers["webhook-id"][:5]) == (200, False, "test-")
        runs = connection.exec_driver_sql(f"SELECT outcome FROM run WHERE event_id = {tested.event_id}").scalars().all()
        assert "fired" in runs
    assert counts == {table: scene.count(table) for table in counts}


def test_a_test_of_a_source_without_a_secret_hears_what_its_sender_would_hear(scene: Scene) -> None:
    desk = scene.app.extensions["leadflow"].desk
    with scene.engine.connect() as connection:
        tested = send_test(
            connection, desk, "standard-webhooks", "application/json", b"{}", True, scene.clock(), works=True
        )
    assert (tested.status, tested.event_id) == (401, None)
    assert "secret" in tested.answer


# -- mappings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "document", "expected"),
    [
        ({"fields": {"email": ("1.3",)}}, {"1.3": "a@b.example", "1": "x"}, ("a@b.example", "1.3")),
        ({"root": "data"}, {"data": {"Work Email": "a@b.example"}}, ("a@b.example", "data.Work Email")),
        (
            {"answers": "data.fields.{label}.value", "fields": {"email": ("Your address",)}},
            {"data": {"fields": [{"label": "Name", "value": "A"}, {"label": "Your address", "value": "a@b.example"}]}},
            ("a@b.example", "data.fields.1.value"),
        ),
        (
            {"answers": "answers.{field.ref}.text|email"},
            {"answers": [{"field": {"ref": "email"}, "email": "a@b.example"}]},
            ("a@b.example", "answers.0.email"),
        ),
        (
            {"answers": "fields.{id}.value"},
            {"fields[email][value]": "a@b.example"},
            ("a@b.example", "fields.email.value"),
        ),
        ({"fields": {"email": ("x", "y.0")}}, {"y": ["a@b.example"]}, ("a@b.example", "y.0")),
        ({"constants": {"email": "a@b.example"}}, {"email": "other"}, ("a@b.example", "")),
    ],
)
def test_a_mapping_finds_the_value_and_says_where(source: dict[str, Any], document: Any, expected: Any) -> None:
    assert find_answers(Source("s", "generic", **source), document)["email"] == expected


def test_every_leaf_has_a_path_that_leads_back_to_it() -> None:
    document = {"a": {"b.c": 1, "d": [{"e": 2}, {"e": None}]}, "tags": ["x", "y"], "empty": {}, "²": "odd"}
    found = leaves(document)
    assert dict(found) == {"a.b.c": 1, "a.d.0.e": 2, "a.d.1.e": None, "tags": ["x", "y"], "empty": {}, "²": "odd"}
    assert all(value_at(document, path) == value for path, value in found)
    assert value_at({"a": ["x"]}, "a.²") is None


# -- the inbox ---------------------------------------------------------------------------------------------------------


def test_events_are_tried_again_reason_by_reason(scene: Scene) -> None:
    for body in (b"{", b'{"form": "a"}', b'{"form": "b"}', b'{"form": "c", "email": "no \xc3\xa5ddress"}'):
        scene.clock.pass_by(seconds=1)
        scene.deliver(body, delivery_id=f"r-{scene.clock.now.second}")
    scene.drain()
    with scene.engine.begin() as connection:
        found = sources.reasons(connection, "held")
        assert [one.events for one in found] == [2, 1, 1]
        choice = replays.Choice("held", "generic", found[0].reason)
        assert replays.count_openable(connection, choice) == replays.Openable(2, 0)
        started = replay_events(connection, {}, choice, "These", "Paula", scene.clock())
        assert (started.events, replays.replay(connection, started.id).done) == (2, 0)
    scene.clock.pass_by(seconds=1)
    scene.drain()
    with scene.engine.connect() as connection:
        view = replays.replay(connection, started.id)
        assert (view.is_over, view.states) == (True, {"held": 2})
        assert replays.held_again(connection, started.id)[0][1] == 2


def test_the_inbox_is_searched_by_whom_events_are_about(scene: Scene) -> None:
    anna = scene.post_form(email="anna@nordwind.example", first_name="Anna", last_name="Berg", company="Nordwind AS")
    kim = scene.post_form(email="kim@fjordly.example", form="newsletter", delivery_id="own-id-7")
    stuck = scene.deliver(b'{"form": "x", "mail address": "lost@nowhere.example"}', delivery_id="l").json["event_id"]
    scene.drain()

    def found(**wanted: str) -> list[int]:
        with scene.engine.connect() as connection:
            page = inbox_page(connection, InboxFilter(**wanted), after=None, limit=10)
        return [one.id for one in page.items]

    assert found(q="Anna") == found(q="nordwind") == found(q="ANNA@nord") == [anna]
    assert found(q="own-id-7") == found(q=str(kim)) == found(form="newsletter") == [kim]
    assert found(q="lost@nowhere") == found(state="held") == [stuck]
    assert found(source="generic") == [stuck, kim, anna]
    assert found(source="none such") == []


def test_old_bodies_that_are_gone_are_counted_apart(scene: Scene) -> None:
    scene.deliver(b"{", delivery_id="old")
    scene.drain()
    with scene.engine.begin() as connection:
        forget_bodies(connection, scene.clock() + timedelta(days=1))
        assert replays.count_openable(connection, replays.Choice("held")) == replays.Openable(0, 1)
    problem_of(scene.post("/events/replay", {"state": "held"}), 409)
