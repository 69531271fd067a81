"""The form of a rule says what its YAML says, and an edit in it is exactly that edit in the YAML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.outline import outline_of
from leadflow.rules.parsing.rewriting import entries_of
from leadflow.services.configuration import read_configuration
from leadflow.services.installation import configured_catalogue
from leadflow.services.rule_forms import Line, Part, form_of, put_back, show_rule
from tests.unit.rules.test_rewriting import ROOT, RULES

CATALOGUE = configured_catalogue(read_configuration(ROOT / "config"))
SHIPPED = read_configuration(ROOT / "config").rule_documents
SLUGS = [(name, one.slug) for name, text in SHIPPED.items() for one in outline_of(name, text).rules]

DOCUMENT = """leadflow: 1

rules:
  - rule: demo   # its identity
    title: 'A demo'
    when: {form_submitted: {form: demo-request}}
    if:
      all:
        # who may be moved
        - company.category: {in: [lead, "Lost opportunity"], or_blank: true}   # short
        - any: [{company.tags: fair}, {contact.tags: fair}]
        - form.country: Norway
    then:
      - set_category: {to: MQL, from: [Lead, blank]}
      - wait: 3 days
      - create_task: "Call {{ form.email }}"
"""


@pytest.mark.parametrize(("path", "slug"), RULES, ids=[slug for _, slug in RULES])
def test_a_form_that_is_sent_as_it_came_changes_no_byte(path: Path, slug: str) -> None:
    text = path.read_text()

    assert put_back(text, slug, show_rule(text, slug, CATALOGUE), CATALOGUE) == text


@pytest.mark.parametrize(("name", "slug"), SLUGS, ids=[slug for _, slug in SLUGS])
def test_every_edited_rule_parses_and_shows_what_was_edited(name: str, slug: str) -> None:
    text = SHIPPED[name]
    form = show_rule(text, slug, CATALOGUE)
    scheduled = form.trigger.name == "schedule"
    limit = {"once_per": form.limit["once_per"] or "company", "within": "5 days"}
    edited = replace(
        form,
        header={**form.header, "title": "It's: new", "status": "shadow", "priority": "12"},
        lines=(*form.lines, Line(None, "company.name", "starts_with", ("nord, #wind",))),
        actions=(*form.actions, Part(None, "add_tag", {"tag": "a: b", "of": "company"})),
        limit=limit if not scheduled else form.limit,
    )

    changed = put_back(text, slug, edited, CATALOGUE)

    parsed = parse_documents({**SHIPPED, name: changed}, CATALOGUE, with_tests=False)
    assert parsed.problems == ()
    again = show_rule(changed, slug, CATALOGUE)
    assert again.header == edited.header
    assert [one.values for one in again.lines[-1:]] == [("nord, #wind",)] or form.condition_kept
    assert again.actions[-1].values == {"tag": "a: b", "of": "company"}


def test_what_the_form_does_not_know_is_kept_as_written() -> None:
    form = show_rule(DOCUMENT, "demo", CATALOGUE)

    assert [bool(line.kept) for line in form.lines] == [False, True, False]
    assert form.lines[0].values == ("Lead", "Lost opportunity")
    assert [part.kept for part in form.actions] == ["", "{wait: 3 days}", ""]


def test_an_edited_line_changes_alone_and_its_neighbours_keep_their_spelling() -> None:
    form = show_rule(DOCUMENT, "demo", CATALOGUE)
    first, kept, last = form.lines

    changed = put_back(
        DOCUMENT, "demo", replace(form, lines=(first, kept, replace(last, values=("Sweden",)))), CATALOGUE
    )

    assert changed == DOCUMENT.replace("form.country: Norway", "form.country: Sweden")


def test_another_category_keeps_from_where_it_moves() -> None:
    form = show_rule(DOCUMENT, "demo", CATALOGUE)
    move = replace(form.actions[0], values={"to": "Opportunity"})

    changed = put_back(DOCUMENT, "demo", replace(form, actions=(move, *form.actions[1:])), CATALOGUE)

    assert changed == DOCUMENT.replace("{to: MQL, from", "{to: Opportunity, from")


def test_a_line_that_is_not_finished_is_not_written() -> None:
    form = show_rule(DOCUMENT, "demo", CATALOGUE)
    begun = (*form.lines[:2], replace(form.lines[2], values=()), Line(None, "company.name", "is"))

    assert put_back(DOCUMENT, "demo", replace(form, lines=begun), CATALOGUE) == DOCUMENT


def test_a_line_taken_away_takes_no_comment_along() -> None:
    form = show_rule(DOCUMENT, "demo", CATALOGUE)

    changed = put_back(DOCUMENT, "demo", replace(form, lines=form.lines[1:]), CATALOGUE)

    assert "# who may be moved" in changed
    assert form_of("demo", entries_of(changed, "demo") or {}, CATALOGUE).lines[0].kept
