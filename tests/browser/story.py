"""A month at an invented company, told through the same services as everything else: forms, sales, edits by people.

The screens need records with a past. `tell_story` fills an empty, migrated database, each time with the same story.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.access import Role, create_account
from leadflow.services.configuration import Configuration, read_configuration
from leadflow.services.follow_ups import change_task
from leadflow.services.inbox import prepare_arrival, receive_arrivals
from leadflow.services.installation import apply_configuration
from leadflow.services.processing import Desk, process_events
from leadflow.services.records import change_company, change_contact
from leadflow.services.rule_sets import live_documents, publish
from leadflow.services.sales import change_sale, create_sale
from leadflow.services.sweeps import start_sweep
from leadflow.store.engine import make_engine
from leadflow.store.inbox import claim
from leadflow.tasks.sweeping import Sweeper

CONFIG = Path(__file__).resolve().parents[2] / "config"
PASSWORD = "correct-horse-battery"
ADMIN = "ada@ours.example"
VIEWER = "vera@ours.example"
SEED = 20261122

COMPANIES = (
    ("Nordwind AS", "nordwind.example"),
    ("Fjellheim Logistikk", "fjellheim.example"),
    ("Halden & Sønn", "halden.example"),
    ("Kestrel Instruments", "kestrel.example"),
    ("Brightwater Foods", "brightwater.example"),
    ("Oakline Software", "oakline.example"),
    ("Solvik Shipping", "solvik.example"),
    ("Marlow & Finch", "marlowfinch.example"),
    ("Tidewater Clinics", "tidewater.example"),
    ("Aurora Textiles", "aurora-textiles.example"),
    ("Pinewood Press", "pinewood.example"),
    ("Granit Bau GmbH", "granitbau.example"),
    ("Atelier Lumière", "atelier-lumiere.example"),
    ("Hexagon Robotics", "hexrobotics.example"),
    ("Bluefin Analytics", "bluefin.example"),
    ("Juniper Travel", "junipertravel.example"),
    ("Castle Rock Energy", "castlerock.example"),
    ("Verdant Labs", "verdant.example"),
    ("Sandbach Mobility", "sandbach.example"),
    ("Quayside Insurance", "quayside.example"),
    ("Ember Coffee Roasters", "ember.example"),
    ("Northlight Media", "northlight.example"),
    ("Stellar Dental", "stellardental.example"),
    ("Wolfram Maskin", "wolfram-maskin.example"),
)
FIRST_NAMES = (
    "Anna",
    "Jonas",
    "Mia",
    "Henrik",
    "Sofia",
    "Lars",
    "Emma",
    "Oskar",
    "Ines",
    "Tom",
    "Clara",
    "Nils",
    "Maja",
    "Paul",
)
LAST_NAMES = (
    "Berg",
    "Lindqvist",
    "Okafor",
    "Haugen",
    "Moreau",
    "Keller",
    "Novak",
    "Sørensen",
    "Patel",
    "Rossi",
    "Larsen",
    "Weiss",
)
FORMS = ("contact", "newsletter", "whitepaper", "whitepaper", "webinar", "pricing")
CAMPAIGNS = (
    ("linkedin", "paid-social", "spring"),
    ("google", "cpc", "crm-switch"),
    ("newsletter", "email", "november"),
)

OWN_RULES = """\
# Rules of the example company, beside the shipped ones.
leadflow: 1

rules:
  - rule: pricing-page-to-mql
    title: A pricing request from a company that fits makes it an MQL
    why: Agreed with sales in February; revisit when the pricing page changes.
    owner: marketing-ops
    status: live
    priority: 65
    when: {form_submitted: {form: pricing}}
    if:
      all:
        - company.category: {in: [Lead, Lost opportunity]}
        - form.country: {in: [Norway, Sweden, Germany]}
        - company.tags: {has_none: [student]}
    then:
      - set_category: {to: Marketing qualified lead}
    limit: {once_per: company, within: 30 days}

  - rule: webinar-to-mql
    title: Whoever attends a webinar becomes an MQL
    why: Tried in shadow first, to see how many it would move.
    owner: growth-team
    status: shadow
    when: {form_submitted: {form: webinar}}
    if:
      all:
        - company.category: Lead
    then:
      - set_category: {to: Marketing qualified lead}

  - rule: tag-campaign
    title: The campaign of a form becomes a tag
    owner: marketing-ops
    status: live
    when: {form_submitted: any}
    if:
      all:
        - form.utm_campaign: {exists: true}
    then:
      - add_tag: "{{ form.utm_campaign }}"

  - rule: ask-again
    title: Leads in Re-nurture are asked again
    why: After some time things may look different.
    owner: marketing-ops
    status: live
    when: {schedule: {every: week, on: [mon, thu], at: "07:00", for_each: contact}}
    if:
      all:
        - contact.lead_status: Re-nurture
        - none:
            - company.tags: {has: student}
            - event_count: {of: form_submitted, by: contact, within_last: 1 day, gte: 1}
    then:
      - add_tag: asked-again
      - notify: {to: sales, text: "{{ contact.first_name | default('A lead') }} may be asked again"}
    limit: {once_per: contact, within: 90 days}

  - rule: tag-everybody
    title: Every contact gets a tag
    why: A mistake, as the brake will show.
    owner: growth-team
    status: live
    when: {schedule: {every: month, for_each: contact}}
    then:
      - add_tag: everybody
    limit: {once_per: contact}
"""
SCHEDULED = ("ask-again", "tag-everybody")
BRAKE = 12


@dataclass
class Story:
    """Tells what happens at a moment, and lets the workers do their part at once."""

    engine: Engine
    configuration: Configuration
    seed: int = SEED
    chance: random.Random = field(init=False)
    desk: Desk = field(init=False)
    person: Actor = field(init=False)
    deliveries: Iterator[int] = field(init=False)
    plans: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.desk = Desk(self.configuration.sources)
        self.person = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)
        self.deliveries = iter(range(1, 1_000_000))

    def plan(self, at: datetime, what: Callable[..., Any], *details: Any, **more: Any) -> None:
        """Let `what` happen at that moment, after all that was planned for earlier ones."""
        self.plans.append((at, len(self.plans), lambda: what(self, at, *details, **more)))

    def happen(self, until: datetime) -> None:
        """All that was planned, in the order of time."""
        for at, _, what in sorted(self.plans, key=lambda one: one[:2]):
            if at < until:
                what()

    def texts(self, query: str) -> list[str]:
        with self.engine.connect() as connection:
            return [str(value) for value in connection.scalars(text(query))]

    def tick_off_tasks(self, at: datetime) -> None:
        """People do what is a day old, all but a few."""
        with self.engine.begin() as connection:
            query = "SELECT id FROM task WHERE done_at IS NULL AND created_at < :day ORDER BY id"
            due = list(connection.scalars(text(query), {"day": at - timedelta(days=1)}))
            for task_id in due:
                if self.chance.random() < 0.8:
                    change_task(connection, task_id, {"done": True}, at)

    def form(self, at: datetime, works: bool = True, **answers: Any) -> None:
        """A form comes in."""
        self.body(at, json.dumps(answers).encode(), works)

    def body(self, at: datetime, content: bytes, works: bool = True) -> None:
        """Bytes come in, whatever they are."""
        headers = {"webhook-id": f"story-{next(self.deliveries)}"}
        arrival = prepare_arrival(self.configuration.sources["generic"], headers, "application/json", content, at)
        with self.engine.begin() as connection:
            receive_arrivals(connection, [arrival])
        if works:
            self.work(at)

    def work(self, at: datetime) -> None:
        """The workers empty the inbox."""
        moment = at + timedelta(milliseconds=self.chance.randint(40, 400))
        with self.engine.begin() as connection:
            process_events(connection, self.desk, claim(connection, moment, 500), moment)

    def sale(self, at: datetime, domain: str, title: str, amount: str) -> None:
        with self.engine.begin() as connection:
            company_id = _company(connection, domain)
            sent = {"company_id": company_id, "title": title, "amount": amount}
            create_sale(connection, self.person, sent, at)
        self.work(at)

    def close(self, at: datetime, sale_id: int, status: str) -> None:
        with self.engine.begin() as connection:
            change_sale(connection, self.person, sale_id, {"status": status}, at)
        self.work(at)

    def status(self, at: datetime, email: str, status: str) -> None:
        with self.engine.begin() as connection:
            contact_id = connection.scalar(text("SELECT id FROM contact WHERE email = :e"), {"e": email})
            change_contact(connection, self.person, contact_id, {"lead_status": status}, at)
        self.work(at)

    def category(self, at: datetime, domain: str, category: str) -> None:
        with self.engine.begin() as connection:
            change_company(connection, self.person, _company(connection, domain), {"category": category}, at)
        self.work(at)


def _company(connection: Any, domain: str) -> int:
    return int(connection.scalar(text("SELECT id FROM company WHERE domain = :d"), {"d": domain}))


def tell_story(url: str, now: datetime | None = None) -> None:
    """Fill the database: accounts, rules, and some 200 events of the last 30 days."""
    now = now or datetime.now(UTC)
    engine = make_engine(url)
    try:
        configuration = read_configuration(CONFIG)
        _install(engine, configuration, now)
        story = Story(engine, configuration)
        _tell_the_month(story, now)
        _tell_today(story, now)
        story.happen(until=now)
        _sweep(story, now)
    finally:
        engine.dispose()


def _install(engine: Engine, configuration: Configuration, now: datetime) -> None:
    with engine.begin() as connection:
        apply_configuration(connection, configuration, now)
        create_account(connection, ADMIN, "Ada Lindgren", Role.ADMIN, now, PASSWORD)
        create_account(connection, VIEWER, "Vera Holm", Role.VIEWER, now, PASSWORD)
    with engine.begin() as connection:
        documents = {**live_documents(connection)[1], "our-rules.yaml": OWN_RULES}
        actor = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)
        publish(connection, actor, documents, origin="files", now=now - timedelta(days=31))


def _sweep(story: Story, now: datetime) -> None:
    """The scheduled rules come round: one does its work, the other is braked."""
    for slug in SCHEDULED:
        with story.engine.begin() as connection:
            start_sweep(connection, story.desk, slug, "leadflow", now)
    Sweeper(story.engine, story.desk, lambda: now, max_changes=BRAKE).sweep()


def _tell_the_month(story: Story, now: datetime) -> None:
    """Forms from all companies, more on weekdays; some get a sale; sales works on its leads."""
    people = _people(story.chance)
    for back in range(29, 0, -1):
        day = now - timedelta(days=back)
        for _ in range(story.chance.randint(1, 3) if day.weekday() >= 5 else story.chance.randint(3, 7)):
            name, domain = story.chance.choice(COMPANIES[1:])
            at = day + timedelta(minutes=story.chance.randint(-400, 300))
            story.plan(at, Story.form, **_answers(story.chance, people, name, domain))
        story.plan(day + timedelta(hours=2), _close_a_sale)
        story.plan(day + timedelta(hours=4), _open_a_sale)
        story.plan(day + timedelta(hours=5), _work_on_leads)


def _open_a_sale(story: Story, at: datetime) -> None:
    candidates = story.texts("SELECT domain FROM company WHERE category_key = 'mql' AND open_sales = 0 ORDER BY id")
    if candidates and story.chance.random() < 0.45:
        amount = str(story.chance.randint(4, 90) * 1000)
        title = story.chance.choice(("Rollout", "Pilot", "Renewal, two teams"))
        story.sale(at, story.chance.choice(candidates), title, amount)


def _close_a_sale(story: Story, at: datetime) -> None:
    for sale_id in story.texts("SELECT id FROM sale WHERE status = 'open' ORDER BY id"):
        if story.chance.random() < 0.12:
            story.close(at, int(sale_id), story.chance.choice(("sold", "sold", "lost")))


def _work_on_leads(story: Story, at: datetime) -> None:
    """Two calls a day, and what came of earlier ones."""
    query = (
        "SELECT email FROM contact JOIN company ON company.id = company_id"
        " WHERE company.category_key IN ('lead', 'mql', 'opportunity') AND lead_status_key = '{}' ORDER BY contact.id"
    )
    for email in story.texts(query.format("contacting"))[:1]:
        story.status(at, email, story.chance.choice(("qualified", "qualified", "re-nurture", "disqualified")))
    for email in story.texts(query.format("open"))[:2]:
        story.status(at + timedelta(minutes=9), email, "contacting")
    story.tick_off_tasks(at)


def _people(chance: random.Random) -> dict[str, list[tuple[str, str]]]:
    return {
        domain: [(chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)) for _ in range(chance.randint(1, 3))]
        for _, domain in COMPANIES
    }


def _answers(chance: random.Random, people: dict[str, list[tuple[str, str]]], name: str, domain: str) -> dict[str, Any]:
    first, last = chance.choice(people[domain])
    answers: dict[str, Any] = {
        "form": "demo-request" if chance.random() < 0.16 else chance.choice(FORMS),
        "email": f"{first}.{last}@{domain}".lower().replace("ø", "o"),
        "first_name": first,
        "last_name": last,
        "company": name,
        "country": chance.choice(("Norway", "Sweden", "Germany", "France")),
    }
    if chance.random() < 0.4:
        source, medium, campaign = chance.choice(CAMPAIGNS)
        answers |= {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign}
    return answers


def _tell_today(story: Story, now: datetime) -> None:
    """What the tests and pictures look at: two companies on their way, and one of each trouble."""

    def ago(**span: float) -> datetime:
        return now - timedelta(**span)

    anna = _somebody("Anna", "Berg", "Nordwind AS", "nordwind.example")
    utm = {"utm_source": "linkedin", "utm_medium": "paid-social", "utm_campaign": "spring"}
    story.plan(ago(hours=30), Story.form, form="whitepaper", **anna, **utm)
    story.plan(ago(hours=6), Story.form, form="pricing", **anna, country="France")
    story.plan(ago(minutes=38), Story.form, form="demo-request", **anna, message="Could you show us the rules?")
    story.plan(ago(minutes=21), Story.status, anna["email"], "contacting")

    kim = _somebody("Kim", "Solberg", "Fjordly Logistikk", "fjordly.example")
    story.plan(ago(days=2), Story.form, form="demo-request", **kim)
    story.plan(ago(days=1, hours=20), Story.status, kim["email"], "qualified")
    story.plan(ago(days=1), Story.sale, "fjordly.example", "Fleet rollout", "48000")
    story.plan(ago(hours=3), _sell, "fjordly.example")
    story.plan(ago(minutes=12), Story.form, form="demo-request", **kim)
    story.plan(ago(minutes=8), Story.sale, "fjordly.example", "Second depot", "12000")

    story.plan(ago(hours=20), Story.category, "kestrel.example", "partner")
    sam = {"email": "sam.rivers@gmail.com", "first_name": "Sam", "last_name": "Rivers"}
    story.plan(ago(minutes=55), Story.form, form="newsletter", **sam)
    story.plan(ago(minutes=47), Story.body, b'{"form": "contact", "name": "No address left"}')
    story.plan(ago(hours=9), Story.body, b'{"form": "contact", "email": ')
    people = _people(story.chance)
    for minutes in (440, 390, 300, 230, 170, 120, 70, 29, 17, 4):
        name, domain = story.chance.choice(COMPANIES[3:])
        story.plan(ago(minutes=minutes), Story.form, **_answers(story.chance, people, name, domain))
    story.plan(ago(minutes=50), _fail_the_latest)


def _somebody(first: str, last: str, company: str, domain: str) -> dict[str, str]:
    return {"email": f"{first.lower()}@{domain}", "first_name": first, "last_name": last, "company": company}


def _sell(story: Story, at: datetime, domain: str) -> None:
    query = f"SELECT sale.id FROM sale JOIN company ON company.id = company_id WHERE domain = '{domain}'"
    story.close(at, int(story.texts(query)[0]), "sold")


def _fail_the_latest(story: Story, at: datetime) -> None:
    """Somebody's form that could not be processed, whatever was tried."""
    answers = {"form": "contact", "email": "r.moreau@atelier-lumiere.example", "first_name": "Remy"}
    story.body(at, json.dumps(answers).encode(), works=False)
    statement = text("UPDATE event SET state = 'failed', failures = 5, error = :error WHERE state = 'pending'")
    with story.engine.begin() as connection:
        connection.execute(statement, {"error": "The database was away during five attempts."})
