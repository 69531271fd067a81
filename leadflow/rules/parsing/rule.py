"""One rule: from its node to a `Rule` that is ready to run."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Literal, cast

from leadflow.domain.effects import Wait
from leadflow.domain.fields import UnreadableValue
from leadflow.rules.actions import ACTIONS_BY_NAME
from leadflow.rules.actions.base import Plan
from leadflow.rules.conditions import Condition, certain_paths, compile_judge
from leadflow.rules.model import IfRunning, Limit, PlannedStep, Rule, RuleStatus, Schedule
from leadflow.rules.nodes import MappingNode, Node
from leadflow.rules.operands import read_span
from leadflow.rules.parsing.conditions import read_condition
from leadflow.rules.parsing.segments import has_few_clauses
from leadflow.rules.parsing.triggers import read_when, scope_of
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.triggers import Listener, judge_trigger

RULE_KEYS = (
    "rule",
    "title",
    "why",
    "owner",
    "status",
    "starts",
    "ends",
    "group",
    "priority",
    "when",
    "if",
    "then",
    "limit",
    "if_running",
    "also_from_rules",
    "include_import",
    "tests",
)
REQUIRED_KEYS = ("rule", "when", "then")
STATUSES = tuple(status.value for status in RuleStatus)
CHOICES_IF_RUNNING = tuple(one.value for one in IfRunning)
DEFAULT_PRIORITY = 50
MAX_SLUG_LENGTH = 80

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def read_rule(reader: Reader, node: Node) -> Rule | None:
    """The rule, or None when it has problems; all of them are noted."""
    problems_before = len(reader.problems)
    given = _entries(reader, node)
    if given is None or not isinstance(node, MappingNode):
        return None
    slug = _read_slug(reader, given.get("rule"))
    listeners = read_when(reader, given["when"]) if "when" in given else ()
    scope = scope_of(listeners)
    condition = read_condition(reader, given["if"], scope) if "if" in given else None
    is_judgeable = has_few_clauses(reader, given["if"], condition) if condition else "if" not in given
    certain = scope.certain | certain_paths(condition)
    scope = Scope(scope.roots, scope.has_changes, scope.has_contact, scope.tags_record, certain)
    actions = _read_actions(reader, given["then"], scope) if "then" in given else ()
    header = _Header(reader, given, scope)
    _check_schedule(reader, given, listeners)
    _check_waits(reader, given, actions)
    # A problem of a segment or list is noted where that stands, which may be another document.
    if len(reader.problems) > problems_before or slug is None or not is_judgeable:
        return None
    return header.make_rule(slug, listeners, condition, actions, node)


def _check_schedule(reader: Reader, given: dict[str, Node], listeners: tuple[Listener, ...]) -> None:
    """A schedule stands alone, and what it does to a record it does once within some time."""
    if not any(one.schedule for one in listeners):
        return
    if len(listeners) > 1:
        reader.add(given["when"], "schedule-alone", "a schedule is the only trigger of its rule; write a second rule")
    if "limit" not in given:
        message = "a scheduled rule needs a limit, such as 'limit: {once_per: contact, within: 90 days}'"
        reader.add(given["when"], "missing-key", message)


def _check_waits(reader: Reader, given: dict[str, Node], actions: tuple[tuple[str, Plan], ...]) -> None:
    waits = [isinstance(plan.step, Wait) for _, plan in actions]
    if "if_running" in given and not any(waits):
        reader.add(given["if_running"], "useless-key", "if_running is for rules with a 'wait'; this one has none")
    if waits and waits[-1]:
        reader.add(actions[-1][1].place or given["then"], "useless-wait", "nothing comes after this 'wait'")


def _entries(reader: Reader, node: Node) -> dict[str, Node] | None:
    if isinstance(node, MappingNode) and "on" in node.entries:
        key, _ = node.entries.pop("on")
        message = "'on' is no key: YAML reads it as 'true' in many programs; write 'when'"
        reader.add(key, "unknown-key", message, suggestion="when", allowed=RULE_KEYS)
        return reader.entries(node, "a rule", RULE_KEYS, [one for one in REQUIRED_KEYS if one != "when"])
    return reader.entries(node, "a rule", RULE_KEYS, REQUIRED_KEYS)


def _read_slug(reader: Reader, node: Node | None) -> str | None:
    slug = reader.text(node, "'rule'") if node else None
    if slug is None or node is None:
        return None
    if len(slug) > MAX_SLUG_LENGTH or not _SLUG.fullmatch(slug):
        message = f"{quoted(slug)} is not a rule id: small letters, digits and single hyphens, such as demo-to-mql"
        reader.add(node, "bad-slug", message)
        return None
    return slug


def _read_actions(reader: Reader, node: Node, scope: Scope) -> tuple[tuple[str, Plan], ...]:
    actions = []
    for number, item in enumerate(reader.items(node, "'then'")):
        if (found := _read_action(reader, item, scope)) is not None:
            name, plan = found
            actions.append((f"{number}:{name}", plan))
    return tuple(actions)


def _read_action(reader: Reader, node: Node, scope: Scope) -> tuple[str, Plan] | None:
    found = reader.single(node, "an action")
    if found is None:
        return None
    key, value = found
    action = ACTIONS_BY_NAME.get(key.text)
    if action is None:
        message, near = f"{quoted(key.text)} is not an action", reader.nearest(key.text, ACTIONS_BY_NAME)
        reader.add(key, "unknown-action", message, suggestion=near, allowed=ACTIONS_BY_NAME)
        return None
    plan = action.read(reader, value, scope)
    return None if plan is None else (action.name, replace(plan, place=key))


class _Header:
    """Everything of a rule beside `when`, `if` and `then`."""

    def __init__(self, reader: Reader, given: dict[str, Node], scope: Scope) -> None:
        self._reader = reader
        self._given = given
        self.title = self._text("title")
        self.why = self._text("why")
        self.owner = self._text("owner")
        self.status = self._status()
        self.priority = self._priority()
        self.limit = self._limit(scope)
        self.starts_at = self._moment("starts")
        self.ends_at = self._moment("ends")
        self.group = self._group()
        self.if_running = self._if_running()
        self.also_from_rules = self._flag("also_from_rules")
        self.include_import = self._flag("include_import")
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            reader.add(given["ends"], "empty-range", "the rule ends before it starts")

    def make_rule(
        self,
        slug: str,
        listeners: tuple[Listener, ...],
        condition: Condition | None,
        actions: tuple[tuple[str, Plan], ...],
        node: MappingNode,
    ) -> Rule:
        parts = [judge_trigger(listeners), *([condition.compile()] if condition else [])]
        return Rule(
            slug=slug,
            title=self.title or slug,
            status=self.status,
            priority=self.priority,
            triggers=tuple(one.filter for one in listeners),
            judge=compile_judge(parts),
            judge_condition=compile_judge(parts[1:]),
            condition=condition,
            actions=tuple(
                PlannedStep(name, plan.describe, plan.step, plan.writes, plan.place) for name, plan in actions
            ),
            document=self._reader.file,
            line=node.line,
            why=self.why,
            owner=self.owner,
            limit=self.limit,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            also_from_rules=self.also_from_rules,
            include_import=self.include_import,
            uses_all_contacts=any(plan.acts_on_all_contacts for _, plan in actions),
            schedule=_schedule_of(listeners),
            group=self.group,
            if_running=self.if_running,
            zone=self._reader.zone,
            source_text=_source_of(node, self._reader.lines),
            place=node.entries["rule"][1],
        )

    def _text(self, key: str) -> str:
        return (self._reader.text(self._given[key], key) if key in self._given else None) or ""

    def _flag(self, key: str) -> bool:
        return bool(self._reader.flag(self._given[key], key)) if key in self._given else False

    def _status(self) -> RuleStatus:
        word = self._reader.word(self._given["status"], "status", STATUSES) if "status" in self._given else None
        return RuleStatus(word) if word else RuleStatus.LIVE

    def _group(self) -> str | None:
        node = self._given.get("group")
        name = self._reader.text(node, "group") if node else None
        if name is None or node is None or name in self._reader.groups:
            return name
        known = self._reader.groups
        message = f"there is no group {quoted(name)}; declare it: 'groups: {{{name}: {{pick: first}}}}'"
        self._reader.add(node, "unknown-group", message, suggestion=self._reader.nearest(name, known), allowed=known)
        return None

    def _if_running(self) -> IfRunning:
        node = self._given.get("if_running")
        word = self._reader.word(node, "if_running", CHOICES_IF_RUNNING) if node else None
        return IfRunning(word) if word else IfRunning.SKIP

    def _priority(self) -> int:
        if "priority" not in self._given:
            return DEFAULT_PRIORITY
        return self._reader.whole_number(self._given["priority"], "priority", 0, 100) or 0

    def _limit(self, scope: Scope) -> Limit | None:
        node = self._given.get("limit")
        entries = node and self._reader.entries(node, "limit", ("once_per", "within"), ("once_per",))
        if not entries:
            return None
        within = self._reader.duration(entries["within"], "within") if "within" in entries else None
        once_per = self._once_per(entries.get("once_per"), scope)
        return Limit(once_per, within) if once_per else None

    def _once_per(self, node: Node | None, scope: Scope) -> Literal["company", "contact"] | None:
        word = self._reader.word(node, "once_per", ("company", "contact")) if node else None
        if word == "contact" and node and not scope.has_contact:
            self._reader.add(node, "no-contact", "this rule has no contact to count by; write 'once_per: company'")
        return cast("Literal['company', 'contact'] | None", word)

    def _moment(self, key: str) -> datetime | None:
        """The first moment of the rule's life, or the first one after it: the last day counts in full."""
        node = self._given.get(key)
        text = self._reader.text(node, key) if node else None
        if text is None or node is None:
            return None
        try:
            span = read_span(text, self._reader)
        except (UnreadableValue, OverflowError):
            message = f"{key} is a day such as 2026-03-01 or a time such as 2026-03-01 14:30, not {quoted(text)}"
            self._reader.add(node, "unreadable-value", message)
            return None
        return span.start if key == "starts" else span.end


def _schedule_of(listeners: tuple[Listener, ...]) -> Schedule | None:
    return next((one.schedule for one in listeners if one.schedule), None)


def _source_of(node: MappingNode, lines: list[str]) -> str:
    """The rule as its author wrote it, without the indentation of its place."""
    first, indent = node.line - 1, node.column - 1
    if node.end_line == node.line:
        return lines[first][indent : node.end_column - 1]
    # A block ends where the next thing begins; a mapping in braces ends with its own line.
    last = node.end_line if lines[first][indent : indent + 1] == "{" else node.end_line - 1
    block = [line.lstrip() if line[:indent].strip() else line[indent:] for line in lines[first + 1 : last]]
    while block and (not block[-1].strip() or block[-1].lstrip().startswith("#")):
        block.pop()  # what stands between this rule and the next belongs to the next
    return "\n".join([lines[first][indent:], *block])
