"""The no-downgrade certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from leadflow.errors import Fault
from leadflow.rules.certificate import Certificate
from leadflow.services.certificates import certify_documents, certify_live_rules
from leadflow.services.rule_sets import RulesHaveProblems
from leadflow.web.api.endpoints import Call, endpoint
from leadflow.web.api.models import Body
from leadflow.web.problems import Problem

Documents = Annotated[dict[str, str], Field(max_length=1_000, description="texts by name, such as shared/lists.yaml")]


class CertificateBody(Body):
    documents: Documents | None = None


@dataclass(frozen=True, slots=True)
class MoveView:
    """A rule can take a company from one category to another (keys; null is no category)."""

    rule: str
    source: str | None
    target: str | None


@dataclass(frozen=True, slots=True)
class CertificateView:
    """Whether the promise holds, what was tried and, where it does not hold, the shortest way to break it."""

    holds: bool
    version: int
    graph_hash: str
    categories: dict[str, str]
    rules: int
    trials: int
    moves: list[MoveView]
    story: list[str]
    faults: list[str]


@endpoint("get", "/rules/certificate", role="viewer", tag="Rules", view=CertificateView)
def show_certificate(call: Call) -> CertificateView:
    """Read the no-downgrade certificate of the live rules.

    Every action of every running rule is tried on a company of every category. `holds` says that no sequence of them
    leaves a protected group or runs against the lifecycle graph; if not, `story` tells how, in sentences.
    """
    return _view_of(certify_live_rules(call.connection))


@endpoint("post", "/rules/certificate", role="editor", tag="Rules", view=CertificateView)
def certify_draft(call: Call, body: CertificateBody) -> CertificateView:
    """Certify a draft.

    As for the live rules, of the `documents` sent, all of them; without any, of the live ones.
    """
    if body.documents is None:
        return _view_of(certify_live_rules(call.connection))
    try:
        return _view_of(certify_documents(call.connection, body.documents))
    except RulesHaveProblems as error:
        faults = [Fault(f"{one.file}:{one.line}:{one.column}", one.message) for one in error.problems]
        raise Problem(422, "The documents cannot be read as rules.", "The rules have problems", faults) from None


def _view_of(one: Certificate) -> CertificateView:
    moves = [MoveView(move.rule or "", move.source, move.target) for move in one.moves]
    return CertificateView(
        one.holds,
        one.version,
        one.graph_hash,
        dict(one.names),
        one.rules,
        one.trials,
        moves,
        list(one.story),
        list(one.faults),
    )
