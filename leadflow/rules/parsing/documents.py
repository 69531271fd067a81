"""Whole documents: their header, the names they declare and use, their rules, and what is unique among all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from leadflow.domain.fields import Catalogue
from leadflow.rules.model import RuleSet
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.parsing.document import Document, Segment
from leadflow.rules.parsing.named_lists import LIST_FILE_SUFFIX, ListFile, read_lists
from leadflow.rules.parsing.rule import read_rule
from leadflow.rules.parsing.segments import SegmentFinder, declare_segments
from leadflow.rules.parsing.tests import read_all_tests
from leadflow.rules.parsing.uses import link_uses, names_for
from leadflow.rules.parsing.variables import put_in_variables
from leadflow.rules.parsing.yaml_tree import decode, read_tree
from leadflow.rules.problems import Problem, find_nearest, in_reading_order, quoted
from leadflow.rules.reading import Reader
from leadflow.rules.testing.model import RuleTest

GRAMMAR_VERSION = "1"
DOCUMENT_KEYS = ("leadflow", "use", "settings", "vars", "lists", "segments", "groups", "rules", "tests")


@dataclass(frozen=True, slots=True)
class ParsedRules:
    """The rule set, to be used only if there are no problems."""

    rule_set: RuleSet
    problems: tuple[Problem, ...]
    tests: tuple[RuleTest, ...] = ()


def parse_documents(
    documents: Mapping[str, str | bytes], catalogue: Catalogue, *, version: int = 0, with_tests: bool = True
) -> ParsedRules:
    """Read all documents (by file name) into one rule set; every problem of every document is reported.

    Names that end in `.txt` are files of list values. Rules are tried by priority, then by file name and place in the
    file. Without `with_tests` the tests of rules are passed over, as who runs the rules does not need them. Never
    raises for any content.
    """
    read, files = open_documents(documents, catalogue)
    _require_rules(read.values())
    share_names(read.values())
    for one in read.values():
        _read_rules(one)
    _check_unique(read.values())
    tests = read_all_tests(read.values()) if with_tests else ()
    rules = sorted((rule for one in read.values() for rule in one.rules), key=lambda rule: -rule.priority)
    zone = next((one.zone for one in read.values() if one.zone and one.rules), UTC)
    reports = [*(one.reader for one in read.values()), *(one.report for one in files.values())]
    problems = in_reading_order(problem for one in reports for problem in one.problems)
    return ParsedRules(RuleSet(version, tuple(rules), zone), problems, tests)


def open_documents(
    documents: Mapping[str, str | bytes], catalogue: Catalogue
) -> tuple[dict[str, Document], dict[str, ListFile]]:
    """The documents with their headers and what they declare, and the files of list values; nothing else is read."""
    names = sorted(documents)
    files = {one: ListFile(one, documents[one]) for one in names if one.endswith(LIST_FILE_SUFFIX)}
    read = {one: _open(one, documents[one], catalogue) for one in names if one not in files}
    for one in read.values():
        _declare(one, files)
    link_uses(read)
    return read, files


def _open(name: str, content: str | bytes, catalogue: Catalogue) -> Document:
    """The document with its top entries, as far as it can be read."""
    decoded = decode(content)
    document = Document(Reader(name, decoded.text, catalogue))
    root = read_tree(document.reader, decoded.text) if decoded.is_clean(document.reader) else None
    if root is None:
        return document
    document.root = root
    document.given = document.reader.entries(root, "a rule document", DOCUMENT_KEYS, ("leadflow",)) or {}
    if isinstance(root, MappingNode):
        put_in_variables(document.reader, root, decoded.text)
    return document


def _declare(document: Document, files: Mapping[str, ListFile]) -> None:
    """Read the header, and what has a name in the document."""
    reader, given = document.reader, document.given
    if "leadflow" in given:
        _check_version(reader, given["leadflow"])
    if "settings" in given:
        document.zone = _read_zone(reader, given["settings"])
        reader.zone = document.zone or UTC
    if "lists" in given:
        document.lists = read_lists(reader, given["lists"], files)
    if "segments" in given:
        document.segments = declare_segments(reader, given["segments"])
    if "groups" in given:
        document.groups = _read_groups(reader, given["groups"])


def _check_version(reader: Reader, node: Node) -> None:
    text = reader.text(node, "leadflow")
    if text is not None and text != GRAMMAR_VERSION:
        message = f"this leadflow reads grammar version {GRAMMAR_VERSION}, not {quoted(text)}"
        reader.add(node, "unsupported-version", message, allowed=(GRAMMAR_VERSION,))


def _read_zone(reader: Reader, node: Node) -> tzinfo | None:
    given = reader.entries(node, "settings", ("timezone",))
    name = reader.text(given["timezone"], "timezone") if given and "timezone" in given else None
    if name is None or given is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        near = find_nearest(name, available_timezones())
        message = f"{quoted(name)} is not a time zone such as Europe/Oslo"
        reader.add(given["timezone"], "unknown-value", message, suggestion=near)
        return None


def _read_groups(reader: Reader, node: Node) -> dict[str, ScalarNode]:
    """`{qualification: {pick: first}}`: the groups of which only the first rule that matches acts."""
    if not isinstance(node, MappingNode):
        reader.add(node, "wrong-type", "groups is written as 'name: {pick: first}' lines")
        return {}
    for name, (_, value) in node.entries.items():
        given = reader.entries(value, f"the group {quoted(name)}", ("pick",), ("pick",))
        if given and "pick" in given:
            reader.word(given["pick"], "pick", ("first",))
    return {name: key for name, (key, _) in node.entries.items()}


def _require_rules(documents: Iterable[Document]) -> None:
    """Only a document that others use may do without; where one cannot be read, nobody knows what it uses."""
    documents = list(documents)
    used = {used for one in documents for _, used in one.uses}
    is_certain = all(one.given for one in documents)
    for one in documents:
        has_names = "lists" in one.given or "segments" in one.given
        has_rules = "rules" in one.given or "tests" in one.given
        if one.given and not has_rules and one not in used and (is_certain or not has_names):
            message = "a rule document needs 'rules', unless another one names it under 'use'"
            one.reader.add(one.root or Node(1, 1), "missing-key", message)


def share_names(documents: Iterable[Document]) -> None:
    """Tell each reader what it may name; then read the segments, the unused ones too."""
    reading: list[Segment] = []
    finders = []
    for document in documents:
        document.reader.lists = names_for(document, "list", lambda one: one.lists)
        document.reader.groups = document.groups
        finder = SegmentFinder(document.reader, names_for(document, "segment", lambda one: one.segments), reading)
        document.reader.find_named = finder.find
        finders.append((finder, document.segments.values()))
    for finder, segments in finders:
        for segment in segments:
            finder.require(segment)


def _read_rules(document: Document) -> None:
    node = document.given.get("rules")
    if node is None:
        return
    reader = document.reader
    if not isinstance(node, ListNode):
        reader.add(node, "wrong-type", "rules is a list: each rule begins with '- rule: its-id'")
        return
    for item in reader.items(node, "rules"):
        rule = read_rule(reader, item)
        if rule is not None:
            document.rules.append(rule)
        if isinstance(item, MappingNode) and "rule" in item.entries:
            slug = item.entries["rule"][1]
            document.slugs += [slug] if isinstance(slug, ScalarNode) else []


def _check_unique(documents: Iterable[Document]) -> None:
    """A rule's id and a group's name are unique among all documents: the run log keys on the one, judging on both."""
    rules: dict[str, str] = {}
    groups: dict[str, str] = {}
    for document in documents:
        for node in document.slugs:
            _note(document, "rule", node, rules)
        for node in document.groups.values():
            _note(document, "group", node, groups)


def _note(document: Document, what: str, node: ScalarNode, first: dict[str, str]) -> None:
    here = f"{document.name}:{node.line}"
    if node.text in first:
        message = f"the {what} {quoted(node.text)} stands already at {first[node.text]}"
        document.reader.add(node, f"duplicate-{what}", message)
    first.setdefault(node.text, here)
