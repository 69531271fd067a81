"""A plan as text for terminals and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import TypeAdapter

from leadflow.domain.fields import Catalogue
from leadflow.rules.problems import render_text
from leadflow.services.plan_tallies import PlannedChange, PlanSample
from leadflow.services.rule_plans import ListedCount, RulePlan, RulesPlan

CHANGE_WORDS = {
    "new": "new",
    "changed": "changed",
    "switched_on": "switched on",
    "switched_off": "switched off",
    "removed": "taken out",
}
VERBS = {"shadow": "would be seen to change", "propose": "would be proposed"}
NOUNS = {"contact": ("contact", "contacts"), "company": ("company", "companies")}


def render_plan_json(plan: RulesPlan) -> str:
    """For programs: the names are those of `RulesPlan`."""
    return TypeAdapter(RulesPlan).dump_json(plan, indent=2).decode()


def render_plan_text(plan: RulesPlan, catalogue: Catalogue) -> str:
    """For people: rule by rule how many records, which for example, and what the lists look like afterwards."""
    if plan.problems:
        return render_text(plan.problems)
    version = "no rules are live yet" if plan.live_version is None else f"against version {plan.live_version}"
    told = "1 rule differs" if len(plan.rules) == 1 else f"{len(plan.rules)} rules differ"
    head = f"{version[:1].upper()}{version[1:]}: {told}, {plan.unchanged} stay as they are."
    return "\n\n".join([head, *("\n".join(_lines(one, catalogue)) for one in plan.rules)])


def _lines(one: RulePlan, catalogue: Catalogue) -> Iterator[str]:
    parts = f": {', '.join(one.parts)}" if one.change == "changed" and one.parts else ""
    yield f"{one.slug} ({CHANGE_WORDS[one.change]}{parts}): {one.title}"
    if one.subject is not None:
        yield f"  {one.basis}"
        yield from _numbers(one)
        yield from _counts("Category", one.categories)
        yield from _counts("Lead status", one.lead_statuses)
        yield from (f"    {_sample(sample, catalogue)}" for sample in one.samples)
        yield from _others(one)
    if one.note:
        yield f"  {one.note}"


def _numbers(one: RulePlan) -> Iterator[str]:
    noun, most = NOUNS[one.subject or "contact"][one.touched != 1], "" if one.is_exact else "at most "
    verb = VERBS.get(one.status, "would be acted on")
    if one.is_complete or one.brake:
        most = "at least " if one.brake and one.touched < one.brake.matching else most
        yield f"  {most}{one.touched:,} {noun} {verb}; {one.matching:,} of {one.considered:,} match."
    else:
        played = (
            f"Of {one.judged:,} {NOUNS[one.subject or 'contact'][1]} that were played through, {one.touched:,} {verb}"
        )
        yield f"  {played}; at most {one.matching:,} of {one.considered:,} match."
    outcomes = ", ".join(f"{number:,} {outcome.replace('_', ' ')}" for outcome, number in one.outcomes.items())
    if outcomes:
        yield f"  Outcomes: {outcomes}"


def _counts(title: str, listed: Sequence[ListedCount]) -> Iterator[str]:
    """Only what changes."""
    moved = [f"{one.name} {one.before:,} → {one.after:,}" for one in listed if one.before != one.after]
    if moved:
        yield f"  {title}: {', '.join(moved)}"


def _sample(sample: PlanSample, catalogue: Catalogue) -> str:
    number = sample.contact_id if sample.record == "contact" else sample.company_id
    changes = "; ".join(_change(one, catalogue) for one in sample.changes) or sample.outcome.replace("_", " ")
    return f"{sample.name} ({sample.record} {number}): {changes}"


def _change(one: PlannedChange, catalogue: Catalogue) -> str:
    if one.entity in ("task", "message"):
        return f"{one.entity} “{one.new}”"
    field = catalogue.get(f"{one.entity}.{one.field}")
    label = field.label if field else f"{one.entity}.{one.field}"
    names = {choice.key: choice.name for choice in (*field.choices, *field.retired)} if field else {}
    return f"{label} {_value(one.old, names)} → {_value(one.new, names)}"


def _value(value: Any, names: dict[str, str]) -> str:
    match value:
        case None:
            return "none"
        case list():
            return ", ".join(map(str, value)) or "none"
        case _:
            return names.get(str(value), str(value))


def _others(one: RulePlan) -> Iterator[str]:
    for conflict in one.conflicts:
        yield f"  On {conflict.records:,} records {conflict.winner} decides first, and {conflict.loser} loses."
    for refusal in one.refusals:
        yield f"  Refused on {refusal.records:,}: {refusal.reason}"
    for slug, records in one.followed_by.items():
        yield f"  On {records:,} records {slug} acts on what this rule has changed."
