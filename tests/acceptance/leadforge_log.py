"""The simulated B2B event log of the package `leadforge`, told as calls on leadflow's outside contract.

leadforge simulates accounts, contacts and leads day by day: touches, web sessions, sales activities, opportunities and
their outcome. Each row becomes one `LogEvent`: a webhook body for `POST /hooks/generic` or a call on the sales API.

    lead appears            -> form newsletter / outbound-list / partner-referral (so a form opens every account)
    touch                   -> form content-download (form_type content), webinar, email-click, ...
    session on demo_page    -> form demo-request, the one form that a shipped rule names
    other session           -> form page-visit, pricing-page
    sales activity          -> form sales-call, sales-email, sales-meeting, sales-demo (form_type activity)
    opportunity             -> sale registered, and later sold (closed_won) or lost (closed_lost)

The log knows days only; the time of day comes from a checksum of the row's id, so it is the same on every machine.
A webinar is joined by a colleague of the lead, another one each month, so contacts appear all the time, also at
customers; every other engagement is the lead's own. Every contact gets an address at its account's own domain, also
those that leadforge calls personal: who has a free-mail address belongs to no company, and this log is about companies.

Run `python -m tests.acceptance.leadforge_log [LEADS]` to see the figures.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

SOURCE = "generic"
RECIPE = "b2b_saas_procurement_v1"
FULL_LOG_LEADS = 5_000

Kind = Literal["form", "sale_registered", "sale_sold", "sale_lost"]
Row = dict[str, Any]
Tables = dict[str, list[Row]]


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One delivery: a form (`email` and `body` set) or a sales call (`sale`, `title` and `amount` set)."""

    kind: Kind
    at: datetime
    account: str
    company_name: str
    domain: str
    delivery_id: str
    is_engagement: bool = False
    email: str | None = None
    body: Mapping[str, str] | None = None
    sale: str | None = None
    title: str | None = None
    amount: str | None = None

    @property
    def form(self) -> str | None:
        """The name of the form, None for a sales call."""
        return self.body["form"] if self.body else None

    @property
    def needs(self) -> str | None:
        """What must have been delivered before: a sale needs its company, an outcome needs its sale."""
        if self.kind == "form":
            return None
        return self.account if self.kind == "sale_registered" else self.sale

    @property
    def provides(self) -> str | None:
        """What others may need."""
        if self.kind == "form":
            return self.account
        return self.sale if self.kind == "sale_registered" else None


@dataclass(frozen=True, slots=True)
class LogFigures:
    """How big the log is. An *engagement* is a dated row of leadforge: touch, session or sales activity."""

    events: int
    engagements: int
    customers: int  # won sales, as leadforge counts them
    customer_accounts: int
    engagements_after_customer: int  # on a later day than the account's first won sale
    engagements_sharing_account_and_day: int  # with at least one other
    engagements_repeating_account_and_day: int  # with an earlier one
    accounts: int
    contacts: int
    demo_requests: int
    sales: int
    first_day: str
    last_day: str


@dataclass(frozen=True, slots=True)
class LeadforgeLog:
    """The whole log in order of time, and its figures."""

    seed: int
    leads: int
    events: list[LogEvent]
    figures: LogFigures


def load(seed: int = 42, leads: int = FULL_LOG_LEADS) -> LeadforgeLog:
    """The same log for the same seed, number of leads and version of leadforge, oldest event first."""
    tables = _cached_tables(seed, leads)
    events = sorted(_told(tables), key=lambda event: (event.at, event.delivery_id))
    return LeadforgeLog(seed, leads, events, _figures(events))


def with_duplicates(events: Iterable[LogEvent], every: int = 3) -> Iterator[LogEvent]:
    """The same deliveries, every third of them twice."""
    for number, event in enumerate(events, start=1):
        yield event
        if number % every == 0:
            yield event


def shuffled_batches(events: Iterable[LogEvent], seed: int, batch: int = 500) -> Iterator[list[LogEvent]]:
    """The deliveries in shuffled windows of `batch`, as far as such an order can happen.

    No sale comes before the first form of its account and no outcome before its sale: nobody could make those calls,
    for the company or the sale has no id yet. Such an event moves behind the one that it needs.

    Raises: ValueError if an event's need does not come in its own window or before.
    """
    rng = random.Random(seed)
    known: set[str] = set()
    remaining = iter(events)
    while window := list(islice(remaining, batch)):
        rng.shuffle(window)
        yield _in_possible_order(window, known)


def _in_possible_order(window: Sequence[LogEvent], known: set[str]) -> list[LogEvent]:
    """`window` with every event behind what it needs; `known` grows by what the window provides."""
    ordered: list[LogEvent] = []
    waiting: dict[str, list[LogEvent]] = {}

    def deliver(event: LogEvent) -> None:
        if event.needs is not None and event.needs not in known:
            waiting.setdefault(event.needs, []).append(event)
            return
        ordered.append(event)
        if event.provides is not None:
            known.add(event.provides)
            for held_back in waiting.pop(event.provides, ()):
                deliver(held_back)

    for event in window:
        deliver(event)
    if waiting:
        raise ValueError(f"delivered nowhere before, but needed: {sorted(waiting)}")
    return ordered


# --- leadforge's tables -------------------------------------------------------------------------------------------


def _cached_tables(seed: int, leads: int) -> Tables:
    """leadforge's tables, from the cache file where it can be read (six seconds saved for the full log)."""
    path = Path(tempfile.gettempdir()) / (
        f"leadflow-leadforge-{version('leadforge')}-{seed}-{leads}-{os.getuid()}.json.gz"
    )
    try:
        return _unpacked(json.loads(gzip.decompress(path.read_bytes())))
    except (OSError, EOFError, ValueError):
        tables = _generated_tables(seed, leads)
        _write_whole(path, gzip.compress(json.dumps(_packed(tables)).encode(), compresslevel=1))
        return tables


def _packed(tables: Tables) -> dict[str, list[list[Any]]]:
    """Each table as its header and its values: a third of the size."""
    return {
        name: [list(rows[0]), *(list(row.values()) for row in rows)] if rows else [] for name, rows in tables.items()
    }


def _unpacked(packed: dict[str, list[list[Any]]]) -> Tables:
    return {name: [dict(zip(table[0], values, strict=True)) for values in table[1:]] for name, table in packed.items()}


def _write_whole(path: Path, content: bytes) -> None:
    """Rename into place, so that a parallel test run never reads half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(temporary, path)


def _generated_tables(seed: int, leads: int) -> Tables:
    """Simulate `leads` leads with the recipe's own share of accounts and contacts (5,000 : 1,500 : 4,200)."""
    from leadforge.api.generator import Generator

    bundle = Generator.from_recipe(RECIPE, seed=seed).generate(
        n_leads=leads,
        n_accounts=max(1, leads * 1_500 // FULL_LOG_LEADS),
        n_contacts=max(1, leads * 4_200 // FULL_LOG_LEADS),
    )
    population, simulated = bundle.population, bundle.simulation_result
    tables = {
        "accounts": population.accounts,
        "contacts": population.contacts,
        "leads": simulated.leads,
        "touches": simulated.touches,
        "sessions": simulated.sessions,
        "activities": simulated.sales_activities,
        "opportunities": simulated.opportunities,
    }
    return {name: [row.to_dict() for row in rows] for name, rows in tables.items()}


# --- Told as calls ------------------------------------------------------------------------------------------------

# (form, form_type) by what leadforge calls the row's type.
TOUCH_FORMS = {
    "content_download": ("content-download", "content"),
    "webinar": ("webinar", "event"),
    "email": ("email-click", "engagement"),
    "call": ("call-back", "engagement"),
    "linkedin_message": ("linkedin-message", "engagement"),
}
SESSION_FORMS = {
    "website": ("page-visit", "visit"),
    "pricing_page": ("pricing-page", "visit"),
    "demo_page": ("demo-request", "request"),
}
ACTIVITY_FORMS = {
    "call": ("sales-call", "activity"),
    "email": ("sales-email", "activity"),
    "meeting": ("sales-meeting", "activity"),
    "demo": ("sales-demo", "activity"),
}
CAPTURE_FORMS = {
    "inbound_marketing": ("newsletter", "signup"),
    "sdr_outbound": ("outbound-list", "capture"),
    "partner_referral": ("partner-referral", "capture"),
}
UTM = {
    "inbound_marketing": ("google", "cpc"),
    "sdr_outbound": ("outreach", "email"),
    "partner_referral": ("partner", "referral"),
}
OUTCOMES: dict[str, Kind] = {"closed_won": "sale_sold", "closed_lost": "sale_lost"}

# Hours of the day: leads appear early, sales are registered at noon, amid the engagements, and closed in the evening.
CAPTURE_HOURS = (6, 7)
ENGAGEMENT_HOURS = (8, 17)
REGISTERING_HOURS = (12, 13)
CLOSING_HOURS = (18, 20)

# fmt: off
_WORDS = ["alder", "amber", "birch", "brook", "cedar", "clay", "coral", "dale",
          "elm", "fern", "flint", "frost", "hazel", "heron", "iris", "juniper"]
_ENDINGS = ["field", "gate", "haven", "holm", "land", "mark", "point", "ridge",
            "shore", "stone", "vale", "wick", "wood", "works", "yard", "bridge"]
_FIRST_NAMES = ["Anna", "Bo", "Clara", "David", "Emma", "Filip", "Greta", "Hans",
                "Ida", "Jonas", "Karin", "Lars", "Maja", "Nils", "Olga", "Per"]
_LAST_NAMES = ["Berg", "Dahl", "Ek", "Falk", "Gran", "Holm", "Krog", "Lind",
               "Moe", "Nord", "Ravn", "Sund", "Thor", "Vik", "Wold", "Aas"]
# fmt: on


def _told(tables: Tables) -> Iterator[LogEvent]:
    """Every row of the tables as an event, in no order."""
    teller = _Teller(tables)
    for lead in tables["leads"]:
        yield teller.form(
            lead,
            lead["lead_id"],
            CAPTURE_FORMS[lead["lead_source"]],
            _moment(lead["lead_created_at"], CAPTURE_HOURS, lead["lead_id"]),
        )
    for table, key, kind, forms in (
        ("touches", "touch", "touch_type", TOUCH_FORMS),
        ("sessions", "session", "session_type", SESSION_FORMS),
        ("activities", "activity", "activity_type", ACTIVITY_FORMS),
    ):
        for row in tables[table]:
            row_id = row[f"{key}_id"]
            yield teller.form(
                teller.leads[row["lead_id"]],
                row_id,
                forms[row[kind]],
                _moment(row[f"{key}_timestamp"], ENGAGEMENT_HOURS, row_id),
                is_engagement=True,
            )
    for opportunity in tables["opportunities"]:
        yield from teller.sale(opportunity)


class _Teller:
    """Knows the accounts, contacts and leads by id."""

    def __init__(self, tables: Tables) -> None:
        self.leads = {lead["lead_id"]: lead for lead in tables["leads"]}
        self._companies = {row["account_id"]: _company_of(row) for row in tables["accounts"]}
        self._people = {row["contact_id"]: _contact_person(row) for row in tables["contacts"]}

    def form(
        self, lead: Row, row_id: str, form: tuple[str, str], at: datetime, is_engagement: bool = False
    ) -> LogEvent:
        company_name, domain = self._companies[lead["account_id"]]
        first_name, last_name, mailbox = self._sender(lead, form, at)
        email = f"{mailbox}@{domain}"
        utm_source, utm_medium = UTM[lead["first_touch_channel"]]
        body = {
            "form": form[0],
            "form_type": form[1],
            "email": _as_typed(email, row_id),
            "first_name": first_name,
            "last_name": last_name,
            "company": company_name,
            "utm_source": utm_source,
            "utm_medium": utm_medium,
            "utm_campaign": f"{form[0]}-{at:%Y-%m-%d}",
        }
        return LogEvent(
            "form", at, lead["account_id"], company_name, domain, f"lf-{row_id}", is_engagement, email=email, body=body
        )

    def _sender(self, lead: Row, form: tuple[str, str], at: datetime) -> tuple[str, str, str]:
        """The lead's contact; who joins a webinar is the account's guest of the month."""
        if form != TOUCH_FORMS["webinar"]:
            return self._people[lead["contact_id"]]
        return _person(_checksum(f"{lead['account_id']} {at:%Y-%m}"), f"w{at:%y%m}")

    def sale(self, opportunity: Row) -> Iterator[LogEvent]:
        """The sale's registration and, if the simulation closed it, its outcome."""
        sale = opportunity["opportunity_id"]
        yield self._sales_call(
            opportunity, "sale_registered", _moment(opportunity["created_at"], REGISTERING_HOURS, sale)
        )
        if opportunity["close_outcome"]:
            yield self._sales_call(
                opportunity,
                OUTCOMES[opportunity["close_outcome"]],
                _moment(opportunity["closed_at"], CLOSING_HOURS, sale),
            )

    def _sales_call(self, opportunity: Row, kind: Kind, at: datetime) -> LogEvent:
        account = self.leads[opportunity["lead_id"]]["account_id"]
        company_name, domain = self._companies[account]
        sale = opportunity["opportunity_id"]
        return LogEvent(
            kind,
            at,
            account,
            company_name,
            domain,
            f"lf-{sale}-{kind.removeprefix('sale_')}",
            sale=sale,
            title=f"Procure for {company_name}",
            amount=f"{opportunity['estimated_acv']}.00",
        )


def _company_of(account: Row) -> tuple[str, str]:
    """A name and a domain that no other account has."""
    number = int(account["account_id"].rpartition("_")[2])
    word = _WORDS[number % 16] + _ENDINGS[number // 16 % 16]
    trade = account["industry"].replace("_non_clinical", "").replace("_", " ").title()
    return f"{word.title()} {trade} {number}", f"{word}-{number:04d}.example"


def _contact_person(contact: Row) -> tuple[str, str, str]:
    number = int(contact["contact_id"].rpartition("_")[2])
    return _person(number, str(number))


def _person(number: int, suffix: str) -> tuple[str, str, str]:
    """First name, last name and a mailbox; the suffix keeps namesakes at one account apart."""
    first_name, last_name = _FIRST_NAMES[number % 16], _LAST_NAMES[number // 16 % 16]
    return first_name, last_name, f"{first_name}.{last_name}.{suffix}".lower()


def _checksum(row_id: str) -> int:
    """A number that looks like chance and is the same in every process."""
    return crc32(row_id.encode())


def _as_typed(email: str, row_id: str) -> str:
    """The address as people type it: one in eight in capitals or with spaces around."""
    return {0: email.upper(), 1: f"  {email} "}.get(_checksum(row_id) % 16, email)


def _moment(day: str, hours: tuple[int, int], row_id: str) -> datetime:
    """A moment of that day between the two hours, always the same one for the same row."""
    first, last = hours
    seconds = _checksum(row_id) % ((last - first) * 3_600)
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=first, seconds=seconds)


# --- Figures ------------------------------------------------------------------------------------------------------


def _figures(events: Sequence[LogEvent]) -> LogFigures:
    sold = [event for event in events if event.kind == "sale_sold"]
    customer_since = {event.account: event.at.date() for event in reversed(sold)}
    engagements = [event for event in events if event.is_engagement]
    per_day = Counter((event.account, event.at.date()) for event in engagements)
    return LogFigures(
        events=len(events),
        engagements=len(engagements),
        customers=len(sold),
        customer_accounts=len(customer_since),
        engagements_after_customer=sum(
            event.account in customer_since and event.at.date() > customer_since[event.account] for event in engagements
        ),
        engagements_sharing_account_and_day=sum(count for count in per_day.values() if count > 1),
        engagements_repeating_account_and_day=len(engagements) - len(per_day),
        accounts=len({event.account for event in events}),
        contacts=len({event.email for event in events if event.email}),
        demo_requests=sum(event.form == "demo-request" for event in events),
        sales=sum(event.kind == "sale_registered" for event in events),
        first_day=events[0].at.date().isoformat(),
        last_day=events[-1].at.date().isoformat(),
    )


def main(arguments: Sequence[str]) -> None:
    """Print the figures of the log with that many leads (default: the full log)."""
    log = load(leads=int(arguments[0]) if arguments else FULL_LOG_LEADS)
    for name in LogFigures.__slots__:
        sys.stdout.write(f"{name:42}{getattr(log.figures, name)!s:>12}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
