"""assign_owner."""

from __future__ import annotations

from leadflow.domain.effects import AssignOwner
from leadflow.domain.text import fold
from leadflow.rules.actions.base import Action, Plan, always
from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.reading import Reader, Scope

WAYS = ("to", "round_robin")


class AssignOwnerAction(Action):
    """`assign_owner: anna`, or `{round_robin: [anna, bert]}` (or the name of a list): they take turns."""

    name = "assign_owner"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        is_short = isinstance(node, ScalarNode)
        given: dict[str, Node] | None = {"to": node} if is_short else reader.entries(node, self.name, WAYS)
        if given is None:
            return None
        if len(given) != 1:
            self._refuse(reader, node, given)
            return None
        if "to" in given:
            owner = _read_owner(reader, given["to"], "the owner")
            return always(AssignOwner((owner,))) if owner else None
        candidates = _read_candidates(reader, given["round_robin"])
        return always(AssignOwner(candidates)) if candidates else None

    def _refuse(self, reader: Reader, node: Node, given: dict[str, Node]) -> None:
        if given:
            message = f"{self.name} has either 'to' or 'round_robin', not both"
            reader.add(given["round_robin"], "too-many-keys", message)
        else:
            reader.add(node, "missing-key", f"{self.name} needs 'to' or 'round_robin'", allowed=WAYS)


def _read_candidates(reader: Reader, node: Node) -> tuple[str, ...] | None:
    """Those who take turns, in their order; one alone has no turns to take."""
    items = reader.named_list(node, "round_robin")
    owners = [owner for item in items if (owner := _read_owner(reader, item, "round_robin"))]
    if not items or len(owners) < len(items):
        return None
    distinct = {fold(owner): owner for owner in reversed(owners)}
    if len(distinct) < len(owners):
        reader.add(node, "duplicate-value", "somebody stands twice in round_robin; each takes one turn")
    elif len(distinct) < 2:
        reader.add(node, "too-few-values", f"round_robin is for two or more; for one alone write 'to: {owners[0]}'")
    else:
        return tuple(owners)
    return None


def _read_owner(reader: Reader, node: Node, what: str) -> str | None:
    text = reader.text(node, what)
    if text is not None and "{{" in text:
        message = f"{what} is a name as it stands; to compose one write 'set_field: {{field: company.owner, to: …}}'"
        reader.add(node, "bad-template", message)
        return None
    return text
