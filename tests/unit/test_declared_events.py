"""Declared events: what a delivery must say to be one, and what it is otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from leadflow.domain.fields import Catalogue, CustomField, Kind, Unreadable, build_catalogue
from leadflow.sources.mapping import Submission, map_submission
from leadflow.sources.model import Source
from leadflow.sources.payloads import UnreadablePayload
from tests.unit.rules.given import LIFECYCLE, STATUSES

EVENTS = {"webinar_attended": "Attended a webinar", "pricing_page_viewed": "Looked at the pricing page"}
CATALOGUE: Catalogue = build_catalogue(
    LIFECYCLE,
    STATUSES,
    [CustomField("event", "minutes", Kind.NUMBER, "Minutes"), CustomField("form", "budget", Kind.NUMBER, "Budget")],
    EVENTS,
)
SOURCE = Source("generic", "generic", event="event")


def mapped(source: Source = SOURCE, **body: Any) -> Submission:
    document = {"email": "Anna@Nordwind.example", **body}
    return map_submission(source, "application/json", json.dumps(document).encode(), CATALOGUE)


def test_a_delivery_that_names_a_declared_event_is_that_event():
    found = mapped(event="webinar_attended", minutes="42", at="2026-03-01T12:00:00Z", webinar="spring")

    assert found.event == "webinar_attended"
    assert found.event_fields == {
        "name": "webinar_attended",
        "email": "anna@nordwind.example",
        "minutes": Decimal(42),
        "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    }


def test_what_an_event_says_about_its_person_is_kept_for_a_new_contact():
    found = mapped(event="webinar_attended", name="Anna Berg", company="Nordwind AS", utm_source="mail", form="x")

    assert found.fields == {
        "email": "anna@nordwind.example",
        "first_name": "Anna",
        "last_name": "Berg",
        "company": "Nordwind AS",
        "utm_source": "mail",
    }


@pytest.mark.parametrize("name", ["webinar_attended", " Webinar Attended ", "WEBINAR-ATTENDED"])
def test_the_name_of_an_event_is_found_in_any_usual_spelling(name):
    assert mapped(event=name).event == "webinar_attended"


@pytest.mark.parametrize("body", [{}, {"event": ""}, {"event": "  "}, {"event": None}, {"event": {"id": 5}}])
def test_a_delivery_without_the_name_of_an_event_is_a_form(body):
    found = mapped(form="demo-request", budget="5", **body)

    assert found.event is None
    assert found.event_fields == {}
    assert found.fields["form"] == "demo-request"
    assert found.fields["budget"] == Decimal(5)


def test_a_form_that_asks_for_an_event_stays_a_form():
    assert mapped(form="registration", event="Oslo meet-up").event is None


def test_an_undeclared_event_is_refused_with_the_nearest_name():
    with pytest.raises(UnreadablePayload, match="'webinar_atended' is not declared; did you mean 'webinar_attended'"):
        mapped(event="webinar_atended")
    with pytest.raises(UnreadablePayload, match=r"'zzz' is not declared\. Declare it under events"):
        mapped(event="zzz")


def test_an_event_without_an_address_says_so():
    with pytest.raises(UnreadablePayload, match="The event has no e-mail address"):
        mapped(event="webinar_attended", email="")


def test_a_source_may_name_the_place_and_have_names_of_its_own():
    source = replace(
        SOURCE,
        root="data",
        event="meta.type",
        events={"webinar.done": "webinar_attended"},
        fields={"minutes": ("data.stay",)},
    )
    document = {"meta": {"type": "webinar.done"}, "data": {"email": "a@x.example", "stay": 7}}

    found = mapped(source, **document)

    assert (found.event, found.event_fields["minutes"]) == ("webinar_attended", Decimal(7))


def test_a_source_without_a_place_for_events_has_none():
    assert mapped(replace(SOURCE, event=None), event="webinar_attended").event is None


def test_a_field_that_cannot_be_read_is_kept_as_unreadable():
    found = mapped(event="webinar_attended", minutes="long", at="yesterday")

    assert isinstance(found.event_fields["minutes"], Unreadable)
    assert isinstance(found.event_fields["at"], Unreadable)
