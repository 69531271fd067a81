"""How many records a selection has, and two selections together: soon, and exactly where somebody asks for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.errors import InvalidRequest
from leadflow.rules.conditions import Condition
from leadflow.services import selections as stories
from leadflow.services.searches import read_search
from leadflow.store.conditions import Subject
from leadflow.store.reads.selections import SelectionView, selections_by_title
from leadflow.store.searches import Count, count_found, estimate_found
from leadflow.web.config import web_config
from leadflow.web.pages import criteria, desk


@dataclass(frozen=True)
class Meaning:
    """What a selection asks for, as a search has read it; `problem` says why it cannot be."""

    condition: Condition | None = None
    problem: str = ""


def read_meaning(connection: Connection, subject: Subject, where: Any | None) -> Meaning:
    """What a condition means just now."""
    try:
        return Meaning(read_search(connection, web_config().searches, subject, where, None).condition)
    except InvalidRequest as refusal:
        return Meaning(problem=criteria.sentences_of(refusal))


def size_of(connection: Connection, one: SelectionView) -> Count | None:
    """How many records the selection has, soon; None if it cannot be read."""
    meaning = read_meaning(connection, one.subject, {"selection": one.slug})
    return None if meaning.problem else _soon(connection, one.subject, meaning.condition, (one,))


def _soon(
    connection: Connection, subject: Subject, condition: Condition | None, asked: Sequence[SelectionView]
) -> Count:
    """The count, or what it was a moment ago; `asked` are the selections that it is about."""
    now = desk.now()
    key = ("selections", *((one.id, one.revision) for one in asked))
    return desk.kept(key, connection, lambda again: estimate_found(again, subject, condition, now))


# Two of them ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Region:
    """A part of two selections: how many there are, where its records are listed, and where it is saved."""

    title: str
    count: Count
    url: str
    save_url: str
    freeze_url: str


def combination(connection: Connection) -> dict[str, Any]:
    """The two selections that the address names, and their parts."""
    every = selections_by_title(connection)
    one, other = (_named(every, desk.asked(name)) for name in ("one", "two"))
    is_exact = desk.asked("exact") == "1"
    values: dict[str, Any] = {"every": every, "one": one, "two": other, "regions": {}, "is_exact": is_exact}
    if one is None or other is None:
        return values
    if one.id == other.id:
        return values | {"refusal": _("Pick two different selections.")}
    if one.subject != other.subject:
        return values | {"refusal": _("Two selections of companies, or two of contacts, can be combined.")}
    try:
        return values | {"regions": _regions(one, other, _counts(connection, one, other, is_exact))}
    except InvalidRequest as refusal:
        return values | {"refusal": criteria.sentences_of(refusal)}


def _named(every: Sequence[SelectionView], slug: str) -> SelectionView | None:
    return next((one for one in every if one.slug == slug), None)


def _counts(
    connection: Connection, one: SelectionView, other: SelectionView, is_exact: bool
) -> Mapping[stories.Part, Count]:
    """All parts follow from the two sizes and what they have in common, so they always add up."""
    asked = (({"selection": one.slug}, (one,)), ({"selection": other.slug}, (other,)))
    found = []
    for where, about in (*asked, (stories.combined(one, other, "both"), (one, other))):
        search = read_search(connection, web_config().searches, one.subject, where, None)
        if is_exact:
            found.append(Count(count_found(connection, one.subject, search.condition, desk.now())))
        else:
            found.append(_soon(connection, one.subject, search.condition, about))
    first, second, both = (each.number for each in found)
    both = min(both, first, second)
    numbers = {"first": first - both, "both": both, "second": second - both, "all": first + second - both}
    is_certain = all(each.is_exact for each in found)
    parts: Sequence[stories.Part] = ("first", "both", "second", "all")
    return {part: Count(numbers[part], is_certain) for part in parts}


def _regions(one: SelectionView, other: SelectionView, counts: Mapping[stories.Part, Count]) -> Mapping[str, Region]:
    told = {"one": one.title, "two": other.title}
    titles: Mapping[stories.Part, tuple[str, str]] = {
        "first": (_("Only in “%(one)s”", **told), _("%(one)s without %(two)s", **told)),
        "both": (_("In both"), _("%(one)s and %(two)s", **told)),
        "second": (_("Only in “%(two)s”", **told), _("%(two)s without %(one)s", **told)),
        "all": (_("All together"), _("%(one)s or %(two)s", **told)),
    }
    return {
        part: _region(title, name, count, one.subject, stories.combined(one, other, part))
        for (part, (title, name)), count in ((each, counts[each[0]]) for each in titles.items())
    }


def _region(title: str, name: str, count: Count, subject: Subject, where: dict[str, Any]) -> Region:
    new: dict[str, Any] = {"subject": subject, "where": criteria.compact(where), "title": name[:200]}
    return Region(
        title,
        count,
        criteria.records_url(subject, where),
        url_for("pages.new_selection", **new),
        url_for("pages.new_selection", kind="static", **new),
    )
