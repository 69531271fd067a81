"""Sweeps: scheduled rules over all records, their progress, and the brake."""

from __future__ import annotations

from leadflow.services.sweeps import Rehearsal, approve_sweep, cancel_sweep, rehearse, start_sweep
from leadflow.store.reads import Page
from leadflow.store.sweeps import reads
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, created, endpoint
from leadflow.web.api.models import RecordPath, SweepQuery, SweepStart
from leadflow.web.config import web_config

TAG = "Sweeps"


@endpoint("get", "/sweeps", role="viewer", tag=TAG, view=reads.SweepView, is_page=True)
def list_sweeps(call: Call, query: SweepQuery) -> Page[reads.SweepView]:
    """List sweeps, newest first."""
    after = read_cursor(query.cursor)
    return reads.sweeps(call.connection, rule=query.rule, state=query.state, after=after, limit=query.limit)


@endpoint("get", "/sweeps/<id>", role="viewer", tag=TAG, view=reads.SweepView)
def show_sweep(call: Call, path: RecordPath) -> reads.SweepView:
    """Read a sweep: how far it is, and how many records came through each part of its rule's condition."""
    return reads.sweep(call.connection, path.id)


@endpoint("post", "/sweeps", role="editor", tag=TAG, view=reads.SweepView, status=201)
def run_sweep(call: Call, body: SweepStart) -> Answer:
    """Run a scheduled rule now. A dry run answers 200 with what would change, and changes nothing."""
    bench = web_config().sweeps
    if body.dry_run:
        return Answer(_as_view(call, body.rule, rehearse(call.connection, bench, body.rule, call.now)))
    sweep_id = start_sweep(call.connection, bench.desk, body.rule, call.caller.name, call.now)
    return created("/sweeps", reads.sweep(call.connection, sweep_id))


def _as_view(call: Call, rule: str, rehearsal: Rehearsal) -> reads.SweepView:
    return reads.SweepView(
        id=None,
        rule=rule,
        version=rehearsal.version,
        origin="person",
        subject=rehearsal.subject,
        state="dry_run",
        due_at=call.now,
        evaluated_at=call.now,
        funnel=list(rehearsal.funnel),
        matching=rehearsal.matching,
        seen=0,
        changed=0,
        is_approved=False,
        actor_name=call.caller.name,
        error=None,
        next_attempt_at=None,
        created_at=call.now,
        finished_at=None,
        samples=list(rehearsal.samples),
        would_brake=rehearsal.is_braked,
    )


@endpoint("post", "/sweeps/<id>/approve", role="editor", tag=TAG, view=reads.SweepView)
def run_braked_sweep(call: Call, path: RecordPath) -> reads.SweepView:
    """Let a braked sweep run anyway. Any other sweep: 409."""
    approve_sweep(call.connection, path.id, call.caller.name)
    return reads.sweep(call.connection, path.id)


@endpoint("post", "/sweeps/<id>/cancel", role="editor", tag=TAG, view=reads.SweepView)
def stop_sweep(call: Call, path: RecordPath) -> reads.SweepView:
    """End a sweep where it is; what it changed stays. One that is over: 409."""
    cancel_sweep(call.connection, path.id, call.caller.name, call.now)
    return reads.sweep(call.connection, path.id)
