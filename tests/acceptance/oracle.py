"""An independent small oracle: what the shipped rules of a new installation make of one company's deliveries.

Written from the domain's text alone, with nothing of the product in it. It takes the deliveries of one company in the
order in which the server accepted them and says the final category, each contact's lead status, and every change that
the ledger must hold, once and in this order.

Rules that are on: demo requested -> mql (from none, lead, lost-opportunity) · sale registered -> opportunity ·
sale lost and no other sale of the company open -> lost-opportunity · sale sold -> customer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

# What automation may do (invariants 1 to 3). The rest is refused: customer, partner, lost and other have no way out.
GRAPH: dict[str | None, set[str]] = {
    None: {"lead", "mql", "opportunity"},
    "lead": {"mql", "opportunity", "customer"},
    "mql": {"opportunity", "customer"},
    "opportunity": {"lost-opportunity", "customer"},
    "lost-opportunity": {"mql", "opportunity", "customer"},
}
LEAD_STATUS_ENABLED = {"lead", "mql", "opportunity", "lost-opportunity"}
DEMO_REQUEST_FROM = {None, "lead", "lost-opportunity"}


@dataclass(frozen=True)
class Delivery:
    """What the server accepted: a form with its sender's address, or a call on a sale."""

    id: str
    kind: Literal["form", "sale_registered", "sale_sold", "sale_lost"]
    form: str = ""
    email: str = ""
    sale: str = ""


@dataclass(frozen=True)
class Change:
    """One row that the ledger must hold: of the company's category, or of a contact's lead status."""

    entity: str  # "company" or the contact's address
    old: str | None
    new: str
    delivery_id: str


@dataclass
class Company:
    """One company while its deliveries take effect."""

    category: str | None = None
    is_known: bool = False
    lead_statuses: dict[str, str | None] = field(default_factory=dict)  # by address
    first_deliveries: dict[str, str] = field(default_factory=dict)  # by address
    open_sales: set[str] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)

    def take(self, delivery: Delivery) -> None:
        """Let one delivery take its effect; a move that the graph lacks is refused, and no other rule steps in."""
        if delivery.kind == "form":
            self._meet_sender(delivery)
        elif delivery.kind == "sale_registered":
            self.open_sales.add(delivery.sale)
        else:
            self.open_sales.discard(delivery.sale)
        target = self._wanted(delivery)
        if target in GRAPH.get(self.category, ()):
            self._move(target, delivery)

    def _meet_sender(self, delivery: Delivery) -> None:
        """An unknown business domain makes a company with category Lead, an unknown address makes a contact."""
        if not self.is_known:
            self.is_known = True
            self._move("lead", delivery)
        email = delivery.email.strip().casefold()
        if email not in self.lead_statuses:
            self.first_deliveries[email] = delivery.id
            self.lead_statuses[email] = None
            if self.category in LEAD_STATUS_ENABLED:
                self._set_open(email, delivery)

    def _wanted(self, delivery: Delivery) -> str:
        """The category that the one rule for this delivery asks for; empty if its condition does not hold."""
        if delivery.kind == "form":
            return "mql" if delivery.form == "demo-request" and self.category in DEMO_REQUEST_FROM else ""
        if delivery.kind == "sale_lost":
            return "" if self.open_sales else "lost-opportunity"
        return "opportunity" if delivery.kind == "sale_registered" else "customer"

    def _move(self, target: str, delivery: Delivery) -> None:
        becomes_active = self.category not in LEAD_STATUS_ENABLED and target in LEAD_STATUS_ENABLED
        self.changes.append(Change("company", self.category, target, delivery.id))
        self.category = target
        for email in self.lead_statuses if becomes_active else ():
            self._set_open(email, delivery)

    def _set_open(self, email: str, delivery: Delivery) -> None:
        if self.lead_statuses[email] != "open":
            self.changes.append(Change(email, self.lead_statuses[email], "open", delivery.id))
            self.lead_statuses[email] = "open"


def replay(accepted: Iterable[Delivery], company: Company | None = None) -> Company:
    """The company after these deliveries, each distinct one once, in the order of acceptance."""
    company = company or Company()
    for delivery in accepted:
        company.take(delivery)
    return company
