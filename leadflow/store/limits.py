"""When rules with a limit last acted on a company or contact."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, BigInteger, Connection, Text, bindparam, text

# (rule, 'company' or 'contact', id of the subject)
Subject = tuple[str, str, int]


@dataclass
class Limits:
    """The last acts of the rules and subjects of one transaction; new ones are noted and written together."""

    acted_at: dict[Subject, datetime] = field(default_factory=dict)
    noted: dict[Subject, tuple[datetime, int | None]] = field(default_factory=dict)

    def allows(self, subject: Subject, within: timedelta | None, now: datetime) -> bool:
        """Whether the rule may act on the subject again; without `within` once is for ever."""
        last = self.acted_at.get(subject)
        return last is None or (within is not None and last <= now - within)

    def note(self, subject: Subject, at: datetime, event_id: int | None) -> None:
        """The rule acted."""
        self.acted_at[subject] = at
        self.noted[subject] = (at, event_id)


def read_limits(
    connection: Connection, rules: Collection[str], companies: Collection[int], contacts: Collection[int]
) -> Limits:
    """The last acts of these rules on these companies and contacts, which are locked."""
    if not rules:
        return Limits()
    parameters = {"rules": list(rules), "companies": list(companies), "contacts": list(contacts)}
    rows = connection.execute(_READ, parameters)
    return Limits({(row.rule, row.subject, row.subject_id): row.acted_at for row in rows})


_READ = text(
    "SELECT rule, subject, subject_id, acted_at FROM rule_limit WHERE rule = ANY(:rules) AND"
    " (subject = 'company' AND subject_id = ANY(:companies) OR subject = 'contact' AND subject_id = ANY(:contacts))"
).bindparams(
    bindparam("rules", type_=ARRAY(Text)),
    bindparam("companies", type_=ARRAY(BigInteger)),
    bindparam("contacts", type_=ARRAY(BigInteger)),
)


def write_limits(connection: Connection, limits: Limits) -> None:
    """Write what was noted."""
    rows = [
        {"rule": rule, "subject": subject, "subject_id": subject_id, "acted_at": at, "event_id": event_id}
        for (rule, subject, subject_id), (at, event_id) in sorted(limits.noted.items())
    ]
    if rows:
        connection.execute(
            text(
                "INSERT INTO rule_limit (rule, subject, subject_id, acted_at, event_id)"
                " VALUES (:rule, :subject, :subject_id, :acted_at, :event_id)"
                " ON CONFLICT (rule, subject, subject_id)"
                " DO UPDATE SET acted_at = excluded.acted_at, event_id = excluded.event_id"
            ),
            rows,
        )
