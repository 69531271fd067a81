"""Rule documents and their versions: read, written, checked, planned, published, rolled back.

Reading is for everybody who may look. Checking, planning and publishing is an editor's work, as starting a sweep is:
whatever a rule says, it does less to a record than an editor may do by hand, because the guard binds it; what goes
beyond (lists, the graph, endpoints that rules may send to) is the administrators'. A key that acts as automation may
publish too: that is how a pipeline applies files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from flask import request
from pydantic import BaseModel, Field

from leadflow.errors import Fault, NotFound
from leadflow.rules.model import Rule, TriggerFilter
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import Problem as RuleProblem
from leadflow.rules.problems import errors_among
from leadflow.services import rule_documents as stories
from leadflow.services.linting import review
from leadflow.services.rule_documents import DocumentDifference, DocumentOrigin, VersionView
from leadflow.services.rule_plans import Bounds, RulePlan, make_plan
from leadflow.services.rule_sets import PublishedMeanwhile, RulesHaveProblems, documents_of, live_documents
from leadflow.store import reads
from leadflow.store.lists import read_lists
from leadflow.store.reads import Page
from leadflow.store.reads.rule_sets import RuleSetOrigin
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, endpoint
from leadflow.web.api.models import Body, PageQuery, Query
from leadflow.web.config import web_config
from leadflow.web.problems import Problem

TAG = "Rules"
COUNTED = timedelta(days=30)
MAX_PLAN_SECONDS = 20.0

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Documents = Annotated[dict[str, str], Field(max_length=1_000, description="texts by name, such as shared/lists.yaml")]
BasedOn = Annotated[int | None, Field(ge=1, description="the live version that the edit was made from; else 409")]
Note = Annotated[str | None, Field(max_length=stories.MAX_NOTE, description="why, for people who read the versions")]


# -- what is sent ------------------------------------------------------------------------------------------------------


class DocumentPath(BaseModel):
    name: Annotated[str, Field(max_length=stories.MAX_NAME, description="may have slashes: shared/lists.yaml")]


class VersionPath(BaseModel):
    version: Version


class DocumentQuery(Query):
    version: Annotated[Version | None, Field(description="as it was in this version; by default the live one")] = None


class DifferenceQuery(Query):
    against: Annotated[Version | None, Field(description="by default the version before")] = None


class DocumentWrite(Body):
    text: Annotated[str, Field(max_length=262_144)]
    note: Note = None
    based_on: Annotated[int | None, Field(ge=1, description="where no If-Match is sent")] = None


class CheckBody(Body):
    documents: Documents


class PlanBody(Body):
    documents: Documents
    samples: Annotated[int, Field(ge=0, le=50, description="records shown for each rule")] = 10
    seconds: Annotated[float, Field(strict=False, gt=0, le=MAX_PLAN_SECONDS, description="at most so long")] = 8.0


class PublishBody(Body):
    documents: Documents
    based_on: BasedOn = None
    note: Note = None


class RollbackBody(Body):
    based_on: BasedOn = None
    note: Note = None


# -- what is answered --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RuleView:
    """A live rule: where it stands, what it waits for, and how it ended in the last 30 days.

    `triggers` are the lines of its `when`, each with `trigger` and what it asks for.
    """

    slug: str
    title: str
    why: str
    owner: str
    status: str
    priority: int
    document: str
    line: int
    triggers: list[dict[str, Any]]
    outcomes: dict[str, int]
    near_misses: int
    last_fired_at: datetime | None


@dataclass(frozen=True, slots=True)
class RuleDocumentView:
    """A document of a version. The rest says where its text came from: with which version, from whom, by which way."""

    name: str
    text: str
    version: int
    written_in: int | None
    origin: RuleSetOrigin | None
    is_from_files: bool | None
    changed_by: str | None
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RuleProblemView:
    """One problem of a document, at its place; lines and columns count from 1. Only errors keep from publishing."""

    document: str
    line: int
    column: int
    width: int
    code: str
    message: str
    severity: str
    suggestion: str | None
    allowed: list[str]
    source_line: str


@dataclass(frozen=True, slots=True)
class RuleCheckView:
    """What the checks say of documents, and whether they could be published (their tests are not run here)."""

    rules: int
    is_publishable: bool
    problems: list[RuleProblemView]


@dataclass(frozen=True, slots=True)
class RulesPlanView:
    """What a draft would do now, rule by rule. With `problems` there is no plan."""

    live_version: int | None
    planned_at: datetime
    unchanged: int
    problems: list[RuleProblemView]
    rules: list[RulePlan]


@dataclass(frozen=True, slots=True)
class RuleSetDifference:
    """What differs between two versions, by document, with the lines and with what happened to each rule."""

    version: int
    against: int | None
    documents: list[DocumentDifference]


def _problem_view(one: RuleProblem) -> RuleProblemView:
    return RuleProblemView(
        document=one.file,
        line=one.line,
        column=one.column,
        width=one.caret_width,
        code=one.code,
        message=one.message,
        severity=one.severity,
        suggestion=one.suggestion,
        allowed=list(one.allowed),
        source_line=one.source_line,
    )


# -- rules -------------------------------------------------------------------------------------------------------------


@endpoint("get", "/rules", role="viewer", tag=TAG, view=RuleView, is_list=True)
def list_rules(call: Call) -> list[RuleView]:
    """List the rules of the live version, in the order in which they are tried, resting ones too."""
    version, documents = live_documents(call.connection)
    lists = read_lists(call.connection)
    parsed = parse_documents(documents, lists.catalogue, version=version or 0, with_tests=False)
    counts = reads.rule_counts(call.connection, call.now - COUNTED)
    return [_rule_view(rule, counts.get(rule.slug)) for rule in parsed.rule_set.rules]


def _rule_view(rule: Rule, counts: reads.RuleCounts | None) -> RuleView:
    return RuleView(
        slug=rule.slug,
        title=rule.title,
        why=rule.why,
        owner=rule.owner,
        status=rule.status.value,
        priority=rule.priority,
        document=rule.document,
        line=rule.line,
        triggers=[_trigger_view(one, rule) for one in rule.triggers],
        outcomes=dict(counts.outcomes) if counts else {},
        near_misses=counts.near_misses if counts else 0,
        last_fired_at=counts.last_fired_at if counts else None,
    )


def _trigger_view(one: TriggerFilter, rule: Rule) -> dict[str, Any]:
    view: dict[str, Any] = {"trigger": one.trigger.value, **one.wants}
    if one.watched:
        view["fields"] = list(one.watched)
    if rule.schedule is not None:
        view |= {"every": rule.schedule.every, "at": f"{rule.schedule.at:%H:%M}", "for_each": rule.schedule.for_each}
    return view


# -- documents ---------------------------------------------------------------------------------------------------------


@endpoint("get", "/rules/documents", role="viewer", tag=TAG, view=RuleDocumentView, is_list=True)
def list_rule_documents(call: Call) -> list[RuleDocumentView]:
    """List the live documents, with their texts and where these came from."""
    version, documents = live_documents(call.connection)
    origins = stories.origins(call.connection)
    return [_document_view(name, text, version or 0, origins.get(name)) for name, text in documents.items()]


@endpoint("get", "/rules/documents/<path:name>", role="viewer", tag=TAG, view=RuleDocumentView)
def show_rule_document(call: Call, path: DocumentPath, query: DocumentQuery) -> Answer:
    """Read a document: the live one, or as it was in a version. Its ETag is the version."""
    return _document(call, path.name, query.version)


def _document(call: Call, name: str, version: int | None = None) -> Answer:
    live, documents = live_documents(call.connection)
    if version is not None and version != live:
        documents = dict(stories.read_version(call.connection, version).documents)
    if name not in documents:
        raise NotFound(
            f"There is no document {name}" + (f" in version {version}." if version else " among the live ones.")
        )
    shown = version or live or 0
    origin = stories.origins(call.connection).get(name) if shown == live else None
    return Answer(_document_view(name, documents[name], shown, origin), etag=str(shown))


def _document_view(name: str, text: str, version: int, origin: DocumentOrigin | None) -> RuleDocumentView:
    if origin is None:
        return RuleDocumentView(name, text, version, None, None, None, None, None)
    told = (origin.version, origin.origin, origin.is_from_files, origin.actor_name, origin.at)
    return RuleDocumentView(name, text, version, *told)


@endpoint("put", "/rules/documents/<path:name>", role="editor", tag=TAG, view=RuleDocumentView)
def write_rule_document(call: Call, path: DocumentPath, body: DocumentWrite) -> Answer:
    """Publish the live documents with this one replaced or added.

    `If-Match` (the ETag of the version that was read) or `based_on` says from which version the edit was made. If
    another one is live by now: 412, or 409 with `based_on`; `published_since` says who published.
    """
    based_on = _version_of_header(call) if "If-Match" in request.headers else body.based_on
    with _telling_refusals():
        stories.write_document(
            call.connection, call.caller.actor, path.name, body.text, based_on, call.now, body.note, origin="api"
        )
    return _document(call, path.name)


@endpoint("delete", "/rules/documents/<path:name>", role="editor", tag=TAG, view=VersionView)
def remove_rule_document(call: Call, path: DocumentPath) -> VersionView:
    """Publish the live documents without this one; the version without it. `If-Match` is needed, as for a PUT."""
    based_on = _version_of_header(call) if "If-Match" in request.headers else None
    with _telling_refusals():
        version = stories.write_document(
            call.connection, call.caller.actor, path.name, None, based_on, call.now, origin="api"
        )
    return stories.read_version(call.connection, version).view


def _version_of_header(call: Call) -> int | None:
    """The live version, which If-Match must name. Raises: Problem 412."""
    live, _ = live_documents(call.connection)
    if live is not None and not request.if_match.star_tag and not request.if_match.contains(str(live)):
        named = [tag for tag in request.if_match.as_set() if tag.isdigit()]
        since = stories.published_since(call.connection, int(named[0][:9])) if named else ()
        raise _published_meanwhile(PublishedMeanwhile(live, int(named[0][:9]) if named else None, since), 412)
    return live


# -- checking, planning, publishing ------------------------------------------------------------------------------------


@endpoint("post", "/rules/check", role="editor", tag=TAG, view=RuleCheckView)
def check_rules(call: Call, body: CheckBody) -> RuleCheckView:
    """Check documents that need not be live: all problems with their places, warnings and notes among them.

    Errors keep them from being published. Without mistakes the checks look at the data, too, for examples.
    """
    problems = review(call.connection, body.documents, call.now)
    parsed = parse_documents(body.documents, read_lists(call.connection).catalogue, with_tests=False)
    views = [_problem_view(one) for one in problems]
    return RuleCheckView(len(parsed.rule_set.rules), not errors_among(problems), views)


@endpoint("post", "/rules/plan", role="editor", tag=TAG, view=RulesPlanView)
def plan_rules(call: Call, body: PlanBody) -> RulesPlanView:
    """Tell what documents would do to the records now; nothing is written.

    Each rule that differs from the live version is played through by the workers' own code. Within `seconds` as many
    records as possible; where not all could be, `is_complete` is false and `note` says of how many is told.
    """
    bounds = Bounds(seconds=body.seconds)
    plan = make_plan(
        call.connection, web_config().sweeps, body.documents, call.now, samples=body.samples, bounds=bounds
    )
    problems = [_problem_view(one) for one in plan.problems]
    return RulesPlanView(plan.live_version, plan.planned_at, plan.unchanged, problems, plan.rules)


@endpoint("post", "/rules/publish", role="editor", tag=TAG, view=VersionView)
def publish_rules(call: Call, body: PublishBody) -> VersionView:
    """Make documents the live version, all or nothing; the same documents again are no new version.

    `based_on` is the live version that they were made from; if another one is live: 409, and `published_since` says
    who published. Documents with errors, or whose own tests fail: 422, with all `problems`.
    """
    with _telling_refusals():
        version = stories.write_documents(
            call.connection, call.caller.actor, body.documents, body.based_on, call.now, body.note
        )
    return stories.read_version(call.connection, version).view


# -- versions ----------------------------------------------------------------------------------------------------------


@endpoint("get", "/rule-sets", role="viewer", tag=TAG, view=VersionView, is_page=True)
def list_rule_sets(call: Call, query: PageQuery) -> Page[VersionView]:
    """List the versions of the rules, newest first."""
    return stories.live_versions(call.connection, query.limit, read_cursor(query.cursor))


@endpoint("get", "/rule-sets/<version>", role="viewer", tag=TAG, view=VersionView)
def show_rule_set(call: Call, path: VersionPath) -> Answer:
    """Read a version; its texts are at `/rules/documents/{name}?version=`."""
    view = stories.read_version(call.connection, path.version).view
    return Answer(view, etag=f"{view.version}-{'live' if view.is_live else 'past'}")


@endpoint("get", "/rule-sets/<version>/difference", role="viewer", tag=TAG, view=RuleSetDifference)
def show_rule_set_difference(call: Call, path: VersionPath, query: DifferenceQuery) -> Answer:
    """Read what a version changed: lines, and what happened to each rule."""
    new = stories.read_version(call.connection, path.version)
    against = query.against or stories.version_before(call.connection, path.version)
    old = documents_of(call.connection, against) if against is not None else {}
    view = RuleSetDifference(path.version, against, list(stories.difference(old, new.documents)))
    return Answer(view, etag=f"{against}-{path.version}")


@endpoint("post", "/rule-sets/<version>/rollback", role="editor", tag=TAG, view=VersionView)
def roll_back_rules(call: Call, path: VersionPath, body: RollbackBody) -> VersionView:
    """Publish the documents of an older version again, as a new one that says so in `restores`.

    `based_on` as for a publish. If the old rules no longer fit the lists of today: 422.
    """
    with _telling_refusals():
        version = stories.rollback(
            call.connection, call.caller.actor, path.version, body.based_on, call.now, body.note, origin="api"
        )
    return stories.read_version(call.connection, version).view


# -- refusals ----------------------------------------------------------------------------------------------------------


@contextmanager
def _telling_refusals() -> Iterator[None]:
    """Turn what keeps documents from being published into an answer with everything to go on."""
    try:
        yield
    except PublishedMeanwhile as error:
        raise _published_meanwhile(error, 409) from None
    except RulesHaveProblems as error:
        faults = [Fault(f"{one.file}:{one.line}:{one.column}", one.message) for one in error.problems]
        count = len(errors_among(error.problems))
        raise Problem(
            422,
            f"The documents are not published: {count} problem(s). What was live stays live.",
            "The rules have problems",
            faults,
            {"problems": [_as_json(_problem_view(one)) for one in error.problems]},
        ) from None


def _published_meanwhile(error: PublishedMeanwhile, status: int) -> Problem:
    since = [
        {"version": one.version, "by": one.actor_name, "at": one.created_at.isoformat(), "note": one.note}
        for one in error.since
    ]
    return Problem(status, str(error), more={"live_version": error.live_version, "published_since": since})


def _as_json(view: RuleProblemView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in RuleProblemView.__slots__}
