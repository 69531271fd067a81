"""Conditions as JSON: whatever is sent, the answer is a condition, nothing, or problems at JSON pointers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadflow.errors import Fault, InvalidRequest
from leadflow.rules.conditions import Condition
from leadflow.rules.operators import EVERY_OPERATOR
from leadflow.rules.parsing.json_conditions import Names, names_of_documents, read_json_condition
from tests.unit.rules.given import CATALOGUE, rule_with

BOTH = frozenset({"contact", "company"})

WORDS = st.sampled_from(
    [
        *("all", "any", "none", "event_count", "last_event", "last_change", "now", "segment", "selection", "or_blank"),
        *(
            "of",
            "by",
            "where",
            "within_last",
            "field",
            "from",
            "to",
            "weekday_in",
            "between",
            "form_submitted",
            "contact",
        ),
        *CATALOGUE.fields,
        *sorted(EVERY_OPERATOR),
        *("Lead", "mql", "90 days", "2026-03-01", "mon", "08:00", "blank", "null", "a/b~c", ""),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.decimals() | WORDS | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def read(document: object, names: Names | None = None) -> Condition | None:
    return read_json_condition(document, CATALOGUE, BOTH, names or Names())


def faults_of(document: object) -> list[Fault] | None:
    """The problems of what was sent; None if there is none. Any other exception is a test's failure."""
    try:
        read(document)
    except InvalidRequest as refusal:
        return refusal.faults
    return None


@given(JSON)
def test_nothing_that_is_sent_can_break_the_reader(document: object) -> None:
    faults = faults_of(document)

    assert faults is None or (faults and all(one.message for one in faults))


@given(JSON)
def test_a_problem_points_into_what_was_sent(document: object) -> None:
    for fault in faults_of(document) or ():
        root, *steps = fault.location.removeprefix("/").split("/")
        at: Any = document
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            assert isinstance(at, list) or name in at, fault
            at = at[int(name)] if isinstance(at, list) else at[name]
        assert root == "where"


@pytest.mark.parametrize(
    ("document", "written"),
    [
        ({"company.category": ["Lead", "mql"]}, "{company.category: [Lead, mql]}"),
        ({"none": [{"contact.tags": {"has_none": ["A"]}}]}, "{none: [{contact.tags: {has_none: [A]}}]}"),
        ({"company.fields.employees": {"gt": Decimal("2.50")}}, "{company.fields.employees: {gt: 2.50}}"),
        ({"company.name": "null"}, '{company.name: "null"}'),
        (
            {"last_change": {"field": "contact.lead_status", "from": ["blank", "Open"], "older_than": "90 days"}},
            "{last_change: {field: contact.lead_status, from: [blank, Open], older_than: 90 days}}",
        ),
        (
            {"event_count": {"of": "form_submitted", "where": {"form": "demo", "country": ""}, "gte": 2, "lt": None}},
            "{event_count: {of: form_submitted, where: {form: demo}, gte: 2}}",
        ),
    ],
)
def test_json_says_what_yaml_says(document: object, written: str) -> None:
    assert said(read(document)) == said(rule_with(written).condition)


def said(condition: Any) -> Any:
    """The condition in words; a group as its kind and parts."""
    parts = getattr(condition, "parts", None)
    return [type(condition).__name__, *map(said, parts)] if parts else (condition.path, condition.words)


def test_a_name_that_two_documents_declare_is_nobodys() -> None:
    segments = "leadflow: 1\nsegments: {{{}: {{company.category: Lead}}}}\n"
    documents = {f"{name}.yaml": segments.format(name) for name in ("one", "two")}
    documents["three.yaml"] = segments.format("one")
    names = names_of_documents(documents, CATALOGUE)

    assert read({"segment": "two"}, names) is not None
    with pytest.raises(InvalidRequest, match="there is no segment 'one'"):
        read({"segment": "one"}, names)
