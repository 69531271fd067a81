"""Selections and their members."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, WithJsonSchema

from leadflow.services.searches import read_search
from leadflow.services.selections import (
    MAX_MEMBERS_AT_ONCE,
    Draft,
    MembersChanged,
    change_members,
    change_selection,
    create_selection,
    delete_selection,
)
from leadflow.store import reads
from leadflow.store.conditions import Subject
from leadflow.store.reads.selections import SelectionView, selection, selections
from leadflow.store.searches import count_found, find_page
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, created, endpoint, expected_revision
from leadflow.web.api.models import Body, Id, Key, Name, PageQuery, RecordPath, SearchQuery, Text
from leadflow.web.api.searches import COUNT, read_place, write_place
from leadflow.web.config import web_config

TAG = "Selections"

SubjectName = Annotated[Literal["company", "contact"], Field(description="what the selection has in it")]
Where = Annotated[
    Any,
    Field(description="a condition of the rule language"),
    WithJsonSchema({"type": "object", "description": "a condition of the rule language, as JSON"}),
]
Ids = Annotated[list[Id], Field(max_length=MAX_MEMBERS_AT_ONCE)]


class Member(RootModel[reads.CompanyView | reads.ContactView]):
    """A company or a contact, as the selection's subject says."""


class SelectionQuery(PageQuery):
    subject: SubjectName | None = None


class SelectionChange(Body):
    slug: Annotated[Key, Field(description="what rules say; it is never given twice")] = ""
    title: Name = ""
    description: Text = ""
    where: Where = None


class SelectionCreate(Body):
    title: Name
    subject: SubjectName
    kind: Annotated[
        Literal["dynamic", "static"],
        Field(description="dynamic: whoever satisfies `where`; static: members, at first whoever satisfies it now"),
    ] = "dynamic"
    where: Where = None
    slug: Annotated[Key | None, Field(description="what rules say; made from the title if missing")] = None
    description: Text = ""


class MembersChange(Body):
    add: Annotated[Ids, Field(description="ids of records that come in")] = []
    remove: Annotated[Ids, Field(description="ids of records that go out")] = []


@endpoint("get", "/selections", role="viewer", tag=TAG, view=SelectionView, is_page=True)
def list_selections(call: Call, query: SelectionQuery) -> reads.Page[SelectionView]:
    """List the selections, in the order in which they were made."""
    after = read_cursor(query.cursor)
    return selections(call.connection, subject=query.subject, after=after, limit=query.limit)


@endpoint("post", "/selections", role="editor", tag=TAG, view=SelectionView, status=201)
def add_selection(call: Call, body: SelectionCreate) -> Answer:
    """Make a selection.

    A dynamic one is a saved search. A static one has members; with `where` it begins with the records that satisfy it
    now. A title or slug that another selection has: 409.
    """
    draft = Draft(body.title, body.subject, body.kind, body.where, body.slug, body.description)
    selection_id = create_selection(call.connection, web_config().searches, call.caller.actor, draft, call.now)
    return created("/selections", selection(call.connection, selection_id))


@endpoint("get", "/selections/<id>", role="viewer", tag=TAG, view=SelectionView)
def show_selection(call: Call, path: RecordPath) -> SelectionView:
    """Read a selection."""
    return selection(call.connection, path.id)


@endpoint("patch", "/selections/<id>", role="editor", tag=TAG, view=SelectionView)
def edit_selection(call: Call, path: RecordPath, body: SelectionChange) -> SelectionView:
    """Change a selection; what is missing stays.

    409 where a live rule or another selection would no longer be understood; the reason names them.
    """
    expected = expected_revision(selection(call.connection, path.id))
    change_selection(call.connection, web_config().searches, path.id, body.given(), call.now, expected)
    return selection(call.connection, path.id)


@endpoint("delete", "/selections/<id>", role="editor", tag=TAG, view=SelectionView)
def drop_selection(call: Call, path: RecordPath) -> SelectionView:
    """Delete a selection; its slug is never given again.

    409 while a live rule or another selection asks for it.
    """
    before = selection(call.connection, path.id)
    delete_selection(call.connection, path.id, call.now, expected_revision(before))
    return before


# Members --------------------------------------------------------------------------------------------------------------


@endpoint("get", "/selections/<id>/members", role="viewer", tag=TAG, view=Member, is_page=True, more=COUNT)
def list_members(call: Call, path: RecordPath, query: SearchQuery) -> Answer:
    """List the companies or contacts of a selection.

    They come by id, of both kinds as they are now. `count` adds how many there are.
    """
    meant = selection(call.connection, path.id)
    where = {"selection": meant.slug}
    search = read_search(call.connection, web_config().searches, meant.subject, where, None)
    after = read_place(search, query.cursor)
    found = find_page(call.connection, meant.subject, search.condition, None, after, query.limit, call.now)
    ids, next_place = found
    page: dict[str, Any] = {
        "items": _views(call, meant.subject, ids),
        "next": None if next_place is None else write_place(search, next_place),
    }
    if query.count:
        page["count"] = count_found(call.connection, meant.subject, search.condition, call.now)
    return Answer(page)


def _views(call: Call, subject: Subject, ids: list[int]) -> list[Any]:
    read: Any = reads.contacts_by_id if subject == "contact" else reads.companies_by_id
    known = read(call.connection, set(ids))
    return [known[one] for one in ids if one in known]


@endpoint("post", "/selections/<id>/members", role="editor", tag=TAG, view=MembersChanged)
def edit_members(call: Call, path: RecordPath, body: MembersChange) -> MembersChanged:
    """Add records to a static selection and take records out; says how many came and went."""
    return change_members(call.connection, call.caller.actor, path.id, body.add, body.remove, call.now)
