"""The no-downgrade certificate holds for whatever rules people write, and fails where the promise can be broken."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from leadflow.domain.effects import SetField
from leadflow.domain.lifecycle import ALLOWED, Edge, EdgeKind, Group, Lifecycle, MoveDecision
from leadflow.rules.certificate import Certificate, certify, hash_of, render_certificate
from leadflow.rules.model import PlannedStep, Rule, RuleSet, RuleStatus
from tests.unit.rules.given import CATEGORIES, LIFECYCLE, STATUSES, parse_one_rule

IN_USE = [one.key for one in CATEGORIES if not one.deleted]


class Careless(Lifecycle):
    """A guard that lets everything pass."""

    def decide_move(self, current: str | None, target: str) -> MoveDecision:
        return ALLOWED


def rule_to(category: str, slug: str = "", status: str = "live", more: str = "") -> Rule:
    return parse_one_rule(
        f"leadflow: 1\nrules:\n  - rule: {slug or 'to-' + category}\n    status: {status}\n"
        f"    when: {{form_submitted: any}}\n    then: [{{set_category: {{to: {category}{more}}}}}]\n"
    )


def certificate_of(*rules: Rule, lifecycle: Lifecycle = LIFECYCLE) -> Certificate:
    return certify(RuleSet(7, rules), lifecycle, STATUSES)


def writing_past_the_guard(category: str) -> Rule:
    step = SetField("company.category", category)
    planned = PlannedStep("0:set_field", lambda situation: step, step, "company.category")
    return replace(rule_to("mql", "back-door"), actions=(planned,))


def test_it_holds_for_rules_that_want_every_move():
    certificate = certificate_of(*map(rule_to, IN_USE))

    assert certificate.holds
    assert {(one.rule, one.source, one.target) for one in certificate.moves} == {
        ("to-lead", None, "lead"),
        ("to-mql", "lead", "mql"),
        ("to-customer", "opportunity", "customer"),
    }


def test_from_narrows_the_moves():
    assert certificate_of(rule_to("lead", more=", from: [MQL]")).moves == ()


def test_a_write_past_the_guard_is_told_as_a_downgrade():
    certificate = certificate_of(rule_to("lead"), rule_to("mql"), writing_past_the_guard("lead"))

    assert not certificate.holds
    assert certificate.story == (
        "A person makes a company Customer.",
        "The rule back-door makes it Lead, although Customer is not a potential customer,"
        " and automation never takes a company out of there.",
    )


def test_a_downgrade_of_what_rules_have_sold_is_told_from_the_beginning():
    edges = frozenset({Edge(None, "lead"), Edge("lead", "customer", EdgeKind.EXIT)})
    lifecycle = Lifecycle(LIFECYCLE.categories, edges)

    story = certificate_of(
        rule_to("lead"), rule_to("customer"), writing_past_the_guard("mql"), lifecycle=lifecycle
    ).story

    assert story == (
        "A company has no category.",
        "The rule to-lead makes it Lead.",
        "The rule to-customer makes it Customer.",
        "The rule back-door makes it Marketing qualified lead, although Customer is not a potential customer,"
        " and automation never takes a company out of there.",
    )


def test_a_step_against_the_graph_is_told_where_nobody_is_downgraded():
    potential = {key: one for key, one in LIFECYCLE.categories.items() if one.group is Group.POTENTIAL_CUSTOMER}

    story = certificate_of(writing_past_the_guard("mql"), lifecycle=Lifecycle(potential, frozenset())).story

    assert story[-1].endswith("although the lifecycle has no step from no category to Marketing qualified lead.")


def test_a_template_that_writes_the_category_could_write_any():
    planned = PlannedStep(
        "0:set_field", lambda situation: SetField("company.category", "lead"), None, "company.category"
    )

    assert not certificate_of(replace(rule_to("mql"), actions=(planned,))).holds


def test_a_guard_that_lets_everything_pass_is_found_out_without_any_rule():
    certificate = certificate_of(lifecycle=Careless(LIFECYCLE.categories, LIFECYCLE.edges))

    assert not certificate.holds
    assert certificate.story[-1].startswith("Some automation makes it ")


@pytest.mark.parametrize("edge", [Edge("customer", "lead"), Edge(None, "partner"), Edge("lead", "customer")])
def test_a_broken_graph_fails_although_the_guard_holds(edge):
    certificate = certificate_of(lifecycle=Lifecycle(LIFECYCLE.categories, LIFECYCLE.edges | {edge}))

    assert not certificate.holds
    assert len(certificate.faults) >= 1
    assert "does NOT hold" in render_certificate(certificate)


def test_rules_that_do_not_run_are_not_tried():
    certificate = certificate_of(
        *(replace(writing_past_the_guard("lead"), status=one) for one in (RuleStatus.DRAFT, RuleStatus.OFF))
    )

    assert (certificate.holds, certificate.rules) == (True, 0)


def test_a_rule_in_shadow_is_tried_like_a_live_one():
    assert not certificate_of(replace(writing_past_the_guard("lead"), status=RuleStatus.SHADOW)).holds


def test_the_text_says_what_was_tried_and_what_can_move():
    text = render_certificate(certificate_of(rule_to("mql")))

    assert text.splitlines()[0].startswith("Rule set 7, lifecycle graph ")
    assert "  to-mql: Lead → Marketing qualified lead" in text.splitlines()
    assert text.endswith("against the lifecycle graph.")


def test_two_graphs_with_the_same_steps_have_one_hash_and_others_another():
    orders = [Lifecycle(dict(order), LIFECYCLE.edges) for order in list(permutations(LIFECYCLE.categories.items()))[:3]]
    wider = Lifecycle(LIFECYCLE.categories, LIFECYCLE.edges | {Edge("mql", "opportunity")})

    assert {hash_of(one) for one in orders} == {hash_of(LIFECYCLE)}
    assert hash_of(wider) != hash_of(LIFECYCLE)
