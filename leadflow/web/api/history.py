"""The inbox with its traces, and the ledger."""

from __future__ import annotations

from leadflow.services.inbox import replay_event
from leadflow.store import reads
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Call, endpoint
from leadflow.web.api.models import ChangeQuery, EventQuery, RecordPath


@endpoint("get", "/events", role="viewer", tag="Events", view=reads.EventView, is_page=True)
def list_events(call: Call, query: EventQuery) -> reads.Page[reads.EventView]:
    """List events with their traces, newest first."""
    wanted = reads.EventFilter(
        state=query.state, source=query.source, company_id=query.company_id, contact_id=query.contact_id
    )
    return reads.events(call.connection, wanted, after=read_cursor(query.cursor), limit=query.limit)


@endpoint("get", "/events/<id>", role="viewer", tag="Events", view=reads.EventView)
def show_event(call: Call, path: RecordPath) -> reads.EventView:
    """Read an event with its traces: which rules were tried, and why they did or did not act."""
    return reads.event(call.connection, path.id)


@endpoint("post", "/events/<id>/replay", role="editor", tag="Events", view=reads.EventView, rings=True)
def try_event_again(call: Call, path: RecordPath) -> reads.EventView:
    """Process a held or failed event again; its effects happen once. Any other event: 409."""
    replay_event(call.connection, path.id, call.now)
    return reads.event(call.connection, path.id)


@endpoint("get", "/changes", role="viewer", tag="Changes", view=reads.ChangeView, is_page=True)
def list_changes(call: Call, query: ChangeQuery) -> reads.Page[reads.ChangeView]:
    """List the ledger, oldest first: what changed, when, by whom and why."""
    wanted = reads.ChangeFilter(
        company_id=query.company_id,
        contact_id=query.contact_id,
        rule=query.rule,
        event_id=query.event_id,
        run_id=query.run_id,
        field=query.field,
        since=query.since,
    )
    return reads.changes(call.connection, wanted, after=read_cursor(query.cursor), limit=query.limit)
