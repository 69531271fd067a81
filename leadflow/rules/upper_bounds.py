"""The upper bound of a condition: what must hold at least, where some of its clauses cannot be judged.

A clause that cannot be judged counts as holding; under `none` it counts as not holding. So whoever satisfies the
condition satisfies its upper bound, and where everything can be judged the two are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from leadflow.rules.conditions import All, AnyOf, Clause, Condition, Leaf, Named, NoneOf, PastClause
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.predicates import EqualTo, Moved

ALWAYS, NEVER = All(()), AnyOf(())

IsUnknown = Callable[[Leaf], bool]


def upper_bound(condition: Condition, is_unknown: IsUnknown, *, negated: bool = False) -> Condition:
    """The condition with every unknown clause replaced by what lets it hold."""
    match condition:
        case All(parts):
            return All(tuple(upper_bound(one, is_unknown, negated=negated) for one in parts))
        case AnyOf(parts):
            return AnyOf(tuple(upper_bound(one, is_unknown, negated=negated) for one in parts))
        case NoneOf(parts):
            return NoneOf(tuple(upper_bound(one, is_unknown, negated=not negated) for one in parts))
        case Named(condition=inner):
            bound = upper_bound(inner, is_unknown, negated=negated)
            return condition if bound == inner else bound
        case _:
            return (NEVER if negated else ALWAYS) if is_unknown(condition) else condition


def paths_of(leaf: Leaf, now: datetime) -> Iterator[str]:
    """The fields that a clause compares, as rules name them; those of a clause about the past are none of these."""
    if not isinstance(leaf, Clause):
        return
    yield leaf.path
    for test in leaf.tests:
        predicate = test.operator.ask(test.operand, now).predicate
        if isinstance(predicate, EqualTo):
            yield predicate.path


def asks_of_change(leaf: Leaf, now: datetime) -> bool:
    """Whether the clause asks how a field has just changed."""
    if not isinstance(leaf, Clause):
        return False
    return any(isinstance(test.operator.ask(test.operand, now).predicate, Moved) for test in leaf.tests)


def counts_events(leaf: Leaf, name: str) -> EventsAsked | None:
    """What a clause asks of earlier events of this name; None if it asks nothing of them."""
    if isinstance(leaf, PastClause) and isinstance(leaf.asked, EventsAsked) and leaf.asked.name == name:
        return leaf.asked
    return None


def asks_of_past_changes(leaf: Leaf, path: str) -> bool:
    """Whether the clause asks when or how often this field changed before."""
    return isinstance(leaf, PastClause) and isinstance(leaf.asked, ChangesAsked) and leaf.asked.field.path == path
