"""The no-downgrade certificate: no sequence of firings leaves a protected group or runs against the lifecycle graph.

Every action of every rule is done, by the code that does it in earnest, to a company of every category, whatever the
rule's condition says. What comes of it is held against the groups and the graph alone, not against the guard.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from leadflow.domain.effects import AssignOwner, SetField, StopHere, Wait
from leadflow.domain.events import Actor, ActorKind, Cause
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Group, Lifecycle, find_edge_faults
from leadflow.domain.records import Company, Contact, Records
from leadflow.rules.evaluation import RUNNING
from leadflow.rules.model import PlannedStep, Rule, RuleSet

CATEGORY = "company.category"
COMPANY_ID, CONTACT_ID = 1, 2

# Nothing that is tried depends on the moment.
TRIAL = datetime(2000, 1, 1, tzinfo=UTC)

# A category's key; None is no category.
State = str | None


@dataclass(frozen=True, slots=True)
class Move:
    """An action of a rule takes a company from one category to another; `rule` None is any automation at all."""

    rule: str | None
    source: State
    target: State


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was tried and what came of it. `story` is how to break the promise, `faults` are the graph's own."""

    version: int
    graph_hash: str
    names: Mapping[str, str]
    rules: int
    trials: int
    moves: tuple[Move, ...]
    story: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.story and not self.faults


def certify(rule_set: RuleSet, lifecycle: Lifecycle, statuses: LeadStatuses) -> Certificate:
    """Try every running rule, and automation as such, on every category."""
    rules = [rule for rule in rule_set.rules if rule.status in RUNNING]
    tried = [move for rule in rules for move in _trials_of(rule, lifecycle, statuses)]
    asked = list(_asked_of_guard(lifecycle))
    moves = tuple(dict.fromkeys(move for move in tried if move.source != move.target))
    return Certificate(
        rule_set.version,
        hash_of(lifecycle),
        {key: one.name for key, one in lifecycle.categories.items()},
        len(rules),
        len(tried) + len(asked),
        moves,
        _shortest_story([*moves, *(move for move, is_allowed in asked if is_allowed)], lifecycle),
        tuple(find_edge_faults(lifecycle.categories, sorted(lifecycle.edges, key=str))),
    )


def hash_of(lifecycle: Lifecycle) -> str:
    """The same for two lifecycles with the same categories, groups and steps."""
    groups = sorted(f"{key} {one.group} {one.deleted}" for key, one in lifecycle.categories.items())
    steps = sorted(f"{one.source} {one.target} {one.kind}" for one in lifecycle.edges)
    return hashlib.sha256("\n".join([*groups, "", *steps]).encode()).hexdigest()


# -- trials ----------------------------------------------------------------------------------------------------------


def _states(lifecycle: Lifecycle) -> tuple[State, ...]:
    return (None, *lifecycle.categories)


def _trials_of(rule: Rule, lifecycle: Lifecycle, statuses: LeadStatuses) -> Iterator[Move]:
    """Where each action leaves a company of each category. One after the other is a sequence like any other."""
    for planned in rule.actions:
        for state in _states(lifecycle):
            for target in _targets(planned, rule, state, lifecycle, statuses):
                yield Move(rule.slug, state, target)


def _targets(
    planned: PlannedStep, rule: Rule, state: State, lifecycle: Lifecycle, statuses: LeadStatuses
) -> Sequence[State]:
    """The categories that the company may have afterwards."""
    step = planned.step
    if isinstance(step, Wait | StopHere):
        return [state]
    if step is None:
        # A template's text: what it writes is known by name only, and nobody asks the guard for it.
        return _states(lifecycle) if planned.writes == CATEGORY else [state]
    effect = SetField("company.owner", step.candidates[0]) if isinstance(step, AssignOwner) else step
    company, contact = Company(COMPANY_ID, category=state), Contact(CONTACT_ID, company_id=COMPANY_ID)
    records = Records(lifecycle, statuses, TRIAL)
    records.hold_company(company)
    records.hold_contacts([contact])
    records.apply(effect, company, contact, Cause(Actor(ActorKind.RULE, None, rule.slug)))
    return [company.category]


def _asked_of_guard(lifecycle: Lifecycle) -> Iterator[tuple[Move, bool]]:
    """Every move that there is, and whether the guard allows it to whatever automation there may be."""
    for state in _states(lifecycle):
        for target in lifecycle.categories:
            yield Move(None, state, target), lifecycle.decide_move(state, target).is_allowed


# -- the promise -----------------------------------------------------------------------------------------------------


def _broken_promise(move: Move, lifecycle: Lifecycle) -> str | None:
    """What is wrong with the move by the groups and the graph, in words; None if nothing is."""
    here = None if move.source is None else lifecycle.category(move.source)
    if here is not None and here.group is not Group.POTENTIAL_CUSTOMER:
        return f"{here.name} is not a potential customer, and automation never takes a company out of there"
    if move.target is None:
        return "automation never takes a category away"
    if not any((edge.source, edge.target) == (move.source, move.target) for edge in lifecycle.edges):
        return f"the lifecycle has no step from {_name(move.source, lifecycle)} to {_name(move.target, lifecycle)}"
    return None


def _shortest_story(moves: Iterable[Move], lifecycle: Lifecycle) -> tuple[str, ...]:
    """How a company gets to where a promise is broken, and how it is; nothing if none can be.

    A downgrade comes before a step against the graph, what rules do alone before what a person begins, then the
    shorter story before the longer one.
    """
    fair: list[Move] = []
    broken: list[tuple[Move, str]] = []
    for move in moves:
        reason = _broken_promise(move, lifecycle)
        if reason is None:
            fair.append(move)
        else:
            broken.append((move, reason))
    ways = _ways(fair)

    def rank(told: tuple[Move, str]) -> tuple[bool, bool, int]:
        source = told[0].source
        return _is_inside(told[0], lifecycle), source not in ways, len(ways.get(source, ()))

    worst = min(broken, key=rank, default=None)
    return () if worst is None else _told(*worst, ways.get(worst[0].source), lifecycle)


def _is_inside(move: Move, lifecycle: Lifecycle) -> bool:
    """Whether the move begins where automation may move companies at all."""
    return move.source is None or lifecycle.category(move.source).group is Group.POTENTIAL_CUSTOMER


def _ways(moves: Sequence[Move]) -> Mapping[State, tuple[Move, ...]]:
    """The shortest way by rules to each category, for a company that begins without one."""
    ways: dict[State, tuple[Move, ...]] = {None: ()}
    waiting: deque[State] = deque([None])
    while waiting:
        here = waiting.popleft()
        for move in moves:
            if move.source == here and move.target not in ways:
                ways[move.target] = (*ways[here], move)
                waiting.append(move.target)
    return ways


def _told(move: Move, reason: str, way: tuple[Move, ...] | None, lifecycle: Lifecycle) -> tuple[str, ...]:
    if way is None:
        beginning = [f"A person makes a company {_name(move.source, lifecycle)}."]
    else:
        steps = (f"{_who(one)} makes it {_name(one.target, lifecycle)}." for one in way)
        beginning = ["A company has no category.", *steps]
    target = _name(move.target, lifecycle)
    return (*beginning, f"{_who(move)} makes it {target}, although {reason}.")


def _who(move: Move) -> str:
    return "Some automation" if move.rule is None else f"The rule {move.rule}"


def _name(state: State, lifecycle: Lifecycle) -> str:
    return "no category" if state is None else lifecycle.category(state).name


# -- words -----------------------------------------------------------------------------------------------------------


def render_certificate(certificate: Certificate) -> str:
    """The certificate, or the counter-example, as people read it."""
    lines = [
        f"Rule set {certificate.version or 'of these files'}, lifecycle graph {certificate.graph_hash[:12]}",
        f"Tried: {certificate.rules} running rules on {len(certificate.names)} categories and none,"
        f" {certificate.trials:,} trials in all",
        "",
        *_render_moves(certificate),
        "",
    ]
    if certificate.holds:
        promise = "No sequence of firings takes a company out of a protected group or against the lifecycle graph."
        return "\n".join([*lines, f"The certificate holds. {promise}"])
    told = [f"  {number}. {line}" for number, line in enumerate(certificate.story, 1)]
    faults = [f"  The lifecycle graph: {fault}." for fault in certificate.faults]
    return "\n".join([*lines, "The certificate does NOT hold:", *told, *faults])


def _render_moves(certificate: Certificate) -> Iterator[str]:
    by_rule: dict[str, list[str]] = {}
    for move in certificate.moves:
        source, target = (certificate.names.get(state or "", "no category") for state in (move.source, move.target))
        by_rule.setdefault(move.rule or "", []).append(f"{source} → {target}")
    yield "Moves that the rules can make, whatever their conditions say:" if by_rule else "No rule moves a company."
    for rule, moves in by_rule.items():
        yield f"  {rule}: {', '.join(moves)}"
