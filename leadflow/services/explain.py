"""Why a rule did or did not act, in words, from the traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leadflow.store.reads import EventView, RunView

OUTCOMES = {
    "fired": "acted",
    "no_match": "did not match",
    "limited": "has reached its limit",
    "conflict_lost": "lost to another rule",
    "blocked_by_guard": "was stopped by the guard",
    "proposed": "asks a person to decide",
    "waiting": "matched and waits",
    "skipped_running": "still waits for an earlier event",
    "brake": "was stopped by the brake",
    "shadow": "would have acted (shadow)",
    "chain_stopped": "was stopped",
    "error": "could not be judged",
}


def explain_event(event: EventView, rule: str | None = None) -> Iterator[str]:
    """The story of one event, line by line; of one rule only, where it is named."""
    when = event.received_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    yield f"Event {event.id} ({event.type} from {event.source}, {when}) is {event.state}."
    if event.error:
        yield f"  {event.error}"
    runs = [run for run in event.runs if rule in (None, run.rule)]
    for run in runs:
        yield from _explain_run(run)
    if not runs and event.state == "processed":
        name = f"The rule {rule}" if rule else "No rule"
        yield f"  {name} {'does not listen' if rule else 'listens'} to this kind of event."


def _explain_run(run: RunView) -> Iterator[str]:
    nearly = " — one clause was missing" if run.near_miss else ""
    yield f"  Rule {run.rule} (version {run.version}) {OUTCOMES.get(run.outcome, run.outcome)}{nearly}."
    for clause in run.clauses:
        mark = "✓" if clause["holds"] else "✗"
        yield f"    {mark} {clause['path']} {clause['test']}: it was {_shown(clause['value'])}"
    if run.error:
        yield f"    {run.error}"
    if run.guard:
        yield f"    {run.guard}"
    for change in run.changes:
        yield f"    → {change_words(change)}"


def change_words(change: Mapping[str, Any]) -> str:
    """What a run changes, old and new, or the task or message it makes."""
    if change["entity"] in ("task", "message"):
        return f"{change['entity']} “{change['new']}”"
    return (
        f"{change['entity']} {change['entity_id']}: {change['field']} {_shown(change['old'])} → {_shown(change['new'])}"
    )


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "blank"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
