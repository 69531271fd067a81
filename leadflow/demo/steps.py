"""What can happen in the demo: each step goes through the service that the same thing goes through in real life."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, select

from leadflow.domain.events import Actor, ActorKind
from leadflow.errors import NotFound
from leadflow.services.follow_ups import change_task, create_task
from leadflow.services.inbox import prepare_arrival
from leadflow.services.records import change_company, change_contact, create_company, create_contact
from leadflow.services.sales import change_sale, create_sale
from leadflow.sources.model import Source
from leadflow.store.inbox import Arrival
from leadflow.store.tables import CompanyRow, ContactRow, SaleRow, TaskRow


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a deed happens: a transaction, and the moment that it is there."""

    connection: Connection
    now: datetime

    def company_id(self, domain: str) -> int:
        """The company with this domain; an earlier step made it."""
        return self._id(select(CompanyRow.id).where(CompanyRow.domain == domain))

    def contact_id(self, email: str) -> int:
        """The contact with this address; an earlier step made it."""
        return self._id(select(ContactRow.id).where(ContactRow.email == email))

    def sale_id(self, domain: str, title: str) -> int:
        """The company's sale with this title; an earlier step registered it."""
        return self._id(select(SaleRow.id).where(SaleRow.company_id == self.company_id(domain), SaleRow.title == title))

    def _id(self, query: Select[int]) -> int:
        found = self.connection.scalar(query)
        if found is None:
            raise NotFound("The step before this one did not happen here.")
        return found


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request of a form builder. Its id is given when the whole story is known."""

    content_type: str
    body: bytes
    delivery_id: str = ""

    def as_arrival(self, source: Source, at: datetime) -> Arrival:
        """The delivery as the inbox takes it."""
        return prepare_arrival(source, {"webhook-id": self.delivery_id}, self.content_type, self.body, at)


class Deed(ABC):
    """One thing that a person does in the product."""

    @abstractmethod
    def happen(self, stage: Stage) -> None:
        """Do it, at the stage's moment. Events that follow from it are left pending."""


Step = Delivery | Deed


@dataclass(frozen=True, slots=True)
class SaleRegistered(Deed):
    """A seller registers an open sale."""

    who: str
    domain: str
    email: str
    title: str
    amount: int

    def happen(self, stage: Stage) -> None:
        subjects = {"company_id": stage.company_id(self.domain), "contact_id": stage.contact_id(self.email)}
        create_sale(stage.connection, by(self.who), {**subjects, "title": self.title, "amount": self.amount}, stage.now)


@dataclass(frozen=True, slots=True)
class SaleChanged(Deed):
    """A seller marks a sale sold, lost or stalled."""

    who: str
    domain: str
    title: str
    status: str

    def happen(self, stage: Stage) -> None:
        sale_id = stage.sale_id(self.domain, self.title)
        change_sale(stage.connection, by(self.who), sale_id, {"status": self.status}, stage.now)


@dataclass(frozen=True, slots=True)
class CustomerEntered(Deed):
    """Somebody enters a company that has been a customer for long, and whom one talks to there."""

    who: str
    company: Mapping[str, Any]
    contact: Mapping[str, Any]

    def happen(self, stage: Stage) -> None:
        company_id = create_company(stage.connection, by(self.who), self.company, stage.now)
        create_contact(stage.connection, by(self.who), {**self.contact, "company_id": company_id}, stage.now)


@dataclass(frozen=True, slots=True)
class CompanyEdited(Deed):
    """Somebody edits a company."""

    who: str
    domain: str
    values: Mapping[str, Any]

    def happen(self, stage: Stage) -> None:
        change_company(stage.connection, by(self.who), stage.company_id(self.domain), self.values, stage.now)


@dataclass(frozen=True, slots=True)
class ContactEdited(Deed):
    """Somebody edits a contact."""

    who: str
    email: str
    values: Mapping[str, Any]

    def happen(self, stage: Stage) -> None:
        change_contact(stage.connection, by(self.who), stage.contact_id(self.email), self.values, stage.now)


@dataclass(frozen=True, slots=True)
class TaskMade(Deed):
    """Somebody notes what is to be done for a contact."""

    who: str
    email: str
    title: str
    due_in: timedelta

    def happen(self, stage: Stage) -> None:
        draft = {"title": self.title, "owner": self.who, "due_at": stage.now + self.due_in}
        create_task(stage.connection, by(self.who), {**draft, "contact_id": stage.contact_id(self.email)}, stage.now)


@dataclass(frozen=True, slots=True)
class TasksDone(Deed):
    """Somebody does what was open for a contact."""

    email: str

    def happen(self, stage: Stage) -> None:
        query = select(TaskRow.id).where(TaskRow.contact_id == stage.contact_id(self.email), TaskRow.done_at.is_(None))
        for task_id in stage.connection.scalars(query.order_by(TaskRow.id)).all():
            change_task(stage.connection, task_id, {"done": True}, stage.now)


def by(name: str) -> Actor:
    """A colleague of the demo's company."""
    return Actor(ActorKind.PERSON, None, name)
