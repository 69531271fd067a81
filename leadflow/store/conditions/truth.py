"""Negation that leaves nothing unknown."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Exists, and_, false, or_, true
from sqlalchemy.sql.elements import False_, True_


def complement(asked: ColumnElement[bool]) -> ColumnElement[bool]:
    """True exactly where `asked` is not: where it is false, and where it is unknown."""
    if isinstance(asked, True_ | False_):
        return false() if isinstance(asked, True_) else true()
    return ~asked if isinstance(asked, Exists) else asked.is_not(true())


def all_or_not(parts: list[ColumnElement[bool]], negated: bool) -> ColumnElement[bool]:
    """All parts hold; with `negated`, not all of them do. The parts are never unknown."""
    return or_(false(), *map(complement, parts)) if negated else and_(true(), *parts)
