"""What every action is: a name in `then`, and how its parameters are read into effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from leadflow.domain.effects import Step, written_field
from leadflow.errors import LeadflowError
from leadflow.rules.model import Situation
from leadflow.rules.nodes import Node
from leadflow.rules.reading import Reader, Scope

# What an action does in a situation. Raises: LeadflowError, when a text it needs is blank or unreadable.
Describe = Callable[[Situation], Step]


@dataclass(frozen=True, slots=True)
class Plan:
    """An action as one rule wants it; whether it reaches beyond the event's contact to all of its company.

    `step` is what it does where that is the same in every situation; `writes` the field it writes, if it writes one.
    """

    describe: Describe
    acts_on_all_contacts: bool = False
    step: Step | None = None
    writes: str | None = None
    place: Node | None = None


class NothingToWrite(LeadflowError):
    """A text that an action writes came out blank."""


class Action:
    """One action. It describes what is to be done; whether that happens is the guards' affair."""

    name: ClassVar[str]

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        """The effect this action has, from its parameters; None after a problem."""
        raise NotImplementedError


def always(step: Step, *, acts_on_all_contacts: bool = False) -> Plan:
    """What is the same in every situation."""
    return Plan(lambda situation: step, acts_on_all_contacts, step, written_field(step))


def expect_contact(reader: Reader, node: Node, scope: Scope, remedy: str) -> bool:
    """Whether the rule's triggers bring a contact; if not, that is a problem."""
    if not scope.has_contact:
        reader.add(node, "no-contact", f"this rule has no contact to act on; {remedy}")
    return scope.has_contact
