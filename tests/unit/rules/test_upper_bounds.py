"""An upper bound lets through whoever the condition lets through, and no clause about the unknown is left in it."""

from __future__ import annotations

from itertools import product

import pytest

from leadflow.rules.conditions import All, AnyOf, Condition, Leaf, MemberClause, Named, NoneOf, leaves_of
from leadflow.rules.upper_bounds import upper_bound

KNOWN, OTHER, UNKNOWN = (MemberClause("contact", number, f"s{number}", f"S{number}") for number in range(3))
LEAVES = (KNOWN, OTHER, UNKNOWN)

CONDITIONS = [
    UNKNOWN,
    All((KNOWN, UNKNOWN)),
    AnyOf((KNOWN, UNKNOWN)),
    NoneOf((KNOWN, UNKNOWN)),
    NoneOf((All((KNOWN, UNKNOWN)), OTHER)),
    NoneOf((NoneOf((UNKNOWN, KNOWN)),)),
    All((AnyOf((NoneOf((UNKNOWN,)), KNOWN)), Named("segment", "x", AnyOf((UNKNOWN, OTHER))))),
    AnyOf((All((UNKNOWN, NoneOf((UNKNOWN,)))), KNOWN)),
]


def holds(condition: Condition, world: dict[Leaf, bool]) -> bool:
    match condition:
        case All(parts):
            return all(holds(one, world) for one in parts)
        case AnyOf(parts):
            return any(holds(one, world) for one in parts)
        case NoneOf(parts):
            return not any(holds(one, world) for one in parts)
        case Named(condition=inner):
            return holds(inner, world)
        case _:
            return world[condition]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_upper_bound_asks_nothing_unknown_and_refuses_nobody(condition: Condition) -> None:
    bound = upper_bound(condition, lambda leaf: leaf == UNKNOWN)

    assert UNKNOWN not in set(leaves_of(bound))
    for known, other in product((False, True), repeat=2):
        worlds = [{KNOWN: known, OTHER: other, UNKNOWN: unknown} for unknown in (False, True)]
        assert holds(bound, worlds[0]) >= any(holds(condition, world) for world in worlds)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_where_everything_is_known_nothing_is_changed(condition: Condition) -> None:
    assert upper_bound(condition, lambda leaf: False) == condition
