"""Sales. Their events take effect in the order of the company's inbox."""

from __future__ import annotations

from leadflow.services.sales import change_sale, create_sale
from leadflow.store import reads
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, created, endpoint, expected_revision
from leadflow.web.api.models import RecordPath, SaleChange, SaleCreate, SaleQuery

TAG = "Sales"
EVENT = {"event_id": int | None}


@endpoint("get", "/sales", role="viewer", tag=TAG, view=reads.SaleView, is_page=True)
def list_sales(call: Call, query: SaleQuery) -> reads.Page[reads.SaleView]:
    """List sales, in the order in which they were registered."""
    after = read_cursor(query.cursor)
    return reads.sales(call.connection, company_id=query.company_id, after=after, limit=query.limit)


@endpoint("post", "/sales", role="editor", tag=TAG, view=reads.SaleView, status=201, more=EVENT, rings=True)
def add_sale(call: Call, body: SaleCreate) -> Answer:
    """Register a sale.

    `event_id` is the event in the inbox by which rules hear of it.
    """
    sale_id, event_id = create_sale(call.connection, call.caller.actor, body.given(), call.now)
    return created("/sales", reads.sale(call.connection, sale_id), {"event_id": event_id})


@endpoint("get", "/sales/<id>", role="viewer", tag=TAG, view=reads.SaleView)
def show_sale(call: Call, path: RecordPath) -> reads.SaleView:
    """Read a sale."""
    return reads.sale(call.connection, path.id)


@endpoint("patch", "/sales/<id>", role="editor", tag=TAG, view=reads.SaleView, more=EVENT, rings=True)
def edit_sale(call: Call, path: RecordPath, body: SaleChange) -> Answer:
    """Change a sale.

    A new status fires the rules for it; `event_id` is null where there was nothing for them.
    """
    expected = expected_revision(reads.sale(call.connection, path.id))
    event_id = change_sale(call.connection, call.caller.actor, path.id, body.given(), call.now, expected)
    view = reads.sale(call.connection, path.id)
    return Answer(view, more={"event_id": event_id})
