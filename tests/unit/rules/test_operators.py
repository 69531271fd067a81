"""What each operator means, as a table; and that every negative one is the complement of its twin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow.domain.fields import Kind
from leadflow.domain.text import clean_text
from leadflow.rules.operators import OPERATORS, Negative
from leadflow.rules.parsing import parse_documents
from tests.unit.rules.given import CATALOGUE, NOW, document_with, holds, rule_with, situation_with

NAME, MAIL, SITE = "company.name", "form.email", "company.fields.website"
CATEGORY, STATUS, TIER = "company.category", "contact.lead_status", "company.fields.tier"
COUNT, FLAG, TAGS = "company.fields.employees", "contact.fields.newsletter", "contact.tags"
AT, DAY = "contact.last_touched_at", "company.fields.founded"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# path, test, value, whether it holds
CASES: list[tuple[str, str, Any, bool]] = [
    # -- is, is_not: a scalar is `is`; text is compared case-folded and trimmed
    (NAME, "Nordwind", "NORDWIND", True),
    (NAME, "'  Nordwind   AS '", "nordwind as", True),
    (NAME, "Nordwind", "Nordwind AS", False),
    (NAME, "Nordwind", None, False),
    (NAME, "Nordwind", "", False),
    (NAME, "Nordwind", "   ", False),
    (NAME, "{is_not: Nordwind}", "Südwind", True),
    (NAME, "{is_not: Nordwind}", "nordwind", False),
    (NAME, "{is_not: Nordwind}", None, True),
    (NAME, "Straße", "STRASSE", True),
    (NAME, "STRASSE", "straße", True),
    (NAME, "İstanbul", "i̇stanbul", True),
    (NAME, "istanbul", "İstanbul", False),
    (NAME, "ﬁrst", "FIRST", True),
    (NAME, "'Cafe\u0301'", "CAFÉ", True),
    # -- the field decides the type of a scalar, never YAML
    ("form.country", "NO", "NO", True),
    ("form.country", "NO", "no", True),
    ("form.country", "NO", "false", False),
    (NAME, "1.10", "1.10", True),
    (NAME, "1.10", "1.1", False),
    (NAME, "0x1F", "31", False),
    (NAME, "010", "10", False),
    (NAME, "2026-03-01", "2026-03-01", True),
    (NAME, "'null'", "null", True),
    (NAME, "O'Brien", "o'brien", True),
    # -- in, not_in: a list is `in`
    (NAME, "[Nordwind, Südwind]", "SÜDWIND", True),
    (NAME, "[Nordwind, Südwind]", None, False),
    (NAME, "{in: [Nordwind]}", "Westwind", False),
    (NAME, "{not_in: [Nordwind]}", "Westwind", True),
    (NAME, "{not_in: [Nordwind]}", "Nordwind", False),
    (NAME, "{not_in: [Nordwind]}", None, True),
    # -- contains: every character is literal
    (NAME, "{contains: 50%_off}", "Now 50%_OFF!", True),
    (NAME, "{contains: 50%_off}", "Now 50 cents off", False),
    (NAME, "{contains: '%'}", "plain", False),
    (NAME, "{contains: '*'}", "plain", False),
    (NAME, "{contains: '\\'}", "back\\slash", True),
    (NAME, "{contains: SS}", "straße", True),
    (NAME, "{contains: x}", None, False),
    (NAME, "{not_contains: x}", None, True),
    (NAME, "{not_contains: wind}", "Nordwind", False),
    # -- starts_with, ends_with
    (NAME, "{starts_with: nord}", "NORDWIND", True),
    (NAME, "{starts_with: wind}", "Nordwind", False),
    (NAME, "{starts_with: n}", None, False),
    (NAME, "{ends_with: WIND}", "Nordwind", True),
    (NAME, "{ends_with: nord}", "Nordwind", False),
    # -- like: the whole value; * and ? only
    (NAME, "{like: nord*}", "Nordwind", True),
    (NAME, "{like: '*wind'}", "Nordwind", True),
    (NAME, "{like: '*rd*nd'}", "Nordwind", True),
    (NAME, "{like: n?rdwind}", "Nordwind", True),
    (NAME, "{like: n?wind}", "Nordwind", False),
    (NAME, "{like: wind}", "Nordwind", False),
    (NAME, "{like: '*'}", "x", True),
    (NAME, "{like: '*'}", None, False),
    (NAME, "{like: '50%_*'}", "50%_off", True),
    (NAME, "{like: '50%_*'}", "500 off", False),
    (NAME, "{like: 'a.c'}", "abc", False),
    (NAME, "{like: '[ab]*'}", "a", False),
    (NAME, "{like: '*a*a*'}", "xaya", True),
    (NAME, "{like: '*ab*ab'}", "abab", True),
    (NAME, "{like: '*ab*ab'}", "ab", False),
    (NAME, "{like: 'ab*ba'}", "aba", False),
    # -- domain_in: the whole host, no parent domain
    (MAIL, "{domain_in: [gmail.com]}", "Anna@GMAIL.com", True),
    (MAIL, "{domain_in: ['@gmail.com']}", "anna@gmail.com", True),
    (MAIL, "{domain_in: [gmail.com]}", "anna@mail.gmail.com", False),
    (MAIL, "{domain_in: [gmail.com]}", "anna@notgmail.com", False),
    (MAIL, "{domain_in: [gmail.com]}", "gmail.com@x.example", False),
    (MAIL, "{domain_in: [gmail.com]}", None, False),
    (MAIL, "{domain_not_in: [gmail.com]}", None, True),
    (MAIL, "{domain_not_in: [gmail.com]}", "anna@gmail.com", False),
    (SITE, "{domain_in: [rival.example]}", "https://rival.example:8443/pricing?x=@a.b", True),
    (SITE, "{domain_in: [rival.example]}", "rival.example/pricing", True),
    (SITE, "{domain_in: [rival.example]}", "https://user:pw@RIVAL.example./", True),
    (SITE, "{domain_in: [rival.example]}", "https://www.rival.example", False),
    (SITE, "{domain_in: [rival.example]}", "http://[::1", False),
    (SITE, "{domain_not_in: [rival.example]}", "http://[::1", True),
    # -- lists of values by key, name and short name
    (CATEGORY, "Lead", "lead", True),
    (CATEGORY, "LEAD", "lead", True),
    (CATEGORY, "mql", "mql", True),
    (CATEGORY, "Marketing qualified lead", "mql", True),
    (CATEGORY, "[MQL, customer]", "customer", True),
    (CATEGORY, "{is_not: Lead}", None, True),
    (CATEGORY, "{not_in: [Lead]}", None, True),
    (CATEGORY, "{in: [Lead], or_blank: true}", None, True),
    (CATEGORY, "{in: [Lead], or_blank: true}", "lead", True),
    (CATEGORY, "{in: [Lead], or_blank: true}", "customer", False),
    (CATEGORY, "{in: [Lead], or_blank: false}", None, False),
    (CATEGORY, "{in_group: potential_customer}", "mql", True),
    (CATEGORY, "{in_group: Potential customer}", "customer", False),
    (CATEGORY, "{in_group: [customer, lost]}", "former-customer", True),
    (CATEGORY, "{in_group: customer}", None, False),
    (CATEGORY, "{not_in_group: customer}", None, True),
    (CATEGORY, "{not_in_group: customer}", "customer", False),
    (CATEGORY, "Suspect", "suspect", True),  # deleted from the list, but records still carry it
    (CATEGORY, "{in_group: potential_customer}", "suspect", True),
    (STATUS, "Re-nurture", "re-nurture", True),
    (STATUS, "{not_in: [Disqualified]}", None, True),
    (TIER, "Gold", "a", True),
    (TIER, "b", "a", False),
    # -- numbers are exact decimals
    (COUNT, "1.10", Decimal("1.1"), True),
    (COUNT, "0.3", Decimal("0.1") + Decimal("0.2"), True),
    (COUNT, "{is_not: 5}", None, True),
    (COUNT, "{is_not: 5}", Decimal("5.0"), False),
    (COUNT, "{lt: 10}", Decimal(9), True),
    (COUNT, "{lt: 10}", Decimal(10), False),
    (COUNT, "{lt: 10}", None, False),
    (COUNT, "{lte: 10}", Decimal(10), True),
    (COUNT, "{gt: 9.99}", Decimal(10), True),
    (COUNT, "{gt: 10}", Decimal(10), False),
    (COUNT, "{gt: -1}", None, False),
    (COUNT, "{gte: 10}", Decimal("10.000000000000000001"), True),
    (COUNT, "{gte: 0, lt: 10}", Decimal(0), True),
    (COUNT, "{gte: 0, lt: 10}", Decimal(10), False),
    (COUNT, "{gte: 5, or_blank: true}", None, True),
    (COUNT, "{between: [10, 20]}", Decimal(10), True),
    (COUNT, "{between: [10, 20]}", Decimal(20), True),
    (COUNT, "{between: [10, 20]}", Decimal("20.01"), False),
    (COUNT, "1e2", Decimal(100), True),
    ("company.open_sales", "0", 0, True),
    ("company.open_sales", "{gte: 1}", 2, True),
    # -- true and false
    (FLAG, "true", True, True),
    (FLAG, "yes", True, True),
    (FLAG, "false", None, False),
    (FLAG, "{is: false, or_blank: true}", None, True),
    (FLAG, "false", False, True),
    # -- lists
    (TAGS, "VIP", ("vip", "demo"), True),
    (TAGS, "{has: vip}", (), False),
    (TAGS, "[vip, demo]", ("demo",), True),
    (TAGS, "{has_any: [vip]}", None, False),
    (TAGS, "{has_all: [vip, demo]}", ("DEMO", "x", "Vip"), True),
    (TAGS, "{has_all: [vip, demo]}", ("demo",), False),
    (TAGS, "{has_none: [vip]}", (), True),
    (TAGS, "{has_none: [vip]}", ("Vip",), False),
    (TAGS, "{exists: true}", (), False),
    (TAGS, "{exists: false}", (), True),
    # -- exists
    (NAME, "{exists: true}", "x", True),
    (NAME, "{exists: true}", " \t", False),
    (NAME, "{exists: false}", None, True),
    (COUNT, "{exists: true}", Decimal(0), True),
    (FLAG, "{exists: true}", False, True),
    # -- time, with now pinned at noon of 2026-06-15
    (AT, "{older_than: 90 days}", NOW - timedelta(days=90), False),
    (AT, "{older_than: 90 days}", NOW - timedelta(days=90, microseconds=1), True),
    (AT, "{older_than: 90 days}", None, False),
    (AT, "{older_than: 90 days, or_blank: true}", None, True),
    (AT, "{within_last: 2 hours}", NOW - timedelta(hours=2), True),
    (AT, "{within_last: 2 hours}", NOW, True),
    (AT, "{within_last: 2 hours}", NOW + timedelta(seconds=1), False),
    (AT, "{within_last: 2 hours}", NOW - timedelta(hours=2, seconds=1), False),
    (AT, "{within_next: 1 week}", NOW + timedelta(days=7), True),
    (AT, "{within_next: 1 week}", NOW, True),
    (AT, "{within_next: 1 week}", NOW - timedelta(seconds=1), False),
    (AT, "{before: '2026-06-15 12:00'}", NOW, False),
    (AT, "{on: '2026-06-15T14:00+02:00'}", NOW, True),
    (AT, "{after: '2026-06-15 12:00'}", NOW, False),
    (AT, "{after: '2026-06-15 12:00'}", NOW + timedelta(microseconds=1), True),
    (AT, "{on: 2026-06-15}", at("2026-06-15T00:00:00+00:00"), True),
    (AT, "{on: 2026-06-15}", at("2026-06-16T00:00:00+00:00"), False),
    (AT, "{between: [2026-06-01, 2026-06-15]}", at("2026-06-15T23:59:59.999999+00:00"), True),
    (AT, "{between: [2026-06-01, 2026-06-15]}", at("2026-06-16T00:00:00+00:00"), False),
    (DAY, "{on: 2026-06-15}", date(2026, 6, 15), True),
    (DAY, "{before: 2026-06-15}", date(2026, 6, 15), False),
    (DAY, "{after: 2026-06-14}", date(2026, 6, 15), True),
    (DAY, "{within_last: 12 hours}", date(2026, 6, 15), True),
    (DAY, "{older_than: 11 hours}", date(2026, 6, 15), True),
    (DAY, "{between: [2026-06-15, 2026-06-15]}", date(2026, 6, 15), True),
    (DAY, "{on: 2026-06-15}", None, False),
]


@pytest.mark.parametrize(("path", "test", "value", "expected"), CASES)
def test_the_operator_means_what_the_table_says(path, test, value, expected):
    assert holds(f"{{{path}: {test}}}", {path: value}) is expected


@pytest.mark.parametrize(("path", "test", "value", "expected"), CASES)
def test_none_is_the_complement(path, test, value, expected):
    assert holds(f"{{none: [{{{path}: {test}}}]}}", {path: value}) is not expected


@pytest.mark.parametrize(
    ("value", "other", "expected"),
    [("Nordwind", "NORDWIND", True), ("a", "b", False), (None, None, False), ("a", None, False), (None, "a", False)],
)
def test_same_as_compares_with_another_field_and_blanks_are_the_same_as_nothing(value, other, expected):
    assert holds("{company.name: {same_as: form.company}}", {NAME: value, "form.company": other}) is expected


def test_same_as_compares_tags_as_sets():
    values = {"company.tags": ("a", "B"), "contact.tags": ("b", "A")}

    assert holds("{company.tags: {same_as: contact.tags}}", values)


def test_same_as_compares_days_with_moments():
    values = {DAY: date(2026, 6, 15), AT: at("2026-06-15T00:00:00+00:00")}

    assert holds(f"{{{DAY}: {{same_as: {AT}}}}}", values)


def test_every_operator_is_in_the_table():
    tested = " ".join(test for _, test, _, _ in CASES)
    untested = {one.name for one in OPERATORS if f"{{{one.name}:" not in tested and f" {one.name}:" not in tested}

    # `is` and `has` stand there as bare values; the others have tests of their own.
    assert untested <= {"is", "same_as", "changed", "changed_from", "changed_to"}


# -- complements, on random values ------------------------------------------------------------------------------------

WORDS = [
    "50%_off",
    "O'Brien",
    "İ",
    "i",
    "ß",
    "ss",
    "a_b",
    "%",
    "\\",
    "x@gmail.com",
    "gmail.com",
    "https://gmail.com/x",
    "ﬁ",
]
blank_texts = st.sampled_from([None, "", " "])
texts = blank_texts | st.sampled_from(WORDS) | st.text(max_size=6)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    NAME: texts,
    MAIL: texts,
    SITE: texts,
    CATEGORY: st.sampled_from([None, "lead", "mql", "customer", "partner", "suspect"]),
    STATUS: st.sampled_from([None, "open", "qualified"]),
    COUNT: st.none() | st.decimals(-3, 3, places=1),
    TAGS: st.lists(st.sampled_from(WORDS), max_size=3).map(tuple),
}
OPERANDS = {
    Kind.TEXT: st.sampled_from(WORDS),
    Kind.EMAIL: st.sampled_from(WORDS),
    Kind.URL: st.sampled_from(WORDS),
    Kind.CATEGORY: st.sampled_from(["lead", "MQL", "Customer"]),
    Kind.ENUMERATION: st.sampled_from(["open", "Qualified"]),
    Kind.NUMBER: st.sampled_from(["-1", "0", "1.0", "2"]),
    Kind.LIST: st.sampled_from(WORDS),
}
LIST_OPERATORS = {"not_in", "has_none", "domain_not_in"}
NEGATIVES = [
    (path, one)
    for path in VALUES
    for one in OPERATORS
    if isinstance(one, Negative) and CATALOGUE.fields[path].kind in one.kinds
]


def test_there_is_a_negative_for_each_that_the_language_names():
    names = {one.name for _, one in NEGATIVES}
    assert names == {"is_not", "not_in", "not_contains", "domain_not_in", "not_in_group", "has_none"}


@pytest.mark.parametrize(("path", "operator"), NEGATIVES, ids=lambda one: getattr(one, "name", one))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_negative_operator_holds_exactly_where_its_twin_does_not(path, operator, data):
    kind = CATALOGUE.fields[path].kind
    word = data.draw(OPERANDS[kind])
    if operator.name == "not_in_group":
        word = data.draw(st.sampled_from(["customer", "potential_customer"]))
    if operator.name == "domain_not_in":
        word = "gmail.com"
    quoted = "'" + word.replace("'", "''") + "'"
    operand = f"[{quoted}]" if operator.name in LIST_OPERATORS else quoted
    situation = situation_with({path: data.draw(VALUES[path])})

    negative = rule_with(f"{{{path}: {{{operator.name}: {operand}}}}}").judge(situation)
    positive = rule_with(f"{{{path}: {{{operator.twin.name}: {operand}}}}}").judge(situation)

    assert negative.error is positive.error is None
    assert negative.holds is not positive.holds


@given(pattern=st.text("ab*?%.", min_size=1, max_size=8), value=st.text("ab%.", min_size=1, max_size=10))
@settings(max_examples=150, deadline=None)
def test_like_agrees_with_a_slow_and_simple_matcher(pattern, value):
    assert holds(f"{{company.name: {{like: '{pattern}'}}}}", {NAME: value}) is slow_like(pattern, value)


def slow_like(pattern: str, value: str) -> bool:
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(slow_like(pattern[1:], value[cut:]) for cut in range(len(value) + 1))
    return bool(value) and pattern[0] in ("?", value[0]) and slow_like(pattern[1:], value[1:])


def test_a_hostile_pattern_takes_no_time():
    pattern = "*a" * 40 + "*b"

    assert not holds(f"{{company.name: {{like: '{pattern}'}}}}", {NAME: "a" * 5_000})


def test_operands_are_cleaned_as_stored_text_is():
    assert clean_text(" a  b ") == "a b"
    assert holds("{company.name: {in: [' a   b ']}}", {NAME: "a b"})


def test_a_named_list_stands_where_a_list_may_stand():
    text = document_with("{form.email: {domain_in: freemail}}").replace(
        "rules:", "lists: {freemail: [gmail.com, Web.de]}\nrules:"
    )
    (rule,) = parse_documents({"a.yaml": text}, CATALOGUE).rule_set.rules

    judgement = rule.judge(situation_with({MAIL: "x@WEB.DE"}))

    assert judgement.holds
    assert judgement.clauses[0].test == "has a domain in the list freemail"
