"""The timetable of scheduled rules: it follows the live rules, and what is due becomes a sweep, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from leadflow.rules.due_times import definition_of, first_due
from leadflow.rules.evaluation import RuleIndex, is_in_force
from leadflow.services.rule_sets import RulesCache
from leadflow.store.lists import ListsCache
from leadflow.store.schedules import Planned, keep_schedules, lock_timetable, move_on, take_due
from leadflow.store.sweeps.queue import add_sweep

SCHEDULER = "leadflow"


@dataclass
class Timetable:
    """What a scheduler keeps between its ticks: the rules it read last. Any number of schedulers may run."""

    lists: ListsCache = field(default_factory=ListsCache)
    rules: RulesCache = field(default_factory=RulesCache)
    _followed: RuleIndex | None = None

    def tick(self, connection: Connection, now: datetime) -> int:
        """Turn what is due into sweeps, and move on behind `now`; how many sweeps there are to do because of it.

        Times that were missed while no scheduler ran become one late sweep.
        """
        index = self._follow(connection, now)
        made = 0
        for due in take_due(connection, now):
            rule = index.running.get(due.rule)
            if rule is not None and rule.schedule is not None and is_in_force(rule, now):
                made += add_sweep(connection, due.rule, due.due_at, "schedule", SCHEDULER, now) is not None
            move_on(connection, due.rule, first_due(rule, now) if rule else None)
        return made

    def _follow(self, connection: Connection, now: datetime) -> RuleIndex:
        """The live rules; when others are live than at the last tick, the schedules become theirs."""
        index = self.rules.read(connection, self.lists.read(connection))
        if index is not self._followed:
            lock_timetable(connection)
            index = self.rules.read(connection, self.lists.read(connection))  # as they are now that it is our turn
            keep_schedules(connection, planned_schedules(index, now))
            self._followed = index
        return index


def planned_schedules(index: RuleIndex, now: datetime) -> dict[str, Planned]:
    """When each running rule with a schedule is due first after `now`."""
    scheduled = [rule for rule in index.running.values() if rule.schedule is not None]
    planned = {rule.slug: (definition_of(rule), first_due(rule, now)) for rule in scheduled}
    return {slug: Planned(definition, due_at) for slug, (definition, due_at) in planned.items() if due_at}
