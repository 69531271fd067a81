"""The no-downgrade certificate."""

from __future__ import annotations

from dataclasses import dataclass

from leadflow.rules.certificate import Certificate
from leadflow.services.certificates import certify_live_rules
from leadflow.web.api.endpoints import Call, endpoint


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
