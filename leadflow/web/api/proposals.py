"""What rules propose, and rules that a person starts."""

from __future__ import annotations

from leadflow.services import proposals
from leadflow.services.manual import start_rule
from leadflow.store import reads
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, endpoint
from leadflow.web.api.models import ProposalAcceptance, ProposalQuery, ProposalRefusal, RecordPath, RulePath, RuleStart

TAG = "Rules"


@endpoint("get", "/proposals", role="viewer", tag=TAG, view=reads.ProposalView, is_page=True)
def list_proposals(call: Call, query: ProposalQuery) -> reads.Page[reads.ProposalView]:
    """List what rules with status `propose` would do, the oldest first."""
    wanted = reads.ProposalFilter(query.state, query.rule, query.company_id, query.contact_id)
    return reads.proposals(call.connection, wanted, after=read_cursor(query.cursor), limit=query.limit)


@endpoint("get", "/proposals/<id>", role="viewer", tag=TAG, view=reads.ProposalView)
def show_proposal(call: Call, path: RecordPath) -> reads.ProposalView:
    """Read a proposal."""
    return reads.proposal(call.connection, path.id)


@endpoint("post", "/proposals/<id>/accept", role="editor", tag=TAG, view=reads.ProposalView, rings=True)
def accept_proposal(call: Call, path: RecordPath, body: ProposalAcceptance) -> reads.ProposalView:
    """Make the changes, with another category where one is named. What was edited since stays: `overtaken`."""
    proposals.accept(call.connection, call.caller.actor, path.id, call.now, body.category)
    return reads.proposal(call.connection, path.id)


@endpoint("post", "/proposals/<id>/decline", role="editor", tag=TAG, view=reads.ProposalView)
def decline_proposal(call: Call, path: RecordPath, body: ProposalRefusal) -> reads.ProposalView:
    """Leave everything as it is."""
    proposals.decline(call.connection, call.caller.actor, path.id, call.now, body.reason)
    return reads.proposal(call.connection, path.id)


@endpoint("post", "/rules/<rule>/start", role="editor", tag=TAG, view=reads.EventView, status=201, rings=True)
def start_one_rule(call: Call, path: RulePath, body: RuleStart) -> Answer:
    """Start a rule with a `manual` trigger for one contact or company; answers with the event."""
    event_id = start_rule(call.connection, call.caller, path.rule, body.company_id, body.contact_id, call.now)
    return Answer(reads.event(call.connection, event_id), 201, f"/api/v1/events/{event_id}")
