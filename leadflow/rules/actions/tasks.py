"""create_task."""

from __future__ import annotations

from datetime import timedelta

from leadflow.domain.effects import CreateTask, Step
from leadflow.rules.actions.base import Action, NothingToWrite, Plan, always
from leadflow.rules.model import Situation
from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.templates import Template, read_template


class CreateTaskAction(Action):
    """`create_task: {title: "Call {{ contact.first_name | default('the lead') }}", owner: sales, due_in: 1 day}`."""

    name = "create_task"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        allowed = ("title", "owner", "due_in")
        is_short = isinstance(node, ScalarNode)
        given = {"title": node} if is_short else reader.entries(node, self.name, allowed, ("title",))
        if not given or "title" not in given:
            return None
        template = read_template(reader, given["title"], scope, "the title of the task")
        owner = reader.text(given["owner"], "owner") if "owner" in given else None
        due_in = reader.duration(given["due_in"], "due_in") if "due_in" in given else None
        return _describe(template, owner, due_in) if template else None


def _describe(template: Template, owner: str | None, due_in: timedelta | None) -> Plan:
    if template.constant is not None:
        return always(CreateTask(template.constant, owner, due_in))

    def describe(situation: Situation) -> Step:
        title = template(situation)
        if title is None:
            raise NothingToWrite("The title of the task came out blank.")
        return CreateTask(title, owner, due_in)

    return Plan(describe)
