"""A rule that waited goes on: what its event said is kept, and its turn comes as an event of its own in the inbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Catalogue, Unreadable, Value
from leadflow.rules.model import Rule, Situation
from leadflow.store.inbox import Arrival, lane_key_of, store_arrivals
from leadflow.store.values import form_to_json, kept_value, to_json
from leadflow.store.waiting import Subject, mark_due, take_due_waits

# The source and type of the events by which waiting rules go on.
WAITS_SOURCE = "waits"
WAIT_OVER = "wait_over"

OWN_FIELDS = ("form", "event", "sale", "user")


@dataclass(frozen=True, slots=True)
class Resumption:
    """Which rule goes on, with which of its steps; the step names tell whether it is still the same rule."""

    waiting_id: int
    rule: str
    step: int
    recheck: bool
    step_names: tuple[str, ...]
    company_id: int | None
    contact_id: int | None

    @property
    def subject(self) -> Subject:
        """For whom the rule waited; the contact may be at another company by now."""
        return self.rule, self.company_id, self.contact_id


def situation_as_json(rule: Rule, situation: Situation) -> dict[str, Any]:
    """What the occurrence said, to judge by it again later."""
    occurrence = situation.occurrence
    return {
        "trigger": occurrence.trigger.value,
        "detail": dict(occurrence.detail),
        "changes": {path: [to_json(side) for side in sides] for path, sides in occurrence.changes.items()},  # type: ignore[arg-type]
        "chain": list(occurrence.chain),
        "steps": step_names(rule),
        **{name: form_to_json(getattr(situation, name)) for name in OWN_FIELDS},
    }


def step_names(rule: Rule) -> list[str]:
    """The rule's actions by number and name."""
    return [one.action for one in rule.actions]


def occurrence_from_json(catalogue: Catalogue, document: Mapping[str, Any]) -> Occurrence:
    """The reverse of `situation_as_json`, the occurrence's part."""
    changes = {
        path: (kept_value(catalogue, path, old), kept_value(catalogue, path, new))
        for path, (old, new) in document["changes"].items()
    }
    return Occurrence(Trigger(document["trigger"]), document["detail"], changes, tuple(document["chain"]))


def own_fields_from_json(catalogue: Catalogue, root: str, document: Mapping[str, Any]) -> dict[str, Value | Unreadable]:
    """The fields of a form, event, sale or user as they were."""
    fields: dict[str, Value | Unreadable] = {
        name: Unreadable(reason) for name, reason in document.get("unreadable", {}).items()
    }
    return fields | {
        name: kept_value(catalogue, f"{root}.{name}", raw) for name, raw in document.items() if name != "unreadable"
    }


def release_due_waits(connection: Connection, now: datetime) -> int:
    """Turn what is due into events of the inbox, each once; how many."""
    rows = take_due_waits(connection, now)
    if rows:
        store_arrivals(connection, [_arrival(row, now) for row in rows])
        mark_due(connection, [row.id for row in rows])
    return len(rows)


def _arrival(row: Any, now: datetime) -> Arrival:
    document = {
        "waiting_id": row.id,
        "rule": row.rule,
        "step": row.step,
        "recheck": row.recheck,
        "event_id": row.event_id,
        "company_id": row.company_id,
        "contact_id": row.contact_id,
        "situation": row.situation,
    }
    body = json.dumps(document, ensure_ascii=False).encode()
    if row.company_id is not None:
        lane = lane_key_of(row.company_id, row.domain)
    else:
        lane = row.email or f"contact:{row.contact_id}"
    return Arrival(WAITS_SOURCE, f"wait-{row.id}", WAIT_OVER, "application/json", body, now, lane_key=lane)


def resumption_of(document: Mapping[str, Any]) -> Resumption:
    """Which rule goes on, from the event's body."""
    steps = tuple(document["situation"]["steps"])
    return Resumption(
        waiting_id=document["waiting_id"],
        rule=document["rule"],
        step=document["step"],
        recheck=document["recheck"],
        step_names=steps,
        company_id=document["company_id"],
        contact_id=document["contact_id"],
    )
