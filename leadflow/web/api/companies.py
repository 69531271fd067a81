"""Companies."""

from __future__ import annotations

from leadflow.services.records import change_company, create_company
from leadflow.store import reads
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, created, endpoint, expected_revision
from leadflow.web.api.models import CompanyQuery, CompanyWrite, RecordPath

TAG = "Companies"


@endpoint("get", "/companies", role="viewer", tag=TAG, view=reads.CompanyView, is_page=True)
def list_companies(call: Call, query: CompanyQuery) -> reads.Page[reads.CompanyView]:
    """List companies, in the order in which they were created."""
    wanted = reads.CompanyFilter(q=query.q, name=query.name, domain=query.domain, category=query.category)
    return reads.companies(call.connection, wanted, after=read_cursor(query.cursor), limit=query.limit)


@endpoint("post", "/companies", role="editor", tag=TAG, view=reads.CompanyView, status=201, rings=True)
def add_company(call: Call, body: CompanyWrite) -> Answer:
    """Create a company.

    Without a category it has none. A domain that another company has: 409 with `existing_id`.
    """
    company_id = create_company(call.connection, call.caller.actor, body.given(), call.now)
    return created("/companies", reads.company(call.connection, company_id))


@endpoint("get", "/companies/<id>", role="viewer", tag=TAG, view=reads.CompanyView)
def show_company(call: Call, path: RecordPath) -> reads.CompanyView:
    """Read a company."""
    return reads.company(call.connection, path.id)


@endpoint("patch", "/companies/<id>", role="editor", tag=TAG, view=reads.CompanyView, rings=True)
def edit_company(call: Call, path: RecordPath, body: CompanyWrite) -> reads.CompanyView:
    """Change a company.

    Keys that are missing stay as they are. A category change that the guard refuses: 409 with the reason.
    """
    expected = expected_revision(reads.company(call.connection, path.id))
    change_company(call.connection, call.caller.actor, path.id, body.given(), call.now, expected)
    return reads.company(call.connection, path.id)
