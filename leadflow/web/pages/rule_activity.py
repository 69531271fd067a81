"""How rules did over the last 30 days: sums, a bar for each day, and what in it asks for a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import Connection

from leadflow.rules.model import Rule, RuleStatus
from leadflow.store.run_days import MAX_COUNTED_LIVE, DayOfRule, days_of_rules
from leadflow.web.pages import charts, desk

DAYS = 30
ACTED = ("fired", "waiting", "proposed")
STOPPED = ("blocked_by_guard", "error", "brake")
BAR_HEIGHT, BAR_STEP, BAR_WIDTH = 28.0, 4.0, 3.0


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a rule: how often it acted (or would have, in shadow), and nearly did."""

    day: date
    acted: int = 0
    shadow: int = 0
    near: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """How a rule ended in the last 30 days; `days` has one entry for each of them.

    `is_at_least`: there is more of today than was counted.
    """

    tried: int = 0
    acted: int = 0
    shadow: int = 0
    near: int = 0
    guarded: int = 0
    errors: int = 0
    days: tuple[Day, ...] = ()
    last_acted_at: datetime | None = None
    is_at_least: bool = False

    @property
    def other(self) -> int:
        return self.tried - self.acted - self.shadow - self.near - self.guarded - self.errors

    @property
    def did(self) -> int:
        """What the rule did, or in shadow would have done."""
        return self.acted or self.shadow

    @property
    def segments(self) -> list[charts.Segment]:
        """The whole as one bar of parts."""
        return charts.stacked(
            [
                (_("fired"), "good", self.acted),
                (_("would have fired"), "watch", self.shadow),
                (_("near miss"), "warn", self.near),
                (_("stopped"), "bad", self.guarded + self.errors),
                (_("other"), "idle", self.other),
            ]
        )

    @property
    def words(self) -> str:
        """All of it in a sentence, for who does not see the bars."""
        return ", ".join(f"{one.count:,} {one.label}" for one in self.segments) or _("not tried")

    @property
    def bars(self) -> list[Bar]:
        """The days as bars on a ground of 120 × 28."""
        highest = max((one.acted + one.shadow + one.near for one in self.days), default=0) or 1
        return [bar for index, one in enumerate(self.days) for bar in _bars_of(one, index, highest)]


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a day's bar, as a rectangle."""

    x: float
    y: float
    height: float
    style: str


def _bars_of(day: Day, index: int, highest: int) -> Iterable[Bar]:
    top = BAR_HEIGHT
    for count, style in ((day.acted, "good"), (day.shadow, "watch"), (day.near, "warn")):
        if count:
            height = max(count / highest * BAR_HEIGHT, 1.5)
            top -= height
            yield Bar(index * BAR_STEP, round(max(top, 0), 1), round(height, 1), style)


def activities(connection: Connection, slugs: Collection[str], now: datetime) -> dict[str, Activity]:
    """How each of these rules did, by its slug."""
    since = now.astimezone(UTC).date() - timedelta(days=DAYS - 1)
    asked = tuple(sorted(slugs))
    of_rule: dict[str, list[DayOfRule]] = defaultdict(list)
    for one in desk.kept(("days of rules", asked, since), connection, lambda it: days_of_rules(it, asked, since)):
        of_rule[one.rule].append(one)
    return {slug: _sum_up(of_rule[slug], since) for slug in slugs}


def _sum_up(found: Collection[DayOfRule], since: date) -> Activity:
    by_outcome: dict[str, int] = defaultdict(int)
    for one in found:
        by_outcome[one.outcome] += one.runs
    return Activity(
        tried=sum(by_outcome.values()),
        acted=sum(by_outcome[name] for name in ACTED),
        shadow=by_outcome["shadow"],
        near=sum(one.near_misses for one in found),
        guarded=by_outcome["blocked_by_guard"] + by_outcome["brake"],
        errors=by_outcome["error"],
        days=_days(found, since) if found else (),
        last_acted_at=max((one.last_at for one in found if one.outcome in ACTED), default=None),
        is_at_least=sum(one.runs for one in found if not one.is_counted) >= MAX_COUNTED_LIVE,
    )


def _days(found: Iterable[DayOfRule], since: date) -> tuple[Day, ...]:
    sums: dict[tuple[date, str], int] = defaultdict(int)
    for one in found:
        kind = "acted" if one.outcome in ACTED else one.outcome
        sums[one.day, kind] += one.runs
        sums[one.day, "near"] += one.near_misses
    span = (since + timedelta(days=index) for index in range(DAYS))
    return tuple(Day(day, sums[day, "acted"], sums[day, "shadow"], sums[day, "near"]) for day in span)


# -- health ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that a person should know of a rule: its label, colour and icon, and the sentence behind it."""

    label: str
    tone: str
    icon: str
    sentence: str
    sweep_id: int | None = None

    @property
    def is_grave(self) -> bool:
        return self.tone in ("red", "amber", "rose")


def signs_of(rule: Rule, seen: Activity, has_tests: bool, braked: Mapping[str, int]) -> list[Sign]:
    """What asks for attention, the gravest first; nothing for a rule that is well, or that rests."""
    if rule.status in (RuleStatus.OFF, RuleStatus.DRAFT):
        return []
    grave = list(_troubles(rule, seen, braked))
    return [*(grave or _silence(rule, seen)), *([] if has_tests else [_untested()])]


def _troubles(rule: Rule, seen: Activity, braked: Mapping[str, int]) -> Iterable[Sign]:
    if sweep_id := braked.get(rule.slug):
        said = _("Its sweep would change more records than the brake allows; it waits until a person decides.")
        yield Sign(_("Sweep needs you"), "red", "hand-stop", said, sweep_id)
    if seen.errors:
        label = ngettext("%(num)s error", "%(num)s errors", seen.errors)
        yield Sign(label, "red", "alert-triangle", _("A value could not be read, so the rule was not judged."))
    if seen.guarded:
        said = _("The rule matched, but the guard did not allow the change. Narrow its condition, if that is often.")
        yield Sign(ngettext("%(num)s stopped", "%(num)s stopped", seen.guarded), "rose", "shield-lock", said)


def _silence(rule: Rule, seen: Activity) -> Iterable[Sign]:
    if not seen.tried:
        yield Sign(_("Not tried"), "grey", "clock", _("Nothing has called this rule in the last 30 days."))
    elif not seen.did and rule.status is not RuleStatus.SHADOW:
        said = _("It was tried, and its condition never held in the last 30 days. Explain shows what is missing.")
        yield Sign(_("Never fired"), "amber", "target", said)


def _untested() -> Sign:
    said = _("No test says what this rule does. A recorded trace becomes one with one click.")
    return Sign(_("No tests"), "grey", "flask", said)
