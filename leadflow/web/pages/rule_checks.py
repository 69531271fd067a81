"""What is said of a document while it is written: its problems, what its rules say in words, what keeps it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import Connection

from leadflow.rules.linting import NO_DATA, Data, lint
from leadflow.rules.model import Rule
from leadflow.rules.parsing import ParsedRules
from leadflow.rules.parsing.outline import outline_of
from leadflow.rules.problems import Problem
from leadflow.rules.testing.running import failing_tests
from leadflow.services.linting import StoredData, setting_of
from leadflow.services.rule_tests import ground_of_lists
from leadflow.store.lists import Lists
from leadflow.store.reads.selections import selections_by_title
from leadflow.web.pages import desk, rulebook, rules
from leadflow.web.pages.rule_sheets import Sheet

LIST_FILE = ".txt"


@dataclass(frozen=True, slots=True)
class RuleInWords:
    """One rule of the draft as people read it."""

    rule: Rule
    trigger: str
    more: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that was found: here and, where it is grave, in other documents; the rules in words; and why it cannot
    be published, empty if it can."""

    problems: Sequence[Problem]
    elsewhere: Sequence[Problem]
    rules: Sequence[RuleInWords]
    reason: str
    is_checked: bool = True

    def count(self, severity: str) -> int:
        """How many problems of one severity there are."""
        return sum(one.severity == severity for one in (*self.problems, *self.elsewhere))

    @property
    def can_publish(self) -> bool:
        return not self.reason

    @property
    def words(self) -> str:
        """`2 errors, 1 note`."""
        if not self.is_checked:
            return str(_("Not checked yet"))
        errors, warnings, notes = (self.count(one) for one in ("error", "warning", "note"))
        said = (
            ngettext("%(num)s error", "%(num)s errors", errors) if errors else "",
            ngettext("%(num)s warning", "%(num)s warnings", warnings) if warnings else "",
            ngettext("%(num)s note", "%(num)s notes", notes) if notes else "",
        )
        return ", ".join(filter(None, said)) or str(_("No problems found"))

    @property
    def tone(self) -> str:
        """The gravest of what was found."""
        if not self.is_checked:
            return "open"
        return "error" if self.count("error") else "warning" if self.count("warning") else "fine"


def check(connection: Connection, sheet: Sheet, *, asks_records: bool = True) -> Verdict:
    """The same as `leadflow rules check` says, and the tests that keep a live rule from being published.

    Without `asks_records` nothing is looked up among the records: what is found then has no numbers and no examples.
    """
    lists, now = desk.lists(connection), desk.now()
    parsed = rulebook.read(sheet.documents, lists)
    found = parsed.problems
    if not found:
        data: Data = StoredData(connection, lists.catalogue, now) if asks_records else NO_DATA
        found = lint(parsed.rule_set, sheet.documents, setting_of(lists, now, data))
        found = (*found, *failing_tests(parsed.rule_set.rules, parsed.tests, ground_of_lists(lists)))
    here = sorted((one for one in found if one.file == sheet.name), key=lambda one: (one.line, one.column))
    grave = [one for one in found if one.file != sheet.name and one.severity == "error"]
    return Verdict(here, grave, in_words(parsed, sheet.name, lists), _reason(sheet, [*here, *grave]))


def read_only(connection: Connection, sheet: Sheet) -> Verdict:
    """The rules in words before anything was checked."""
    lists = desk.lists(connection)
    found = in_words(rulebook.read(sheet.documents, lists), sheet.name, lists)
    return Verdict((), (), found, _reason(sheet, ()), is_checked=False)


def _reason(sheet: Sheet, problems: Iterable[Problem]) -> str:
    """Why the document cannot be published as it is; empty if it can."""
    errors = sum(one.severity == "error" for one in problems)
    if errors:
        one, many = "%(num)s error keeps it from being published.", "%(num)s errors keep it from being published."
        return str(ngettext(one, many, errors))
    return "" if sheet.is_changed else str(_("Nothing differs from what is live."))


def in_words(parsed: ParsedRules, name: str, lists: Lists) -> list[RuleInWords]:
    own = sorted((one for one in parsed.rule_set.rules if one.document == name), key=lambda one: one.line)
    return [RuleInWords(one, rulebook.trigger_words(one, lists), rules.in_words(one, lists, desk.now())) for one in own]


def as_json(verdict: Verdict) -> list[dict[str, Any]]:
    """The problems of this document as the editor marks them."""
    return [asdict(one) for one in verdict.problems]


def names_in(connection: Connection, sheet: Sheet) -> dict[str, list[str]]:
    """What completion offers beside the schema: names that the documents give and use, and those of selections."""
    outlines = {name: outline_of(name, text) for name, text in sheet.documents.items() if not name.endswith(LIST_FILE)}
    own = outlines.get(sheet.name)
    named = [one.named for one in outlines.values()]
    ruled = [rule for one in outlines.values() for rule in one.rules]
    owners = {owner for rule in ruled if isinstance(owner := rule.entries.get("owner"), str)}
    return {
        "lists": sorted({key for one in named for key in one.get("lists", {})}),
        "segments": sorted({key for one in named for key in one.get("segments", {})}),
        "groups": sorted(own.named.get("groups", {})) if own else [],
        "vars": sorted(own.named.get("vars", {})) if own else [],
        "rules": sorted({rule.slug for rule in ruled}),
        "owners": sorted(owners),
        "selections": [one.slug for one in selections_by_title(connection)],
    }


def rule_lines(sheet: Sheet) -> list[dict[str, Any]]:
    """The rules of the draft with their lines, for jumping there; also while something is wrong with it."""
    if sheet.name.endswith(LIST_FILE):
        return []
    found = []
    for one in outline_of(sheet.name, sheet.text).rules:
        title = one.entries.get("title")
        found.append({"slug": one.slug, "line": one.line, "title": title if isinstance(title, str) else one.slug})
    return found
