"""The editor of rule documents: written, checked, tested, planned, published; and two who edit at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Blueprint, current_app, flash, jsonify, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.errors import Conflict, InvalidRequest, NotFound
from leadflow.services import rule_documents
from leadflow.services.recorded_tests import test_from_run
from leadflow.services.recorded_texts import with_test
from leadflow.services.rule_documents import PublishedMeanwhile, RulesHaveProblems
from leadflow.services.rule_sets import live_documents
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, rule_checks, rule_trials, rulebook
from leadflow.web.pages.rule_checks import Verdict
from leadflow.web.pages.rule_sheets import Sheet, account_id, open_sheet, sent_sheet
from leadflow.web.pages.rule_templates import TEMPLATES, write_template

PANELS = ("words", "tests", "plan", "form", "explain")
# What the page's own script sends: `quick` while somebody types, so that no record is looked up for it.
FRAGMENT = "X-Fragment"
QUICK = "quick"


def register(pages: Blueprint) -> None:
    """Add the editor to the blueprint."""
    _register_pages(pages)
    _register_trials(pages)
    _register_drafts(pages)
    _register_publishing(pages)


def _register_pages(pages: Blueprint) -> None:
    @pages.get("/rules/documents/<path:name>/edit")
    @requires("viewer")
    def rule_editor(name: str) -> Any:
        with desk.reading() as connection:
            sheet = open_sheet(connection, name)
            panel = desk.asked("panel")
            return _show(connection, sheet, panel if panel in PANELS else "words")

    @pages.get("/rules/new")
    @requires("editor")
    def rule_new() -> Any:
        with desk.reading() as connection:
            return _show_new(connection)

    @pages.post("/rules/new")
    @requires("editor")
    def begin_document() -> Any:
        return _begin(request.form.get("name", "").strip(), request.form.get("template", ""))


def _register_trials(pages: Blueprint) -> None:
    @pages.post("/rules/documents/<path:name>/check")
    @requires("editor")
    def check_document(name: str) -> Any:
        with desk.reading() as connection:
            sheet = sent_sheet(connection, name)
            verdict = rule_checks.check(connection, sheet, asks_records=request.headers.get(FRAGMENT) != QUICK)
            if _wants_fragment():
                return _told(connection, sheet, verdict)
            return _show(connection, sheet, "words", verdict=verdict)

    @pages.post("/rules/documents/<path:name>/tests")
    @requires("editor")
    def try_document(name: str) -> Any:
        return _try(name, "tests", _tests)

    @pages.post("/rules/documents/<path:name>/plan")
    @requires("editor")
    def plan_document(name: str) -> Any:
        return _try(name, "plan", rule_trials.plan_sheet)


def _register_drafts(pages: Blueprint) -> None:
    @pages.post("/rules/documents/<path:name>/draft")
    @requires("editor")
    def keep_draft(name: str) -> Any:
        with desk.writing() as connection:
            return jsonify(_keep(connection, sent_sheet(connection, name)))

    @pages.post("/rules/documents/<path:name>/discard")
    @requires("editor")
    def discard_draft(name: str) -> Any:
        with desk.writing() as connection:
            rule_documents.drop_draft(connection, account_id(), name)
            is_live = name in live_documents(connection)[1]
        flash(_("The draft is discarded."), "green")
        return desk.go(url_for("pages.rule_editor", name=name) if is_live else url_for("pages.rules"))

    @pages.post("/rules/runs/<int:run_id>/test")
    @requires("editor")
    def test_from_trace(run_id: int) -> Any:
        return _take_trace(desk.expected_id(run_id))


def _register_publishing(pages: Blueprint) -> None:
    @pages.post("/rules/documents/<path:name>/publish")
    @requires("editor")
    def publish_document(name: str) -> Any:
        return _publish(name)

    @pages.post("/rules/documents/<path:name>/merge")
    @requires("editor")
    def merge_document(name: str) -> Any:
        return _merge(name)

    @pages.post("/rules/documents/<path:name>/remove")
    @requires("editor")
    def remove_document(name: str) -> Any:
        return _remove(name)


# -- showing -----------------------------------------------------------------------------------------------------------


def _wants_fragment() -> bool:
    """Whether the page's own script asks, which puts the answer in its place."""
    return FRAGMENT in request.headers


def _show(connection: Connection, sheet: Sheet, panel: str, code: int = 200, /, **more: Any) -> Any:
    verdict = more.pop("verdict", None) or rule_checks.read_only(connection, sheet)
    lines = rule_checks.rule_lines(sheet)
    asked = desk.asked("rule")
    values = {
        "sheet": sheet,
        "verdict": verdict,
        "problems": rule_checks.as_json(verdict),
        "names": rule_checks.names_in(connection, sheet),
        "rule_lines": lines,
        "start": next((one["line"] for one in lines if one["slug"] == asked), None),
        "rule": asked or (lines[0]["slug"] if lines else ""),
        "panel": panel,
        "origin": rule_documents.origins(connection).get(sheet.name),
        "apply_words": rule_documents.what_apply_will_do(connection),
        "others": rule_documents.others_at_work(connection, account_id(), sheet.name) if desk.can_edit() else [],
        "live_slugs": _live_slugs(connection, sheet),
        "can_explain": "pages.rule_explain" in current_app.view_functions,
        "can_fill_form": "pages.rule_form" in current_app.view_functions,
        "note": request.form.get("note", ""),
        **_helpers(lines),
    }
    return desk.show(connection, "rule_editor.html", "rules", code, **{**values, **more})


def _live_slugs(connection: Connection, sheet: Sheet) -> list[tuple[str, str]]:
    """The live rules of the document, which can be explained, with their titles."""
    found = rulebook.read(sheet.live, desk.lists(connection)).rule_set.rules
    own = sorted((one for one in found if one.document == sheet.name), key=lambda one: one.line)
    return [(one.slug, one.title or one.slug) for one in own]


def _told(connection: Connection, sheet: Sheet, verdict: Verdict) -> Any:
    """What the editor's script shows after a check."""
    values = {"sheet": sheet, "verdict": verdict, "lists": desk.lists(connection)}
    return jsonify(
        problems=rule_checks.as_json(verdict),
        words=verdict.words,
        tone=verdict.tone,
        reason=verdict.reason,
        rules=rule_checks.rule_lines(sheet),
        names=rule_checks.names_in(connection, sheet),
        list=render_template("parts/rule_problems.html", **values),
        reading=render_template("parts/rule_in_words.html", **values),
    )


def _try(name: str, panel: str, look: Callable[[Connection, Sheet], dict[str, Any]]) -> Any:
    """A panel, in its page or alone."""
    with desk.reading() as connection:
        sheet = sent_sheet(connection, name)
        found = look(connection, sheet)
        if not _wants_fragment():
            return _show(connection, sheet, panel, **found)
        helpers = _helpers(rule_checks.rule_lines(sheet))
        values = {"sheet": sheet, "lists": desk.lists(connection), **helpers, **found}
        return render_template(f"parts/rule_{panel}.html", **values)


def _helpers(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What the panel of tests needs beside its results."""
    titles = {one["slug"]: one["title"] for one in lines}
    return {"unseen": rule_trials.unseen, "ordered": rule_trials.in_order_of_need, "titles": titles}


def _tests(connection: Connection, sheet: Sheet) -> dict[str, Any]:
    return {"tried": rule_trials.try_tests(connection, sheet)}


# -- beginning and keeping ---------------------------------------------------------------------------------------------


def _show_new(connection: Connection, refusal: str = "", code: int = 200) -> Any:
    values = {
        "templates": TEMPLATES,
        "refusal": refusal,
        "name": request.form.get("name", ""),
        "template": request.form.get("template", TEMPLATES[0].key),
        "drafts": _own_drafts(connection),
    }
    return desk.show(connection, "rule_new.html", "rules", code, **values)


def _own_drafts(connection: Connection) -> list[rule_documents.RuleDraft]:
    """Documents that this person has begun and not published."""
    live = live_documents(connection)[1]
    return [one for one in rule_documents.read_drafts(connection, account_id()) if one.document not in live]


def _begin(name: str, template: str) -> Any:
    """A new document from a template, as a draft; refused in place where the name will not do."""
    full = name if not name or name.endswith(rule_documents.DOCUMENT_ENDINGS) else f"{name}.yaml"
    with desk.writing() as connection:
        version, live = live_documents(connection)
        refusal = _name_refusal(full, live)
        if not refusal and rule_documents.read_draft(connection, account_id(), full) is None:
            text = write_template(template, full)
            rule_documents.keep_draft(connection, account_id(), full, text, version, desk.now())
    if refusal:
        with desk.reading() as connection:
            return _show_new(connection, refusal, 409)
    return desk.go(url_for("pages.rule_editor", name=full))


def _name_refusal(name: str, live: dict[str, str]) -> str:
    if name in live:
        return str(_("There is a document “%(name)s” already. Edit that one, or choose another name.", name=name))
    try:
        rule_documents.check_name(name)
    except InvalidRequest as reason:
        return str(reason)
    return ""


def _keep(connection: Connection, sheet: Sheet) -> dict[str, Any]:
    """Keep the draft as typed; a text that is live needs none."""
    if not sheet.is_changed and sheet.live_text is not None:
        rule_documents.drop_draft(connection, account_id(), sheet.name)
        return {"kept": False}
    based_on = sheet.based_on
    kept = rule_documents.keep_draft(connection, account_id(), sheet.name, sheet.text, based_on, desk.now())
    return {"kept": True, "at": kept.updated_at.isoformat(), "meanwhile": sheet.meanwhile is not None}


def _take_trace(run_id: int) -> Any:
    """Put a recorded run as a test into the draft of its rule's document, and go there."""
    try:
        with desk.writing() as connection:
            recorded = test_from_run(connection, run_id)
            name = _document_of(connection, recorded.rule)
            sheet = open_sheet(connection, name)
            text = with_test(sheet.text, recorded.rule, recorded.document)
            _keep(connection, replace(sheet, text=text))
    except (Conflict, NotFound) as reason:
        flash(str(reason), "amber")
        return desk.go(desk.local_path(request.form.get("back"), url_for("pages.rules")))
    if recorded.faults:
        flash(_("The test is in your draft. Not all was recorded: %(why)s", why="; ".join(recorded.faults)), "amber")
    else:
        flash(_("The trace is a test in your draft now, and it passes. Publish the draft to keep it."), "green")
    return desk.go(url_for("pages.rule_editor", name=name, rule=recorded.rule, panel="tests"))


def _document_of(connection: Connection, slug: str) -> str:
    found = rulebook.read(live_documents(connection)[1], desk.lists(connection)).rule_set.rules
    rule = next((one for one in found if one.slug == slug), None)
    if rule is None:
        raise NotFound(_("The rule “%(slug)s” is no longer live, so there is no document for its test.", slug=slug))
    return rule.document


# -- publishing --------------------------------------------------------------------------------------------------------


def _publish(name: str) -> Any:
    """Publish the sent text; what keeps it back, or who was quicker, is shown with the text as it was sent."""
    with desk.writing() as connection:
        sheet = sent_sheet(connection, name)
        _keep(connection, sheet)
    if sheet.meanwhile is not None:
        return _show_again(name, 409)
    try:
        with desk.writing() as connection:
            note = request.form.get("note")
            version = rule_documents.write_document(
                connection, current_caller().actor, name, sheet.text, sheet.based_on, desk.now(), note
            )
            rule_documents.drop_draft(connection, account_id(), name)
    except (RulesHaveProblems, PublishedMeanwhile):
        return _show_again(name, 409)
    except InvalidRequest as reason:
        return _show_again(name, 422, refusal=str(reason))
    web_config().ring()
    flash(_("Published as version %(version)s. It works from the next event on.", version=version), "green")
    return desk.go(url_for("pages.rule_editor", name=name))


def _show_again(name: str, code: int, /, **more: Any) -> Any:
    with desk.reading() as connection:
        sheet = sent_sheet(connection, name)
        verdict = rule_checks.check(connection, sheet)
        refusal = "" if sheet.meanwhile else _refusal(verdict)
        return _show(connection, sheet, "words", code, **{"refusal": refusal, "verdict": verdict, **more})


def _refusal(verdict: Verdict) -> str:
    return verdict.reason or str(_("Somebody published at the same moment. Look at it again, then publish."))


def _merge(name: str) -> Any:
    """Take over what others published, and go on with my own; where both changed a rule, as this person chose."""
    with desk.writing() as connection:
        sheet = sent_sheet(connection, name)
        if sheet.meanwhile is None:
            return desk.go(url_for("pages.rule_editor", name=name))
        is_theirs = request.form.get("side") == "theirs"
        text = sheet.live_text if is_theirs else sheet.meanwhile.merge.text
        if is_theirs or text is None:
            rule_documents.drop_draft(connection, account_id(), name)
        else:
            merged = replace(sheet, text=text, based_on=sheet.live_version, meanwhile=None)
            _keep(connection, merged)
    flash(
        _("This is how it is live now.") if is_theirs else _("Both edits are in the text now. Check it, then publish."),
        "green",
    )
    return desk.go(
        url_for("pages.rule_editor", name=name)
        if sheet.live_text is not None or not is_theirs
        else url_for("pages.rules")
    )


def _remove(name: str) -> Any:
    """Take the document out of the live rules."""
    try:
        with desk.writing() as connection:
            sheet = open_sheet(connection, name)
            rule_documents.write_document(
                connection, current_caller().actor, name, None, sheet.live_version, desk.now(), request.form.get("note")
            )
            rule_documents.drop_draft(connection, account_id(), name)
    except RulesHaveProblems as reason:
        flash(_("It cannot be taken out: %(why)s", why=reason.problems[0].message), "red")
        return desk.go(url_for("pages.rule_editor", name=name))
    web_config().ring()
    flash(_("%(name)s is taken out. The versions still have it.", name=name), "green")
    return desk.go(url_for("pages.rules"))
