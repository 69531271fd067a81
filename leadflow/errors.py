"""Errors that a person may read: each says what happened and, where it can, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass


class LeadflowError(Exception):
    """Base of all errors that leadflow raises on purpose."""


class UnknownValue(LeadflowError):
    """A name that is in none of the lists: a category, a lead status, a field."""


class NotFound(LeadflowError):
    """The record does not exist."""


class ServiceUnavailable(LeadflowError):
    """A part that leadflow needs (database, broker) does not answer now."""


class ConfigurationError(LeadflowError):
    """A configuration file or environment variable is wrong; the message lists every fault found."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a request: `location` is a field's path, `message` a sentence."""

    location: str
    message: str


class InvalidRequest(LeadflowError):
    """What was sent cannot be taken; `faults` lists everything that is wrong."""

    def __init__(self, faults: list[Fault] | str) -> None:
        self.faults = [Fault("", faults)] if isinstance(faults, str) else faults
        super().__init__("; ".join(f"{f.location}: {f.message}" if f.location else f.message for f in self.faults))


class Conflict(LeadflowError):
    """The request is well-formed, but the present state does not allow it; `existing_id` names a twin, if any."""

    def __init__(self, reason: str, existing_id: int | None = None) -> None:
        self.existing_id = existing_id
        super().__init__(reason)


class Refused(Conflict):
    """A guard refused the write; the message is the reason as a marketer reads it."""


class StaleWrite(LeadflowError):
    """The record changed since the caller read it (If-Match, or the version a publish was based on)."""
