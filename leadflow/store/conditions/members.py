"""Membership in a static selection, as SQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnElement, exists, false, literal, literal_column

from leadflow.domain.history import Record
from leadflow.rules.conditions import MemberClause
from leadflow.store.tables import CompanyRow, ContactRow, SelectionMemberRow


def is_member(clause: MemberClause, subject: Record) -> ColumnElement[bool]:
    """The record is a member; never NULL. A contact without a company is at no company that is one.

    The company of a contact is asked for by the contact's own column, so that no company needs to be read.
    """
    if clause.record == "contact":
        key = ContactRow.__table__.c.id
        if subject == "company":
            return false()
    else:
        key = CompanyRow.__table__.c.id if subject == "company" else ContactRow.__table__.c.company_id
    member = SelectionMemberRow.__table__.alias()
    found = exists(literal_column("1")).where(
        member.c.selection_id == literal(clause.selection_id, BigInteger), member.c.record_id == key
    )
    return found.correlate_except(member)
