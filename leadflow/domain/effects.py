"""What may be done to records: a closed set of effects that the store knows how to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from leadflow.domain.fields import Value

Record = Literal["company", "contact"]


@dataclass(frozen=True, slots=True)
class SetCategory:
    """Move the company to category key `target`; only from `sources` where they are given (None in it: no category)."""

    target: str
    sources: frozenset[str | None] | None = None


@dataclass(frozen=True, slots=True)
class SetLeadStatus:
    """Set the lead status of the event's contact, or of all contacts of its company."""

    target: str
    sources: frozenset[str | None] | None = None
    of: Literal["contact", "all_contacts"] = "contact"


@dataclass(frozen=True, slots=True)
class SetField:
    """Write one field that the catalogue marks writable: `company.owner`, `contact.fields.budget`."""

    path: str
    value: Value


@dataclass(frozen=True, slots=True)
class AddTag:
    """Put a tag on the record, once."""

    record: Record
    tag: str


@dataclass(frozen=True, slots=True)
class RemoveTag:
    """Take a tag off the record, if it is there."""

    record: Record
    tag: str


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Create a follow-up for people."""

    title: str
    owner: str | None = None
    due_in: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell somebody: `to` is the name of a channel that an administrator has set up."""

    to: str
    text: str


@dataclass(frozen=True, slots=True)
class CallWebhook:
    """Send the record, with `payload` beside it, to the endpoint of that name, signed, at least once."""

    endpoint: str
    payload: Mapping[str, str] = field(default_factory=dict)


# What is done to records, or written beside them in the same transaction.
Effect = SetCategory | SetLeadStatus | SetField | AddTag | RemoveTag | CreateTask | Notify | CallWebhook


@dataclass(frozen=True, slots=True)
class AssignOwner:
    """Give the company an owner: the only candidate, or the one whose turn it is.

    In turn, a company that one of the candidates has already stays there and takes no turn.
    """

    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on with the rest after `length`; the condition is judged again then, unless `recheck` is false."""

    length: timedelta
    recheck: bool = True


@dataclass(frozen=True, slots=True)
class StopHere:
    """No rule after this one acts on the occurrence."""


# What a rule does, one after the other: effects, and what steers the rules themselves.
Step = Effect | AssignOwner | Wait | StopHere


def written_field(step: Step) -> str | None:
    """The field over which two rules may conflict; None for steps that never conflict."""
    match step:
        case SetCategory():
            return "company.category"
        case SetLeadStatus():
            return "contact.lead_status"
        case SetField(path=path):
            return path
        case AddTag(record=record, tag=tag) | RemoveTag(record=record, tag=tag):
            return f"{record}.tags[{tag.casefold()}]"
        case AssignOwner():
            return "company.owner"
        case _:
            return None


def wanted_value(step: Step) -> object:
    """What the step wants to write; two steps on one field conflict when these differ."""
    match step:
        case SetCategory(target=target) | SetLeadStatus(target=target):
            return target
        case SetField(value=value):
            return value
        case AddTag():
            return True
        case RemoveTag():
            return False
        case AssignOwner(candidates=candidates):
            return candidates[0] if len(candidates) == 1 else candidates
        case _:
            return None
