"""The criteria builder: lines of field, operator and value that become a condition of the rule language, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection
from werkzeug.datastructures import MultiDict

from leadflow.errors import InvalidRequest, NotFound
from leadflow.rules.parsing.json_conditions import Names, read_json_condition
from leadflow.services.searches import ROOTS, read_search
from leadflow.store.conditions import Subject
from leadflow.store.lists import Lists
from leadflow.store.searches import estimate_found
from leadflow.web.auth import requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk
from leadflow.web.pages.criteria_lines import (
    KEPT,
    NAMED,
    Line,
    Sets,
    condition_of,
    has_lines,
    is_being_edited,
    join_texts,
    sets_from,
    sets_of,
    split_duration,
)
from leadflow.web.pages.criteria_offer import UNITS, Offer, Option, OptionGroup, completed
from leadflow.web.pages.rule_words import Part, condition_parts

MAX_WHERE_LENGTH = 50_000
SUBJECTS: dict[str, Subject] = {"company": "company", "contact": "contact"}


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.post("/criteria/<subject>")
    @requires("viewer")
    def redraw_criteria(subject: str) -> Any:
        """The builder after a field, an operator or the number of lines changed."""
        with desk.reading() as connection:
            builder = builder_of_form(connection, _subject(subject))
            return render_template("parts/criteria_alone.html", criteria=builder)

    @pages.post("/criteria/<subject>/count")
    @requires("viewer")
    def count_criteria(subject: str) -> Any:
        """How many records the builder's lines find, in words."""
        with desk.reading() as connection:
            return render_template("parts/criteria_count.html", **_counted(connection, _subject(subject)))


def _subject(text: str) -> Subject:
    if text not in SUBJECTS:
        raise NotFound("There are conditions about companies and about contacts only.")
    return SUBJECTS[text]


def _counted(connection: Connection, subject: Subject) -> dict[str, Any]:
    try:
        search = read_search(connection, web_config().searches, subject, asked_where(), None)
    except InvalidRequest as refusal:
        return {"count": None, "subject": subject, "problem": sentences_of(refusal)}
    return {"count": estimate_found(connection, subject, search.condition, desk.now()), "subject": subject}


def sentences_of(refusal: InvalidRequest) -> str:
    """What is wrong with a condition, without the pointers that programs read."""
    return " ".join(f"{one.message[:1].upper()}{one.message[1:]}." for one in refusal.faults)


# What other pages use -------------------------------------------------------------------------------------------------


def records_url(subject: str, where: Any | None, **more: Any) -> str:
    """The address of the list of these records; `more` are its other parameters (`columns`, `order_by`, `group_by`)."""
    endpoint = "pages.companies" if subject == "company" else "pages.contacts"
    return url_for(endpoint, where=compact(where), **more)


def compact(where: Any | None) -> str | None:
    """The condition as JSON without blanks, as addresses carry it."""
    return None if where is None else json.dumps(where, ensure_ascii=False, separators=(",", ":"))


def asked_where() -> Any | None:
    """The condition that this request carries: in the builder's fields, or as JSON in `where`; None for everybody.

    Raises: InvalidRequest. Whether the fields and values in it exist, `read_search` says.
    """
    given = _given()
    if has_lines(given):
        return condition_of(sets_from(given))
    text = given.get("where", "").strip()
    if not text:
        return None
    if len(text) > MAX_WHERE_LENGTH:
        raise InvalidRequest(f"The criteria are longer than {MAX_WHERE_LENGTH:,} characters.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("The criteria in this address cannot be read: they are no JSON.") from None


def is_unfinished() -> bool:
    """Whether the builder's form was sent while a line has a new field or operator, and so no value yet."""
    return is_being_edited(_given())


def _given() -> MultiDict[str, str]:
    return MultiDict([*request.args.items(multi=True), *request.form.items(multi=True)])


# The builder ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LineShown:
    """A line with everything that its controls show. `key` is unique on the page; `problem` is a sentence."""

    key: str
    line: Line
    label: str
    groups: list[OptionGroup]
    operators: list[Option]
    look: str
    choices: list[Option]
    words: str
    problem: str
    offer: Offer

    @property
    def text(self) -> str:
        """The value as one text."""
        return join_texts(self.line.values) if self.look == "texts" else next(iter(self.line.values), "")

    @property
    def ends(self) -> tuple[str, str]:
        """The two values of a range."""
        low, high, *_ = (*self.line.values, "", "")
        return low, high

    @property
    def duration(self) -> tuple[str, str]:
        return split_duration(self.text) if self.text else ("", "days")

    @property
    def within(self) -> tuple[str, str]:
        """The window of a count."""
        said = self.line.details.get("within", "")
        return split_duration(said) if said else ("", "days")

    @property
    def picked(self) -> str:
        """The names of the values that are picked."""
        return ", ".join(one.label for one in self.choices if one.is_chosen)

    @property
    def kept_json(self) -> str:
        return compact(self.line.kept) or ""

    @property
    def takes_blanks(self) -> bool:
        """Whether “or blank” makes a difference, or was asked for."""
        is_plain = self.look not in ("nothing",) and self.line.about not in ("selection", "segment", "event_count")
        return self.line.or_blank or (is_plain and not self.line.operator.startswith(("not_", "is_not", "has_none")))


@dataclass(frozen=True)
class Chip:
    """An active criterion in words, and the condition without it."""

    words: str
    without: Any | None


@dataclass(frozen=True)
class Builder:
    """What `parts/criteria.html` shows. Lines of a set are ANDed, sets are ORed.

    `where` is the condition of its active lines; `problem` says what is wrong with it as a whole.
    """

    subject: Subject
    where: Any | None
    sets: list[list[LineShown]]
    groups: list[OptionGroup]
    problem: str = ""
    units: tuple[str, ...] = UNITS

    @property
    def where_json(self) -> str:
        return compact(self.where) or ""

    @property
    def chip_sets(self) -> list[list[Chip]]:
        """The active criteria, set by set."""
        lines = [[one.line for one in shown] for shown in self.sets]
        found = [
            [
                Chip(one.words, condition_of([[x for x in row if x is not one.line] for row in lines]))
                for one in shown
                if one.words
            ]
            for shown in self.sets
        ]
        return [chips for chips in found if chips]

    @property
    def has_faults(self) -> bool:
        return bool(self.problem) or any(one.problem for shown in self.sets for one in shown)


def builder_of(connection: Connection, subject: Subject, where: Any | None) -> Builder:
    """The builder showing this condition; what does not fit into lines is kept as written."""
    lists, names = web_config().searches.read(connection)
    return build(subject, sets_of(where, subject, lists.catalogue), lists, names)


def builder_of_form(connection: Connection, subject: Subject) -> Builder:
    """The builder showing the lines that the request's form has, the unfinished ones too."""
    given = _given()
    if not has_lines(given):
        return builder_of(connection, subject, None)
    return build(subject, sets_from(given), *web_config().searches.read(connection))


def build(subject: Subject, sets: Sets, lists: Lists, names: Names) -> Builder:
    """The builder showing these lines."""
    offer = Offer(subject, lists, names)
    shown = [
        [_shown(offer, line, f"{one}-{two}") for two, line in enumerate(lines)]
        for one, lines in enumerate(sets)
        if lines
    ]
    where = condition_of([[one.line for one in lines] for lines in shown])
    has_faults = any(one.problem for lines in shown for one in lines)
    problem = "" if has_faults else _read(where, subject, lists, names)[1]
    return Builder(subject, where, shown, offer.field_groups(""), problem)


def _shown(offer: Offer, line: Line, key: str) -> LineShown:
    if line.about != KEPT:
        line = completed(offer, line)
    look = "kept" if line.about == KEPT else offer.look_of(line)
    choices = offer.choices(line) if look in ("choices", "one_choice") else []
    words, problem = _read(line.condition, offer.subject, offer.lists, offer.names)
    if words and line.about in NAMED:
        words = _named_words(offer, line, choices)
    return LineShown(
        key,
        line,
        offer.label_of(line.about),
        offer.field_groups(line.about),
        offer.operators(line),
        look,
        choices,
        words,
        problem,
        offer,
    )


def _named_words(offer: Offer, line: Line, choices: Sequence[Option]) -> str:
    """`In the selection “Spring fair”`, without what that asks for."""
    name = next((one.label for one in choices if one.is_chosen), "")
    said = f"{offer.label_of(line.about)} “{name}”"
    return _("not: %(said)s", said=said) if line.operator == "is_not" else said


def _read(where: Any | None, subject: Subject, lists: Lists, names: Names) -> tuple[str, str]:
    """A condition in words, and what is wrong with it."""
    try:
        condition = read_json_condition(where, lists.catalogue, frozenset(ROOTS[subject]), names)
    except InvalidRequest as refusal:
        return compact(where) or "", sentences_of(refusal)
    return "; ".join(map(_flat, condition_parts(condition, lists))), ""


def _flat(part: Part) -> str:
    """A line of a condition and those below it as one line."""
    below: Sequence[Part] = part.parts
    return f"{part.text} {'; '.join(map(_flat, below))}" if below else part.text
