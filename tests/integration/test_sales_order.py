"""Sales: their steps take effect in the order of acceptance, however late the workers come."""

from __future__ import annotations

import pytest

from tests.support.scenes import ANNA, Scene
from tests.unit.test_leadforge_mapping import JOURNEYS, Delivery


def play(scene: Scene, deliveries: list[Delivery], *, drains_each: bool) -> str | None:
    """The journey as calls; the workers come after each or after all of them. The company's category at the end."""
    sales: dict[str, int] = {}
    for number, one in enumerate(deliveries):
        if one.kind == "form":
            scene.post_form(one.form, one.email, delivery_id=f"{number} {one.id}")
        elif one.kind == "sale_registered":
            # A sale needs its company, so the form before it has been worked on.
            if not scene.rows("SELECT 1 FROM company"):
                scene.drain()
            sales[one.sale] = scene.make_sale(scene.company_id())
        else:
            scene.change_sale(sales[one.sale], one.kind.removeprefix("sale_"))
        if drains_each:
            scene.drain()
    scene.drain()
    return scene.category()


@pytest.mark.parametrize("drains_each", [True, False], ids=["workers at once", "workers late"])
@pytest.mark.parametrize(("deliveries", "category"), JOURNEYS.values(), ids=JOURNEYS)
def test_a_journey_ends_where_the_order_of_acceptance_leads(
    scene: Scene, deliveries: list[Delivery], category: str, drains_each: bool
) -> None:
    assert play(scene, deliveries, drains_each=drains_each) == category
    assert set(scene.states()) == {"processed"}
    assert scene.differences() == []


def test_open_sales_are_counted_as_of_the_event(scene: Scene) -> None:
    company = scene.make_company("lead")
    one, two = scene.make_sale(company), scene.make_sale(company)
    scene.change_sale(one, "lost")
    scene.change_sale(two, "lost")

    scene.drain()

    runs = scene.rows("SELECT clauses FROM run WHERE rule = 'sale-lost-to-lost-opportunity' ORDER BY event_id")
    seen = [clause["value"] for run in runs for clause in run.clauses if clause["path"] == "company.open_sales"]
    assert [str(value) for value in seen] == ["1", "0"]
    assert scene.category(company) == "lost-opportunity"
    assert scene.value("SELECT open_sales FROM company") == 0


def test_a_sale_replayed_late_does_not_bring_back_an_old_count(scene: Scene) -> None:
    """Its event failed, the company's later ones went on; replayed, it is judged and leaves the count of today."""
    company = scene.make_company("lead")
    sale = scene.make_sale(company)
    with scene.transaction() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'failed', error = 'a test'")
    scene.change_sale(sale, "lost")
    scene.drain()

    scene.replay(scene.value("SELECT min(id) FROM event"))
    scene.drain()

    assert set(scene.states()) == {"processed"}
    assert scene.value("SELECT open_sales FROM company") == 0


@pytest.mark.parametrize(
    ("status", "steps", "category"),
    [
        ("open", ["registered"], "opportunity"),
        ("sold", ["registered", "sold"], "customer"),
        ("lost", ["registered", "lost"], "lost-opportunity"),
        ("stalled", ["registered", "stalled"], "opportunity"),
    ],
)
def test_a_sale_that_is_created_with_a_status_fires_registered_first(
    scene: Scene, status: str, steps: list[str], category: str
) -> None:
    company = scene.make_company("lead")

    answer = scene.post("/sales", {"company_id": company, "status": status, "title": "Big", "amount": "12.50"})
    scene.drain()

    assert answer.status_code == 201
    bodies = scene.rows("SELECT id, convert_from(body, 'UTF8')::jsonb ->> 'step' AS step FROM event ORDER BY id")
    assert [row.step for row in bodies] == steps
    assert answer.get_json()["event_id"] == bodies[-1].id
    assert set(scene.states()) == {"processed"}
    assert scene.category(company) == category


def test_the_same_status_again_does_nothing(scene: Scene) -> None:
    sale = scene.make_sale(scene.make_company("lead"))

    first = scene.patch(f"/sales/{sale}", {"status": "lost"}).get_json()
    again = scene.patch(f"/sales/{sale}", {"status": "lost"}).get_json()
    scene.patch(f"/sales/{sale}", {"title": "Renamed"})

    assert first["event_id"] is not None
    assert again["event_id"] is None
    assert scene.count("event") == 2


@pytest.mark.parametrize("status", ["stalled", "open"])
def test_a_stalled_or_reopened_sale_fires_no_rule_and_is_counted(scene: Scene, status: str) -> None:
    company = scene.make_company("lead")
    sale = scene.make_sale(company, "stalled" if status == "open" else "open")
    scene.drain()
    before = scene.count("run")

    event = scene.change_sale(sale, status)
    scene.drain()

    assert event is not None
    assert scene.event(event).state == "processed"
    assert scene.count("run") == before
    assert scene.value("SELECT open_sales FROM company") == (1 if status == "open" else 0)


def test_a_sale_and_forms_of_its_company_share_one_order(scene: Scene) -> None:
    company = scene.make_company("lead")
    scene.make_contact(ANNA, company)
    expected = [scene.post_form("a")]
    sale = scene.make_sale(company)
    expected.append(scene.value("SELECT max(id) FROM event"))
    expected += [scene.post_form("b"), scene.change_sale(sale, "lost"), scene.post_form("c")]

    assert len({row.lane for row in scene.rows("SELECT lane FROM event")}) == 1
    assert [row.id for row in scene.rows("SELECT id FROM event ORDER BY id")] == expected


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"company_id": "x"},
        {"company_id": 1, "status": "won"},
        {"company_id": 1, "amount": "NaN"},
        {"company_id": 1, "amount": "1" * 5000},
        {"company_id": 1, "title": "a\x00b"},
        {"company_id": 1, "contact_id": 77},
        {"company_id": True},
        {"company_id": 2**70},
    ],
)
def test_a_sale_that_makes_no_sense_is_refused_and_leaves_nothing(scene: Scene, sent: dict[str, object]) -> None:
    scene.make_company("lead")

    answer = scene.post("/sales", sent)

    assert answer.status_code == 422, answer.text
    assert scene.count("sale") == scene.count("event") == 0


def test_a_sale_of_no_company_is_refused_and_no_sale_is_not_found(scene: Scene) -> None:
    assert scene.post("/sales", {"company_id": 4711}).status_code == 422
    assert scene.patch("/sales/4711", {"status": "lost"}).status_code == 404
