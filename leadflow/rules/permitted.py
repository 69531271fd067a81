"""What the guard asks of the records a rule acts on, as a case: the category it may move from, the flags it heeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from leadflow.domain.effects import AddTag, AssignOwner, RemoveTag, SetCategory, SetField, SetLeadStatus, Step, Wait
from leadflow.domain.lifecycle import Lifecycle
from leadflow.rules.linting.cases import Case, Key
from leadflow.rules.linting.domains import Chosen, Domain
from leadflow.rules.model import PlannedStep, Rule

# Not flagged, or there is no such record.
_FREE = Domain(Chosen(frozenset({False})), has_blank=True)


def case_of_guard(rule: Rule, lifecycle: Lifecycle) -> Case | None:
    """The records that every action up to the first wait may write; None if there are none such."""
    found: Case | None = Case({})
    for planned in rule.actions:
        if isinstance(planned.step, Wait):
            break
        asked = _asked_by(planned, lifecycle)
        found = None if found is None else found.joined(Case(asked))
    return found


def _asked_by(planned: PlannedStep, lifecycle: Lifecycle) -> Mapping[Key, Domain]:
    match planned.step:
        case SetCategory(target=target, sources=sources):
            allowed = lifecycle.sources_of(target) & (sources if sources is not None else lifecycle.sources_of(target))
            return {"company.category": _domain_of(allowed), "company.do_not_automate": _FREE}
        case SetLeadStatus() as step:
            return _asked_by_status(step, lifecycle)
        case step:
            path = planned.writes or _written_by(step)
            return {f"{root}.do_not_automate": _FREE for root in _flags_for(path)}


def _asked_by_status(step: SetLeadStatus, lifecycle: Lifecycle) -> Mapping[Key, Domain]:
    active = {key for key in lifecycle.categories if lifecycle.is_lead_status_active(key)}
    asked: dict[Key, Domain] = {"company.category": _domain_of(active), "company.do_not_automate": _FREE}
    if step.of == "contact":
        asked["contact.do_not_automate"] = _FREE
        if step.sources is not None:
            asked["contact.lead_status"] = _domain_of(step.sources)
    return asked


def _written_by(step: Step | None) -> str:
    match step:
        case AddTag(record=record) | RemoveTag(record=record):
            return f"{record}.tags"
        case SetField(path=path):
            return path
        case AssignOwner():
            return "company.owner"
        case _:
            return ""


def _flags_for(path: str) -> tuple[str, ...]:
    """A company's flag protects its contacts, too."""
    return ("company", "contact") if path.startswith("contact.") else ("company",) if path else ()


def _domain_of(keys: Iterable[str | None]) -> Domain:
    listed = set(keys)
    return Domain(Chosen(frozenset(key for key in listed if key is not None)), None in listed)
