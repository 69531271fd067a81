"""The whole leadforge log goes through real processes: nothing lost, nothing doubled, no customer moved.

PostgreSQL, RabbitMQ, `leadflow web`, two `leadflow worker` and `leadflow scheduler`, told apart from the product by the
outside contract alone. Every third delivery comes twice and all come in shuffled batches, from eight clients at once;
one account's calls are made by one client, so the order in which the server accepted them is known, and the oracle
replays them in this order.

A run takes 400 leads; with LEADFLOW_FULL_LOG=1 the full log of 5,000 (142,000 deliveries, 189,000 with the repeats).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from sqlalchemy import make_url

from tests.acceptance.leadforge_log import FULL_LOG_LEADS, SOURCE, LogEvent, load, shuffled_batches, with_duplicates
from tests.acceptance.oracle import Company, Delivery, replay
from tests.support.processes import Process, Processes, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]

IS_FULL_LOG = os.environ.get("LEADFLOW_FULL_LOG") == "1"
LEADS = FULL_LOG_LEADS if IS_FULL_LOG else 400
SHUFFLE_SEED = 42
CLIENTS = 8
WORKERS = 2
# The shipped default would share a queue with whatever else uses this broker.
QUEUE_SETTING = "LEADFLOW_QUEUE"
API_KEY = "lf_acceptance_0123456789abcdef0123456789abcdef"
COMPANY_APPEARS_WITHIN_SECONDS = 60
ALL_PROCESSED_WITHIN_SECONDS = 600 if IS_FULL_LOG else 60
SERVER_AWAY_AT_MOST_SECONDS = 30
SHOWN_PER_FINDING = 5

NEVER_LEFT_BY_AUTOMATION = {"customer", "partner", "former-customer", "other"}


# --- The clients --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What the server said; `is_repeat` if an earlier try of the same request may have reached it."""

    status: int
    body: Any
    is_repeat: bool = False


class Client:
    """One keep-alive connection that asks again when the server asks it to, or hangs up."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        sent_headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}", **(headers or {})}
        give_up_at = time.monotonic() + SERVER_AWAY_AT_MOST_SECONDS
        is_repeat = False
        while True:
            try:
                self._connection.request(method, path, content, sent_headers)
                response = self._connection.getresponse()
                text = response.read()
            except (http.client.HTTPException, ConnectionError):
                self._connection.close()
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)
            else:
                if response.status not in (429, 503) or time.monotonic() > give_up_at:
                    return Answer(response.status, _json_or_text(text), is_repeat)
                time.sleep(float(response.headers.get("Retry-After", 1)))
            is_repeat = True

    def close(self) -> None:
        self._connection.close()

    def items(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            asked = {"limit": 200, **query, **({"cursor": cursor} if cursor else {})}
            answer = self.call("GET", f"{path}?{urlencode(asked)}")
            assert answer.status == 200, f"GET {path}: {answer}"
            yield from answer.body["items"]
            cursor = answer.body["next"]
            if cursor is None:
                return


def _json_or_text(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")


@dataclass
class Courier:
    """Makes the calls of some accounts, one after another, and notes what the server accepted, in order."""

    client: Client
    accepted: defaultdict[str, list[LogEvent]] = field(default_factory=lambda: defaultdict(list))  # by domain
    event_ids: dict[str, Any] = field(default_factory=dict)  # by delivery id
    company_ids: dict[str, Any] = field(default_factory=dict)  # by domain
    sale_ids: dict[str, Any] = field(default_factory=dict)  # by the log's name of the sale
    repeats: int = 0
    wrong_answers: list[str] = field(default_factory=list)

    def deliver(self, events: Iterable[LogEvent]) -> Courier:
        for event in events:
            known_event_id = self.event_ids.get(event.delivery_id)
            answer = self._post_form(event) if event.kind == "form" else self._call_sales(event)
            if known_event_id is None:
                self._note_accepted(event, answer)
            else:
                self._note_repeated(event, answer, known_event_id)
        return self

    def _note_accepted(self, event: LogEvent, answer: Answer) -> None:
        expected_status = 201 if event.kind == "sale_registered" else 200
        if answer.status != expected_status or not answer.body.get("event_id"):
            self.wrong_answers.append(f"{event.delivery_id}: {answer}")
            return
        if event.kind == "form" and answer.body["duplicate"] and not answer.is_repeat:
            self.wrong_answers.append(f"{event.delivery_id} is no duplicate: {answer}")
        self.event_ids[event.delivery_id] = answer.body["event_id"]
        self.accepted[event.domain].append(event)

    def _note_repeated(self, event: LogEvent, answer: Answer, known_event_id: object) -> None:
        """A repeat is a success without an effect. The same status again does nothing, so it may name no event."""
        self.repeats += 1
        is_success = answer.status in ((200,) if event.kind == "form" else (200, 201))
        named = answer.body.get("event_id") if is_success else None
        is_same = named == known_event_id or (named is None and event.kind in ("sale_sold", "sale_lost"))
        if not is_success or not is_same or (event.kind == "form" and answer.body["duplicate"] is not True):
            self.wrong_answers.append(f"{event.delivery_id} repeated, first event {known_event_id}: {answer}")

    def _post_form(self, event: LogEvent) -> Answer:
        return self.client.call("POST", f"/hooks/{SOURCE}", event.body, {"webhook-id": event.delivery_id})

    def _call_sales(self, event: LogEvent) -> Answer:
        sale = event.sale or ""
        if event.kind != "sale_registered":
            status = event.kind.removeprefix("sale_")
            return self.client.call("PATCH", f"/api/v1/sales/{self.sale_ids.get(sale)}", {"status": status})
        record = {
            "company_id": self._company_id(event.domain),
            "contact_id": None,
            "status": "open",
            "title": event.title,
            "amount": event.amount,
        }
        answer = self.client.call("POST", "/api/v1/sales", record, {"Idempotency-Key": event.delivery_id})
        if answer.status in (200, 201):
            known = self.sale_ids.setdefault(sale, answer.body["id"])
            if known != answer.body["id"]:
                self.wrong_answers.append(f"{event.delivery_id} made a second sale: {answer}")
        return answer

    def _company_id(self, domain: str) -> Any:
        """The id of the company that the first form makes, as soon as that form is processed."""
        if domain not in self.company_ids:
            found = wait_until(
                lambda: list(self.client.items("/api/v1/companies", domain=domain)),
                COMPANY_APPEARS_WITHIN_SECONDS,
                f"a company {domain}",
            )
            self.company_ids[domain] = found[0]["id"]
        return self.company_ids[domain]


def deliver_everything(port: int, events: Iterable[LogEvent]) -> Courier:
    """Every third delivery twice, in shuffled batches, by eight clients; what all of them noted."""
    rounds: list[list[LogEvent]] = [[] for _ in range(CLIENTS)]
    for batch in shuffled_batches(with_duplicates(events), SHUFFLE_SEED):
        for event in batch:
            rounds[int(event.account.rpartition("_")[2]) % CLIENTS].append(event)
    with ThreadPoolExecutor(CLIENTS) as pool:
        couriers = list(pool.map(lambda own: one_round(port, own), rounds))
    noted = couriers[0]
    for courier in couriers[1:]:
        noted.accepted |= courier.accepted
        noted.event_ids |= courier.event_ids
        noted.repeats += courier.repeats
        noted.wrong_answers += courier.wrong_answers
    return noted


def one_round(port: int, events: Iterable[LogEvent]) -> Courier:
    with closing(Client(port)) as client:
        return Courier(client).deliver(events)


# --- What was to come of it, and what came ------------------------------------------------------------------------

Moves = list[tuple[Any, Any, Any]]  # old, new, the id of the event that caused it


@dataclass
class State:
    """Companies by domain, contacts by address: as the oracle says, or as the API shows."""

    categories: dict[str, str | None] = field(default_factory=dict)
    lead_statuses: dict[str, str | None] = field(default_factory=dict)
    active_lead_statuses: dict[str, bool] = field(default_factory=dict)
    company_campaigns: dict[str, str | None] = field(default_factory=dict)
    contact_campaigns: dict[str, str | None] = field(default_factory=dict)
    category_moves: dict[str, Moves] = field(default_factory=dict)
    lead_status_moves: dict[str, Moves] = field(default_factory=dict)


def expected_state(noted: Courier) -> State:
    """The oracle's word on what the server accepted."""
    state = State()
    for domain, accepted in noted.accepted.items():
        company = replay(
            Delivery(event.delivery_id, event.kind, event.form or "", event.email or "", event.sale or "")
            for event in accepted
        )
        campaigns = {event.delivery_id: event.body["utm_campaign"] for event in accepted if event.body}
        state.categories[domain] = company.category
        state.company_campaigns[domain] = next(iter(campaigns.values()))
        state.lead_statuses |= company.lead_statuses
        state.active_lead_statuses |= dict.fromkeys(company.lead_statuses, company.category != "customer")
        state.contact_campaigns |= {email: campaigns[first] for email, first in company.first_deliveries.items()}
        _tell_moves(state, domain, company, noted.event_ids)
    return state


def _tell_moves(state: State, domain: str, company: Company, event_ids: Mapping[str, Any]) -> None:
    for change in company.changes:
        is_category = change.entity == "company"
        moves, key = (state.category_moves, domain) if is_category else (state.lead_status_moves, change.entity)
        moves.setdefault(key, []).append((change.old, change.new, event_ids[change.delivery_id]))


def shown_state(client: Client, ledger: list[dict[str, Any]]) -> State:
    """The API's word."""
    state = State()
    domains, addresses = {}, {}
    for company in client.items("/api/v1/companies"):
        domains[company["id"]] = domain = company["domain"]
        state.categories[domain] = (company["category"] or {}).get("key")
        state.company_campaigns[domain] = (company["first_touch"] or {}).get("campaign")
    for contact in client.items("/api/v1/contacts"):
        addresses[contact["id"]] = email = contact["email"]
        state.lead_statuses[email] = (contact["lead_status"] or {}).get("key")
        state.active_lead_statuses[email] = contact["lead_status_active"]
        state.contact_campaigns[email] = (contact["first_touch"] or {}).get("campaign")
    for row in ledger:
        move = (row["old"], row["new"], row["event_id"])
        if (row["entity"], row["field"]) == ("company", "category"):
            state.category_moves.setdefault(domains[row["entity_id"]], []).append(move)
        elif (row["entity"], row["field"]) == ("contact", "lead_status"):
            state.lead_status_moves.setdefault(addresses[row["entity_id"]], []).append(move)
    return state


def differences(expected: State, shown: State) -> dict[str, list[str]]:
    """By kind of fact: each key where the oracle and the API disagree."""
    found = {}
    for name in vars(expected):
        wanted, got = getattr(expected, name), getattr(shown, name)
        found[name] = [
            f"{key}: expected {wanted.get(key, 'nothing')}, is {got.get(key, 'nothing')}"
            for key in sorted(wanted.keys() | got.keys())
            if wanted.get(key, "nothing") != got.get(key, "nothing")
        ]
    return found


def lost_or_invented(noted: Courier, events: list[dict[str, Any]]) -> list[str]:
    """Deliveries without an event of their own in state processed, and events that nobody delivered."""
    states = {event["id"]: event["state"] for event in events}
    ids_by_delivery = {event["delivery_id"]: event["id"] for event in events if event["source"] == SOURCE}
    forms = {event.delivery_id for accepted in noted.accepted.values() for event in accepted if event.kind == "form"}
    return [
        *(f"{delivery}: {states.get(id, 'lost')}" for delivery, id in noted.event_ids.items()
          if states.get(id) != "processed"),
        *(f"{delivery}: event {ids_by_delivery.get(delivery)}, but answered {noted.event_ids[delivery]}"
          for delivery in forms if ids_by_delivery.get(delivery) != noted.event_ids[delivery]),
        *(f"event {id}: nobody delivered it" for id in states.keys() - set(noted.event_ids.values())),
        *(["an event id was given twice"] if len(set(noted.event_ids.values())) < len(noted.event_ids) else []),
    ]  # fmt: skip


def doubled_rows(ledger: list[dict[str, Any]]) -> list[str]:
    """Effects that stand in the ledger more than once."""
    effects = Counter(
        json.dumps([row[name] for name in ("entity", "entity_id", "field", "old", "new", "actor", "event_id")])
        for row in ledger
    )
    return [f"{count} times {effect}" for effect, count in effects.items() if count > 1]


def customers_moved(ledger: list[dict[str, Any]]) -> list[str]:
    """Rows by which anything but a person took a company out of a protected category; no person took part."""
    return [
        json.dumps(row)
        for row in ledger
        if (row["entity"], row["field"]) == ("company", "category")
        and row["old"] in NEVER_LEFT_BY_AUTOMATION
        and row["actor"]["kind"] != "person"
    ]


def wrong_causes(ledger: list[dict[str, Any]]) -> list[str]:
    """Category changes without an event, or by another than the source (a new company) or a rule."""
    return [
        json.dumps(row)
        for row in ledger
        if (row["entity"], row["field"]) == ("company", "category")
        and (row["event_id"] is None or row["actor"]["kind"] != ("source" if row["old"] is None else "rule"))
    ]


def pending_events(client: Client) -> float:
    """What `/metrics` says is waiting."""
    text = client.call("GET", "/metrics").body
    values = re.findall(r"^leadflow_events_pending(?:\{.*\})? (\S+)$", text, re.MULTILINE)
    assert values, "no leadflow_events_pending in /metrics"
    return sum(map(float, values))


# --- The run ------------------------------------------------------------------------------------------------------


class Installation:
    """leadflow as in production: one web server, two workers, a scheduler, told what they need by the environment."""

    def __init__(self, processes: Processes, environment: dict[str, str], database_url: str) -> None:
        self._processes = processes
        self._environment = {**dict.fromkeys(_own_variables()), **environment}
        self.database_url = database_url
        self.port = free_port()

    def start(self) -> None:
        self.run("db", "upgrade")
        self.run("rules", "apply", "config/rules")
        web = self._start("web", "--host", "127.0.0.1", "--port", str(self.port))
        self._roles = [web, *(self._start("worker") for _ in range(WORKERS)), self._start("scheduler")]
        with closing(Client(self.port)) as client:
            web.wait_until(lambda: client.call("GET", "/readyz").status == 200, 60, "an answer of /readyz")

    def run(self, *command: str) -> None:
        """A command that has to succeed."""
        process = self._start(*command)
        assert process.wait(300) == 0, f"leadflow {' '.join(command)}:\n{process.log()}"

    def ended_processes(self) -> list[str]:
        return [f"{role.name}:\n{role.log()[-2_000:]}" for role in self._roles if not role.is_running]

    def idle_workers(self) -> list[str]:
        """Empty if both workers had a part in it; a worker tells what it did with its next heartbeat."""
        try:
            wait_until(lambda: self._busy_workers() >= WORKERS, 30)
        except AssertionError:
            return [f"only {self._busy_workers()} of {WORKERS} workers say that they did work"]
        return []

    def _busy_workers(self) -> int:
        address = make_url(self.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with closing(psycopg.connect(address)) as connection:
            query = "SELECT count(*) FROM heartbeat WHERE role = 'worker' AND did_work > 0"
            return int(connection.execute(query).fetchone()[0])  # type: ignore[index]

    def _start(self, *command: str) -> Process:
        return self._processes.python("-m", "leadflow", *command, env=self._environment, cwd=ROOT)


def _own_variables() -> list[str]:
    """leadflow refuses names that it does not know, such as those that only the tests read."""
    return [name for name in os.environ if name.startswith("LEADFLOW_")]


@pytest.fixture
def installation(fresh_database_url: str, rabbitmq_url: str, rabbitmq_queue: str, processes: Processes) -> Installation:
    """A running installation with the shipped rules; its processes end before its database and queue go."""
    environment = {
        "LEADFLOW_DATABASE_URL": fresh_database_url,
        "LEADFLOW_BROKER_URL": rabbitmq_url,
        QUEUE_SETTING: rabbitmq_queue,
        "LEADFLOW_SECRET_KEY": "acceptance-secret-key-0123456789abcdef",
        "LEADFLOW_BOOTSTRAP_API_KEY": API_KEY,
    }
    installation = Installation(processes, environment, fresh_database_url)
    installation.start()
    return installation


@pytest.mark.rabbitmq
@pytest.mark.slow
def test_the_log_ends_where_the_oracle_says_and_nothing_is_lost_doubled_or_downgraded(
    installation: Installation, record_property: Callable[[str, object], None]
) -> None:
    log = load(leads=LEADS)
    started_at = time.monotonic()

    noted = deliver_everything(installation.port, log.events)
    accepted_after_seconds = time.monotonic() - started_at
    with closing(Client(installation.port)) as client:
        wait_until(lambda: pending_events(client) == 0, ALL_PROCESSED_WITHIN_SECONDS, "an empty inbox")
        processed_after_seconds = time.monotonic() - started_at
        ledger = list(client.items("/api/v1/changes"))
        events = list(client.items("/api/v1/events"))
        shown = shown_state(client, ledger)

    for name, figure in {
        "shuffle seed": SHUFFLE_SEED,
        "deliveries": len(log.events),
        "repeats": noted.repeats,
        "seconds until all were accepted": round(accepted_after_seconds, 1),
        "seconds until all were processed": round(processed_after_seconds, 1),
    }.items():
        record_property(name, figure)
        sys.stdout.write(f"{name}: {figure}\n")

    expected = expected_state(noted)
    findings = {
        "wrong answers": noted.wrong_answers,
        "lost or invented": lost_or_invented(noted, events),
        "doubled": doubled_rows(ledger),
        "customers moved": customers_moved(ledger),
        "wrong causes": wrong_causes(ledger),
        "ended processes": installation.ended_processes(),
        "idle workers": installation.idle_workers(),
        **differences(expected, shown),
    }
    told = {name: [len(found), *found[:SHOWN_PER_FINDING]] for name, found in findings.items() if found}
    if told:
        pytest.fail(f"count and first {SHOWN_PER_FINDING} of each finding: {json.dumps(told, indent=1)}", pytrace=False)
    assert len(noted.event_ids) == len(log.events)
    assert noted.repeats == len(log.events) // 3
    assert_the_run_could_have_failed(noted, expected)
    installation.run("db", "check")


def assert_the_run_could_have_failed(noted: Courier, expected: State) -> None:
    """Customers were tempted: demo requests and sales came after the sale, and contacts who never had a lead status."""
    customers = {domain for domain, category in expected.categories.items() if category == "customer"}
    tempting = [
        event
        for domain in customers
        for event in _after_first_sale(noted.accepted[domain])
        if event.kind != "form" or event.form == "demo-request"
    ]
    assert len(tempting) > LEADS // 20
    assert None in expected.lead_statuses.values()
    assert {"lead", "opportunity", "lost-opportunity", "customer"} <= set(expected.categories.values())


def _after_first_sale(accepted: list[LogEvent]) -> list[LogEvent]:
    first = next(number for number, event in enumerate(accepted) if event.kind == "sale_sold")
    return accepted[first + 1 :]


def test_the_full_log_is_as_large_as_promised() -> None:
    """About 130,000 dated events, 1,049 customers, some 15,000 events after that; half repeat an account's day."""
    figures = load(seed=42, leads=FULL_LOG_LEADS).figures

    assert figures.engagements == 130_107
    assert figures.customers == 1_049
    assert figures.engagements_after_customer == 15_237
    assert figures.engagements_repeating_account_and_day == 62_555
    assert figures.events == 130_107 + 5_000 + 4_641 + 1_049 + 1_168  # leads, sales, won, lost
