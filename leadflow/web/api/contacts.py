"""Contacts."""

from __future__ import annotations

from leadflow.services.records import change_contact, create_contact
from leadflow.store import reads
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, created, endpoint, expected_revision
from leadflow.web.api.models import ContactQuery, ContactWrite, RecordPath

TAG = "Contacts"


@endpoint("get", "/contacts", role="viewer", tag=TAG, view=reads.ContactView, is_page=True)
def list_contacts(call: Call, query: ContactQuery) -> reads.Page[reads.ContactView]:
    """List contacts, in the order in which they were created."""
    wanted = reads.ContactFilter(
        q=query.q,
        email=query.email,
        company_id=query.company_id,
        lead_status=query.lead_status,
        category=query.category,
    )
    return reads.contacts(call.connection, wanted, after=read_cursor(query.cursor), limit=query.limit)


@endpoint("post", "/contacts", role="editor", tag=TAG, view=reads.ContactView, status=201, rings=True)
def add_contact(call: Call, body: ContactWrite) -> Answer:
    """Create a contact.

    Under a category with an active lead status it gets the default status. An address that another contact has:
    409 with `existing_id`.
    """
    contact_id = create_contact(call.connection, call.caller.actor, body.given(), call.now)
    return created("/contacts", reads.contact(call.connection, contact_id))


@endpoint("get", "/contacts/<id>", role="viewer", tag=TAG, view=reads.ContactView)
def show_contact(call: Call, path: RecordPath) -> reads.ContactView:
    """Read a contact.

    `category` is the effective one. A lead status that is not active is kept and shown with
    `lead_status_active: false`.
    """
    return reads.contact(call.connection, path.id)


@endpoint("patch", "/contacts/<id>", role="editor", tag=TAG, view=reads.ContactView, rings=True)
def edit_contact(call: Call, path: RecordPath, body: ContactWrite) -> reads.ContactView:
    """Change a contact.

    Writing a lead status that is not active, or the category of a contact that has a company: 409 with the reason.
    """
    expected = expected_revision(reads.contact(call.connection, path.id))
    change_contact(call.connection, call.caller.actor, path.id, body.given(), call.now, expected)
    return reads.contact(call.connection, path.id)
