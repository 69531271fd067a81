"""Whom the guard holds back from a sweep, and why: for people who plan a rule."""

from __future__ import annotations

from sqlalchemy import Connection, and_, func, literal_column, select, true

from leadflow.store.conditions import rows_of
from leadflow.store.sweeps.plans import SweepPlan
from leadflow.store.sweeps.steps import first_scene, play

MOST_REASONS = 20


def count_refusals(connection: Connection, plan: SweepPlan) -> dict[str, int]:
    """By the guard's sentence, how many records come through everything but the guard; most frequent first.

    For rules that statements on sets can do; records that are as the rule wants them already are none of these.
    """
    scene = first_scene(plan.subject)
    played = [play(effect, action, scene, plan.lists) for action, effect in plan.effects or ()]
    refusals = [one.refusal for one in played if one.refusal is not None]
    if not refusals:
        return {}
    reason = func.nullif(func.concat_ws(" ", *refusals), "").label("reason")
    parts = [plan.part(number) for number in range(len(plan.parts))]
    comes_so_far = and_(true(), *parts, plan.may_be_automated, plan.is_within_limit)
    held = select(reason).select_from(rows_of(plan.subject)).where(comes_so_far, plan.is_to_be_changed.is_not(True))
    found = held.subquery("held")
    counted = select(found.c.reason, func.count().label("records")).where(found.c.reason.is_not(None))
    rows = connection.execute(
        counted.group_by(found.c.reason).order_by(literal_column("records").desc(), found.c.reason).limit(MOST_REASONS)
    )
    return {row.reason: row.records for row in rows}
