"""Random conditions as people could write them, and records made to catch them out; the same seed, the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, not_

from leadflow.domain.events import SYSTEM, Cause
from leadflow.domain.fields import (
    Catalogue,
    Choice,
    CustomField,
    Field,
    Kind,
    Value,
    build_catalogue,
    read_value,
)
from leadflow.domain.records import Change, Company, Contact, FirstTouch, Records
from leadflow.domain.selections import Selection
from leadflow.domain.text import clean_text, fold
from leadflow.rules.conditions import AnyOf, Condition, Named, NoneOf
from leadflow.rules.model import Rule
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.special import is_kept
from leadflow.rules.predicates import Anything, Question
from leadflow.rules.problems import render_text
from leadflow.rules.values import CHOICE_KINDS, TEXT_KINDS, TIME_KINDS
from leadflow.store.bulk import insert_rows
from leadflow.store.conditions.fields import Compared, compared_of_record
from leadflow.store.conditions.rendering import Subject, _Renderer
from leadflow.store.ledger import append_changes
from leadflow.store.norms import event_norms
from leadflow.store.records import reserve_ids, write_records
from leadflow.store.tables import CompanyRow, ContactRow, EventRow, SelectionMemberRow, SelectionRow
from leadflow.store.values import form_to_json
from tests.unit.rules.given import CATEGORIES, LIFECYCLE, STATUSES

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
OSLO = ZoneInfo("Europe/Oslo")
# Havana and the Azores repeat midnight, Beirut and Santiago leave it out, Samoa skipped a day, Lord Howe moves by half
# an hour; in Auckland a day begins at NOW.
ZONES = (
    *("Europe/Oslo", "UTC", "America/Havana", "Atlantic/Azores", "Asia/Beirut", "America/Santiago", "Pacific/Apia"),
    *("Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Auckland"),
)

TIERS = (Choice("a", "Gold", ("best",)), Choice("B", "Sílver"), Choice("ﬁne", "Straße"), Choice("c", "İ"))
EVENTS = {"webinar": "Webinar", "Straßenfest": "Straßenfest", "e-mail opened": "E-mail opened"}


def _custom_fields() -> tuple[CustomField, ...]:
    """For each record one field of every kind, and a second one to be the same as."""
    fields = []
    for record in ("company", "contact", "form", "event"):
        for kind in Kind:
            if kind is not Kind.CATEGORY:
                choices = TIERS if kind is Kind.ENUMERATION else ()
                fields += [CustomField(record, f"{kind}_{one}", kind, f"{kind} {one}", choices=choices) for one in "xy"]
    return tuple(fields)


# Static ones, and searches that blanks satisfy, that name other selections, and whose days are those of another zone.
SELECTIONS = (
    Selection(900_001, "chosen-companies", "Chosen Companies", "company"),
    Selection(900_002, "chosen-contacts", "Chosen contacts", "contact"),
    Selection(
        900_003, "no-customers", "Strictly no customers", "company", {"company.category": {"is_not": "customer"}}
    ),
    Selection(
        900_004,
        "quiet",
        "Quiet ones",
        "company",
        {
            "any": [
                {"event_count": {"of": "form_submitted", "by": "company", "is": 0}},
                {"company.created_at": {"after": "2026-06-15"}},
            ]
        },
        "Pacific/Auckland",
    ),
    Selection(
        900_005,
        "mixed",
        "Mixed",
        "contact",
        {
            "all": [
                {"none": [{"selection": "Chosen contacts"}]},
                {"any": [{"selection": "no-customers"}, {"selection": "chosen-companies"}]},
            ]
        },
    ),
    Selection(900_006, "not-chosen", "Not chosen", "company", {"none": [{"selection": "CHOSEN COMPANIES"}]}),
)

CATALOGUE: Catalogue = build_catalogue(LIFECYCLE, STATUSES, _custom_fields(), EVENTS, selections=SELECTIONS)

TEXTS = (
    *("50%_off", "50X_off", "500off", "O'Brien", "o'brien", "İ", "i̇", "I", "ı", "ß", "ss", "SS", "ẞ", "ﬁ", "fi", "FI"),
    *("back\\slash", "\\", "\\%", '"quoted"', "%", "_", "a*b?", "ABC abc", "abc", "null", "blank", "NaN", "true"),
    *("Ünïcode", "Ü", "Ü", "é",  "Σ", "ς", "σ", "ΑΣ", "ᾳ", "ŉ", "😀", "𐐀", "𐐨", "Å", "Å", "a,b", "{a}", "[]", "#x: y"),
    *("- z", "A", "acme.example", "v1.2", "Gold", "best", "SÍLVER", "strasse", "STRASSE", "5", "005", "1_000", "１２"),
    *("2026-03-29", "2026-02-30", "x" * 300, "Kelvin K", "kelvin k", "ſ", "s", "b", "B", "a", "ﬁNE", "fine"),
)  # fmt: skip
ADDRESSES = (
    *("anna@nordwind.example", "Anna@Nordwind.Example", "ß@straße.example", "a@b", "a@@b.example", "no-address"),
    *("x@y.example.", "o'brien@50%.example", "İ@x.example", "a/b@c.example", "very.long@sub.nordwind.example"),
)
URLS = (
    *("https://nordwind.example/a?b=c@d", "HTTP://WWW.Nordwind.Example:8080/x", "nordwind.example/pricing"),
    *("https://user:pw@host.example/", "http://[::1]/", "http://[::1", "https://straße.example/ß", "//x.example"),
    *("https://nordwind.example.", "https://a_b.example/", "ftp://nordwind.example", "nordwind.example"),
    *("https://x.example#y", "mailto:a@b.example"),
)
HOSTS = (
    *("nordwind.example", "www.nordwind.example", "x.example", "host.example", "straße.example", "b.example", "v1.2"),
    *("acme.example", "50%.example", "c.example", "y.example", "strasse.example"),
)
NUMBERS = (
    *("0", "-0", "5", "5.0", "5.00000000000000000001", "4.99999999999999999999", "-3", "1e5", "100000", "0.1"),
    *("1E-60", "2", "9" * 60, "-" + "9" * 60, "1E+60", "0.000001", "1E-7", "2.5", "1", "3"),
)  # fmt: skip
DAYS = (
    *("2026-03-29", "2026-03-28", "2026-03-30", "2026-10-25", "2026-06-15", "2026-06-14", "2026-06-16", "2024-02-29"),
    *("0001-01-01", "9999-12-31", "2011-12-30", "2011-12-31", "2025-11-02", "2026-11-01", "2026-05-16", "1900-01-01"),
)
DURATIONS = ("1 minute", "1 hour", "1 day", "2 days", "30 days", "90 days", "7 weeks", "36525 days")
LENGTHS = tuple(
    timedelta(**one)
    for one in ({"minutes": 1}, {"hours": 1}, {"days": 1}, {"days": 2}, {"days": 30}, {"days": 90}, {"weeks": 7})
)
TICK = timedelta(microseconds=1)

BLANK_SHARE = 0.25


def moments(random: Random) -> datetime:
    """Most of them lie exactly on a boundary, or a tick beside it."""
    if random.random() < 0.4:
        base = NOW + random.choice((-1, 1)) * random.choice((*LENGTHS, timedelta(0)))
    elif random.random() < 0.1:
        base = random.choice((datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, 23, 59, 59, 999999, tzinfo=UTC)))
    else:
        day = datetime.fromisoformat(random.choice(DAYS[:8] + DAYS[10:]))
        base = day.replace(tzinfo=ZoneInfo(random.choice(ZONES)), fold=random.randint(0, 1)).astimezone(UTC)
        base += random.choice((timedelta(0), timedelta(hours=1), timedelta(hours=2, minutes=30)))
    return base + random.choice((0, 0, -1, 1)) * TICK if base.year not in (1, 9999) else base


class Values:
    """Raw values as a door would take them, by the kind of their field."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._makers: Mapping[Kind, Callable[[], Any]] = {
            Kind.TEXT: self.text,
            Kind.EMAIL: lambda: random.choice(ADDRESSES),
            Kind.URL: lambda: random.choice((*URLS, *ADDRESSES[:2])),
            Kind.NUMBER: lambda: random.choice(NUMBERS),
            Kind.BOOLEAN: lambda: random.random() < 0.5,
            Kind.DATE: lambda: random.choice(DAYS),
            Kind.MOMENT: lambda: moments(random).isoformat(),
            Kind.LIST: lambda: [self.text() for _ in range(random.randint(1, 4))],
        }

    def text(self) -> str:
        return clean_text(self.random.choice(TEXTS)) or "x"

    def of(self, field: Field) -> Any:
        """A value, or None."""
        if self.random.random() < BLANK_SHARE:
            return None
        if field.kind in CHOICE_KINDS:
            return self.random.choice(field.choices).key
        return self._makers[field.kind]()

    def read(self, field: Field) -> Value:
        raw = self.of(field)
        return None if raw is None else read_value(field, raw)

    def stored(self, field: Field) -> Value:
        """What may stand in a field of a record: now and then it was written while the field had another kind."""
        if self.random.random() < 0.1:
            other = self.random.choice([one for one in CATALOGUE.custom("contact").values() if one.kind != field.kind])
            return self.read(other)
        return self.read(field)


# Records -------------------------------------------------------------------------------------------------------------


def write_world(connection: Connection, random: Random, companies: int, contacts: int) -> None:
    """Companies, contacts and their past, through the code that writes them in daily life."""
    values = Values(random)
    records = Records(LIFECYCLE, STATUSES, NOW)
    company_ids = reserve_ids(connection, CompanyRow, companies)
    for company_id in company_ids:
        records.create_company(_company(values, company_id), Cause(SYSTEM))
    for contact_id in reserve_ids(connection, ContactRow, contacts):
        company_id = random.choice(company_ids) if random.random() < 0.75 else None
        records.create_contact(_contact(values, contact_id, company_id), Cause(SYSTEM))
    for one in (*records.companies.values(), *records.contacts.values()):
        one.created_at, one.updated_at = moments(random), moments(random)
    write_records(connection, records)
    _write_events(connection, values, records)
    _write_changes(connection, values, records)
    _write_members(connection, random, records)


def _company(values: Values, company_id: int) -> Company:
    random = values.random
    return Company(
        company_id,
        name=_maybe(values, values.text),
        domain=f"{company_id}.example" if random.random() < 0.9 else None,
        category=_maybe(values, lambda: random.choice(CATEGORIES).key),
        owner=_maybe(values, values.text),
        tags=_tags(values),
        fields={name: values.stored(field) for name, field in CATALOGUE.custom("company").items()},
        do_not_automate=random.random() < 0.5,
        open_sales=random.choice((0, 0, 1, 2, 5)),
        first_touch=_first_touch(values),
    )


def _contact(values: Values, contact_id: int, company_id: int | None) -> Contact:
    random = values.random
    host = random.choice(("nordwind.example", "x.example", f"{contact_id}.example"))
    return Contact(
        contact_id,
        email=fold(f"{random.choice(('anna', 'İ', 'o’brien', '50%_'))}{contact_id}@{host}"),
        first_name=_maybe(values, values.text),
        last_name=_maybe(values, values.text),
        company_id=company_id,
        lead_status=_maybe(values, lambda: random.choice(list(STATUSES.by_key))),
        tags=_tags(values),
        fields={name: values.stored(field) for name, field in CATALOGUE.custom("contact").items()},
        do_not_automate=random.random() < 0.5,
        first_touch=_first_touch(values),
        last_touched_at=_maybe(values, lambda: moments(random)),
    )


def _maybe(values: Values, make: Callable[[], Any]) -> Any:
    return None if values.random.random() < BLANK_SHARE else make()


def _tags(values: Values) -> tuple[str, ...]:
    tags: Any = values.read(Field("contact.tags", Kind.LIST, "Tags"))
    return tags or ()


def _first_touch(values: Values) -> FirstTouch:
    texts = [_maybe(values, values.text) for _ in range(6)]
    return FirstTouch(*texts, _maybe(values, lambda: moments(values.random)))


def _write_events(connection: Connection, values: Values, records: Records) -> None:
    random, rows = values.random, []
    contacts = list(records.contacts.values())
    for number in range(3 * len(contacts)):
        contact = random.choice(contacts)
        root = random.choice(("form", "form", "sale", "event"))
        said = {one.path.partition(".")[2]: values.read(one) for one in CATALOGUE.of(root) if random.random() < 0.5}
        document = form_to_json(said)
        rows.append(
            {
                "source": "generic",
                "delivery_id": f"random-{number}",
                "type": {"form": "form_submitted"}.get(root, root),
                "name": fold(random.choice(list(EVENTS))) if root == "event" else None,
                "state": random.choice(("processed", "processed", "processed", "held")),
                "lane": number,
                "received_at": moments(random),
                "body_sha256": b"",
                "fields": document,
                "fields_norm": event_norms(document),
                "company_id": contact.company_id if random.random() < 0.9 else None,
                "contact_id": contact.id if random.random() < 0.9 else None,
            }
        )
    insert_rows(connection, EventRow, rows)


def _write_changes(connection: Connection, values: Values, records: Records) -> None:
    random = values.random
    kept = [one for one in CATALOGUE.of("company", "contact") if is_kept(one)]
    contacts, companies = list(records.contacts), list(records.companies)
    for _ in range(40):
        changes = []
        for _ in range(len(contacts) // 10):
            field = random.choice(kept)
            entity_id = random.choice(contacts if field.root == "contact" else companies)
            name = field.path.partition(".")[2]
            changes.append(Change(field.root, entity_id, name, values.read(field), values.read(field), Cause(SYSTEM)))
        append_changes(connection, records, changes, moments(random))


def _write_members(connection: Connection, random: Random, records: Records) -> None:
    static = [one for one in SELECTIONS if one.is_static]
    rows = [
        {"id": one.id, "slug": one.slug, "title": one.title, "subject": one.subject, "kind": "static"}
        | {"created_by": "test", "created_at": NOW, "updated_at": NOW}
        for one in static
    ]
    insert_rows(connection, SelectionRow, rows)
    members = [
        {"selection_id": one.id, "record_id": record_id, "added_by": "test", "added_at": NOW}
        for one in static
        for record_id in (records.companies if one.subject == "company" else records.contacts)
        if random.random() < 0.5
    ]
    insert_rows(connection, SelectionMemberRow, members)


# Conditions ----------------------------------------------------------------------------------------------------------


class Plain(str):
    """A word that stands in YAML without quotes."""


def flow(value: Any) -> str:
    """YAML in flow style."""
    if isinstance(value, Plain):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@dataclass
class Conditions:
    """Makes conditions; `subject` decides which fields there are."""

    random: Random
    subject: Subject

    def __post_init__(self) -> None:
        self.values = Values(self.random)
        self.roots = ("contact", "company") if self.subject == "contact" else ("company",)
        self.fields = CATALOGUE.of(*self.roots)
        self.kept = [one for one in self.fields if is_kept(one)]

    def condition(self, depth: int = 3) -> dict[str, Any]:
        if depth == 0 or self.random.random() < 0.4:
            return self.clause()
        group = self.random.choice(("all", "any", "none"))
        return {group: [self.condition(depth - 1) for _ in range(self.random.randint(1, 3))]}

    def clause(self) -> dict[str, Any]:
        kind = self.random.random()
        if kind < 0.1:
            chosen = self.random.choice([one for one in SELECTIONS if one.subject in self.roots])
            return {"selection": self.random.choice((chosen.slug, chosen.title, chosen.title.upper()))}
        if kind < 0.8:
            field = self.random.choice(self.fields)
            return {field.path: self.test(field, self.roots)}
        if kind < 0.88:
            return {"event_count": self.events() | self._window() | self._number_tests()}
        if kind < 0.93:
            return {"last_event": self.events() | self._time_tests()}
        if kind < 0.98:
            return {"last_change": self.changes() | self._time_tests()}
        return {"now": {"weekday_in": self.random.sample(["mon", "tue", "wed"], 2), "between": ["08:00", "17:00"]}}

    # -- tests of one field ---------------------------------------------------------------------------------------

    def test(self, field: Field, roots: tuple[str, ...]) -> Any:
        if self.random.random() < 0.1 and field.kind not in TIME_KINDS:
            return self.one(field)
        names = [name for name, one in OPERATORS_OF[field.kind].items() if not one.only_on_change]
        chosen = self.random.sample(names, self.random.choice((1, 1, 1, 2)))
        tests = {name: self.operand(name, field, roots) for name in chosen}
        return tests | ({"or_blank": True} if self.random.random() < 0.2 else {})

    def one(self, field: Field) -> Any:
        """One value as people write it."""
        if field.kind in CHOICE_KINDS:
            choice = self.random.choice((*field.choices, *field.retired))
            return self.random.choice((choice.key, choice.name, *choice.spellings))
        if field.kind is Kind.NUMBER:
            return Plain(self.random.choice(NUMBERS))
        if field.kind is Kind.BOOLEAN:
            return self.random.random() < 0.5
        return self._case(self.random.choice({Kind.EMAIL: ADDRESSES, Kind.URL: URLS}.get(field.kind, TEXTS)))

    def _case(self, text: str) -> str:
        return self.random.choice((text, text.upper(), text.lower(), f"  {text} "))

    def operand(self, name: str, field: Field, roots: tuple[str, ...]) -> Any:
        random = self.random
        makers: dict[str, Callable[[], Any]] = {
            "exists": lambda: random.random() < 0.5,
            "same_as": lambda: random.choice([o.path for o in CATALOGUE.of(*roots) if _compare_alike(field, o)]),
            "in_group": lambda: random.sample(["potential_customer", "customer", "lost"], random.choice((1, 2))),
            "like": self._pattern,
            "between": lambda: self._range(field),
            **dict.fromkeys(("in", "has_any", "has_all", "has_none"), lambda: self._several(lambda: self.one(field))),
            **dict.fromkeys(("domain_in",), lambda: self._several(lambda: random.choice(HOSTS))),
            **dict.fromkeys(("contains", "starts_with", "ends_with"), lambda: self._part(name)),
            **dict.fromkeys(("older_than", "within_last", "within_next"), lambda: random.choice(DURATIONS)),
            **dict.fromkeys(("before", "on", "after"), self.when),
        }
        return makers.get(name.replace("not_", ""), lambda: self.one(field))()

    def _several(self, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self.random.choice((1, 2, 3, 30)))]

    def _part(self, name: str) -> str:
        text = self.values.text()
        start = 0 if name == "starts_with" else self.random.randrange(len(text))
        end = len(text) if name == "ends_with" else self.random.randint(start + 1, len(text))
        return self._case(text[start:end].strip() or text)

    def _pattern(self) -> str:
        text = self.random.choice((*TEXTS, *ADDRESSES))
        return "".join(self.random.choice((one, one, one, "?", "*")) for one in text[:20])

    def when(self) -> str:
        if self.random.random() < 0.5:
            return self.random.choice([one for one in DAYS if one not in ("9999-12-31", "0001-01-01")])
        moment = min(max(moments(self.random), datetime(2, 1, 1, tzinfo=UTC)), datetime(9998, 1, 1, tzinfo=UTC))
        return moment.astimezone(OSLO).isoformat() if self.random.random() < 0.5 else moment.isoformat()

    def _range(self, field: Field) -> list[Any]:
        if field.kind is Kind.NUMBER:
            low, high = sorted((self.random.choice(NUMBERS) for _ in range(2)), key=Decimal)
            return [Plain(low), Plain(high)]
        low, high = sorted(self.random.sample(DAYS[:9] + DAYS[10:], 2))
        return [low, high]

    # -- the past -------------------------------------------------------------------------------------------------

    def events(self) -> dict[str, Any]:
        name = self.random.choice(("form_submitted", "form_submitted", "sale", *EVENTS))
        asked: dict[str, Any] = {"of": name, "by": self.random.choice(self.roots)}
        root = {"form_submitted": "form", "sale": "sale"}.get(name, "event")
        if self.random.random() < 0.6:
            field = self.random.choice(CATALOGUE.of(root))
            asked["where"] = {field.path.partition(".")[2]: self.test(field, (root,))}
        return asked

    def changes(self) -> dict[str, Any]:
        field = self.random.choice(self.kept)
        asked: dict[str, Any] = {"field": field.path}
        if field.kind is Kind.LIST or field.kind in TIME_KINDS:
            return asked
        for side in ("from", "to"):
            if self.random.random() < 0.4:
                asked[side] = [Plain("blank") if self.random.random() < 0.3 else self.one(field) for _ in range(2)]
        return asked

    def _window(self) -> dict[str, Any]:
        return {"within_last": self.random.choice(DURATIONS)} if self.random.random() < 0.5 else {}

    def _number_tests(self) -> dict[str, Any]:
        number = Plain(self.random.choice(("0", "1", "2", "3", "2.0", "1e1", "1E+60")))
        name = self.random.choice(("is", "is_not", "lt", "lte", "gt", "gte", "between"))
        return {name: [Plain("1"), Plain("2")] if name == "between" else number}

    def _time_tests(self) -> dict[str, Any]:
        names = ("older_than", "within_last", "before", "after", "on", "between", "exists")
        field = Field("last_event", Kind.MOMENT, "")
        tests = {
            name: self.operand(name, field, ()) for name in self.random.sample(names, self.random.choice((1, 1, 2)))
        }
        return tests | ({"or_blank": True} if self.random.random() < 0.3 else {})


def _compare_alike(one: Field, other: Field) -> bool:
    for family in (TEXT_KINDS, TIME_KINDS):
        if one.kind in family:
            return other.kind in family
    return one.kind is other.kind and one.choices == other.choices


RULES_PER_DOCUMENT = 40


def make_conditions(random: Random, subject: Subject, count: int) -> list[tuple[str, Rule]]:
    """So many conditions, each with what its author wrote; read by the parser from whole rules."""
    maker, written = Conditions(random, subject), {}
    documents = {}
    for first in range(0, count, RULES_PER_DOCUMENT):
        zone, rules = random.choice(ZONES), []
        for number in range(first, min(first + RULES_PER_DOCUMENT, count)):
            slug = f"random-{number}"
            written[slug] = f"{zone}: {(text := flow(maker.condition()))}"
            rules.append(_rule(slug, text, subject))
        documents[f"{first:06}.yaml"] = f"leadflow: 1\nsettings: {{timezone: {zone}}}\nrules:\n{''.join(rules)}"
    parsed = parse_documents(documents, CATALOGUE)
    faults = [one for one in parsed.problems if getattr(one, "severity", "error") == "error"]
    assert not faults, render_text(faults[:3])
    return [(written[rule.slug], rule) for rule in parsed.rule_set.rules]


def _rule(slug: str, condition: str, subject: Subject) -> str:
    return (
        f"  - rule: {slug}\n    when: {{schedule: {{every: day, for_each: {subject}}}}}\n    if: {condition}\n"
        f"    then: [{{add_tag: x}}]\n    limit: {{once_per: {subject}}}\n"
    )


def named(random: Random, conditions: list[Condition]) -> list[Condition]:
    """The same conditions, some of them in segments of segments."""
    result = list(conditions)
    for place, one in enumerate(conditions):
        if random.random() < 0.2:
            other = Named("segment", "other", random.choice(conditions))
            result[place] = Named("segment", "outer", AnyOf((NoneOf((Named("segment", "inner", one),)), other)))
    return result


# The control ---------------------------------------------------------------------------------------------------------


class NaiveRenderer(_Renderer):
    """What one would write at first: NOT before the test, and nothing about blanks."""

    def _question(self, question: Question, compared: Compared, zone: Any, negated: bool) -> ColumnElement[bool]:
        if isinstance(question.predicate, Anything):
            return super()._question(question, compared, zone, negated)
        asked = self._predicate(question.predicate, compared, zone)
        return asked if question.is_negated is negated else not_(asked)


def render_naively(condition: Condition, subject: Subject, now: datetime) -> ColumnElement[bool]:
    return NaiveRenderer(subject, now, compared_of_record).render(condition)
