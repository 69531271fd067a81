"""What the criteria builder offers for a line: fields, the operators of the field's type, values to pick by rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask_babel import gettext as _

from leadflow.domain.fields import Choice, Field, Kind
from leadflow.domain.lifecycle import GROUP_NAMES
from leadflow.domain.selections import Selection
from leadflow.domain.text import fold
from leadflow.rules.conditions import COUNTED_TITLES
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.parsing.json_conditions import Names
from leadflow.rules.parsing.special import TESTS_OF, is_kept
from leadflow.rules.values import CHOICE_KINDS, TEXT_KINDS, TIME_KINDS
from leadflow.services.searches import ROOTS
from leadflow.store.conditions import Subject
from leadflow.store.lists import Lists
from leadflow.web.pages.criteria_lines import (
    DAYS,
    DURATIONS,
    FLAGS,
    GROUPS,
    HOSTS,
    MANY,
    NAMED,
    PAST,
    Line,
)

UNITS = ("minutes", "hours", "days", "weeks")
# What `in` says as well for a pick of one; `changed…` needs an event.
UNOFFERED = {**dict.fromkeys(("is", "is_not"), CHOICE_KINDS), "has": frozenset({Kind.LIST})}
FIRST_CHOICE = {Kind.MOMENT: "within_last", Kind.DATE: "within_last", Kind.NUMBER: "gte"}


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of a list to choose from; `title` explains it."""

    value: str
    label: str
    is_chosen: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class OptionGroup:
    """Entries under a heading."""

    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Offer:
    """What one installation offers for conditions about companies or contacts."""

    subject: Subject
    lists: Lists
    names: Names

    @property
    def selections(self) -> list[Selection]:
        """Those that a condition may name."""
        every = self.lists.catalogue.selections.values()
        return sorted((one for one in every if one.subject in ROOTS[self.subject]), key=lambda one: fold(one.title))

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.lists.catalogue.of(*ROOTS[self.subject])

    def field_groups(self, chosen: str) -> list[OptionGroup]:
        """What a line may be about, the record's own fields first."""
        titles = {"contact": _("Contact"), "company": _("Company")}
        groups = [(titles[root], self.lists.catalogue.of(root)) for root in ROOTS[self.subject]]
        found = [
            OptionGroup(
                title, tuple(Option(one.path, one.label, one.path == chosen, one.description) for one in fields)
            )
            for title, fields in groups
        ]
        return [*found, OptionGroup(_("Past and selections"), tuple(self._special(chosen)))]

    def _special(self, chosen: str) -> Iterable[Option]:
        titles = {
            "event_count": _("How often it happened"),
            "last_event": _("When it happened last"),
            "last_change": _("When a field last changed"),
            "selection": _("In the selection"),
            "segment": _("In the segment"),
        }
        has_any = {"selection": self.selections, "segment": self.names.segments}
        for name, title in titles.items():
            if name == chosen or has_any.get(name, True):
                yield Option(name, title, name == chosen)

    def label_of(self, about: str) -> str:
        """The name of what a line is about."""
        known = self.lists.catalogue.get(about)
        return known.label if known else next((one.label for one in self._special(about) if one.value == about), about)

    # -- operators --------------------------------------------------------------------------------------------------

    def kind_of(self, line: Line) -> Kind | None:
        """The type that decides about operators; None for selections and segments."""
        if line.about in PAST:
            return Kind.NUMBER if line.about == "event_count" else Kind.MOMENT
        known = self.lists.catalogue.get(line.about)
        return known.kind if known else None

    def operator_names(self, line: Line) -> list[str]:
        """The operators for what the line is about, the usual one first."""
        kind = self.kind_of(line)
        if kind is None:
            return ["is", "is_not"]
        names = [
            name
            for name, one in OPERATORS_OF[kind].items()
            if not one.only_on_change and kind not in UNOFFERED.get(name, ())
        ]
        if line.about in PAST:
            names = [name for name in names if name in TESTS_OF[line.about]]
        if "exists" in names:
            names.append("not_exists")
        first = FIRST_CHOICE.get(kind)
        return sorted(names, key=lambda name: name != first) if first in names else names

    def operators(self, line: Line) -> list[Option]:
        """The same with their labels."""
        kind = self.kind_of(line)
        return [Option(name, operator_label(kind, name), name == line.operator) for name in self.operator_names(line)]

    # -- values -----------------------------------------------------------------------------------------------------

    def look_of(self, line: Line) -> str:
        """Which control takes the value."""
        kind, operator = self.kind_of(line), line.operator
        if line.about in NAMED:
            return "one_choice"
        for look, family in (("nothing", FLAGS), ("choices", GROUPS), ("duration", DURATIONS), ("texts", HOSTS)):
            if operator in family:
                return look
        if operator in DAYS:
            return "day"
        if operator == "same_as" or kind is Kind.BOOLEAN:
            return "one_choice"
        if operator == "between":
            return "day_range" if kind in TIME_KINDS else "number_range"
        if operator in MANY:
            return "choices" if kind in CHOICE_KINDS else "texts"
        return "number" if kind is Kind.NUMBER else "text"

    def choices(self, line: Line) -> list[Option]:
        """The values to pick from, in rank order; one that is unknown by now stays pickable."""
        known = self._known_choices(line)
        values = {one.value for one in known}
        strangers = [Option(one, one) for one in line.values if one not in values]
        return [Option(one.value, one.label, one.value in line.values, one.title) for one in (*known, *strangers)]

    def _known_choices(self, line: Line) -> list[Option]:
        if line.about == "selection":
            return [Option(one.slug, one.title) for one in self.selections]
        if line.about == "segment":
            return [Option(name, name) for name in sorted(self.names.segments)]
        if line.operator in GROUPS:
            return [Option(group.value, name) for group, name in GROUP_NAMES.items()]
        known = self.lists.catalogue.get(line.about)
        if known is None:
            return []
        if line.operator == "same_as":
            others = (one for one in self.fields if one.path != known.path and _compares_with(known, one))
            return [Option(one.path, one.label) for one in others]
        if known.kind is Kind.BOOLEAN:
            return [Option("true", _("yes")), Option("false", _("no"))]
        retired = [one for one in known.retired if one.key in line.values]
        return [*map(_as_option, known.choices), *map(_as_option, retired)]

    def named_lists(self, line: Line) -> list[Option]:
        """The lists of the rules that may stand for the values."""
        if self.kind_of(line) not in TEXT_KINDS or line.operator not in (*MANY, *HOSTS):
            return []
        chosen = line.details.get("list", "")
        names = sorted({*self.names.lists, *([chosen] if chosen else [])})
        return [Option(name, name, name == chosen) for name in names]

    # -- clauses about the past ---------------------------------------------------------------------------------------

    def happenings(self, chosen: str) -> list[Option]:
        """What can be counted."""
        names = {name: title.capitalize() for name, title in COUNTED_TITLES.items()} | dict(self.lists.catalogue.events)
        return [Option(name, title, name == chosen) for name, title in names.items()]

    def kept_fields(self, chosen: str) -> list[Option]:
        """The fields whose changes the ledger keeps."""
        return [Option(one.path, one.label, one.path == chosen) for one in self.fields if is_kept(one)]

    def sides(self, path: str, chosen: str) -> list[Option]:
        """What a field of a list may have changed from and to."""
        known = self.lists.catalogue.get(path)
        if known is None or known.kind not in CHOICE_KINDS:
            return []
        found = [Option(one.key, one.name, chosen in (one.key, one.name)) for one in known.choices]
        return [*found, Option("blank", _("blank"), chosen == "blank")]


def _compares_with(one: Field, other: Field) -> bool:
    for family in (TEXT_KINDS, TIME_KINDS):
        if one.kind in family:
            return other.kind in family
    return one.kind is other.kind and one.choices == other.choices


def _as_option(choice: Choice) -> Option:
    return Option(choice.key, choice.name)


def operator_label(kind: Kind | None, name: str) -> str:
    """`is one of`, without its operand; where the operand stands in the middle, `…` marks its place."""
    if name == "not_exists":
        return str(_("is blank"))
    operators = OPERATORS_OF[kind or Kind.TEXT]
    label = operators[name].label if name in operators else name
    return label.removesuffix("{operand}").replace("{operand}", "…").strip()


def completed(offer: Offer, line: Line) -> Line:
    """The line with what goes without saying: its operator, and whose past is meant."""
    names = offer.operator_names(line)
    operator = line.operator if line.operator in names else names[0]
    details = dict(line.details)
    if line.about in ("event_count", "last_event"):
        details = {"of": "form_submitted", "by": offer.subject, **details}
    if line.about == "last_change":
        details = {"field": "contact.lead_status" if offer.subject == "contact" else "company.category", **details}
    return Line(line.about, operator, line.values, line.or_blank, details)
