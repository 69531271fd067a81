"""The guard in memory: protected groups, the graph, and the faults of a graph that would open a way back."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from leadflow.domain.lifecycle import (
    PROTECTED_GROUPS,
    Category,
    Edge,
    EdgeKind,
    Group,
    Lifecycle,
    Verdict,
    find_edge_faults,
)
from leadflow.errors import UnknownValue
from leadflow.services.configuration import read_configuration

CONFIGURATION = read_configuration(Path(__file__).parents[3] / "config", {})
CATEGORIES = {one.key: one for one in CONFIGURATION.categories}
LIFECYCLE = Lifecycle(CATEGORIES, CONFIGURATION.edges)
SOURCES: list[str | None] = [None, *CATEGORIES]


def allowed(lifecycle: Lifecycle) -> set[tuple[str | None, str]]:
    pairs = product([None, *lifecycle.categories], lifecycle.categories)
    return {(source, target) for source, target in pairs if lifecycle.decide_move(source, target).is_allowed}


def reachable(lifecycle: Lifecycle, start: str) -> set[str]:
    """Where automation can take a company from `start`, in any number of steps."""
    found, heap = {start}, [start]
    while heap:
        here = heap.pop()
        new = {target for source, target in allowed(lifecycle) if source == here} - found
        found |= new
        heap += new
    return found - {start}


def test_the_default_graph_is_the_domains():
    assert allowed(LIFECYCLE) == {
        (None, "lead"), (None, "mql"), (None, "opportunity"),
        ("lead", "mql"), ("lead", "opportunity"), ("mql", "opportunity"),
        ("opportunity", "lost-opportunity"), ("lost-opportunity", "mql"), ("lost-opportunity", "opportunity"),
        ("lead", "customer"), ("mql", "customer"), ("opportunity", "customer"), ("lost-opportunity", "customer"),
    }  # fmt: skip


@pytest.mark.parametrize("protected", ["customer", "former-customer", "partner", "other"])
def test_nothing_leads_out_of_a_protected_category(protected):
    assert reachable(LIFECYCLE, protected) == set()


def test_a_complete_graph_does_not_lead_out_either():
    """Whatever the edges are: the group decides before the graph does."""
    edges = {Edge(source, target) for source, target in product(SOURCES, CATEGORIES) if source != target}
    lifecycle = Lifecycle(CATEGORIES, frozenset(edges))

    for source, target in product(CATEGORIES, CATEGORIES):
        if CATEGORIES[source].group in PROTECTED_GROUPS and source != target:
            assert lifecycle.decide_move(source, target).verdict is Verdict.PROTECTED


def test_sources_of_is_decide_move_asked_of_everybody():
    for target in CATEGORIES:
        assert LIFECYCLE.sources_of(target) == {source for source, goal in allowed(LIFECYCLE) if goal == target}


def test_staying_is_no_move_even_where_leaving_is_refused():
    assert {LIFECYCLE.decide_move(one, one).verdict for one in CATEGORIES} == {Verdict.UNCHANGED}


def test_a_deleted_category_is_left_but_not_entered():
    deleted = {**CATEGORIES, "mql": replace(CATEGORIES["mql"], deleted=True)}
    lifecycle = Lifecycle(deleted, CONFIGURATION.edges)

    assert lifecycle.decide_move("lead", "mql").verdict is Verdict.DELETED
    assert lifecycle.decide_move("mql", "opportunity").is_allowed


def test_a_category_without_a_group_is_protected():
    lifecycle = Lifecycle({**CATEGORIES, "x": Category("x", "X", None, 99)}, frozenset({Edge("x", "lead")}))

    assert lifecycle.decide_move("x", "lead").verdict is Verdict.PROTECTED


@pytest.mark.parametrize(("source", "target"), [("nowhere", "lead"), ("lead", "nowhere")])
def test_an_unknown_category_is_an_error_not_a_refusal(source, target):
    with pytest.raises(UnknownValue):
        LIFECYCLE.decide_move(source, target)


def test_every_refusal_says_why():
    for source, target in product(SOURCES, CATEGORIES):
        decision = LIFECYCLE.decide_move(source, target)
        assert bool(decision.reason) is not decision.is_allowed


@pytest.mark.parametrize(
    ("edge", "fault"),
    [
        (Edge("customer", "lead"), "cannot leave a protected group"),
        (Edge("partner", "customer", EdgeKind.EXIT), "cannot leave a protected group"),
        (Edge("lead", "customer"), "list it as an exit"),
        (Edge(None, "customer", EdgeKind.EXIT), "an exit starts at a potential category"),
        (Edge("lead", "mql", EdgeKind.EXIT), "must leave potential_customer"),
        (Edge("lead", "nowhere"), "unknown category 'nowhere'"),
        (Edge("nowhere", "lead"), "unknown category 'nowhere'"),
    ],
)
def test_a_faulty_edge_is_named(edge, fault):
    (told, *_) = find_edge_faults(CATEGORIES, [edge])

    assert fault in told


def test_the_shipped_graph_has_no_fault():
    assert find_edge_faults(CATEGORIES, CONFIGURATION.edges) == []


@pytest.mark.parametrize("text", ["mql", "MQL", " Marketing Qualified Lead "])
def test_a_category_goes_by_key_name_and_short_name(text):
    resolved = LIFECYCLE.resolve(text)

    assert resolved is not None
    assert resolved.key == "mql"


def test_a_category_in_use_wins_over_a_deleted_one_of_the_same_name():
    old = Category("old", "Lead", Group.POTENTIAL_CUSTOMER, 1, deleted=True)
    lifecycle = Lifecycle({"old": old, **CATEGORIES}, frozenset())

    assert lifecycle.resolve("lead") is CATEGORIES["lead"]


def test_lead_status_is_active_in_enabled_potential_categories_only():
    off = {**CATEGORIES, "mql": replace(CATEGORIES["mql"], lead_status_enabled=False)}
    on = {**off, "customer": replace(CATEGORIES["customer"], lead_status_enabled=True)}
    lifecycle = Lifecycle(on, frozenset())

    active = {one for one in SOURCES if lifecycle.is_lead_status_active(one)}

    assert active == {"lead", "opportunity", "lost-opportunity"}


@pytest.mark.parametrize(("disabled", "expected"), [(None, False), ("lost-opportunity", True), ("lead", True)])
def test_re_entry_needs_an_inactive_category_that_automation_leaves(disabled, expected):
    categories = dict(CATEGORIES)
    if disabled:
        categories[disabled] = replace(categories[disabled], lead_status_enabled=False)

    assert Lifecycle(categories, CONFIGURATION.edges).can_reenter() is expected
