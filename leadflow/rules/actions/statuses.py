"""set_category and set_lead_status."""

from __future__ import annotations

from typing import Any, Literal, cast

from leadflow.domain.effects import SetCategory, SetLeadStatus
from leadflow.domain.fields import Choice, Field
from leadflow.domain.text import fold
from leadflow.rules.actions.base import Action, Plan, always, expect_contact
from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope


class SetCategoryAction(Action):
    """`set_category: {to: Opportunity, from: [Lead, blank]}`; `from` narrows, the guard decides."""

    name = "set_category"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        found = _read_move(reader, node, self.name, reader.catalogue.fields["company.category"], ("to", "from"))
        return always(SetCategory(found["to"].key, found["from"])) if found else None


class SetLeadStatusAction(Action):
    """`set_lead_status: {to: Contacting, from: Open, of: all_contacts}`; without `of`, the event's contact."""

    name = "set_lead_status"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        field = reader.catalogue.fields["contact.lead_status"]
        found = _read_move(reader, node, self.name, field, ("to", "from", "of"))
        if not found:
            return None
        of = cast("Literal['contact', 'all_contacts']", found.get("of", "contact"))
        if of == "contact" and not expect_contact(reader, node, scope, "write 'of: all_contacts' to act on all"):
            return None
        effect = SetLeadStatus(found["to"].key, found["from"], of)
        return always(effect, acts_on_all_contacts=of == "all_contacts")


def _read_move(reader: Reader, node: Node, what: str, field: Field, allowed: tuple[str, ...]) -> dict[str, Any] | None:
    """`to` as a choice, `from` as keys (None: from anywhere) and `of`; a single value is `to`."""
    given = {"to": node} if isinstance(node, ScalarNode) else reader.entries(node, what, allowed, ("to",))
    if not given or "to" not in given:
        return None
    problems_before = len(reader.problems)
    found: dict[str, Any] = {"to": _read_target(reader, given["to"], field), "from": None}
    if "from" in given:
        found["from"] = _read_sources(reader, given["from"], field)
    if "of" in given:
        found["of"] = reader.word(given["of"], "of", ("contact", "all_contacts"))
    return found if len(reader.problems) == problems_before and found["to"] else None


def _read_target(reader: Reader, node: Node, field: Field) -> Choice | None:
    choice = reader.choice(node, field)
    if choice is not None and choice in field.retired:
        names = [one.name for one in field.choices]
        reader.add(node, "unknown-value", f"{quoted(choice.name)} has been deleted from the list", allowed=names)
    return choice


def _read_sources(reader: Reader, node: Node, field: Field) -> frozenset[str | None]:
    """The keys from which the move is made; `blank` is None."""
    items = [node] if isinstance(node, ScalarNode) else reader.items(node, "from")
    keys: set[str | None] = set()
    for item in items:
        if isinstance(item, ScalarNode) and fold(item.text) == "blank":
            keys.add(None)
        elif choice := reader.choice(item, field):
            keys.add(choice.key)
    return frozenset(keys)
