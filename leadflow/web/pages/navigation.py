"""What the side of every page leads to, in which order, and what there asks for attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l

from leadflow.services.access import Role


@dataclass(frozen=True, slots=True)
class Entry:
    """A way to a page. `counts` is the attribute of `Attention` that it shows, `said` what that number means.

    `endpoint` without `pages.`; pages of the same `section` mark this entry as the current one.
    """

    endpoint: str
    icon: str
    label: str
    counts: str | None = None
    is_alert: bool = False
    said: str = ""
    role: Role = Role.VIEWER

    @property
    def section(self) -> str:
        return self.endpoint


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under a heading; the first group has none."""

    title: str
    entries: tuple[Entry, ...]


GROUPS: tuple[Group, ...] = (
    Group(
        "",
        (
            Entry("overview", "layout-dashboard", _l("Overview")),
            Entry("dashboards", "chart-bar", _l("Dashboard")),
            Entry("events", "inbox", _l("Inbox"), "stuck_events", True, _l("held or failed")),
            Entry("proposals", "message-question", _l("Proposals"), "open_proposals", False, _l("to decide")),
            Entry("tasks", "list-check", _l("Tasks"), "due_tasks", False, _l("due now")),
        ),
    ),
    Group(
        _l("Records"),
        (
            Entry("companies", "building", _l("Companies")),
            Entry("contacts", "users", _l("Contacts")),
            Entry("selections", "filter", _l("Selections")),
            Entry("boards", "layout-kanban", _l("Board")),
        ),
    ),
    Group(
        _l("Automation"),
        (
            Entry("rules", "git-branch", _l("Rules")),
            Entry("lifecycle_map", "route", _l("Lifecycle")),
            Entry("sweeps", "calendar-repeat", _l("Sweeps"), "braked_sweeps", True, _l("need you")),
            Entry("outbox", "send", _l("Outbox"), "parked_messages", True, _l("parked")),
        ),
    ),
    Group(
        _l("Administration"),
        (
            Entry("sources", "webhook", _l("Sources"), role=Role.ADMIN),
            Entry("admin_lists", "category", _l("Categories"), role=Role.ADMIN),
            Entry("admin_people", "users-group", _l("People and keys"), role=Role.ADMIN),
            Entry("system", "activity", _l("System"), role=Role.ADMIN),
        ),
    ),
)


def groups_for(role: Role, endpoints: frozenset[str]) -> Iterator[Group]:
    """The groups that somebody of this role sees, without what is not served."""
    for group in GROUPS:
        shown = tuple(one for one in group.entries if role.covers(one.role) and f"pages.{one.endpoint}" in endpoints)
        if shown:
            yield Group(group.title, shown)
