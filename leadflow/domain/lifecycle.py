"""Categories, their groups, the lifecycle graph, and the guard that never downgrades a customer.

The no-downgrade rule is written once, here, and asked three ways: `decide_move` in memory, `sources_of`
as the set of allowed source categories in SQL, and the database trigger that reads the same edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from leadflow.domain.text import fold
from leadflow.errors import UnknownValue


class Group(StrEnum):
    """The fixed list of category groups."""

    CUSTOMER = "customer"
    POTENTIAL_CUSTOMER = "potential_customer"
    PARTNER = "partner"
    LOST = "lost"
    OTHER = "other"


PROTECTED_GROUPS = frozenset(Group) - {Group.POTENTIAL_CUSTOMER}

GROUP_NAMES = {
    Group.CUSTOMER: "Customer",
    Group.POTENTIAL_CUSTOMER: "Potential customer",
    Group.PARTNER: "Partner",
    Group.LOST: "Lost",
    Group.OTHER: "Other",
}


@dataclass(frozen=True, slots=True)
class Category:
    """The kind of relation with a company. `key` is stable and stored; the names are display text."""

    key: str
    name: str
    group: Group | None
    rank: int
    lead_status_enabled: bool = False
    short_name: str | None = None
    description: str = ""
    deleted: bool = False
    former_names: tuple[str, ...] = ()


class EdgeKind(StrEnum):
    """A move stays inside `potential_customer`; an exit leaves it, and nothing comes back."""

    MOVE = "move"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Edge:
    """One step that automation may take; `source` None means a company without a category."""

    source: str | None
    target: str
    kind: EdgeKind = EdgeKind.MOVE


class Verdict(StrEnum):
    """What the guard says of one move."""

    ALLOWED = "allowed"
    UNCHANGED = "unchanged"
    PROTECTED = "protected"
    NO_EDGE = "no_edge"
    DELETED = "deleted"
    NOT_FROM = "not_from"
    DO_NOT_AUTOMATE = "do_not_automate"
    NO_COMPANY = "no_company"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class MoveDecision:
    """The guard's answer; `reason` is a sentence for people, empty when allowed."""

    verdict: Verdict
    reason: str = ""

    @property
    def is_allowed(self) -> bool:
        return self.verdict is Verdict.ALLOWED


ALLOWED = MoveDecision(Verdict.ALLOWED)


@dataclass(frozen=True)
class Lifecycle:
    """The categories in rank order, the edges between them, and what re-entry does to a lead status."""

    categories: Mapping[str, Category]
    edges: frozenset[Edge]
    on_reentry: Literal["open", "keep"] = "open"
    _pairs: frozenset[tuple[str | None, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pairs", frozenset((edge.source, edge.target) for edge in self.edges))

    def decide_move(self, current: str | None, target: str) -> MoveDecision:
        """Whether automation may move a company from category key `current` to `target`.

        Never out of a protected group, never along an edge that the lifecycle graph lacks.
        SQL asks the same through `sources_of`, the database through its trigger.

        Raises: UnknownValue if either is not in this lifecycle.
        Source: SuperOffice "automations can safely update categories"; domain invariants 1-3.
        """
        goal = self.category(target)
        if current == target:
            return MoveDecision(Verdict.UNCHANGED, f"The category already is {goal.name}.")
        if current is not None:
            here = self.category(current)
            if here.group is not Group.POTENTIAL_CUSTOMER:
                return MoveDecision(Verdict.PROTECTED, _protected_reason(here))
        if goal.deleted:
            return MoveDecision(Verdict.DELETED, f"{goal.name} has been deleted from the list of categories.")
        if (current, target) not in self._pairs:
            start = "no category" if current is None else self.category(current).name
            return MoveDecision(
                Verdict.NO_EDGE, f"The lifecycle has no step from {start} to {goal.name} for automation."
            )
        return ALLOWED

    def sources_of(self, target: str) -> frozenset[str | None]:
        """The category keys (None: no category) from which automation may move a company to `target`."""
        candidates: list[str | None] = [None, *self.categories]
        return frozenset(source for source in candidates if self.decide_move(source, target).is_allowed)

    def category(self, key: str) -> Category:
        """The category with this key. Raises: UnknownValue."""
        try:
            return self.categories[key]
        except KeyError:
            raise UnknownValue(f"There is no category '{key}'.") from None

    def resolve(self, text: str) -> Category | None:
        """The category meant by a key, name, short name or former name, in any case; None if there is none.

        A category that is still in use wins over a deleted one, a present name over a former one.
        """
        wanted = fold(text.strip())
        found = [c for c in self.categories.values() if wanted in _spellings(c)]
        return min(found, key=lambda c: (c.deleted, _spellings(c).index(wanted), c.rank), default=None)

    def group_of(self, key: str | None) -> Group | None:
        """The group of a category key; None for no category or a category without a group."""
        return None if key is None else self.category(key).group

    def is_lead_status_active(self, key: str | None) -> bool:
        """Whether a contact whose effective category is `key` has an active lead status."""
        if key is None:
            return False
        category = self.category(key)
        return category.group is Group.POTENTIAL_CUSTOMER and category.lead_status_enabled

    def can_reenter(self) -> bool:
        """Whether automation can take a company on from a category whose lead status is not active."""
        return any(edge.source is not None and not self.is_lead_status_active(edge.source) for edge in self.edges)


def _protected_reason(category: Category) -> str:
    if category.group is None:
        return f"{category.name} belongs to no category group; automation moves companies in Potential customer only."
    return (
        f"{category.name} is in the group {GROUP_NAMES[category.group]}; "
        "automation never takes a company out of that group."
    )


def _spellings(category: Category) -> list[str]:
    names = (category.key, category.name, category.short_name or category.key, *category.former_names)
    return [fold(name) for name in names]


def find_edge_faults(categories: Mapping[str, Category], edges: Iterable[Edge]) -> list[str]:
    """Everything wrong with a lifecycle graph, as sentences; an empty list when it is sound.

    A move joins categories of `potential_customer` (or none) with one of them; an exit leaves that group.
    """
    faults = []
    for edge in edges:
        faults += [f"unknown category '{key}'" for key in (edge.source, edge.target) if key and key not in categories]
        if (edge.source and edge.source not in categories) or edge.target not in categories:
            continue
        if edge.source and categories[edge.source].group is not Group.POTENTIAL_CUSTOMER:
            faults.append(f"{edge.source} → {edge.target}: automation cannot leave a protected group")
        leaves = categories[edge.target].group is not Group.POTENTIAL_CUSTOMER
        if leaves and edge.kind is EdgeKind.MOVE:
            faults.append(f"{edge.source} → {edge.target}: a move must stay in potential_customer; list it as an exit")
        if leaves and edge.source is None:
            faults.append(f"none → {edge.target}: an exit starts at a potential category")
        if not leaves and edge.kind is EdgeKind.EXIT:
            faults.append(f"{edge.source} → {edge.target}: an exit must leave potential_customer")
    return faults
