"""The trace of one rule on one occurrence: how it ended, and why, as it is stored and read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from leadflow.domain.effects import CallWebhook
from leadflow.domain.events import Occurrence
from leadflow.domain.records import Applied, Change, Company, Contact, Message
from leadflow.rules.model import Judgement, Outcome, Rule
from leadflow.store.values import to_json


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run belongs to: an event, or a sweep."""

    event_id: int | None = None
    sweep_id: int | None = None


@dataclass(slots=True)
class Run:
    """The trace of one rule on one occurrence. `lost_to` are the rules that decided before it what it wanted."""

    id: int
    rule: Rule
    origin: Origin
    judgement: Judgement
    occurrence: Occurrence
    company: Company | None
    contact: Contact | None
    outcome: Outcome = Outcome.NO_MATCH
    guard: str | None = None
    made: list[Change] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    duration_us: int = 0
    lost_to: tuple[str, ...] = ()

    @property
    def company_id(self) -> int | None:
        return self.company.id if self.company else None

    @property
    def contact_id(self) -> int | None:
        return self.contact.id if self.contact else None

    def conclude(self, applied: Iterable[Applied], lost_to: Iterable[str]) -> None:
        """Say how the run ended, from what its effects did and which rules decided its fields before it."""
        applied, self.lost_to = list(applied), tuple(dict.fromkeys(lost_to))
        refusals = [one.decision.reason for one in applied if one.is_refused]
        losses = [f"The rule {winner} decided this field first." for winner in self.lost_to]
        self.made = [change for one in applied for change in one.changes]
        self.changes = [_change_as_json(change) for change in self.made]
        self.changes += [_said("task", "title", one.task.title) for one in applied if one.task]
        self.changes += [_message_as_json(one.message) for one in applied if one.message]
        self.outcome = _outcome(bool(self.changes), bool(refusals), bool(losses))
        reasons = [*refusals, *losses]
        if not reasons and not self.changes:
            reasons = [one.decision.reason for one in applied if one.decision.reason]
        self.guard = " ".join(dict.fromkeys(reasons)) or None


def _outcome(has_changes: bool, is_refused: bool, has_lost: bool) -> Outcome:
    if has_changes or not (is_refused or has_lost):
        return Outcome.FIRED
    return Outcome.BLOCKED_BY_GUARD if is_refused else Outcome.CONFLICT_LOST


def _change_as_json(change: Change) -> dict[str, Any]:
    return {
        "entity": change.entity,
        "entity_id": change.entity_id,
        "field": change.field,
        "old": to_json(change.old),
        "new": to_json(change.new),
    }


def _message_as_json(message: Message) -> dict[str, Any]:
    if isinstance(message.effect, CallWebhook):
        return _said("message", "webhook", message.effect.endpoint)
    return _said("message", "notify", f"{message.effect.to}: {message.effect.text}")


def _said(entity: str, name: str, text: str) -> dict[str, Any]:
    return {"entity": entity, "field": name, "old": None, "new": text}


def run_as_row(run: Run, version: int, at: datetime) -> dict[str, Any]:
    """The trace as stored."""
    return {
        "id": run.id,
        "event_id": run.origin.event_id,
        "sweep_id": run.origin.sweep_id,
        "rule": run.rule.slug,
        "version": version,
        "outcome": run.outcome.value,
        "is_near_miss": run.outcome is Outcome.NO_MATCH and run.judgement.is_near_miss,
        "clauses": [
            {"path": one.path, "test": one.test, "holds": one.holds, "value": one.value}
            for one in run.judgement.clauses
        ],
        "guard": run.guard,
        "error": run.judgement.error,
        "changes": run.changes,
        "chain": run.occurrence.chain,
        "company_id": run.company_id,
        "contact_id": run.contact_id,
        "duration_us": run.duration_us,
        "at": at,
    }
