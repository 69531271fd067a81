"""notify and webhook."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from leadflow.domain.effects import CallWebhook, Notify, Step
from leadflow.rules.actions.base import Action, NothingToWrite, Plan, always
from leadflow.rules.model import Situation
from leadflow.rules.nodes import MappingNode, Node, ScalarNode
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.templates import Template, read_template


class NotifyAction(Action):
    """`notify: {to: sales, text: "{{ contact.email }} asks for a demo"}`; `to` is a channel of an administrator."""

    name = "notify"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        given = reader.entries(node, self.name, ("to", "text"), ("to", "text"))
        if given is None:
            return None
        to = _read_name(reader, given.get("to"), "channel", reader.catalogue.channels)
        template = read_template(reader, given["text"], scope, "the text") if "text" in given else None
        return _describe_notice(to, template) if to and template else None


def _describe_notice(to: str, template: Template) -> Plan:
    if template.constant is not None:
        return always(Notify(to, template.constant))

    def describe(situation: Situation) -> Step:
        return Notify(to, _rendered(template, situation, "The text of the notification"))

    return Plan(describe)


class WebhookAction(Action):
    """`webhook: crm`, or `{endpoint: crm, payload: {campaign: "{{ form.utm_campaign | default('none') }}"}}`."""

    name = "webhook"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        is_short = isinstance(node, ScalarNode)
        given = (
            {"endpoint": node} if is_short else reader.entries(node, self.name, ("endpoint", "payload"), ("endpoint",))
        )
        if given is None:
            return None
        endpoint = _read_name(reader, given.get("endpoint"), "endpoint", reader.catalogue.endpoints)
        payload = _read_payload(reader, given["payload"], scope) if "payload" in given else {}
        return None if endpoint is None or payload is None else _describe_call(endpoint, payload)


def _read_payload(reader: Reader, node: Node, scope: Scope) -> Mapping[str, Template] | None:
    """What is sent beside the record: texts by name."""
    if not isinstance(node, MappingNode) or not node.entries:
        reader.add(node, "wrong-type", "payload is written as 'name: text' lines")
        return None
    found = {}
    for name, (key, value) in node.entries.items():
        template = read_template(reader, value, scope, f"{quoted(name)} of the payload")
        if reader.text(key, "a name in payload") and template:
            found[name] = template
    return found if len(found) == len(node.entries) else None


def _describe_call(endpoint: str, payload: Mapping[str, Template]) -> Plan:
    constants = {name: one.constant for name, one in payload.items() if one.constant is not None}
    if len(constants) == len(payload):
        return always(CallWebhook(endpoint, constants))

    def describe(situation: Situation) -> Step:
        texts = {name: _rendered(one, situation, f"'{name}' of the payload") for name, one in payload.items()}
        return CallWebhook(endpoint, texts)

    return Plan(describe)


def _read_name(reader: Reader, node: Node | None, what: str, known: Collection[str] | None) -> str | None:
    """The name of an endpoint or channel; where nobody can tell which there are, any will do."""
    name = reader.text(node, f"the {what}") if node else None
    if name is None or node is None or known is None or name in known:
        return name
    message = f"there is no {what} {quoted(name)}" + ("" if known else "; an administrator defines them")
    reader.add(node, f"unknown-{what}", message, suggestion=reader.nearest(name, known), allowed=sorted(known))
    return None


def _rendered(template: Template, situation: Situation, what: str) -> str:
    text = template(situation)
    if text is None:
        raise NothingToWrite(f"{what} came out blank.")
    return text
