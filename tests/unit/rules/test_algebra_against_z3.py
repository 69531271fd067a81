"""The algebra of conditions says what a theorem prover says; where it may say "perhaps", it never says a wrong "no".

The prover is told what each operator means by a translation of its own, not by the predicates that the algebra reads.
"""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from itertools import product
from typing import Any

import pytest
import z3

from leadflow.domain.fields import Kind
from leadflow.rules.conditions import All, AnyOf, Clause, Condition, FieldTest, NoneOf, compile_judge
from leadflow.rules.linting.cases import Algebra
from leadflow.rules.linting.examples import find_example
from leadflow.rules.model import Situation
from leadflow.rules.operands import ONE_TICK, Operand
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.predicates import Wildcards
from tests.support import random_conditions as wild
from tests.unit.rules.given import CATALOGUE, NOW, rule_with, situation_with
from tests.unit.rules.random_conditions import (
    EPOCH,
    EXACT_OPERATORS,
    EXACT_PATHS,
    PARTS,
    PATTERN_OPERATORS,
    PATTERN_PATHS,
    PATTERNS,
    TAGS,
    random_condition,
)

ALGEBRA = Algebra(CATALOGUE, NOW)
OTHER_TAG = "something else"


def ticks(moment: datetime) -> int:
    return (moment - EPOCH) // ONE_TICK


class Prover:
    """Knows every field as variables, and asks whether assumptions can hold together."""

    def __init__(self) -> None:
        self.solver = z3.Solver()
        self.now = z3.Int("now")
        self.solver.add(self.now >= ticks(NOW))
        self.blank = {path: z3.Bool(f"{path} is blank") for path in EXACT_PATHS}
        self.value = {path: self._variable(path) for path in EXACT_PATHS}
        self.has = {tag: z3.Bool(f"has {tag}") for tag in (*TAGS, OTHER_TAG)}
        self.solver.add(self.blank["contact.tags"] == z3.Not(z3.Or(*self.has.values())))

    def _variable(self, path: str) -> Any:
        field = CATALOGUE.fields[path]
        match field.kind:
            case Kind.NUMBER if path != "company.open_sales":
                return z3.Real(path)
            case Kind.BOOLEAN:
                return z3.Bool(path)
            case Kind.DATE:  # a day is the moment at which it begins: midnight in Oslo, one hour or two before UTC's
                return self._first_moment_of_some_day()
            case _:
                variable = z3.Int(path)
                low, high = 0, 10**17
                if field.choices:
                    high = len((*field.choices, *field.retired)) - 1
                if field.kind is Kind.MOMENT:
                    low = -(10**17)
                self.solver.add(variable >= low, variable <= high)
                return variable

    def _first_moment_of_some_day(self) -> Any:
        """Summer time from 2026-03-29 to 2026-10-25, and so on for the years that operands name; winter beyond."""
        day, moment = z3.Int("day"), z3.Int("moment of day")
        hour = 3_600_000_000
        summers = [("2025-03-30", "2025-10-26"), ("2026-03-29", "2026-10-25"), ("2027-03-28", "2027-10-31")]
        numbers = [[date.fromisoformat(text).toordinal() - EPOCH.toordinal() for text in pair] for pair in summers]
        is_summer = z3.Or(*(z3.And(day > first, day <= last) for first, last in numbers))
        self.solver.add(moment == day * 24 * hour - z3.If(is_summer, 2 * hour, hour))
        self.solver.add(day >= numbers[0][0] - 20_000, day <= numbers[0][0] + 20_000)
        return moment

    def can_be(self, *assumed: Any) -> bool:
        return self.solver.check(*assumed) == z3.sat

    def assumption(self, condition: Condition, name: str) -> tuple[Any, Any]:
        """Two switches: one makes the condition hold, the other makes it not hold."""
        holds, fails = z3.Bool(f"{name} holds"), z3.Bool(f"{name} fails")
        formula = self.formula(condition)
        self.solver.add(z3.Implies(holds, formula), z3.Implies(fails, z3.Not(formula)))
        return holds, fails

    def formula(self, condition: Condition) -> Any:
        match condition:
            case All(parts):
                return z3.And(*map(self.formula, parts))
            case AnyOf(parts):
                return z3.Or(*map(self.formula, parts))
            case NoneOf(parts):
                return z3.Not(z3.Or(*map(self.formula, parts)))
            case Clause(path=path, tests=tests, or_blank=or_blank):
                tested = z3.And(*(self.test(path, one) for one in tests))
                return z3.Or(self.blank[path], tested) if or_blank else tested
        raise AssertionError(condition)

    def test(self, path: str, one: FieldTest) -> Any:
        name, operand = one.operator.name, one.operand.value
        for negative, positive in (("is_not", "is"), ("not_in", "in"), ("not_in_group", "in"), ("has_none", "has_any")):
            if name == negative:
                return z3.Not(z3.And(z3.Not(self.blank[path]), self.asked(path, positive, operand)))
        if name == "exists":
            return z3.Not(self.blank[path]) if operand else self.blank[path]
        return z3.And(z3.Not(self.blank[path]), self.asked(path, name, operand))

    def asked(self, path: str, name: str, operand: Any) -> Any:
        x = self.value[path]
        match name:
            case "is":
                return x == self.code(path, operand)
            case "in" | "in_group":
                return z3.Or(*(x == self.code(path, one) for one in operand))
            case "lt" | "lte" | "gt" | "gte":
                bound = self.code(path, operand)
                return {"lt": x < bound, "lte": x <= bound, "gt": x > bound, "gte": x >= bound}[name]
            case "between":
                low, high = (self.code(path, one) for one in operand)
                return z3.And(low <= x, x <= high)
            case "has":
                return self.has[operand]
            case "has_any":
                return z3.Or(*(self.has[tag] for tag in operand))
            case "has_all":
                return z3.And(*(self.has[tag] for tag in operand))
            case _:
                return self.asked_of_time(x, name, operand)

    def asked_of_time(self, x: Any, name: str, operand: Any) -> Any:
        match name:
            case "older_than":
                return x < self.now - operand // ONE_TICK
            case "within_last":
                return z3.And(x >= self.now - operand // ONE_TICK, x <= self.now)
            case "within_next":
                return z3.And(x >= self.now, x <= self.now + operand // ONE_TICK)
            case "before":
                return x < ticks(operand.start)
            case "on":
                return z3.And(x >= ticks(operand.start), x < ticks(operand.end))
            case "after":
                return x >= ticks(operand.end)
        raise AssertionError(name)

    def code(self, path: str, value: Any) -> Any:
        field = CATALOGUE.fields[path]
        if field.choices:
            return [one.key for one in (*field.choices, *field.retired)].index(value)
        if isinstance(value, Decimal):
            return z3.Q(*value.as_integer_ratio())
        if isinstance(value, datetime):
            return ticks(value)
        return int.from_bytes(value.encode()) if isinstance(value, str) else value


def compare_with_prover(seed: int, number: int) -> int:
    """All ordered pairs of `number` random conditions on a few fields; how many were compared."""
    rolls, prover = random.Random(seed), Prover()
    paths = rolls.sample(EXACT_PATHS, k=2 + seed % 4)
    conditions = [random_condition(rolls, paths, EXACT_OPERATORS, depth=3) for _ in range(number)]
    switches = [prover.assumption(one, str(place)) for place, one in enumerate(conditions)]
    for one, (holds, _) in zip(conditions, switches, strict=True):
        assert ALGEBRA.is_impossible(one) is not prover.can_be(holds), one
    for (one, (holds, _)), (other, (other_holds, other_fails)) in product(
        zip(conditions, switches, strict=True), repeat=2
    ):
        assert ALGEBRA.implies(one, other) is not prover.can_be(holds, other_fails), (one, other)
        assert ALGEBRA.are_disjoint(one, other) is not prover.can_be(holds, other_holds), (one, other)
    return number * number


@pytest.mark.parametrize("seed", range(20))
def test_the_algebra_agrees_with_a_prover(seed):
    assert compare_with_prover(seed, number=24) == 576  # 20 times: more than 10,000 pairs


# -- examples --------------------------------------------------------------------------------------------------------


def holds_in(condition: Condition, situation: Situation) -> bool:
    judgement = compile_judge([condition.compile()])(situation)
    assert judgement.error is None, judgement.error
    return judgement.holds


def test_every_possible_condition_has_an_example_and_the_evaluator_accepts_it():
    rolls, found = random.Random(7), 0
    for _ in range(1_500):
        condition = random_condition(rolls, EXACT_PATHS, EXACT_OPERATORS)
        if ALGEBRA.is_impossible(condition):
            continue
        example = find_example(ALGEBRA, ALGEBRA.cases(condition), lambda situation: True)
        assert example is not None, condition
        assert holds_in(condition, example.situation), (condition, example.words)
        found += 1
    assert found > 1_000


# -- patterns: never a wrong "no" ------------------------------------------------------------------------------------

PATTERN_NAMES = ("is", "contains", "starts_with", "ends_with")
SAMPLES = ["".join(letters) for length in (1, 2, 3) for letters in product("abc", repeat=length)]
EMAILS = [None, "a@a.example", "ab@b.example", "abc@c.example", "b@d.example", "ab", "c"]
SITUATIONS = [
    situation_with({"company.name": name, "contact.email": email, "company.fields.website": site})
    for name in (None, "acme", *SAMPLES)
    for email in EMAILS
    for site in (None, "a.example", "https://b.example/abc")
]


def check_patterns(seed: int, number: int) -> int:
    """No claim of the algebra about random pairs is contradicted by a sample; how many claims there were."""
    rolls, claims = random.Random(seed), 0
    for _ in range(number):
        one, other = (random_condition(rolls, PATTERN_PATHS, PATTERN_OPERATORS) for _ in range(2))
        judges = [compile_judge([condition.compile()]) for condition in (one, other)]
        seen = {tuple(judge(situation).holds for judge in judges) for situation in rolls.sample(SITUATIONS, 120)}
        claimed = ALGEBRA.is_impossible(one), ALGEBRA.implies(one, other), ALGEBRA.are_disjoint(one, other)
        claims += sum(claimed)
        assert not (claimed[0] and seen & {(True, True), (True, False)}), one
        assert not (claimed[1] and (True, False) in seen), (one, other)
        assert not (claimed[2] and (True, True) in seen), (one, other)
    return claims


def test_no_claim_about_patterns_is_contradicted_by_a_sample():
    assert check_patterns(seed=3, number=1_500) > 300


def pattern_clauses() -> list[Clause]:
    """Every text operator with every short operand, and what each is not."""
    field = CATALOGUE.fields["company.name"]
    tests = [FieldTest(OPERATORS_OF[Kind.TEXT][name], Operand(part)) for name in PATTERN_NAMES for part in PARTS]
    tests += [FieldTest(OPERATORS_OF[Kind.TEXT]["like"], Operand(Wildcards(pattern))) for pattern in PATTERNS]
    return [Clause(field.path, field, (one,), False, UTC) for one in tests]


def test_no_claim_about_any_two_patterns_is_contradicted_by_a_short_text():
    situations = [situation_with({"company.name": name}) for name in (None, *SAMPLES)]
    conditions = [made for one in pattern_clauses() for made in (one, NoneOf((one,)))]
    seen = [[holds_in(one, situation) for situation in situations] for one in conditions]
    claims = 0
    for (one, first), (other, second) in product(zip(conditions, seen, strict=True), repeat=2):
        if ALGEBRA.implies(one, other):
            claims += 1
            assert not any(a and not b for a, b in zip(first, second, strict=True)), (one, other)
        if ALGEBRA.are_disjoint(one, other):
            claims += 1
            assert not any(a and b for a, b in zip(first, second, strict=True)), (one, other)
    assert claims > 1_000


def test_an_example_of_patterns_satisfies_them():
    rolls, found, possible = random.Random(5), 0, 0
    for _ in range(800):
        condition = random_condition(rolls, PATTERN_PATHS, PATTERN_OPERATORS)
        cases = ALGEBRA.cases(condition)
        possible += not cases.is_impossible(NOW)
        example = find_example(ALGEBRA, cases, lambda situation: True)
        if example is not None:
            assert holds_in(condition, example.situation), (condition, example.words)
            found += 1
    assert found > 0.9 * possible


# -- changes, the past, other fields: never a wrong "no" ---------------------------------------------------------------

OTHER_CLAUSES = (
    "{contact.lead_status: {changed: true}}",
    "{contact.lead_status: {changed_from: [Open, blank]}}",
    "{contact.lead_status: {changed_from: Open, changed_to: [Qualified, Contacting]}}",
    "{contact.lead_status: {changed_to: blank}}",
    "{before.contact.lead_status: Open}",
    "{before.contact.lead_status: {in: [Contacting, Qualified], or_blank: true}}",
    "{contact.lead_status: {in: [Open, Qualified]}}",
    "{company.category: {changed: false}}",
    "{company.category: {changed_to: [MQL, Customer]}}",
    "{company.category: {in: [Lead, MQL]}}",
    "{before.company.category: {not_in: [Lead]}}",
    "{contact.first_name: {same_as: contact.last_name}}",
    "{contact.last_name: {same_as: contact.first_name}}",
    "{contact.first_name: {is: anna}}",
    "{contact.last_name: {in: [anna, bo], or_blank: true}}",
    "{contact.tags: {same_as: company.tags}}",
    "{contact.tags: {has_any: [a, b]}}",
    "{company.tags: {has_none: [a]}}",
    "{contact.created_at: {same_as: contact.last_touched_at}}",
    "{contact.created_at: {within_last: 3 days}}",
    "{contact.last_touched_at: {older_than: 2 days, or_blank: true}}",
    "{event_count: {of: form_submitted, where: {form_type: content}, gte: 2}}",
    "{event_count: {of: form_submitted, where: {form_type: content}, lt: 2}}",
    "{event_count: {of: form_submitted, within_last: 9 days, between: [1, 3]}}",
    "{last_event: {of: form_submitted, older_than: 2 days}}",
    "{last_event: {of: form_submitted, exists: false}}",
    "{last_change: {field: contact.lead_status, to: [Open, blank], within_last: 9 days}}",
    "{last_change: {field: contact.lead_status, to: [blank, Open], older_than: 2 days, or_blank: true}}",
    "{now: {weekday_in: [mon, sat]}}",
    "{now: {between: ['22:00', '06:00']}}",
)


def some_group(rolls: random.Random, leaves: list[Condition]) -> Condition:
    group = rolls.choice((All, All, AnyOf, NoneOf))
    return group(tuple(rolls.choice(leaves) for _ in range(rolls.randint(1, 3))))


def check_on_examples(algebra: Algebra, conditions: list[Condition]) -> int:
    """No claim about any two is contradicted by an example of any of them; how many claims there were."""
    possible = [one for one in conditions if not algebra.is_impossible(one)]
    examples = [find_example(algebra, algebra.cases(one), partial(holds_in, one)) for one in possible]
    situations = [one.situation for one in examples if one is not None]
    assert len(situations) > 0.8 * len(possible)
    seen = [[holds_in(one, situation) for situation in situations] for one in conditions]
    claims = 0
    for (one, first), (other, second) in product(zip(conditions, seen, strict=True), repeat=2):
        if algebra.implies(one, other):
            claims += 1
            assert not any(a and not b for a, b in zip(first, second, strict=True)), (one, other)
        if algebra.are_disjoint(one, other):
            claims += 1
            assert not any(a and b for a, b in zip(first, second, strict=True)), (one, other)
    return claims


def test_no_claim_about_changes_and_the_past_is_contradicted_by_an_example():
    when, rolls = "{record_changed: [contact.lead_status, company.category]}", random.Random(11)
    leaves = [rule_with(one, when, "[{add_tag: {tag: x, of: company}}]").condition for one in OTHER_CLAUSES]
    conditions = [*leaves, *(All((some_group(rolls, leaves), some_group(rolls, leaves))) for _ in range(120))]

    assert check_on_examples(ALGEBRA, conditions) > 1_500


@pytest.mark.parametrize("subject", ["contact", "company"])
def test_no_claim_about_the_wildest_conditions_is_contradicted_by_an_example(subject):
    made = wild.make_conditions(random.Random(12), subject, 90)

    assert check_on_examples(Algebra(wild.CATALOGUE, wild.NOW), [rule.condition for _, rule in made]) > 500
