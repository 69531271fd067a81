"""The form beside the editor: the common parts of a rule as fields that round-trip with its YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.domain.fields import Catalogue
from leadflow.errors import InvalidRequest, NotFound
from leadflow.rules.parsing.rewriting import Unwritable, part_at
from leadflow.rules.problems import Problem, errors_among
from leadflow.services import rule_forms as forms
from leadflow.services.rule_sets import live_documents
from leadflow.web.auth import requires
from leadflow.web.pages import desk, rulebook

MAX_LINES = 200
ROOTS = ("company", "contact", "form", "sale", "event")


@dataclass(frozen=True, slots=True)
class Shown:
    """The form of a rule with the text it stands for, and what is wrong, by (entry, number in its list)."""

    form: forms.RuleForm
    text: str
    document: str
    is_changed: bool
    refusal: str
    problems: Mapping[tuple[str, int | None], list[str]]


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.post("/rules/<slug>/form")
    @requires("editor")
    def rule_form(slug: str) -> Any:
        with desk.reading() as connection:
            return _answer(connection, _shown(connection, slug))

    @pages.get("/rules/<slug>/form")
    @requires("editor")
    def rule_form_page(slug: str) -> Any:
        with desk.reading() as connection:
            version, documents = live_documents(connection)
            rules = rulebook.read(documents, desk.lists(connection)).rule_set.rules
            name = next((one.document for one in rules if one.slug == slug), None)
            if version is None or name is None:
                raise NotFound(_("There is no live rule “%(slug)s”.", slug=slug))
            form = forms.show_rule(documents[name], slug, desk.lists(connection).catalogue)
            return _answer(connection, Shown(form, documents[name], name, False, "", {}))


def _answer(connection: Connection, shown: Shown) -> Any:
    catalogue = desk.lists(connection).catalogue
    values = {
        "shown": shown,
        "form": shown.form,
        "action": url_for("pages.rule_form", slug=shown.form.slug),
        "triggers": forms.trigger_shapes(catalogue),
        "actions": forms.action_shapes(catalogue),
        "statuses": forms.STATUSES,
        "field_groups": list(_field_groups(catalogue)),
        "operators_for": forms.operators_for,
        "choices_for": forms.choices_for,
        "many": forms.LISTS | forms.GROUP_OPERATORS,
        "catalogue": catalogue,
    }
    if request.headers.get("HX-Request"):
        return render_template("parts/rule_form.html", **values)
    return desk.show(connection, "rule_form_page.html", "rules", **values)


def _field_groups(catalogue: Catalogue) -> Iterator[tuple[str, list[Any]]]:
    names = {
        "company": _("Company"),
        "contact": _("Contact"),
        "form": _("Form"),
        "sale": _("Sale"),
        "event": _("Event"),
    }
    for root in ROOTS:
        if fields := catalogue.of(root):
            yield names[root], list(fields)


# -- what was sent -----------------------------------------------------------------------------------------------------


def _shown(connection: Connection, slug: str) -> Shown:
    """The form after what was sent; without edits, as the text says."""
    catalogue, text = desk.lists(connection).catalogue, request.form.get("text")
    document = request.form.get("document", "")
    if text is None or not document:
        raise InvalidRequest(_("The form needs the document and its text."))
    text = text.replace("\r\n", "\n")
    shown = forms.show_rule(text, slug, catalogue)
    if "h.title" not in request.form:
        return Shown(shown, text, document, False, "", _problems(connection, document, text, slug))
    sent = _sent(shown, catalogue)
    try:
        new = forms.put_back(text, slug, sent, catalogue)
        refusal = ""
    except Unwritable as reason:
        new, refusal = text, str(reason)
    after = forms.show_rule(new, slug, catalogue)
    form = after if refusal else _with_unfinished(after, sent, catalogue)
    return Shown(form, new, document, new != text, refusal, _problems(connection, document, new, slug))


def _sent(shown: forms.RuleForm, catalogue: Catalogue) -> forms.RuleForm:
    """The form as it was filled in, after the button that was pressed."""
    act = request.form.get("act", "")
    kind, number = (act.partition(".")[0], act.partition(".")[2])
    trigger = shown.trigger
    if name := request.form.get("when.kind"):
        trigger = forms.Part(0, name, _parameters("when", forms.trigger_shapes(catalogue).get(name)))
    lines = [one for place, one in enumerate(_lines(shown, catalogue)) if act != f"drop-line.{place}"]
    actions = [one for place, one in enumerate(_actions(shown, catalogue)) if act != f"drop-do.{place}"]
    if kind == "add-line":
        lines.append(forms.Line(None))
    if kind == "add-do" and (number or request.form.get("new-do")):
        actions.append(forms.Part(None, number or request.form.get("new-do", "")))
    return forms.RuleForm(
        shown.slug,
        {name: request.form.get(f"h.{name}", shown.header[name]).strip() for name in forms.HEADER},
        trigger,
        request.form.get("group", shown.group),
        tuple(lines),
        shown.condition_kept,
        tuple(actions),
        {name: request.form.get(f"limit.{name}", "").strip() for name in ("once_per", "within")},
    )


def _lines(shown: forms.RuleForm, catalogue: Catalogue) -> Iterator[forms.Line]:
    known = {one.place: one for one in shown.lines}
    for number in range(MAX_LINES):
        place = _place(f"line.{number}.place")
        if f"line.{number}.place" not in request.form:
            return
        before = known.get(place)
        if before is not None and before.kept:
            yield before
            continue
        path = request.form.get(f"line.{number}.field", "")
        yield _line(number, place, path, catalogue)


def _line(number: int, place: int | None, path: str, catalogue: Catalogue) -> forms.Line:
    one = catalogue.get(path)
    if one is None:
        return forms.Line(place)
    names = [op.name for op in forms.operators_for(one)]
    operator = request.form.get(f"line.{number}.op", "")
    operator = operator if operator in names else names[0]
    choices = [choice.value for choice in forms.choices_for(one, operator)]
    values = [text.strip() for text in request.form.getlist(f"line.{number}.value")]
    if choices:
        values = [text for text in values if text in choices]
    elif operator in forms.LISTS:
        values = [part.strip() for text in values for part in text.split(",")]
    blank = request.form.get(f"line.{number}.blank") == "true"
    return forms.Line(place, path, operator, tuple(text for text in values if text), blank)


def _actions(shown: forms.RuleForm, catalogue: Catalogue) -> Iterator[forms.Part]:
    known, shapes = {one.place: one for one in shown.actions}, forms.action_shapes(catalogue)
    for number in range(MAX_LINES):
        if f"do.{number}.place" not in request.form:
            return
        place = _place(f"do.{number}.place")
        before = known.get(place)
        if before is not None and before.kept:
            yield before
            continue
        name = request.form.get(f"do.{number}.kind", "")
        yield forms.Part(place, name, _parameters(f"do.{number}", shapes.get(name)))


def _parameters(prefix: str, shape: forms.Shape | None) -> dict[str, str]:
    """The values that were filled in; an empty one is not there."""
    names = [one.name for one in shape.parameters] if shape else []
    given = {name: request.form.get(f"{prefix}.p.{name}", "").strip() for name in names}
    return {name: value for name, value in given.items() if value}


def _place(name: str) -> int | None:
    text = request.form.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None


def _with_unfinished(after: forms.RuleForm, sent: forms.RuleForm, catalogue: Catalogue) -> forms.RuleForm:
    """The form as the text has it now, with what is not finished yet where it was begun."""
    shapes, triggers = forms.action_shapes(catalogue), forms.trigger_shapes(catalogue)
    lines, written = [], iter(after.lines)
    for line in sent.lines:
        if line.place is not None or forms.is_complete(line):
            now = next(written, line)
            lines.append(now if forms.is_complete(line) else replace(line, place=now.place))
        else:
            lines.append(line)
    actions, done = [], iter(after.actions)
    for part in sent.actions:
        if part.place is not None or forms.is_filled(part, shapes):
            at = next(done, part)
            actions.append(at if forms.is_filled(part, shapes) else replace(part, place=at.place))
        else:
            actions.append(part)
    trigger = after.trigger if forms.is_filled(sent.trigger, triggers) else sent.trigger
    group = after.group if after.lines else sent.group
    return replace(after, lines=tuple(lines), actions=tuple(actions) or after.actions, trigger=trigger, group=group)


def _problems(connection: Connection, document: str, text: str, slug: str) -> dict[tuple[str, int | None], list[str]]:
    """What is wrong with the rule, at the parts of the form where it is so."""
    parsed = rulebook.read({**live_documents(connection)[1], document: text}, desk.lists(connection))
    found: dict[tuple[str, int | None], list[str]] = {}
    for one in errors_among(parsed.problems):
        if one.file == document and (part := part_at(text, slug, one.line, one.column)):
            found.setdefault(part, []).append(_words(one))
    return found


def _words(problem: Problem) -> str:
    near = f" {_('Did you mean “%(name)s”?', name=problem.suggestion)}" if problem.suggestion else ""
    return f"{problem.message[:1].upper()}{problem.message[1:]}.{near}"
