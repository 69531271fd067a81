"""Why a rule would or would not act on a company or contact, and the least that would have to be different.

What is told is what the judge of daily life does with copies of the records (`rehearsing`); only nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, Literal

from sqlalchemy import Connection

from leadflow.domain.effects import SetLeadStatus
from leadflow.domain.fields import Catalogue
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Lifecycle
from leadflow.domain.records import Contact
from leadflow.errors import NotFound
from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    MemberClause,
    Named,
    NoneOf,
    PastClause,
    leaves_of,
)
from leadflow.rules.evaluation import RUNNING, RuleIndex, decide, is_in_force
from leadflow.rules.linting.cases import Algebra, Case
from leadflow.rules.model import ClauseResult, Judgement, Outcome, Rule, RuleSet, RuleStatus, TriggerFilter
from leadflow.rules.nearest import (
    Installation,
    Miss,
    Need,
    NoWay,
    case_of_trigger,
    find_nearest,
)
from leadflow.rules.nearest_words import label_of, sentence_of, shown
from leadflow.rules.permitted import case_of_guard
from leadflow.rules.staging import Scene
from leadflow.rules.triggers import fits
from leadflow.rules.values import BEFORE
from leadflow.services.bare_scenes import Asked, Told, bare_scene, read_asked
from leadflow.services.rehearsing import ACTING, Court, as_if_in_force, index_with
from leadflow.services.runs import Run
from leadflow.store.limits import read_limits
from leadflow.store.lists import Lists
from leadflow.store.records import read_contacts_of
from leadflow.store.values import to_json
from leadflow.store.waiting import read_waits

Verdict = Literal["fires", "near_miss", "no"]


@dataclass(frozen=True, slots=True)
class ClauseView:
    """A line of the condition: what it asks, whether it holds, and what it saw; groups have parts instead.

    `kind`: `clause`, `all`, `any`, `none`, `segment` or `selection`.
    """

    kind: str
    path: str
    label: str
    test: str
    holds: bool
    value: Any
    shown: str
    parts: list[ClauseView]


@dataclass(frozen=True, slots=True)
class NeedView:
    """One thing that would have to be different; `by`: `person`, `event`, `happening`, `time` or `nobody`."""

    path: str
    label: str
    by: str
    old: Any
    new: Any
    since: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """The smallest set of changes found after which the rule acts."""

    needs: list[NeedView]
    outcome: str
    words: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one rule would do for one record if its trigger occurred now.

    `nearest` is there where the rule would not act and something can be done about it; otherwise `hindrance` says why
    nothing about the record could make it act.
    """

    rule: str
    title: str
    status: str
    subject: str
    company_id: int | None
    contact_id: int | None
    verdict: Verdict
    outcome: str
    sentence: str
    assumed: list[str]
    notes: list[str]
    clauses: list[ClauseView]
    changes: list[dict[str, Any]]
    guard: str | None
    error: str | None
    lost_to: list[str]
    limited_until: datetime | None
    nearest: NearestMiss | None
    hindrance: str | None
    event_id: int | None


@dataclass(frozen=True)
class Study:
    """One rule for one record, judged in its most favourable line of `when`."""

    rule: Rule
    told: Told
    judgement: Judgement
    run: Run | None
    miss: Miss | NoWay | None
    blocked: Run | None = None

    @property
    def acts(self) -> bool:
        return self.run is not None and self.run.outcome in ACTING

    @property
    def verdict(self) -> Verdict:
        if self.acts:
            return "fires"
        return "near_miss" if isinstance(self.miss, Miss) and len(self.miss.needs) == 1 else "no"


# -- judging -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """What explanations stand on: the lists, and the search for what is missing."""

    lifecycle: Lifecycle
    statuses: LeadStatuses
    catalogue: Catalogue

    def home(self, now: datetime) -> Installation:
        """What the search knows."""
        return Installation(Algebra(self.catalogue, now), self.lifecycle, self.statuses.default.key)


def study_scene(home: Installation, court: Court, rule: Rule, line: TriggerFilter, told: Told) -> Study:
    """What the rule does when this line of its trigger comes true in the scene, and what is missing if it rests."""
    trigger = case_of_trigger(home, line)
    found = find_nearest(home, told.scene, [trigger], lambda one: fits(line, one.occurrence()))
    scene = found.scene if isinstance(found, Miss) else told.scene
    if isinstance(found, Miss) and found.needs:
        told = replace(told, assumed=(*told.assumed, *_assumptions(found.needs, home.algebra.catalogue, rule.zone)))
    told = replace(told, scene=scene)
    judged, _ = decide(rule, scene.situation())
    run = court.play(scene, rule.slug)
    if run is not None and run.outcome in ACTING:
        return Study(rule, told, judged, run, None)
    miss, blocked = _find_way(home, court, rule, scene, trigger, run, judged)
    return Study(rule, told, judged, run, miss, blocked)


def _assumptions(needs: Sequence[Need], catalogue: Catalogue, zone: tzinfo) -> Iterator[str]:
    for one in needs:
        field = catalogue.get(one.path.removeprefix(BEFORE))
        label, value = label_of(one.path, catalogue), shown(one.new, field, zone)
        if one.path.startswith(BEFORE):
            yield f"{label} has just changed from {value}."
        else:
            yield f"The trigger brings {label}: {value}."


def _find_way(
    home: Installation, court: Court, rule: Rule, scene: Scene, trigger: Case, run: Run | None, judged: Judgement
) -> tuple[Miss | NoWay, Run | None]:
    """The least after which the rule acts; what it asks for alone first, then what the guard asks for as well."""
    asked = [trigger, *([rule.condition] if rule.condition else [])]
    miss = find_nearest(home, scene, asked, lambda one: decide(rule, one.situation())[0].holds)
    blocked = court.play(miss.scene, rule.slug) if isinstance(miss, Miss) else run
    if isinstance(miss, Miss) and blocked is not None and blocked.outcome in ACTING:
        return miss, None
    guard = case_of_guard(rule, home.lifecycle)
    if isinstance(miss, Miss) and guard is not None:
        allowed = find_nearest(home, scene, [*asked, guard], lambda one: court.acts(one, rule.slug))
        if isinstance(allowed, Miss):
            return allowed, None
    if isinstance(miss, NoWay):
        return miss, None
    return NoWay(True), blocked


# -- reading -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bench:
    """A record, and what its explanations have in common."""

    connection: Connection
    lists: Lists
    asked: Asked
    now: datetime
    colleagues: tuple[Contact, ...]

    @property
    def ground(self) -> Ground:
        return Ground(self.lists.lifecycle, self.lists.statuses, self.lists.catalogue)

    def study(self, index: RuleIndex, rule: Rule) -> Study:
        """The rule in the line of its trigger that comes nearest to acting."""
        studies = []
        for line in rule.triggers:
            told = bare_scene(self.connection, self.lists, self.asked, line, index.past, self.now, rule.slug)
            court = self._court(index, told.scene)
            found = study_scene(self.ground.home(self.now), court, as_if_in_force(rule), line, told)
            studies.append(replace(found, rule=rule))
            if found.acts:
                break
        return min(studies, key=_distance)

    def _court(self, index: RuleIndex, scene: Scene) -> Court:
        companies = [scene.company.id] if scene.company else []
        contacts = [scene.contact.id] if scene.contact else []
        key, shelf = (tuple(companies), tuple(contacts)), self.asked.shelf
        limits = shelf.once(
            ("limits", key), lambda: read_limits(self.connection, index.limited_rules, companies, contacts)
        )
        waits = shelf.once(
            ("waits", key), lambda: read_waits(self.connection, index.waiting_rules, companies, contacts)
        )
        lists = self.lists
        return Court(
            index, lists.lifecycle, lists.statuses, self.connection, self.colleagues, limits.acted_at, waits.open
        )


def _distance(study: Study) -> tuple[bool, int]:
    needs = len(study.miss.needs) if isinstance(study.miss, Miss) else 1_000
    return not study.acts, needs


def explain_rule(
    connection: Connection,
    lists: Lists,
    rule_set: RuleSet,
    rule: Rule,
    company_id: int | None,
    contact_id: int | None,
    now: datetime,
) -> Explanation:
    """The full story of one rule, live or a draft of it, for one record. Raises: NotFound."""
    bench = _bench(connection, lists, company_id, contact_id, now, [*rule_set.rules, rule])
    study = bench.study(index_with(rule_set, rule), rule)
    return _explanation(bench, study)


def explain_live_rule(
    connection: Connection,
    lists: Lists,
    rule_set: RuleSet,
    slug: str,
    company_id: int | None,
    contact_id: int | None,
    now: datetime,
) -> Explanation:
    """The same for a rule as it is published, whatever its status. Raises: NotFound."""
    rule = next((one for one in rule_set.rules if one.slug == slug), None)
    if rule is None:
        raise NotFound(f"There is no live rule “{slug}”. It may have been renamed or taken out.")
    return explain_rule(connection, lists, rule_set, rule, company_id, contact_id, now)


@dataclass(frozen=True, slots=True)
class Glance:
    """How one rule stands to a record, in a line."""

    rule: Rule
    verdict: Verdict
    sentence: str


def glance_at_rules(
    connection: Connection,
    lists: Lists,
    rule_set: RuleSet,
    company_id: int | None,
    contact_id: int | None,
    now: datetime,
    limit: int,
) -> list[Glance]:
    """How the running rules stand to a record, in the order in which they are tried. Raises: NotFound."""
    running = [one for one in rule_set.rules if one.status in RUNNING]
    bench, index = _bench(connection, lists, company_id, contact_id, now, running), RuleIndex(rule_set)
    studies = [bench.study(index, rule) for rule in running[:limit] if is_in_force(rule, now)]
    return [Glance(one.rule, one.verdict, _short_sentence(bench, one)) for one in studies]


def _bench(
    connection: Connection,
    lists: Lists,
    company_id: int | None,
    contact_id: int | None,
    now: datetime,
    rules: Sequence[Rule],
) -> _Bench:
    asked = read_asked(connection, lists, company_id, contact_id)
    colleagues: tuple[Contact, ...] = ()
    if asked.company is not None and any(map(_reaches_all, rules)):
        colleagues = tuple(read_contacts_of(connection, lists.catalogue, [asked.company.id]))
    return _Bench(connection, lists, asked, now, colleagues)


def _reaches_all(rule: Rule) -> bool:
    return any(isinstance(one.step, SetLeadStatus) and one.step.of == "all_contacts" for one in rule.actions)


# -- telling -----------------------------------------------------------------------------------------------------------

SENTENCES = {
    "fired": "It would act.",
    "proposed": "It would ask a person to decide.",
    "shadow": "It would record what it would do, and change nothing: it only watches.",
    "waiting": "It would begin, and go on after its wait.",
    "no_match": "It would not match.",
    "limited": "It would match, but it has acted here already within its limit.",
    "conflict_lost": "It would match, but another rule decides first.",
    "blocked_by_guard": "It would match, but the guard does not allow what it wants.",
    "skipped_running": "It would match, but it still waits here because of an earlier event.",
    "chain_stopped": "It would match, but a rule before it stops here.",
    "error": "It could not be judged.",
}
STATUS_NOTES = {
    RuleStatus.DRAFT: "The rule is a draft: it does not run. This is what it would do if it were live.",
    RuleStatus.OFF: "The rule is off: it rests. This is what it would do if it were live.",
    RuleStatus.SHADOW: "The rule is in shadow: it records what it would do and changes nothing.",
    RuleStatus.PROPOSE: "The rule proposes: a person accepts or declines what it wants.",
}


def _explanation(bench: _Bench, study: Study) -> Explanation:
    rule, run, scene = study.rule, study.run, study.told.scene
    outcome = run.outcome.value if run else Outcome.NO_MATCH.value
    return Explanation(
        rule=rule.slug,
        title=rule.title,
        status=rule.status.value,
        subject=bench.asked.subject,
        company_id=bench.asked.company.id if bench.asked.company else None,
        contact_id=bench.asked.contact.id if bench.asked.contact else None,
        verdict=study.verdict,
        outcome=outcome,
        sentence=SENTENCES[outcome],
        assumed=list(study.told.assumed),
        notes=list(_notes(bench, rule)),
        clauses=_trace(rule, scene, study.judgement, bench.lists.catalogue),
        changes=list(run.changes) if run else [],
        guard=run.guard if run else None,
        error=study.judgement.error,
        lost_to=list(run.lost_to) if run else [],
        limited_until=_limited_until(bench, rule, scene, outcome),
        nearest=_nearest(bench, study),
        hindrance=_hindrance(bench, study),
        event_id=study.told.event_id,
    )


def _notes(bench: _Bench, rule: Rule) -> Iterator[str]:
    if rule.status in STATUS_NOTES:
        yield STATUS_NOTES[rule.status]
    if rule.starts_at is not None and bench.now < rule.starts_at:
        yield f"The rule starts on {rule.starts_at.astimezone(rule.zone):%Y-%m-%d %H:%M}; until then it does nothing."
    if rule.ends_at is not None and rule.ends_at <= bench.now:
        yield f"The rule ended on {rule.ends_at.astimezone(rule.zone):%Y-%m-%d %H:%M}; it does nothing any more."
    for record, one in (("company", bench.asked.company), ("contact", bench.asked.contact)):
        if one is not None and one.do_not_automate:
            yield f"The {record} is marked “do not automate”: rules leave it alone."


def _limited_until(bench: _Bench, rule: Rule, scene: Scene, outcome: str) -> datetime | None:
    limit = rule.limit
    record = None if limit is None else scene.company if limit.once_per == "company" else scene.contact
    if outcome != Outcome.LIMITED.value or limit is None or record is None or limit.within is None:
        return None
    ids = ([record.id], []) if limit.once_per == "company" else ([], [record.id])
    acted = read_limits(bench.connection, [rule.slug], *ids).acted_at
    last = acted.get((rule.slug, limit.once_per, record.id))
    return None if last is None else last + limit.within


def _nearest(bench: _Bench, study: Study) -> NearestMiss | None:
    if not isinstance(study.miss, Miss) or not study.miss.needs:
        return None
    needs = [_need_view(one, bench.lists.catalogue, study.rule.zone, _asked_in(study)) for one in study.miss.needs]
    words = " ".join(one.words for one in needs)
    status = study.rule.status
    outcome = {RuleStatus.PROPOSE: Outcome.PROPOSED, RuleStatus.SHADOW: Outcome.SHADOW}.get(status, Outcome.FIRED)
    return NearestMiss(needs, outcome.value, words)


def _asked_in(study: Study) -> dict[str, str]:
    """What the clauses that do not hold ask for, by the path of their field."""
    asked: dict[str, str] = {}
    for one in study.judgement.clauses:
        if not one.holds:
            asked[one.path] = f"{asked[one.path]}, or {one.test}" if one.path in asked else one.test
    return asked


def _need_view(need: Need, catalogue: Catalogue, zone: tzinfo, asked: Mapping[str, str]) -> NeedView:
    words = sentence_of(need, catalogue, zone, asked)
    label = label_of(need.path, catalogue)
    if isinstance(need.clause, PastClause):
        label = need.clause.title
    elif isinstance(need.clause, MemberClause):
        label = f"Selection “{need.clause.title}”"
    return NeedView(need.path, label, need.by.value, to_json(need.old), to_json(need.new), need.since, words)


def _hindrance(bench: _Bench, study: Study) -> str | None:
    """Why nothing about the record makes the rule act; None where it acts, or something does."""
    if study.miss is None or isinstance(study.miss, Miss):
        return None
    return why_no_way(study, bench.lists.catalogue)


def why_no_way(study: Study, catalogue: Catalogue) -> str:
    """The sentence for a rule that nothing about the record makes act."""
    run = study.blocked or study.run
    if run is not None and run.outcome is Outcome.LIMITED:
        return run.guard or SENTENCES["limited"]
    if run is not None and run.outcome is not Outcome.NO_MATCH and run.outcome is not Outcome.ERROR:
        return f"{SENTENCES[run.outcome.value]} {run.guard or ''}".strip()
    if study.judgement.error:
        return f"It cannot be judged: {study.judgement.error}"
    stuck = study.miss.stuck_on if isinstance(study.miss, NoWay) else ()
    if stuck:
        names = ", ".join(label_of(path, catalogue) for path in stuck)
        return f"Nothing about this record makes the rule match: it cannot be otherwise with {names}."
    if isinstance(study.miss, NoWay) and study.miss.is_certain:
        return "The conditions contradict each other, so no record can satisfy them all."
    return "No way was found: the conditions hang together in too many ways to try them all."


def _short_sentence(bench: _Bench, study: Study) -> str:
    if study.acts and study.run is not None:
        return SENTENCES[study.run.outcome.value]
    if isinstance(study.miss, Miss):
        needs = study.miss.needs
        first = sentence_of(needs[0], bench.lists.catalogue, study.rule.zone, _asked_in(study)) if needs else ""
        more = f" And {len(needs) - 1} more." if len(needs) > 1 else ""
        return f"{first}{more}"
    return why_no_way(study, bench.lists.catalogue)


# -- the condition with what it saw ------------------------------------------------------------------------------------


def _trace(rule: Rule, scene: Scene, judged: Judgement, catalogue: Catalogue) -> list[ClauseView]:
    """The trigger's clauses, then the condition as its author nested it."""
    results = list(judged.clauses)
    count = sum(1 for _ in leaves_of(rule.condition))
    trigger, own = results[: len(results) - count], iter(results[len(results) - count :])
    lines = [_line(one, catalogue, rule.zone) for one in trigger]
    if rule.condition is None:
        return lines
    tree = _tree(rule.condition, own, catalogue, rule.zone, negated=False)
    return [*lines, *(tree.parts if tree.kind == "all" else [tree])]


def _line(result: ClauseResult, catalogue: Catalogue, zone: tzinfo, label: str | None = None) -> ClauseView:
    field = catalogue.get(result.path.removeprefix(BEFORE))
    name = label or label_of(result.path, catalogue)
    value = to_json(result.value)
    return ClauseView(
        "clause", result.path, name, result.test, result.holds, value, shown(result.value, field, zone), []
    )


def _tree(
    condition: Condition, results: Iterator[ClauseResult], catalogue: Catalogue, zone: tzinfo, *, negated: bool
) -> ClauseView:
    match condition:
        case All(parts) | AnyOf(parts) | NoneOf(parts):
            is_none = isinstance(condition, NoneOf)
            views = [_tree(one, results, catalogue, zone, negated=negated is not is_none) for one in parts]
            needs_all = isinstance(condition, AnyOf) is negated if not is_none else not negated
            kind = {All: "all", AnyOf: "any", NoneOf: "none"}[type(condition)]
            return _group(kind, "", views, (all if needs_all else any)(one.holds for one in views))
        case Named(kind=kind, name=name, condition=inner):
            view = _tree(inner, results, catalogue, zone, negated=negated)
            parts_of_it = view.parts if view.kind == "all" else [view]
            return _group(kind, name, parts_of_it, view.holds)
        case Clause(path=path):
            label = label_of(path, catalogue) + (" before the change" if path.startswith(BEFORE) else "")
            return _line(next(results), catalogue, zone, label)
        case PastClause() as clause:
            return _line(next(results), catalogue, zone, clause.title)
        case MemberClause(title=title):
            return _line(next(results), catalogue, zone, f"Selection “{title}”")
        case _:
            return _line(next(results), catalogue, zone, "The time")


def _group(kind: str, label: str, parts: list[ClauseView], holds: bool) -> ClauseView:
    return ClauseView(kind, "", label, "", holds, None, "", parts)


__all__ = [
    "Explanation",
    "Glance",
    "Ground",
    "Study",
    "explain_live_rule",
    "explain_rule",
    "glance_at_rules",
    "study_scene",
    "why_no_way",
]
