"""The rules as they are live: what they wait for, how often they acted and why they did not, what asks for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, current_app
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.errors import InvalidRequest, NotFound
from leadflow.rules.due_times import first_due
from leadflow.rules.evaluation import RUNNING
from leadflow.rules.model import Rule, RuleStatus
from leadflow.rules.parsing import ParsedRules
from leadflow.services.rule_documents import DocumentOrigin, origins
from leadflow.services.rule_sets import live_documents
from leadflow.store import page_reads
from leadflow.store.lists import Lists
from leadflow.store.sweeps.reads import sweeps
from leadflow.web.auth import requires
from leadflow.web.pages import desk, rule_words, rulebook
from leadflow.web.pages.rule_activity import Activity, Sign, activities, signs_of

SHOWN_TRACES = 12
MOST_BRAKED = 100
STATUSES = tuple(one.value for one in (RuleStatus.LIVE, *(one for one in RuleStatus if one is not RuleStatus.LIVE)))
ATTENTION = "attention"


@dataclass(frozen=True, slots=True)
class Line:
    """A rule in the list."""

    rule: Rule
    trigger: str
    seen: Activity
    signs: Sequence[Sign]

    @property
    def asks_for_attention(self) -> bool:
        return any(one.is_grave for one in self.signs)

    def fits(self, q: str, status: str) -> bool:
        """Whether the filters of the page let it through."""
        said = f"{self.rule.slug} {self.rule.title} {self.rule.owner} {self.rule.document} {self.trigger}".casefold()
        is_asked = self.asks_for_attention if status == ATTENTION else status in ("", self.rule.status.value)
        return is_asked and all(word in said for word in q.casefold().split())


@dataclass(frozen=True, slots=True)
class Document:
    """A rule document with its rules, and where its text comes from."""

    name: str
    rules: list[Line]
    origin: DocumentOrigin | None


def register(pages: Blueprint) -> None:
    """Add the rules to the blueprint."""

    @pages.get("/rules")
    @requires("viewer")
    def rules() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "rules.html", "rules", **_all_rules(connection))

    @pages.get("/rules/<slug>")
    @requires("viewer")
    def rule(slug: str) -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "rule.html", "rules", **_one_rule(connection, slug))


# -- the list ----------------------------------------------------------------------------------------------------------


def _all_rules(connection: Connection) -> dict[str, Any]:
    q, status = desk.asked("q"), desk.asked("status")
    if status not in ("", ATTENTION, *STATUSES):
        raise InvalidRequest(_("There is no such filter."))
    version, documents = live_documents(connection)
    parsed = rulebook.read(documents, desk.lists(connection))
    lines = lines_of(connection, parsed, desk.lists(connection))
    found = [one for one in lines if one.fits(q, status)]
    return {
        "version": version,
        "troubles": [str(problem) for problem in parsed.problems],
        "documents": _documents(documents, found, origins(connection), shows_all=not (q or status)),
        "wanted": q,
        "status": status,
        "filters": _filters(lines),
        "found": len(found),
        "total": len(lines),
    }


def lines_of(connection: Connection, parsed: ParsedRules, lists: Lists) -> list[Line]:
    """All rules with how they did, in the order in which they are written."""
    rules = sorted(parsed.rule_set.rules, key=lambda one: (one.document, one.line))
    seen = activities(connection, [one.slug for one in rules], desk.now())
    tested = {one.rule for one in parsed.tests}
    waiting = braked(connection)
    return [
        Line(
            one,
            rulebook.trigger_words(one, lists),
            seen[one.slug],
            signs_of(one, seen[one.slug], one.slug in tested, waiting),
        )
        for one in rules
    ]


def braked(connection: Connection) -> dict[str, int]:
    """The sweep of each rule that waits for a person."""
    return {
        one.rule: one.id for one in sweeps(connection, state="braked", after=None, limit=MOST_BRAKED).items if one.id
    }


def _documents(
    texts: Mapping[str, str], found: Sequence[Line], written: Mapping[str, DocumentOrigin], *, shows_all: bool
) -> list[Document]:
    """The documents with the rules found; without a filter also those that only hold lists, segments or tests."""
    of_name = {name: [one for one in found if one.rule.document == name] for name in sorted(texts)}
    return [Document(name, rules, written.get(name)) for name, rules in of_name.items() if rules or shows_all]


def _filters(lines: Sequence[Line]) -> list[tuple[str, int]]:
    """Each filter with how many rules it finds; those that find none are not offered."""
    counts = [("", len(lines)), (ATTENTION, sum(one.asks_for_attention for one in lines))]
    counts += [(status, sum(one.rule.status.value == status for one in lines)) for status in STATUSES]
    return [(status, count) for status, count in counts if count or not status]


# -- one rule ----------------------------------------------------------------------------------------------------------


def _one_rule(connection: Connection, slug: str) -> dict[str, Any]:
    lists = desk.lists(connection)
    version, documents = live_documents(connection)
    parsed = rulebook.read(documents, lists)
    line = find_line(connection, parsed, lists, slug)
    shows_all = desk.asked("traces") == "all"
    runs = page_reads.newest_runs(connection, slug, only_telling=not shows_all, limit=SHOWN_TRACES)
    companies, contacts = desk.records_of(connection, runs)
    return {
        "rule": line.rule,
        "line": line,
        "version": version,
        "trigger": line.trigger,
        "origin": origins(connection).get(line.rule.document),
        "tests": sum(one.rule == slug for one in parsed.tests),
        "can_explain": "pages.rule_explain" in current_app.view_functions,
        **in_words(line.rule, lists, desk.now()),
        "tiles": _tiles(line.seen),
        "source": rulebook.source_lines(line.rule.source_text),
        "runs": runs,
        "events": page_reads.events_by_id(connection, {run.event_id for run in runs if run.event_id is not None}),
        "companies": companies,
        "contacts": contacts,
        "shows_all": shows_all,
        "titles": rulebook.titles_of(documents, lists),
    }


def find_line(connection: Connection, parsed: ParsedRules, lists: Lists, slug: str) -> Line:
    """A live rule with how it did. Raises: NotFound."""
    rule = next((one for one in parsed.rule_set.rules if one.slug == slug), None)
    if rule is None:
        raise NotFound(_("There is no live rule “%(slug)s”. It may have been renamed or taken out.", slug=slug))
    seen = activities(connection, [slug], desk.now())[slug]
    has_tests = any(one.rule == slug for one in parsed.tests)
    return Line(rule, rulebook.trigger_words(rule, lists), seen, signs_of(rule, seen, has_tests, braked(connection)))


def in_words(rule: Rule, lists: Lists, now: datetime) -> dict[str, Any]:
    """The rule as people read it: its condition as lines, its steps, its limit."""
    return {
        "next_due_at": first_due(rule, now) if rule.status in RUNNING else None,
        "parts": rule_words.condition_parts(rule.condition, lists),
        "steps": rule_words.step_lines(rule, lists),
        "limit": rule_words.limit_words(rule.limit),
        "while_waiting": rule_words.running_words(rule),
        "listening": rule_words.listening_words(rule),
    }


def _tiles(seen: Activity) -> list[tuple[str, int, str]]:
    tried = f"{seen.tried:,}{'+' if seen.is_at_least else ''}"
    acted = (_("Fired"), seen.acted, _("of %(tried)s times tried", tried=tried))
    watched = (_("Would have fired"), seen.shadow, _("of %(tried)s times tried, in shadow", tried=tried))
    return [
        watched if seen.shadow and not seen.acted else acted,
        (_("Near misses"), seen.near, _("all conditions but one")),
        (_("Stopped"), seen.guarded + seen.errors, _("by the guard, or unreadable")),
        (_("Other"), seen.other, _("no match, or within a limit")),
    ]
