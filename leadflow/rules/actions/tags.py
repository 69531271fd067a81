"""add_tag and remove_tag."""

from __future__ import annotations

from typing import ClassVar

from leadflow.domain.effects import AddTag, Record, RemoveTag, Step
from leadflow.rules.actions.base import Action, NothingToWrite, Plan, always, expect_contact
from leadflow.rules.model import Situation
from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.templates import Template, read_template

RECORDS: tuple[Record, ...] = ("contact", "company")


class AddTagAction(Action):
    """`add_tag: demo`, or `{tag: "campaign:{{ form.utm_campaign }}", of: company}`; on the contact by default."""

    name = "add_tag"
    effect: ClassVar[type[AddTag | RemoveTag]] = AddTag

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        is_short = isinstance(node, ScalarNode)
        given = {"tag": node} if is_short else reader.entries(node, self.name, ("tag", "of"), ("tag",))
        if not given or "tag" not in given:
            return None
        record = self._read_record(reader, given.get("of"), scope)
        if record == "contact" and not expect_contact(reader, node, scope, "write 'of: company' to tag the company"):
            return None
        template = read_template(reader, given["tag"], scope, "the tag")
        return self._describe(record, template) if record and template else None

    @staticmethod
    def _read_record(reader: Reader, node: Node | None, scope: Scope) -> Record | None:
        word = scope.tags_record if node is None else reader.word(node, "of", RECORDS)
        return next((record for record in RECORDS if record == word), None)

    def _describe(self, record: Record, template: Template) -> Plan:
        make = self.effect
        if template.constant is not None:
            return always(make(record, template.constant))

        def describe(situation: Situation) -> Step:
            tag = template(situation)
            if tag is None:
                raise NothingToWrite("The tag came out blank.")
            return make(record, tag)

        return Plan(describe, writes=f"{record}.tags")


class RemoveTagAction(AddTagAction):
    """`remove_tag: demo`, with the parameters of add_tag."""

    name = "remove_tag"
    effect = RemoveTag
