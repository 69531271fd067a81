"""wait and stop_here: what steers the rules themselves."""

from __future__ import annotations

from leadflow.domain.effects import StopHere, Wait
from leadflow.rules.actions.base import Action, Plan, always
from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.reading import Reader, Scope


class WaitAction(Action):
    """`wait: 3 days`, or `{for: 3 days, recheck: false}` to go on without judging the condition again."""

    name = "wait"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        given = (
            {"for": node}
            if isinstance(node, ScalarNode)
            else reader.entries(node, "wait", ("for", "recheck"), ("for",))
        )
        if given is None:
            return None
        length = reader.duration(given["for"], "wait") if "for" in given else None
        recheck = reader.flag(given["recheck"], "recheck") if "recheck" in given else True
        return None if length is None or recheck is None else always(Wait(length, recheck))


class StopHereAction(Action):
    """`stop_here: true`: no rule after this one acts on the occurrence."""

    name = "stop_here"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        is_wanted = reader.flag(node, self.name)
        if is_wanted is False:
            reader.add(node, "unreadable-value", "'stop_here: false' says nothing; leave the line out")
        return always(StopHere()) if is_wanted else None
