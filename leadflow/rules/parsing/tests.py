"""`tests`: beside the rules in `NAME.test.yaml`, or inside a rule; from nodes to tests that can be run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from leadflow.rules.model import Rule
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.parsing.test_parts import (
    EXPECT_KEYS,
    RECORDS,
    read_event,
    read_expectation,
    read_expected,
    read_given,
    read_later,
)
from leadflow.rules.parsing.test_values import read_given_value, read_moment_of_test
from leadflow.rules.problems import find_nearest, quoted
from leadflow.rules.reading import ANY_SCOPE, Reader, Scope
from leadflow.rules.testing.happening import ROOTS, happening_of
from leadflow.rules.testing.model import Expected, Place, RuleTest

if TYPE_CHECKING:
    from leadflow.rules.parsing.document import Document

TEST_KEYS = ("test", "rule", "now", "given", "event", "expect", "later")
TABLE_KEYS = ("table", "rule", "now", "given", "event", "expect", "columns", "rows")
RESULT_COLUMNS = tuple(one for one in EXPECT_KEYS if one not in RECORDS)
EXPECT = "expect."
MAX_ROWS = 5_000

# A Thursday in working hours, in the time zone of the document.
DEFAULT_NOW = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tested:
    """What tests may be about: the rules without problems, and the ids of all of them."""

    rules: Mapping[str, Rule]
    slugs: Collection[str]


def read_all_tests(documents: Iterable[Document]) -> tuple[RuleTest, ...]:
    """The tests of all documents: those inside rules, and those under `tests`, which say their rule."""
    documents = list(documents)
    rules = {rule.slug: rule for one in documents for rule in one.rules}
    tested = Tested(rules, {slug.text: None for one in documents for slug in one.slugs})
    return tuple(test for one in documents for test in _tests_of(one, tested))


def _tests_of(document: Document, tested: Tested) -> Iterator[RuleTest]:
    rules = document.given.get("rules")
    for item in rules.items if isinstance(rules, ListNode) else ():
        slug = item.entries.get("rule") if isinstance(item, MappingNode) else None
        if isinstance(item, MappingNode) and slug and isinstance(slug[1], ScalarNode) and "tests" in item.entries:
            yield from read_tests(document.reader, item.entries["tests"][1], tested, slug[1].text, document.zone or UTC)
    if "tests" in document.given:
        yield from read_tests(document.reader, document.given["tests"], tested, None, document.zone)


def read_tests(
    reader: Reader, node: Node, tested: Tested, slug: str | None = None, zone: tzinfo | None = None
) -> tuple[RuleTest, ...]:
    """The tests of a list; those without a problem, the others are told.

    `slug` is the rule that they stand in; without one each says its own. `zone` is that of their document; without
    one each is in the time zone of its rule.
    """
    found = [_read_item(reader, item, tested, slug, zone) for item in reader.items(node, "tests")]
    return tuple(test for tests in found for test in tests)


def _read_item(
    reader: Reader, node: Node, tested: Tested, slug: str | None, zone: tzinfo | None
) -> tuple[RuleTest, ...]:
    is_table = isinstance(node, MappingNode) and "table" in node.entries
    name, keys = ("table", TABLE_KEYS) if is_table else ("test", TEST_KEYS)
    allowed = [key for key in keys if key != "rule" or slug is None]
    required = (name, *(["columns", "rows"] if is_table else ["expect"]), *(["rule"] if slug is None else []))
    given = reader.entries(node, f"a {name}", allowed, required)
    rule = _read_rule(reader, given.get("rule"), tested) if given and slug is None else slug
    if given is None or rule is None:
        return ()
    known = tested.rules.get(rule)
    reader.zone, own_zone = (zone or (known.zone if known else reader.zone)), reader.zone
    try:
        tests = _Reading(reader, given, node, rule).tests()
    finally:
        reader.zone = own_zone
    return tests if _say_what_changed(reader, node, known, tests) else ()


def _read_rule(reader: Reader, node: Node | None, tested: Tested) -> str | None:
    slug = reader.text(node, "rule") if node is not None else None
    if slug is None or node is None or slug in tested.slugs:
        return slug
    message, near = f"there is no rule {quoted(slug)} here", find_nearest(slug, tested.slugs)
    reader.add(node, "unknown-rule", message, suggestion=near, allowed=tested.slugs)
    return None


def _say_what_changed(reader: Reader, node: Node, rule: Rule | None, tests: tuple[RuleTest, ...]) -> bool:
    """Every other trigger says enough; of a change nobody knows which one is meant."""
    if rule is None or all(happening_of(rule, test) is not None for test in tests):
        return True
    message = "the rule listens to changes, so the test says which: 'event: {record_changed: {…}}'"
    reader.add(node, "missing-key", message)
    return False


class _Reading:
    """One entry of the list: a test, or a table of them."""

    def __init__(self, reader: Reader, given: Mapping[str, Node], node: Node, rule: str) -> None:
        self._reader, self._given, self._node, self._rule = reader, given, node, rule

    def tests(self) -> tuple[RuleTest, ...]:
        problems_before = len(self._reader.problems)
        shared = self._read_shared()
        found = list(self._read_rows(shared)) if "table" in self._given else [shared]
        return tuple(found) if len(self._reader.problems) == problems_before else ()

    def _read_shared(self) -> RuleTest:
        reader, given = self._reader, self._given
        now = read_moment_of_test(reader, given["now"], "now") if "now" in given else None
        name = given.get("table") or given.get("test")
        later = [read_later(reader, item) for item in reader.items(given["later"], "later")] if "later" in given else []
        test = RuleTest(
            rule=self._rule,
            name=(reader.text(name, "the name of the test") if name else None) or "",
            place=place_of(reader, self._node),
            now=now or DEFAULT_NOW.replace(tzinfo=reader.zone),
            zone=reader.zone,
            event=read_event(reader, given["event"]) if "event" in given else None,
            expected=read_expected(reader, given["expect"]) if "expect" in given else Expected(),
            later=tuple(one for one in later if one),
        )
        return replace(test, given=read_given(reader, given["given"])) if "given" in given else test

    # -- tables ----------------------------------------------------------------------------------------------------

    def _read_rows(self, shared: RuleTest) -> Iterator[RuleTest]:
        if "columns" not in self._given or "rows" not in self._given:
            return
        columns = [self._read_column(one) for one in self._reader.items(self._given["columns"], "columns")]
        if not all(columns):
            return
        self._require_expectation(shared, columns)
        for number, row in enumerate(self._reader.items(self._given["rows"], "rows")[:MAX_ROWS], 1):
            yield self._read_row(shared, columns, row, number)

    def _require_expectation(self, shared: RuleTest, columns: list[str]) -> None:
        is_there = any(one.startswith(EXPECT) or one in RESULT_COLUMNS for one in columns)
        if shared.expected.is_empty and not is_there:
            message = "a table expects something: one of its columns is 'fires' or begins with 'expect.'"
            self._reader.add(self._given["columns"], "missing-key", message, allowed=RESULT_COLUMNS)

    def _read_column(self, node: Node) -> str:
        """The column's path or word; "" after a problem."""
        text = self._reader.text(node, "a column") or ""
        if text in RESULT_COLUMNS or text == "now" or not isinstance(node, ScalarNode) or not text:
            return text
        scope = Scope(frozenset(RECORDS)) if text.startswith(EXPECT) else ANY_SCOPE
        if "." not in text:
            allowed = (*RESULT_COLUMNS, "now", "FIELD", "expect.FIELD")
            near = find_nearest(text, (*RESULT_COLUMNS, "now"))
            self._reader.add(node, "unknown-column", f"{quoted(text)} is no column", suggestion=near, allowed=allowed)
            return ""
        path = text.removeprefix(EXPECT)
        field = self._reader.field(ScalarNode(node.line, node.column, node.width, text=path), scope)
        return text if field else ""

    def _read_row(self, shared: RuleTest, columns: list[str], row: Node, number: int) -> RuleTest:
        cells = row.items if isinstance(row, ListNode) else []
        if len(cells) != len(columns):
            message = f"a row has {len(columns)} values, one for each column; this one has {len(cells)}"
            self._reader.add(row, "wrong-type", message)
            return shared
        given, said, after, results = dict(shared.given.values), dict(shared.said), dict(shared.expected.values), {}
        for column, cell in zip(columns, cells, strict=True):
            if column in (*RESULT_COLUMNS, "now"):
                results[column] = self._read_result(column, cell)
                continue
            field = self._reader.catalogue.fields[column.removeprefix(EXPECT)]
            target = after if column.startswith(EXPECT) else said if field.root in ROOTS.values() else given
            target[field.path] = read_given_value(self._reader, cell, field)
        now = results.pop("now", None) or shared.now
        return replace(
            shared,
            name=f"{shared.name}, row {number}: {', '.join(map(_shown, cells))}",
            place=place_of(self._reader, row),
            now=now,
            given=replace(shared.given, values=given),
            said=said,
            expected=replace(shared.expected, values=after, **results),
        )

    def _read_result(self, column: str, cell: Node) -> Any:
        if column == "now":
            return read_moment_of_test(self._reader, cell, "now")
        return read_expectation(self._reader, column, cell)


def place_of(reader: Reader, node: Node) -> Place:
    """Where the node stands."""
    line = reader.lines[node.line - 1] if node.line <= len(reader.lines) else ""
    return Place(reader.file, node.line, node.column, max(1, min(node.width, len(line) - node.column + 1)), line)


def _shown(cell: Node) -> str:
    if isinstance(cell, ListNode):
        return "[" + ", ".join(map(_shown, cell.items)) + "]"
    return cell.text if isinstance(cell, ScalarNode) else "…"
