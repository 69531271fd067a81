"""Reading a document's nodes: each method gives the value, or notes the problem at its place and gives None."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar, cast

from leadflow.domain.events import Trigger
from leadflow.domain.fields import (
    Catalogue,
    Choice,
    Field,
    UnreadableValue,
    Value,
    read_boolean,
    read_number,
    read_value,
)
from leadflow.domain.text import clean_text, fault_of_text, fold
from leadflow.rules.durations import UnreadableDuration, read_duration
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.problems import Report, quoted
from leadflow.rules.values import BEFORE, CHOICE_KINDS

if TYPE_CHECKING:
    from leadflow.rules.conditions import Condition

Found = TypeVar("Found")

RECORD_ROOTS = frozenset({"company", "contact"})
ROOT_TRIGGERS = {
    "form": Trigger.FORM_SUBMITTED,
    "event": Trigger.EVENT,
    "sale": Trigger.SALE,
    "user": Trigger.MANUAL,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What the triggers of a rule bring: the records whose fields it may name, and whether there is a contact.

    `certain` are the paths that cannot be blank when the rule acts, so a template needs no default for them.
    """

    roots: frozenset[str]
    has_changes: bool = False
    has_contact: bool = True
    tags_record: str = "contact"
    certain: frozenset[str] = frozenset()


# For a rule whose triggers cannot be read: it gets no second problem for what they might have brought.
ANY_SCOPE = Scope(RECORD_ROOTS | frozenset(ROOT_TRIGGERS), has_changes=True)


class Reader(Report):
    """Reads one document with the catalogue, its time zone and its named lists, and collects its problems."""

    def __init__(self, file: str, text: str, catalogue: Catalogue) -> None:
        super().__init__(file, text)
        self.catalogue = catalogue
        self.zone: tzinfo = UTC
        self.lists: Mapping[str, Sequence[Node]] = {}
        # Groups of rules of which only the first that matches acts.
        self.groups: Collection[str] = ()
        # Finds a segment or selection by its name, read with everything it might ask for; the document sets it.
        self.find_named: Callable[[str, ScalarNode], Condition | None] = self._no_named
        self._choices: dict[tuple[str, str], Choice | None] = {}
        self._known: dict[Hashable, object] = {}

    def once(self, key: Hashable, find: Callable[[], Found]) -> Found:
        """What `find` finds, looked for once in this document: a long list, a large segment."""
        if key not in self._known:
            self._known[key] = find()
        return cast("Found", self._known[key])

    # -- shapes --------------------------------------------------------------------------------------------------------

    def entries(
        self, node: Node, what: str, allowed: Collection[str], required: Iterable[str] = ()
    ) -> dict[str, Node] | None:
        """The known entries of a mapping; unknown and missing keys are problems. None if it is no mapping."""
        if not isinstance(node, MappingNode):
            self.add(node, "wrong-type", f"{what} is written as 'key: value' lines", allowed=allowed)
            return None
        for key, (place, _) in node.entries.items():
            if key not in allowed:
                self.unknown_key(place, what, allowed)
        for key in required:
            if key not in node.entries:
                self.add(node, "missing-key", f"{what} needs '{key}'")
        return {key: value for key, (_, value) in node.entries.items() if key in allowed}

    def unknown_key(self, place: ScalarNode, what: str, allowed: Collection[str]) -> None:
        """Note a key that `what` does not have."""
        message = f"{quoted(place.text)} is not a key of {what}"
        self.add(place, "unknown-key", message, suggestion=self.nearest(place.text, allowed), allowed=allowed)

    def single(self, node: Node, what: str) -> tuple[ScalarNode, Node] | None:
        """The one `key: value` of a mapping that must have exactly one."""
        if not isinstance(node, MappingNode):
            self.add(node, "wrong-type", f"{what} is written as 'key: value'")
            return None
        if not node.entries:
            self.add(node, "empty-value", f"{what} is empty")
            return None
        first, *others = node.entries.values()
        if others:
            self.add(others[0][0], "too-many-keys", f"{what} has one key; the next one has a line with its own '-'")
        return first

    def items(self, node: Node, what: str) -> Sequence[Node]:
        """The items of a list; anything else, and a list without items, is a problem."""
        if not isinstance(node, ListNode):
            self.add(node, "wrong-type", f"{what} is a list: write [a, b], or a line with '-' for each")
            return ()
        if not node.items:
            self.add(node, "empty-list", f"{what} is an empty list")
        return node.items

    # -- scalars -------------------------------------------------------------------------------------------------------

    def text(self, node: Node, what: str) -> str | None:
        """One text, cleaned as text is where it enters; blank is a problem."""
        if not isinstance(node, ScalarNode):
            self.add(node, "wrong-type", f"{what} is a single value, not a list or a mapping")
            return None
        text = node.text
        if text.isascii() and text.isprintable():  # nearly every text, and clean but for its blanks
            cleaned = None if node.is_blank else " ".join(text.split())
        elif fault := fault_of_text(text):
            self.add(node, "unreadable-value", f"{what} {fault}")
            return None
        else:
            cleaned = None if node.is_blank else clean_text(text)
        if cleaned is None:
            self.add(node, "empty-value", f"{what} has no value")
        return cleaned

    def word(self, node: Node, what: str, allowed: Collection[str]) -> str | None:
        """One word of a fixed list."""
        text = self.text(node, what)
        if text is None or text in allowed:
            return text
        message = f"{quoted(text)} is not a value of {what}"
        self.add(node, "unknown-value", message, suggestion=self.nearest(text, allowed), allowed=allowed)
        return None

    def flag(self, node: Node, what: str) -> bool | None:
        """true or false."""
        text = self.text(node, what)
        if text is None:
            return None
        try:
            return read_boolean(text)
        except UnreadableValue:
            message = f"{what} is true or false, not {quoted(text)}"
            self.add(node, "unreadable-value", message, allowed=("true", "false"))
            return None

    def whole_number(self, node: Node, what: str, lowest: int, highest: int) -> int | None:
        """A whole number in the range, both ends included."""
        text = self.text(node, what)
        number = None if text is None else self._number(text)
        if number is not None and number == number.to_integral_value() and lowest <= number <= highest:
            return int(number)
        if text is not None:
            message = f"{what} is a whole number from {lowest} to {highest}, not {quoted(text)}"
            self.add(node, "unreadable-value", message)
        return None

    @staticmethod
    def _number(text: str) -> Decimal | None:
        try:
            return read_number(text)
        except UnreadableValue:
            return None

    def duration(self, node: Node, what: str) -> timedelta | None:
        """A length of time such as `90 days`."""
        text = self.text(node, what)
        if text is None:
            return None
        try:
            return read_duration(text)
        except UnreadableDuration as fault:
            self.add(node, "unreadable-value", f"{quoted(text)} is not a duration: {fault}")
            return None

    # -- fields and their values ---------------------------------------------------------------------------------------

    def field(self, node: ScalarNode, scope: Scope) -> Field | None:
        """The field that `node` names, if the rule's triggers bring it; `before.` reads what stood before a change."""
        path = node.text.removeprefix(BEFORE)
        found = self.catalogue.get(path)
        if found is None:
            self._unknown_field(node, scope)
        elif path != node.text and found.root not in RECORD_ROOTS:
            self.add(node, "unknown-field", f"{quoted(node.text)}: 'before' knows company and contact fields only")
        elif path != node.text and not scope.has_changes:
            message = f"{quoted(node.text)} is there only under record_changed, the one trigger that brings old values"
            self.add(node, "unavailable-field", message)
        elif found.root not in scope.roots:
            self.add(node, "unavailable-field", f"{found.path} is there only {_place_of(found.root, scope)}")
        else:
            return found
        return None

    def _unknown_field(self, node: ScalarNode, scope: Scope) -> None:
        root, dot, _ = node.text.partition(".")
        known = [one.path for one in self.catalogue.of(*scope.roots)]
        siblings = [path for path in known if path.startswith(root + ".")] if dot else []
        message = f"there is no field {quoted(node.text)}"
        self.add(node, "unknown-field", message, suggestion=self.nearest(node.text, known), allowed=siblings or known)

    def choice(self, node: Node, field: Field) -> Choice | None:
        """One value of a category or list field, by key, name or short name. Deleted ones still stand on records."""
        text = self.text(node, field.path)
        if text is None:
            return None
        if (field.path, text) not in self._choices:
            self._choices[field.path, text] = field.choice(text) or _retired_choice(field, text)
        choice = self._choices[field.path, text]
        if choice is None:
            names = [one.name for one in field.choices]
            near = self.nearest(text, [*names, *(s for c in field.choices for s in (c.key, *c.spellings))])
            message = f"{quoted(text)} is not a value of {field.path}" + _hint_at_blank(text)
            self.add(node, "unknown-value", message, suggestion=near, allowed=names)
        return choice

    def value(self, node: Node, field: Field) -> Value:
        """One value, read from the node's text by the field's kind; None after a problem."""
        if field.kind in CHOICE_KINDS:
            choice = self.choice(node, field)
            return choice.key if choice else None
        text = self.text(node, field.path)
        if text is None:
            return None
        try:
            return read_value(field, text, self.zone)
        except UnreadableValue as fault:
            self.add(node, "unreadable-value", f"{field.path}: {fault}")
            return None

    def named_condition(self, kind: str, node: ScalarNode) -> Condition | None:
        """The condition of the segment or selection that `node` names; None after a problem."""
        return self.find_named(kind, node)

    def _no_named(self, kind: str, node: ScalarNode) -> None:
        self.add(node, f"unknown-{kind}", f"there is no {kind} {quoted(node.text)}")

    def named_list(self, node: Node, what: str) -> Sequence[Node]:
        """The items written here, or those of the document's list with this name."""
        if not isinstance(node, ScalarNode):
            return self.items(node, what)
        name = self.text(node, what)
        if name is None:
            return ()
        if name not in self.lists:
            message = f"there is no list {quoted(name)}; for a single value write [{name}]"
            self.add(node, "unknown-list", message, suggestion=self.nearest(name, self.lists), allowed=self.lists)
            return ()
        return self.lists[name]


def _place_of(root: str, scope: Scope) -> str:
    if not RECORD_ROOTS & scope.roots:
        return "outside 'where', which looks at the event alone"
    if root in RECORD_ROOTS:
        return f"for a {root}, and this rule goes through companies"
    return f"under {ROOT_TRIGGERS[root].value}, and this rule has another trigger"


def _retired_choice(field: Field, text: str) -> Choice | None:
    wanted = fold(text)
    matching = (one for one in field.retired if wanted in map(fold, (one.key, one.name, *one.spellings)))
    return next(matching, None)


def _hint_at_blank(text: str) -> str:
    is_blank_word = fold(text) in ("blank", "none", "empty", "null")
    return "; to ask for a blank write 'exists: false' or 'or_blank: true'" if is_blank_word else ""
