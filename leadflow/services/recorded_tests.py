"""A recorded run as a test of its rule: what was given and what happened, as far as anybody wrote it down.

What is given comes from the trace (the values that clauses saw), from the run's own changes (what stood before) and
from the ledger (category, lead status, owner, tags and own fields as they were then). Names have no history: they are
given as they are now. The test is then run with the rules of the run's version, and says what it could not reproduce.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml
from sqlalchemy import Connection, Row, and_, false, func, or_, select

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Catalogue
from leadflow.domain.text import fold
from leadflow.errors import Conflict, NotFound
from leadflow.rules.model import Outcome
from leadflow.rules.parsing import parse_documents
from leadflow.rules.testing.happening import ROOTS, STATUS_OF_STEP
from leadflow.rules.testing.running import run_test
from leadflow.services.resuming import WAIT_OVER
from leadflow.services.rule_sets import documents_of
from leadflow.services.rule_tests import ground_of_lists
from leadflow.store.lists import Lists, read_lists
from leadflow.store.tables import ChangeRow, CompanyRow, ContactRow, EventRow, RunRow
from leadflow.store.values import to_json

DOCUMENT = "recorded.test.yaml"
MAX_PAST = 50

# What nobody keeps a history of.
PRESENT = {
    "company": (CompanyRow, ("name", "domain", "do_not_automate")),
    "contact": (ContactRow, ("email", "first_name", "last_name", "do_not_automate")),
}
# What the rule would do alone, or were it live, where other rules or people have a say in what it does.
AS_IF_LIVE = (Outcome.SHADOW, Outcome.PROPOSED, Outcome.CONFLICT_LOST, Outcome.SKIPPED_RUNNING, Outcome.CHAIN_STOPPED)

_EVENTS_ASKED = re.compile(r"(?:event_count|last_event)\(([^,)]+)")
_CHANGES_ASKED = re.compile(r"last_change\(([\w.]+)")


@dataclass(frozen=True, slots=True)
class RecordedTest:
    """The text of a document of tests; whether it passes with the rules of that time (null: they are unreadable now).

    `faults` say what the test does not reproduce, because it was not recorded.
    """

    run_id: int
    rule: str
    document: str
    is_ok: bool | None
    faults: tuple[str, ...]


def test_from_run(connection: Connection, run_id: int) -> RecordedTest:
    """The run as a test of its rule. Raises: NotFound; Conflict for what cannot be told as one."""
    run = connection.execute(select(RunRow.__table__).where(RunRow.id == run_id)).one_or_none()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    lists = read_lists(connection)
    test = _Recording(connection, run, lists.catalogue).test()
    is_ok, faults = _try(connection, lists, run, test)
    notes = [f"Run {run.id} of {run.rule}, version {run.version} of the rules."]
    notes += ["Names are as they are now."] if run.company_id or run.contact_id else []
    notes += [f"Not recorded, so the test does not pass: {fault}." for fault in faults]
    return RecordedTest(run.id, run.rule, _written(test, notes), is_ok, faults)


def _try(
    connection: Connection, lists: Lists, run: Row[Any], test: Mapping[str, Any]
) -> tuple[bool | None, tuple[str, ...]]:
    """How the test ends with the rules of the run's version."""
    documents = {**documents_of(connection, run.version), DOCUMENT: _written(test, [])}
    parsed = parse_documents(documents, lists.catalogue)
    rule = next((one for one in parsed.rule_set.rules if one.slug == run.rule), None)
    recorded = next((one for one in parsed.tests if one.place.file == DOCUMENT), None)
    if rule is None or recorded is None:
        return None, tuple(one.message for one in parsed.problems if one.file == DOCUMENT)
    result = run_test(rule, recorded, ground_of_lists(lists))
    return result.is_ok, result.faults


# -- gathering ---------------------------------------------------------------------------------------------------------


class _Recording:
    """Everything that is known of one run."""

    def __init__(self, connection: Connection, run: Row[Any], catalogue: Catalogue) -> None:
        self._connection, self._run, self._catalogue = connection, run, catalogue
        self._ids = {"company": run.company_id, "contact": run.contact_id}
        found = select(EventRow.__table__).where(EventRow.id == run.event_id)
        self._event = connection.execute(found).one_or_none()
        if self._event is not None and self._event.type == WAIT_OVER:
            raise Conflict("A run after a wait is the later part of another one; make the test from that.")

    def test(self) -> dict[str, Any]:
        """The test as it stands in a document."""
        return {
            "test": f"{self._run.rule} as it was in run {self._run.id}",
            "rule": self._run.rule,
            "now": to_json(self._run.at),
            "given": self._given(),
            "event": self._happening(),
            "expect": self._expected(),
        }

    # What stood there

    def _given(self) -> dict[str, Any]:
        values = {**self._present(), **self._ledger(), **self._seen(), **self._before()}
        given: dict[str, Any] = {}
        for record, record_id in self._ids.items():
            own = {path: value for path, value in values.items() if path.startswith(f"{record}.")}
            named = {path.partition(".")[2]: BLANK if value in (None, []) else value for path, value in own.items()}
            given[record] = named if record_id is not None else "none"
        history = [*self._past_events(), *self._past_changes(), *self._acts()]
        selections = self._memberships()
        given |= {"selections": selections} if selections else {}
        return given | ({"history": history} if history else {})

    def _memberships(self) -> list[str]:
        """The static selections that the clauses found the records in, as long as there are such."""
        seen = {one["path"]: one["value"] for one in self._run.clauses if one["path"].startswith("selection(")}
        slugs = [path.removeprefix("selection(").removesuffix(")") for path, value in seen.items() if value]
        return [slug for slug in slugs if slug in self._catalogue.selections]

    def _present(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for record, (table, names) in PRESENT.items():
            wanted = [getattr(table, name) for name in names]
            row = self._connection.execute(select(*wanted).where(table.id == self._ids[record])).one_or_none()  # type: ignore[attr-defined]
            values |= {f"{record}.{name}": value for name, value in row._mapping.items() if value} if row else {}
        return values

    def _ledger(self) -> dict[str, Any]:
        """The fields of the ledger as they were when the run was judged; the later row of two wins."""
        columns = (ChangeRow.entity, ChangeRow.field, ChangeRow.new)
        found = select(*columns).where(self._is_own(), self._was_before()).order_by(ChangeRow.id)
        rows = self._connection.execute(found)
        return {f"{one.entity}.{one.field}": one.new for one in rows if self._is_field(f"{one.entity}.{one.field}")}

    def _is_own(self) -> Any:
        pairs = [(record, key) for record, key in self._ids.items() if key is not None]
        return or_(false(), *(and_(ChangeRow.entity == record, ChangeRow.entity_id == key) for record, key in pairs))

    def _concerns(self, table: type[EventRow] | type[RunRow]) -> Any:
        """Whether an event or run is about the company or the contact."""
        columns = ((table.company_id, self._run.company_id), (table.contact_id, self._run.contact_id))
        return or_(false(), *(column == key for column, key in columns if key is not None))

    def _was_before(self) -> Any:
        """Rows of earlier events, of people until then, and what the event itself brought before any rule acted."""
        event_id, at = self._run.event_id, ChangeRow.at <= self._run.at
        if event_id is None:
            return and_(at, or_(ChangeRow.sweep_id.is_(None), ChangeRow.sweep_id != self._run.sweep_id))
        of_event = and_(ChangeRow.event_id == event_id, ChangeRow.rule.is_(None))
        return and_(at, or_(ChangeRow.event_id.is_(None), ChangeRow.event_id < event_id, of_event))

    def _seen(self) -> dict[str, Any]:
        """The values that clauses saw."""
        return {
            one["path"]: one["value"]
            for one in self._run.clauses
            if one["path"].startswith(("company.", "contact.")) and self._is_field(one["path"])
        }

    def _before(self) -> dict[str, Any]:
        return {path: one["old"] for path, one in self._changes()}

    def _changes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The run's own changes of its company and contact."""
        for one in self._run.changes:
            path = f"{one['entity']}.{one['field']}"
            if one.get("entity_id") == self._ids.get(one["entity"], 0) and self._is_field(path):
                yield path, one

    def _is_field(self, path: str) -> bool:
        return self._catalogue.get(path) is not None

    # What had happened before

    def _past_events(self) -> list[dict[str, Any]]:
        names = {name for one in self._run.clauses for name in _EVENTS_ASKED.findall(one["path"])}
        is_asked = func.coalesce(EventRow.name, EventRow.type).in_(names)
        found = (
            select(EventRow.__table__)
            .where(EventRow.state == "processed", is_asked, self._concerns(EventRow))
            .where(EventRow.received_at <= self._run.at, EventRow.id < (self._run.event_id or 2**62))
            .order_by(EventRow.id.desc())
            .limit(MAX_PAST)
        )
        return [self._past_event(one) for one in self._connection.execute(found)] if names else []

    def _past_event(self, event: Row[Any]) -> dict[str, Any]:
        by = "contact" if event.contact_id == self._run.contact_id else "colleague" if event.contact_id else "company"
        return {"at": to_json(event.received_at), **self._told(event), **({"by": by} if by != "contact" else {})}

    def _past_changes(self) -> list[dict[str, Any]]:
        paths = {path for one in self._run.clauses for path in _CHANGES_ASKED.findall(one["path"])}
        fields = {path.partition(".")[2] for path in paths}
        found = (
            select(ChangeRow.__table__)
            .where(self._is_own(), self._was_before(), ChangeRow.field.in_(fields))
            .order_by(ChangeRow.id.desc())
            .limit(MAX_PAST)
        )
        rows = self._connection.execute(found) if paths else ()
        return [
            {"at": to_json(one.at), "changed": {f"{one.entity}.{one.field}": _sides(one.old, one.new)}}
            for one in rows
            if f"{one.entity}.{one.field}" in paths
        ]

    def _acts(self) -> list[dict[str, Any]]:
        """When the rule acted before, where that is why it did not act now."""
        if self._run.outcome != Outcome.LIMITED:
            return []
        acted = RunRow.outcome.in_((Outcome.FIRED.value, Outcome.WAITING.value, Outcome.PROPOSED.value))
        found = select(func.max(RunRow.at)).where(RunRow.rule == self._run.rule, RunRow.id < self._run.id, acted)
        at: datetime | None = self._connection.scalar(found.where(self._concerns(RunRow)))
        return [{"at": to_json(at), "fired": True}] if at else []

    # What happened

    def _happening(self) -> dict[str, Any]:
        if self._event is None:
            return {"schedule": "due"}
        if self._run.chain:
            return {"record_changed": self._changes_of_rule(self._run.chain[-1]), "by_rule": self._run.chain[-1]}
        if (record := self._value_of("record")) is not None and self._event.type == Trigger.FORM_SUBMITTED:
            return {Trigger.RECORD_CREATED.value: record}  # the form brought the record, and that called the rule
        match self._event.type:
            case Trigger.RECORD_CREATED:
                return {"record_created": self._document().get("entity", record or "contact")}
            case Trigger.RECORD_CHANGED:
                return {"record_changed": self._recorded_changes()}
            case Trigger.MANUAL:
                return {"manual": {"record": record or "contact", **self._own_fields(self._event, "user")}}
            case _:
                return self._told(self._event)

    def _told(self, event: Row[Any]) -> dict[str, Any]:
        """An event with its own fields, as `event` and `history` have it."""
        fields = self._own_fields(event, ROOTS[Trigger(event.type)])
        match event.type:
            case Trigger.SALE:
                step = self._value_of("sale.step") if event is self._event else None
                steps = {status: name for name, status in STATUS_OF_STEP.items()}
                return {"sale": {"step": step or steps.get(fields.get("status", ""), "registered"), **fields}}
            case Trigger.EVENT:
                return {"event": {**fields, "name": event.name}}
            case _:
                return {"form_submitted": fields or "any"}

    def _own_fields(self, event: Row[Any], root: str) -> dict[str, Any]:
        fields = event.fields or {}
        return {name: value for name, value in fields.items() if value and self._is_field(f"{root}.{name}")}

    def _value_of(self, path: str) -> Any:
        return next((one["value"] for one in self._run.clauses if one["path"] == path), None)

    def _document(self) -> dict[str, Any]:
        """The event's body; bodies are deleted after some time."""
        body = self._event.body if self._event is not None else None
        return json.loads(body) if body else {}

    def _recorded_changes(self) -> dict[str, Any]:
        changes = self._document().get("changes") or {}
        if changes:
            return {path: _sides(*sides) for path, sides in changes.items() if self._is_field(path)}
        return {path: {"to": BLANK if value is None else value} for path, value in self._seen().items()}

    def _changes_of_rule(self, slug: str) -> dict[str, Any]:
        found = select(RunRow.changes).where(RunRow.event_id == self._run.event_id, RunRow.rule == slug)
        rows = self._connection.scalars(found.where(RunRow.id < self._run.id).order_by(RunRow.id.desc()).limit(1))
        changes = [(f"{one['entity']}.{one['field']}", one) for row in rows for one in row]
        return {path: _sides(one["old"], one["new"]) for path, one in changes if self._is_field(path)}

    # What came of it

    def _expected(self) -> dict[str, Any]:
        outcome = Outcome(self._run.outcome)
        expected: dict[str, Any] = {"fires": True} if outcome in AS_IF_LIVE else {"outcome": outcome.value}
        false = dict.fromkeys(one["path"].partition("(")[0] for one in self._run.clauses if not one["holds"])
        if outcome is Outcome.NO_MATCH and false:
            expected["because"] = list(false)
        for path, one in self._changes():
            record, _, name = path.partition(".")
            expected.setdefault(record, {})[name] = BLANK if one["new"] in (None, []) else one["new"]
        tasks = [one["new"] for one in self._run.changes if one["entity"] == "task"]
        return expected | ({"tasks": tasks} if tasks else {})


def _sides(old: Any, new: Any) -> dict[str, Any]:
    return {side: BLANK if value in (None, []) else value for side, value in (("from", old), ("to", new))}


# -- writing -----------------------------------------------------------------------------------------------------------


class _Blank:
    """Stands for the word `blank`, which is no text."""


BLANK = _Blank()


class _Dumper(yaml.SafeDumper):
    """Writes texts so that none is taken for the word `blank` or `none`."""


_Dumper.add_representer(_Blank, lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:str", "blank"))
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if fold(text) == "blank" else None
    ),
)


def _written(test: Mapping[str, Any], notes: list[str]) -> str:
    """A document with the one test."""
    document = {"leadflow": 1, "tests": [dict(test)]}
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return "".join(f"# {note}\n" for note in notes) + text
