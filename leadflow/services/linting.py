"""Rules checked for this installation: what the algebra finds, with numbers and examples out of the data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Executable, func, select, text
from sqlalchemy.exc import OperationalError

from leadflow.domain.fields import Catalogue
from leadflow.domain.history import Record
from leadflow.errors import LeadflowError
from leadflow.rules.conditions import Clause, Condition, FieldTest
from leadflow.rules.linting import NO_DATA, Data, Setting, lint
from leadflow.rules.model import RuleSet, Situation
from leadflow.rules.operands import Operand
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import Problem, errors_among
from leadflow.store.conditions import render, rows_of
from leadflow.store.lists import Lists, read_lists
from leadflow.store.tables import CompanyRow, ContactRow

# A check comes with every edit, and the records may be millions: what takes longer is left out.
MAX_LOOK_UPS = 20
MAX_LOOK_UP_MILLISECONDS = 1_000


def review(connection: Connection, documents: Mapping[str, str], now: datetime) -> tuple[Problem, ...]:
    """Everything that should be said of the documents: their mistakes or, without any, what the checks find."""
    lists = read_lists(connection)
    parsed = parse_documents(documents, lists.catalogue)
    if parsed.problems:
        return parsed.problems
    return lint(parsed.rule_set, documents, setting_of(lists, now, StoredData(connection, lists.catalogue, now)))


def errors_of(rule_set: RuleSet, documents: Mapping[str, str], lists: Lists, now: datetime) -> tuple[Problem, ...]:
    """What keeps a rule set without mistakes from being published all the same."""
    return errors_among(lint(rule_set, documents, setting_of(lists, now, NO_DATA)))


def setting_of(lists: Lists, now: datetime, data: Data) -> Setting:
    """The lists of this installation, as the checks ask for them."""
    return Setting(lists.catalogue, lists.lifecycle, now, data)


class StoredData:
    """The records of this installation, as a check may ask for them."""

    def __init__(self, connection: Connection, catalogue: Catalogue, now: datetime) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._now = now
        self._blanks: dict[str, int | None] = {}
        self._look_ups = 0

    def count_blank(self, path: str) -> int | None:
        """How many records have nothing in the field today; None if that is not known in time."""
        if path not in self._blanks:
            self._blanks[path] = self._count_blank(path)
        return self._blanks[path]

    def _count_blank(self, path: str) -> int | None:
        field = self._catalogue.fields[path]
        subject: Record = "company" if field.root == "company" else "contact"
        is_blank = Clause(path, field, (FieldTest(OPERATORS_OF[field.kind]["exists"], Operand(False)),), False, UTC)
        where = render(is_blank, subject, self._now)
        row = self._ask(select(func.count()).select_from(rows_of(subject)).where(where))
        return None if row is None else int(row[0])

    def find_record(self, subject: Record, condition: Condition | None, situation: Situation) -> str | None:
        """The name of a record that satisfies the condition together with what the situation brings."""
        try:
            where = render(condition, subject, self._now, situation)
        except LeadflowError:
            return None
        table = CompanyRow if subject == "company" else ContactRow
        name = (CompanyRow.name, CompanyRow.domain) if subject == "company" else (ContactRow.email, ContactRow.email)
        row = self._ask(select(table.id, func.coalesce(*name)).select_from(rows_of(subject)).where(where).limit(1))
        return None if row is None else f"on the {subject} {row[0]}" + (f", {row[1]}" if row[1] else "")

    def _ask(self, statement: Executable) -> Any:
        """The first row; None if there is none, if it takes too long, or if enough has been looked up."""
        self._look_ups += 1
        if self._look_ups > MAX_LOOK_UPS:
            return None
        savepoint = self._connection.begin_nested()
        try:
            self._connection.execute(text(f"SET LOCAL statement_timeout = {MAX_LOOK_UP_MILLISECONDS}"))
            return self._connection.execute(statement).first()
        except OperationalError:
            return None
        finally:
            savepoint.rollback()
