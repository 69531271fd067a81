"""The rules as they are live: what they wait for, how often they acted, and why they did not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint
from sqlalchemy import Connection

from leadflow.errors import NotFound
from leadflow.rules.due_times import first_due
from leadflow.rules.evaluation import RUNNING
from leadflow.rules.model import Rule
from leadflow.services.rule_sets import live_documents
from leadflow.store import page_reads, reads
from leadflow.store.lists import Lists
from leadflow.web.auth import requires
from leadflow.web.pages import charts, desk, rule_words, rulebook

COUNTED = timedelta(days=30)
SHOWN_TRACES = 12
STOPPED = ("blocked_by_guard", "error")


@dataclass(frozen=True, slots=True)
class Tally:
    """How a rule ended in the counted time."""

    tried: int = 0
    fired: int = 0
    near: int = 0
    stopped: int = 0
    shadow: int = 0
    last_fired_at: datetime | None = None

    @property
    def other(self) -> int:
        return self.tried - self.fired - self.shadow - self.near - self.stopped

    @property
    def segments(self) -> list[charts.Segment]:
        return charts.stacked(
            [
                ("fired", "good", self.fired),
                ("would have fired", "watch", self.shadow),
                ("near miss", "warn", self.near),
                ("stopped", "bad", self.stopped),
                ("other", "idle", self.other),
            ]
        )

    @property
    def words(self) -> str:
        return ", ".join(f"{one.count:,} {one.label}" for one in self.segments)


@dataclass(frozen=True, slots=True)
class Line:
    """A rule in the list."""

    rule: Rule
    trigger: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class Document:
    """A rule document with its rules."""

    name: str
    rules: list[Line]


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


def _all_rules(connection: Connection) -> dict[str, Any]:
    lists = desk.lists(connection)
    version, documents = live_documents(connection)
    parsed = rulebook.read(documents, lists)
    counts = reads.rule_counts(connection, desk.now() - COUNTED)
    lines = [_line(rule, counts.get(rule.slug), lists) for rule in parsed.rule_set.rules]
    return {
        "version": version,
        "troubles": [str(problem) for problem in parsed.problems],
        "documents": [
            Document(name, sorted((one for one in lines if one.rule.document == name), key=lambda one: one.rule.line))
            for name in sorted({one.rule.document for one in lines})
        ],
    }


def _line(rule: Rule, counts: reads.RuleCounts | None, lists: Lists) -> Line:
    return Line(rule, rulebook.trigger_words(rule, lists), tally_of(counts))


def tally_of(counts: reads.RuleCounts | None) -> Tally:
    """The outcomes, put together as people ask for them."""
    if counts is None:
        return Tally()
    return Tally(
        sum(counts.outcomes.values()),
        counts.outcomes.get("fired", 0),
        counts.near_misses,
        sum(counts.outcomes.get(name, 0) for name in STOPPED),
        counts.outcomes.get("shadow", 0),
        counts.last_fired_at,
    )


def _one_rule(connection: Connection, slug: str) -> dict[str, Any]:
    lists = desk.lists(connection)
    version, documents = live_documents(connection)
    rule = next((one for one in rulebook.read(documents, lists).rule_set.rules if one.slug == slug), None)
    if rule is None:
        raise NotFound(f"There is no live rule “{slug}”. It may have been renamed or taken out.")
    tally = tally_of(reads.rule_counts(connection, desk.now() - COUNTED).get(slug))
    shows_all = desk.asked("traces") == "all"
    runs = page_reads.newest_runs(connection, slug, only_telling=not shows_all, limit=SHOWN_TRACES)
    companies, contacts = desk.records_of(connection, runs)
    return {
        "rule": rule,
        "version": version,
        "trigger": rulebook.trigger_words(rule, lists),
        **_in_words(rule, lists),
        "tiles": _tiles(tally),
        "last_fired_at": page_reads.last_fired_at(connection, slug),
        "source": rulebook.source_lines(rule.source_text),
        "runs": runs,
        "events": page_reads.events_by_id(connection, {run.event_id for run in runs if run.event_id is not None}),
        "companies": companies,
        "contacts": contacts,
        "shows_all": shows_all,
        "titles": rulebook.titles_of(documents, lists),
    }


def _in_words(rule: Rule, lists: Lists) -> dict[str, Any]:
    return {
        "next_due_at": first_due(rule, desk.now()) if rule.status in RUNNING else None,
        "parts": rule_words.condition_parts(rule.condition, lists),
        "steps": rule_words.step_lines(rule, lists),
        "limit": rule_words.limit_words(rule.limit),
        "while_waiting": rule_words.running_words(rule),
        "listening": rule_words.listening_words(rule),
    }


def _tiles(tally: Tally) -> list[tuple[str, int, str]]:
    acted = ("Fired", tally.fired, f"of {tally.tried:,} times tried")
    watched = ("Would have fired", tally.shadow, f"of {tally.tried:,} times tried, in shadow")
    return [
        watched if tally.shadow and not tally.fired else acted,
        ("Near misses", tally.near, "all conditions but one"),
        ("Stopped", tally.stopped, "by the guard, or unreadable"),
        ("Other", tally.other, "no match, or within a limit"),
    ]
