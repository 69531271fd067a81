"""What leaves the system: endpoints, which administrators set up, and the outbox."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from leadflow.services import outbound_endpoints as service
from leadflow.services import outbox as sending
from leadflow.store import endpoints as store
from leadflow.store import outbox, reads
from leadflow.store.endpoints import EndpointView
from leadflow.store.outbox import MessageFilter, MessageView
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, api, endpoint, expected_revision
from leadflow.web.api.models import Body, Id, Key, Name, PageQuery, RecordPath, Text
from leadflow.web.config import web_outside

SECRET = {"secret": str | None}


class EndpointPath(BaseModel):
    name: Annotated[str, Field(max_length=100)]


class EndpointChange(Body):
    title: Name = ""
    url: Annotated[Text, Field(description="https://… of a webhook; mailtos://…, slack://… of a channel")] = ""
    is_enabled: bool = True
    new_secret: Annotated[bool, Field(description="true: another secret; the former one signs too for a day")] = False


class EndpointCreate(Body):
    name: Key
    kind: Literal["webhook", "channel"]
    url: Annotated[Text, Field(description="https://… of a webhook; mailtos://…, slack://… of a channel")]
    title: Name | None = None
    is_enabled: bool = True


class MessageQuery(PageQuery):
    state: Literal["pending", "sent", "parked"] | None = None
    endpoint: str | None = None
    rule: Annotated[str | None, Field(description="slug of the rule")] = None
    company_id: Id | None = None
    contact_id: Id | None = None
    event_id: Id | None = None


# Endpoints ------------------------------------------------------------------------------------------------------------


@endpoint("get", "/endpoints", role="admin", tag="Outbound", view=EndpointView, is_list=True)
def list_endpoints(call: Call) -> list[EndpointView]:
    """List the endpoints by name."""
    return store.endpoints(call.connection)


@endpoint("post", "/endpoints", role="admin", tag="Outbound", view=EndpointView, status=201, more=SECRET)
def add_endpoint(call: Call, body: EndpointCreate) -> Answer:
    """Add an endpoint.

    `secret` is what a webhook's calls are signed with; it is in no later answer. A channel has none.
    """
    name, secret = service.create_endpoint(call.connection, web_outside(), body.given(), call.now)
    view = store.endpoint(call.connection, name)
    return Answer(view, 201, f"{api.url_prefix}/endpoints/{name}", once={"secret": secret})


@endpoint("get", "/endpoints/<name>", role="admin", tag="Outbound", view=EndpointView)
def show_endpoint(call: Call, path: EndpointPath) -> EndpointView:
    """Read an endpoint; never its secret."""
    return store.endpoint(call.connection, path.name)


@endpoint("patch", "/endpoints/<name>", role="admin", tag="Outbound", view=EndpointView, more=SECRET)
def edit_endpoint(call: Call, path: EndpointPath, body: EndpointChange) -> Answer:
    """Change an endpoint; `secret` is there only if `new_secret` asked for one, and only this once."""
    expected = expected_revision(store.endpoint(call.connection, path.name))
    outside = web_outside()
    secret = service.change_endpoint(call.connection, outside, path.name, body.given(), call.now, expected)
    return Answer(store.endpoint(call.connection, path.name), once={"secret": secret})


@endpoint("delete", "/endpoints/<name>", role="admin", tag="Outbound", view=EndpointView)
def drop_endpoint(call: Call, path: EndpointPath) -> EndpointView:
    """Delete an endpoint with its secret; what is addressed to it will be parked."""
    expected = expected_revision(store.endpoint(call.connection, path.name))
    return service.delete_endpoint(call.connection, path.name, expected)


# The outbox -----------------------------------------------------------------------------------------------------------


@endpoint("get", "/outbox", role="viewer", tag="Outbound", view=MessageView, is_page=True)
def list_messages(call: Call, query: MessageQuery) -> reads.Page[MessageView]:
    """List what is sent, waits or is parked, newest first; `error` says why it is parked."""
    wanted = MessageFilter(
        state=query.state,
        endpoint=query.endpoint,
        rule=query.rule,
        company_id=query.company_id,
        contact_id=query.contact_id,
        event_id=query.event_id,
    )
    return outbox.messages(call.connection, wanted, after=read_cursor(query.cursor), limit=query.limit)


@endpoint("get", "/outbox/<id>", role="viewer", tag="Outbound", view=MessageView)
def show_message(call: Call, path: RecordPath) -> MessageView:
    """Read a message."""
    return outbox.message(call.connection, path.id)


@endpoint("post", "/outbox/<id>/send", role="editor", tag="Outbound", view=MessageView)
def send_message_again(call: Call, path: RecordPath) -> MessageView:
    """Send a parked message again, with the id that it had; it is tried for three more days. Any other: 409."""
    sending.send_again(call.connection, path.id, call.now)
    return outbox.message(call.connection, path.id)
