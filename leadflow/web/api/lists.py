"""The installation's lists: categories and lead statuses. Everybody reads them, administrators edit them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leadflow.services import list_impact, lists
from leadflow.services.list_impact import Impact
from leadflow.store import reads
from leadflow.store.reads.views import GroupKey
from leadflow.web.api.endpoints import Answer, Call, created, endpoint, expected_revision
from leadflow.web.api.models import (
    CategoryChange,
    CategoryCreate,
    KeyPath,
    LeadStatusChange,
    LeadStatusCreate,
    ListQuery,
    Query,
)
from leadflow.web.problems import Problem


class ImpactQuery(Query):
    lead_status_enabled: Annotated[bool, Field(description="as if it were changed to this")] = False
    group: Annotated[GroupKey, Field(description="as if it were changed to this")] = "other"


def _by_person(call: Call) -> None:
    if call.caller.actor.is_automation:
        raise Problem(403, "Categories and lead statuses are edited by people; this key acts as automation.")


# Categories -----------------------------------------------------------------------------------------------------------


@endpoint("get", "/categories", role="viewer", tag="Categories", view=reads.CategoryView, is_list=True)
def list_categories(call: Call, query: ListQuery) -> list[reads.CategoryView]:
    """List the categories by rank."""
    return reads.categories(call.connection, with_deleted=query.with_deleted)


@endpoint("post", "/categories", role="admin", tag="Categories", view=reads.CategoryView, status=201)
def add_category(call: Call, body: CategoryCreate) -> Answer:
    """Add a category; its key stays for ever."""
    _by_person(call)
    key = lists.create_category(call.connection, call.caller.actor, body.given())
    return created("/categories", reads.category(call.connection, key))


@endpoint("get", "/categories/<key>", role="viewer", tag="Categories", view=reads.CategoryView)
def show_category(call: Call, path: KeyPath) -> reads.CategoryView:
    """Read a category, deleted or not."""
    return reads.category(call.connection, path.key)


@endpoint("patch", "/categories/<key>", role="admin", tag="Categories", view=reads.CategoryView)
def edit_category(call: Call, path: KeyPath, body: CategoryChange) -> reads.CategoryView:
    """Change a category.

    If lead status becomes active by it, its contacts get the default lead status.
    """
    _by_person(call)
    expected = expected_revision(reads.category(call.connection, path.key))
    lists.change_category(call.connection, call.caller.actor, path.key, body.given(), call.now, expected)
    return reads.category(call.connection, path.key)


@endpoint("delete", "/categories/<key>", role="admin", tag="Categories", view=reads.CategoryView)
def drop_category(call: Call, path: KeyPath) -> reads.CategoryView:
    """Take a category off the pick lists; records keep it, and it can be restored."""
    _by_person(call)
    expected = expected_revision(reads.category(call.connection, path.key))
    lists.delete_category(call.connection, call.caller.actor, path.key, call.now, expected)
    return reads.category(call.connection, path.key)


@endpoint("post", "/categories/<key>/restore", role="admin", tag="Categories", view=reads.CategoryView)
def put_back_category(call: Call, path: KeyPath) -> reads.CategoryView:
    """Put a deleted category back on the pick lists."""
    _by_person(call)
    lists.restore_category(call.connection, call.caller.actor, path.key)
    return reads.category(call.connection, path.key)


@endpoint("get", "/categories/<key>/impact", role="viewer", tag="Categories", view=Impact)
def show_impact_of_category(call: Call, path: KeyPath, query: ImpactQuery) -> Impact:
    """Say who carries a category, and which live rules and selections name it.

    With `lead_status_enabled` or `group` also for how many contacts that change would switch the lead status on or off.
    """
    return list_impact.impact_of_category(call.connection, path.key, query.model_dump(exclude_unset=True))


# Lead statuses --------------------------------------------------------------------------------------------------------


@endpoint("get", "/lead-statuses", role="viewer", tag="Lead statuses", view=reads.LeadStatusView, is_list=True)
def list_lead_statuses(call: Call, query: ListQuery) -> list[reads.LeadStatusView]:
    """List the lead statuses by rank."""
    return reads.lead_statuses(call.connection, with_deleted=query.with_deleted)


@endpoint("post", "/lead-statuses", role="admin", tag="Lead statuses", view=reads.LeadStatusView, status=201)
def add_lead_status(call: Call, body: LeadStatusCreate) -> Answer:
    """Add a lead status; its key stays for ever."""
    _by_person(call)
    key = lists.create_lead_status(call.connection, call.caller.actor, body.given())
    return created("/lead-statuses", reads.lead_status(call.connection, key))


@endpoint("get", "/lead-statuses/<key>", role="viewer", tag="Lead statuses", view=reads.LeadStatusView)
def show_lead_status(call: Call, path: KeyPath) -> reads.LeadStatusView:
    """Read a lead status, deleted or not."""
    return reads.lead_status(call.connection, path.key)


@endpoint("patch", "/lead-statuses/<key>", role="admin", tag="Lead statuses", view=reads.LeadStatusView)
def edit_lead_status(call: Call, path: KeyPath, body: LeadStatusChange) -> reads.LeadStatusView:
    """Change a lead status."""
    _by_person(call)
    expected = expected_revision(reads.lead_status(call.connection, path.key))
    lists.change_lead_status(call.connection, call.caller.actor, path.key, body.given(), expected)
    return reads.lead_status(call.connection, path.key)


@endpoint("delete", "/lead-statuses/<key>", role="admin", tag="Lead statuses", view=reads.LeadStatusView)
def drop_lead_status(call: Call, path: KeyPath) -> reads.LeadStatusView:
    """Take a lead status off the pick lists; contacts keep it, and it can be restored. The default one: 409."""
    _by_person(call)
    expected = expected_revision(reads.lead_status(call.connection, path.key))
    lists.delete_lead_status(call.connection, call.caller.actor, path.key, call.now, expected)
    return reads.lead_status(call.connection, path.key)


@endpoint("post", "/lead-statuses/<key>/restore", role="admin", tag="Lead statuses", view=reads.LeadStatusView)
def put_back_lead_status(call: Call, path: KeyPath) -> reads.LeadStatusView:
    """Put a deleted lead status back on the pick lists."""
    _by_person(call)
    lists.restore_lead_status(call.connection, call.caller.actor, path.key)
    return reads.lead_status(call.connection, path.key)


@endpoint("get", "/lead-statuses/<key>/impact", role="viewer", tag="Lead statuses", view=Impact)
def show_impact_of_lead_status(call: Call, path: KeyPath) -> Impact:
    """Say who carries a lead status, active or not, and which live rules and selections name it."""
    return list_impact.impact_of_lead_status(call.connection, path.key)
