"""Tests of rules: run in memory, and their conditions asked of a database as well; the two must say the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Lifecycle
from leadflow.domain.records import Records
from leadflow.errors import LeadflowError
from leadflow.rules.conditions import Clause, Leaf, MemberClause, NowClause, PastClause, leaves_of
from leadflow.rules.model import Judgement, Rule
from leadflow.rules.operators import OPERATORS
from leadflow.rules.parsing import ParsedRules
from leadflow.rules.past import EventsAsked
from leadflow.rules.testing.examining import Report, examine
from leadflow.rules.testing.model import Place, RuleTest
from leadflow.rules.testing.stage import Ground, Stage, set_stage
from leadflow.services.configuration import Configuration
from leadflow.services.installation import configured_catalogue
from leadflow.store.conditions import Subject, render, rows_of
from leadflow.store.lists import Lists
from leadflow.store.stand_ins import insert_past, stand_ins
from leadflow.store.tables import CompanyRow, ContactRow

# The records and past events of one test have ids from here to the next; the parser allows far fewer.
IDS_OF_ONE_TEST = 1_000


def ground_of_lists(lists: Lists) -> Ground:
    """What tests stand on in an installation."""
    return Ground(lists.lifecycle, lists.statuses, lists.catalogue)


def ground_of_configuration(configuration: Configuration) -> Ground:
    """What tests stand on where there are only files."""
    categories = {one.key: one for one in configuration.categories}
    lifecycle = Lifecycle(categories, configuration.edges, configuration.on_reentry)
    statuses = LeadStatuses({one.key: one for one in configuration.lead_statuses})
    return Ground(lifecycle, statuses, configured_catalogue(configuration))


def run_tests(parsed: ParsedRules, ground: Ground, connection: Connection | None = None) -> Report:
    """All tests in memory, with coverage and mutants; with a connection each condition is asked as SQL, too.

    What the database holds is neither read nor written.
    """
    report = examine(parsed.rule_set.rules, parsed.tests, ground)
    if connection is None:
        return report
    cases = list(_cases_of(parsed.rule_set.rules, parsed.tests, ground))
    return report.with_sql(find_sql_differences(connection, cases), len(cases))


# -- as SQL ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One test on a stage with ids of its own; `subject` is the record that SQL is asked about."""

    rule: Rule
    test: RuleTest
    stage: Stage
    subject: Subject
    record_id: int
    judgement: Judgement

    @property
    def question(self) -> object:
        """Equal for tests of which one statement asks: of one rule and moment, and alike in what no row says."""
        leaves = zip(leaves_of(self.rule.condition), self.judgement.clauses, strict=True)
        unstored = tuple(clause.holds for leaf, clause in leaves if not _is_stored(leaf))
        return self.rule.slug, self.subject, self.stage.situation.now, unstored


def find_sql_differences(connection: Connection, cases: Iterable[Case]) -> Mapping[Place, str]:
    """Where SQL says something else of a condition than memory does, by the place of the test."""
    cases = list(cases)
    with stand_ins(connection):
        _insert(connection, cases)
        alike: dict[object, list[Case]] = defaultdict(list)
        for one in cases:
            alike[one.question].append(one)
        return {place: fault for group in alike.values() for place, fault in _compare(connection, group)}


def _cases_of(rules: Sequence[Rule], tests: Sequence[RuleTest], ground: Ground) -> Iterator[Case]:
    by_slug = {rule.slug: rule for rule in rules}
    for number, test in enumerate(tests):
        rule = by_slug[test.rule]
        stage = set_stage(rule, test, ground, first_id=number * IDS_OF_ONE_TEST + 1)
        if found := _subject_of(rule, stage):
            yield Case(rule, test, stage, *found, rule.judge_condition(stage.situation))


def _is_stored(leaf: Leaf) -> bool:
    """Whether the clause is about what rows say; all others are constants of the statement."""
    return not isinstance(leaf, Clause) or (
        leaf.path.startswith(("company.", "contact.")) and all(one.operator.name in _STORED for one in leaf.tests)
    )


# Not so where another field is compared with, which may be one of the event, or a change is asked for.
_STORED = {one.name for one in OPERATORS if not one.only_on_change and one.name != "same_as"}


def _subject_of(rule: Rule, stage: Stage) -> tuple[Subject, int] | None:
    """The record whose row is asked about; None where a rule asks for a contact that is not there."""
    situation, leaves = stage.situation, list(leaves_of(rule.condition))
    is_sweep_of_companies = rule.schedule is not None and rule.schedule.for_each == "company"
    if situation.contact is not None and not is_sweep_of_companies:
        return "contact", situation.contact.id
    if situation.company is None or any(map(_asks_for_contact, leaves)):
        return None
    return "company", situation.company.id


def _asks_for_contact(leaf: Leaf) -> bool:
    match leaf:
        case PastClause(asked=EventsAsked(by=by)):
            return by == "contact"
        case PastClause(asked=asked):
            return asked.field.root == "contact"  # type: ignore[union-attr]
        case Clause(field=field, tests=tests):
            others = [getattr(one.operand.value, "path", "") for one in tests]
            return field.root == "contact" or any(path.startswith("contact.") for path in others)
        case MemberClause(record=record):
            return record == "contact"
        case NowClause():
            return False


def _insert(connection: Connection, cases: Sequence[Case]) -> None:
    if not cases:
        return
    first = cases[0].stage.records
    everybody = Records(first.lifecycle, first.statuses, first.now)
    for one in cases:
        everybody.companies |= one.stage.records.companies
        everybody.contacts |= one.stage.records.contacts
    events = [event for one in cases for event in one.stage.events]
    changes = [change for one in cases for change in one.stage.changes]
    insert_past(connection, everybody, events, changes, [member for one in cases for member in one.stage.members])


def _compare(connection: Connection, cases: Sequence[Case]) -> Iterator[tuple[Place, str]]:
    """Ask SQL once for tests of one question; the places where its answer is not that of memory."""
    first, ids = cases[0], [one.record_id for one in cases]
    situation = first.stage.situation
    row = CompanyRow.id if first.subject == "company" else ContactRow.id
    try:
        condition = render(first.rule.condition, first.subject, situation.now, situation)
    except LeadflowError as error:
        yield from ((one.test.place, f"the condition cannot be asked as SQL: {error}") for one in cases)
        return
    asked = select(row).select_from(rows_of(first.subject)).where(row.in_(ids), condition)
    found = set(connection.scalars(asked))
    for one in cases:
        in_memory, in_sql = one.judgement.holds, one.record_id in found
        if in_memory is not in_sql:
            memory, sql = (_SAID[verdict] for verdict in (in_memory, in_sql))
            yield one.test.place, f"memory and SQL differ: in memory the condition {memory}, as SQL it {sql}"


_SAID = {True: "holds", False: "does not hold"}
