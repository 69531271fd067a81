"""The acceptance log's mapping and its oracle, on cases small enough to check by hand."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import leadforge_log, oracle
from tests.acceptance.leadforge_log import LeadforgeLog, LogEvent, shuffled_batches, with_duplicates
from tests.acceptance.oracle import Change, Company, Delivery, replay
from tests.acceptance.test_leadforge_log import (
    Answer,
    Client,
    Courier,
    State,
    customers_moved,
    differences,
    doubled_rows,
    lost_or_invented,
    wrong_causes,
)

ANNA, BO = "anna@nordwind.example", "bo@nordwind.example"


def form(name: str, email: str = ANNA) -> Delivery:
    return Delivery(id=f"{name} of {email}", kind="form", form=name, email=email)


def demo_request(email: str = ANNA) -> Delivery:
    return form("demo-request", email)


def registered(sale: str = "s1") -> Delivery:
    return Delivery(id=f"{sale} registered", kind="sale_registered", sale=sale)


def sold(sale: str = "s1") -> Delivery:
    return Delivery(id=f"{sale} sold", kind="sale_sold", sale=sale)


def lost(sale: str = "s1") -> Delivery:
    return Delivery(id=f"{sale} lost", kind="sale_lost", sale=sale)


# --- The oracle ---------------------------------------------------------------------------------------------------

JOURNEYS = {
    "a first form makes a lead": ([form("newsletter")], "lead"),
    "a form that no rule names changes nothing more": ([form("newsletter"), form("webinar")], "lead"),
    "a demo request makes an MQL, also as the first form": ([demo_request()], "mql"),
    "a registered sale makes an opportunity out of a lead": ([form("newsletter"), registered()], "opportunity"),
    "a registered sale makes an opportunity out of an MQL": ([demo_request(), registered()], "opportunity"),
    "a demo request does not take an opportunity back": (
        [form("newsletter"), registered(), demo_request()],
        "opportunity",
    ),
    "the last open sale lost makes a lost opportunity": (
        [form("newsletter"), registered(), lost()],
        "lost-opportunity",
    ),
    "one of two open sales lost leaves an opportunity": (
        [form("newsletter"), registered("s1"), registered("s2"), lost("s1")],
        "opportunity",
    ),
    "both open sales lost make a lost opportunity": (
        [form("newsletter"), registered("s1"), registered("s2"), lost("s1"), lost("s2")],
        "lost-opportunity",
    ),
    # An open_sales that is counted when the worker comes by, not in the order of acceptance, ends this one as mql.
    "a demo request between two losses does not take an opportunity back": (
        [form("newsletter"), registered("s1"), registered("s2"), lost("s1"), demo_request(), lost("s2")],
        "lost-opportunity",
    ),
    "a lost opportunity that asks for a demo is an MQL again": (
        [form("newsletter"), registered(), lost(), demo_request()],
        "mql",
    ),
    "a lost opportunity with a new sale is an opportunity again": (
        [form("newsletter"), registered("s1"), lost("s1"), registered("s2")],
        "opportunity",
    ),
    "a sale sold makes a customer": ([form("newsletter"), registered(), sold()], "customer"),
    "a lost opportunity whose sale is sold after all is a customer": (
        [form("newsletter"), registered(), lost(), sold()],
        "customer",
    ),
    "a customer stays one, whatever comes": (
        [form("newsletter"), registered("s1"), sold("s1"), demo_request(), registered("s2"), lost("s2"), sold("s2")],
        "customer",
    ),
}


@pytest.mark.parametrize(("deliveries", "category"), JOURNEYS.values(), ids=JOURNEYS)
def test_the_oracle_knows_where_a_journey_ends(deliveries: list[Delivery], category: str) -> None:
    assert replay(deliveries).category == category


@pytest.mark.parametrize("protected", ["customer", "former-customer", "partner", "other"])
def test_nothing_leads_out_of_a_protected_category(protected: str) -> None:
    company = Company(category=protected, is_known=True)

    replay([form("newsletter"), demo_request(), registered(), lost(), registered("s2"), sold("s2")], company)

    assert company.category == protected
    assert company.changes == []
    assert company.lead_statuses == {ANNA: None}


def test_a_sale_does_not_make_a_customer_out_of_no_category() -> None:
    company = Company(is_known=True, open_sales={"s1"})

    assert replay([sold()], company).category is None


@pytest.mark.parametrize("category", [None, "lead", "mql"])
def test_a_lost_sale_moves_opportunities_only(category: str | None) -> None:
    company = Company(category=category, is_known=True, open_sales={"s1"})

    assert replay([lost()], company).category == category


def test_every_change_is_told_once_and_in_order() -> None:
    demo_of_bo = demo_request(BO)

    company = replay([form("newsletter"), demo_of_bo, registered(), sold()])

    assert company.changes == [
        Change("company", None, "lead", "newsletter of anna@nordwind.example"),
        Change(ANNA, None, "open", "newsletter of anna@nordwind.example"),
        Change(BO, None, "open", demo_of_bo.id),
        Change("company", "lead", "mql", demo_of_bo.id),
        Change("company", "mql", "opportunity", "s1 registered"),
        Change("company", "opportunity", "customer", "s1 sold"),
    ]


def test_a_contact_met_at_a_customer_has_no_lead_status_and_the_others_keep_theirs() -> None:
    company = replay([form("newsletter"), registered(), sold(), form("webinar", BO)])

    assert company.lead_statuses == {ANNA: "open", BO: None}


def test_contacts_become_open_when_their_company_enters_an_enabled_category() -> None:
    company = Company(is_known=True)

    replay([form("newsletter"), form("newsletter", BO), demo_request()], company)

    assert company.changes[:1] == [Change("company", None, "mql", demo_request().id)]
    assert company.lead_statuses == {ANNA: "open", BO: "open"}


def test_an_address_is_one_contact_however_it_is_typed() -> None:
    company = replay([form("newsletter", " Anna@Nordwind.example "), form("webinar", ANNA.upper())])

    assert company.lead_statuses == {ANNA: "open"}
    assert company.first_deliveries == {ANNA: "newsletter of  Anna@Nordwind.example "}


def test_the_oracle_has_nothing_of_the_product_in_it() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert imported == {"__future__", "collections.abc", "dataclasses", "typing"}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


# --- The log ------------------------------------------------------------------------------------------------------

LEADS = 60


@pytest.fixture(scope="module")
def log() -> LeadforgeLog:
    return leadforge_log.load(leads=LEADS)


def test_the_log_is_the_same_everywhere(log: LeadforgeLog) -> None:
    """Each figure was counted once in leadforge's own tables, too: 1,248 rows, 12 customers, 86 and 905 of the rows."""
    assert log.figures == leadforge_log.LogFigures(
        events=1_394,
        engagements=1_248,
        customers=12,
        customer_accounts=9,
        engagements_after_customer=86,
        engagements_sharing_account_and_day=905,
        engagements_repeating_account_and_day=598,
        accounts=16,
        contacts=73,
        demo_requests=52,
        sales=53,
        first_day="2024-01-01",
        last_day="2024-04-26",
    )


def test_the_log_of_the_cache_is_the_log_that_was_generated(
    log: LeadforgeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    generated = leadforge_log.load(leads=LEADS)
    monkeypatch.setattr(leadforge_log, "_generated_tables", lambda seed, leads: pytest.fail("not from the cache"))
    cached = leadforge_log.load(leads=LEADS)

    assert generated.events == cached.events == log.events
    assert len(list(tmp_path.iterdir())) == 1


def test_a_broken_cache_file_is_written_anew(
    log: LeadforgeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    leadforge_log.load(leads=LEADS)
    (file,) = tmp_path.iterdir()

    file.write_bytes(file.read_bytes()[:-100])

    assert leadforge_log.load(leads=LEADS).events == log.events


def test_another_seed_is_another_log(log: LeadforgeLog) -> None:
    assert leadforge_log.load(seed=43, leads=LEADS).events != log.events


def test_delivery_ids_are_unique_and_times_ascend(log: LeadforgeLog) -> None:
    assert len({event.delivery_id for event in log.events}) == len(log.events)
    assert [event.at for event in log.events] == sorted(event.at for event in log.events)


def test_every_account_has_one_domain_of_its_own(log: LeadforgeLog) -> None:
    accounts_by_domain = defaultdict(set)
    for event in log.events:
        accounts_by_domain[event.domain].add(event.account)

    assert len(accounts_by_domain) == log.figures.accounts
    assert all(len(accounts) == 1 for accounts in accounts_by_domain.values())
    assert all(re.fullmatch(r"[a-z]+-\d{4}\.example", domain) for domain in accounts_by_domain)


def test_every_form_comes_from_its_account_however_the_address_is_typed(log: LeadforgeLog) -> None:
    forms = [event for event in log.events if event.body]

    assert all(event.email == event.body["email"].strip().casefold() for event in forms if event.body)
    assert all(str(event.email).endswith(f"@{event.domain}") for event in forms)
    assert any(event.email != event.body["email"] for event in forms if event.body)


def test_one_form_in_the_log_is_named_by_a_rule_and_every_account_begins_with_a_form(log: LeadforgeLog) -> None:
    forms = Counter(event.form for event in log.events)
    first_kinds = {event.account: event.kind for event in reversed(log.events)}

    assert forms["demo-request"] == log.figures.demo_requests
    assert {"content-download", "webinar", "page-visit", "sales-call", "newsletter"} <= set(forms)
    assert set(first_kinds.values()) == {"form"}


def test_a_sale_is_registered_before_it_is_sold_or_lost(log: LeadforgeLog) -> None:
    calls = defaultdict(list)
    for event in log.events:
        if event.sale:
            calls[event.sale].append(event.kind)

    assert {tuple(kinds) for kinds in calls.values()} == {
        ("sale_registered",),
        ("sale_registered", "sale_sold"),
        ("sale_registered", "sale_lost"),
    }


# --- Duplicates and shuffling -------------------------------------------------------------------------------------


def test_every_third_delivery_comes_twice(log: LeadforgeLog) -> None:
    counts = Counter(event.delivery_id for event in with_duplicates(log.events))

    assert [counts[event.delivery_id] for event in log.events[:6]] == [1, 1, 2, 1, 1, 2]
    assert counts.total() == len(log.events) + len(log.events) // 3


def test_shuffling_keeps_every_delivery_in_its_window_and_depends_on_the_seed_alone(log: LeadforgeLog) -> None:
    deliveries = list(with_duplicates(log.events))

    batches = list(shuffled_batches(deliveries, seed=1, batch=100))

    for number, batch in enumerate(batches):
        window = deliveries[number * 100 : (number + 1) * 100]
        assert Counter(event.delivery_id for event in batch) == Counter(event.delivery_id for event in window)
        assert batch != window
    assert batches == list(shuffled_batches(deliveries, seed=1, batch=100))
    assert batches != list(shuffled_batches(deliveries, seed=2, batch=100))


@pytest.mark.parametrize("seed", range(10))
def test_a_shuffled_order_can_happen(log: LeadforgeLog, seed: int) -> None:
    seen: set[str] = set()
    for batch in shuffled_batches(with_duplicates(log.events), seed, batch=300):
        for event in batch:
            assert event.needs is None or event.needs in seen
            seen.add(event.provides or "")


def test_shuffling_refuses_a_sale_without_its_company(log: LeadforgeLog) -> None:
    sale = next(event for event in log.events if event.kind == "sale_registered")

    with pytest.raises(ValueError, match=sale.account):
        list(shuffled_batches([sale], seed=1))


def test_shuffling_matters(log: LeadforgeLog) -> None:
    """The order of acceptance decides what happens on the way, so the oracle must be told it."""
    shuffled = [event for batch in shuffled_batches(log.events, seed=1) for event in batch]

    assert changes_by_account(shuffled) != changes_by_account(log.events)


def changes_by_account(events: list[LogEvent]) -> dict[str, list[Change]]:
    companies: defaultdict[str, Company] = defaultdict(Company)
    for event in events:
        companies[event.account].take(
            Delivery(event.delivery_id, event.kind, event.form or "", event.email or "", event.sale or "")
        )
    return {account: company.changes for account, company in companies.items()}


# --- What the acceptance run calls wrong: a run that finds nothing must have looked -----------------------------------


def ledger_row(**changed: Any) -> dict[str, Any]:
    row = {
        "id": 1,
        "entity": "company",
        "entity_id": 7,
        "field": "category",
        "old": "lead",
        "new": "mql",
        "event_id": 3,
    }
    return {**row, "actor": {"kind": "rule", "id": "1", "name": "demo-request-to-mql"}, **changed}


def noted(**event_ids: int) -> Courier:
    """A courier to whom these deliveries of the form newsletter were accepted."""
    courier = Courier(Client(port=1))
    courier.event_ids.update(event_ids)
    return courier


def test_an_effect_that_stands_twice_in_the_ledger_is_found() -> None:
    once, again, other_event = ledger_row(), ledger_row(id=2), ledger_row(id=3, event_id=4)

    assert doubled_rows([once, other_event]) == []
    assert len(doubled_rows([once, again, other_event])) == 1


@pytest.mark.parametrize("old", ["customer", "former-customer", "partner", "other"])
@pytest.mark.parametrize(
    ("kind", "found"), [("rule", 1), ("import", 1), ("connector", 1), ("source", 1), ("person", 0)]
)
def test_a_customer_moved_by_anything_but_a_person_is_found(old: str, kind: str, found: int) -> None:
    assert len(customers_moved([ledger_row(old=old, actor={"kind": kind, "name": "x"}), ledger_row()])) == found


def test_a_category_change_without_its_cause_is_found() -> None:
    new_company = ledger_row(old=None, new="lead", actor={"kind": "source", "name": "generic"})

    assert wrong_causes([ledger_row(), new_company]) == []
    assert len(wrong_causes([ledger_row(event_id=None), ledger_row(old=None), {**new_company, "old": "lead"}])) == 3


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([("processed", 1), ("processed", 2)], []),
        ([("processed", 1)], ["b: lost"]),
        ([("processed", 1), ("held", 2)], ["b: held"]),
        ([("processed", 1), ("processed", 2), ("processed", 3)], ["event 3: nobody delivered it"]),
    ],
)
def test_a_lost_held_or_invented_event_is_found(events: list[tuple[str, int]], found: list[str]) -> None:
    shown = [{"id": id, "state": state, "source": "generic", "delivery_id": "-"} for state, id in events]

    assert lost_or_invented(noted(a=1, b=2), shown) == found


def test_one_event_for_two_deliveries_is_found() -> None:
    shown = [{"id": 1, "state": "processed", "source": "generic", "delivery_id": "a"}]

    assert lost_or_invented(noted(a=1, b=1), shown) == ["an event id was given twice"]


def test_a_wrong_a_missing_and_an_unexpected_record_are_found() -> None:
    expected = State(categories={"a.example": "mql", "b.example": "lead"})
    shown = State(categories={"a.example": "lead", "c.example": None})

    assert differences(expected, shown)["categories"] == [
        "a.example: expected mql, is lead",
        "b.example: expected lead, is nothing",
        "c.example: expected nothing, is None",
    ]


FIRST = Answer(200, {"event_id": 1, "duplicate": False})
REPEATED = Answer(200, {"event_id": 1, "duplicate": True})
UNKNOWN_BUT_CALLED_DUPLICATE = Answer(200, {"event_id": 1, "duplicate": True})
TAKEN_TWICE = Answer(200, {"event_id": 2, "duplicate": False})


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ([FIRST, REPEATED], 0),
        ([FIRST, TAKEN_TWICE], 1),
        ([FIRST, FIRST], 1),
        ([UNKNOWN_BUT_CALLED_DUPLICATE], 1),
        ([Answer(200, {"event_id": 1, "duplicate": True}, is_repeat=True)], 0),  # the answer to the first try was lost
        ([Answer(202, {"event_id": 1, "duplicate": False})], 1),
        ([Answer(500, "oops")], 1),
    ],
)
def test_an_answer_against_the_contract_is_found(log: LeadforgeLog, answers: list[Answer], wrong: int) -> None:
    courier = Courier(ScriptedClient(answers))

    courier.deliver([log.events[0]] * len(answers))

    assert len(courier.wrong_answers) == wrong


class ScriptedClient(Client):
    """Gives the answers it was told to."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(port=1)
        self._answers = iter(answers)

    def call(self, *_: object, **__: object) -> Answer:
        return next(self._answers)
