"""What becomes of a company: a plot for each kind of end, told in days from its first visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from leadflow.demo.cast import Firm, Person
from leadflow.demo.forms import INTEREST, fill_form
from leadflow.demo.steps import (
    CompanyEdited,
    ContactEdited,
    CustomerEntered,
    SaleChanged,
    SaleRegistered,
    Step,
    TaskMade,
    TasksDone,
)

SELLERS = ("Ingrid Solheim", "Marek Dvořák", "Aisha Rahman", "Tom Whitlock")
MARKETER = "Beatriz Figueiredo"

SALES = ("CRM for 10 seats", "CRM for 25 seats", "Yearly licence", "Pilot project", "Sales and service package")
MORE_SALES = ("Ten more seats", "Training for the sales team", "Rollout, second phase", "Reporting add-on")
TO_DO = ("Send the offer", "Ask how the pilot goes", "Invite to the next webinar", "Clarify the number of seats")


@dataclass
class Plot:
    """The story of one company while it is told: `day` is the present, `beats` what happens on which day."""

    firm: Firm
    chance: Random
    seller: str
    day: float = 0.0
    beats: list[tuple[float, Step]] = field(default_factory=list)

    @property
    def buyer(self) -> Person:
        """Whom sales talks to."""
        return self.firm.people[0]

    @property
    def colleague(self) -> Person:
        """Somebody else at the company, or the buyer again where there is nobody else."""
        return self.firm.people[-1]

    def maybe(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.chance.random() < share

    def wait(self, least: float, most: float) -> None:
        """Days go by."""
        self.day += self.chance.uniform(least, most)

    def tell(self, step: Step, days_later: float = 0.0) -> None:
        """It happens now, or some days later while the plot goes on."""
        self.beats.append((self.day + days_later, step))

    # -- what visitors do ---------------------------------------------------------------------------------------------

    def fills(self, form: str, who: Person | None = None) -> None:
        """The buyer (or `who`) fills a form."""
        self.tell(fill_form(self.chance, form, who or self.buyer, self.firm))

    def looks_around(self, least: int, most: int) -> None:
        """The buyer reads, registers and asks, some days apart."""
        for form in _some_interests(self.chance, self.chance.randint(least, most)):
            self.fills(form)
            self.wait(0.5, 7)

    def asks_for_a_demo(self, who: Person | None = None) -> None:
        """The buyer (or `who`) does; sales does its task a little late, if not before."""
        self.fills("demo-request", who)
        self.tell(TasksDone((who or self.buyer).email), days_later=self.chance.uniform(2, 9))

    def asks_for_a_demo_or_two(self) -> None:
        """In a fifth of all cases a colleague asks too, and sales is not called twice."""
        self.asks_for_a_demo()
        if self.maybe(0.2):
            self.wait(0.2, 2)
            self.asks_for_a_demo(self.colleague)

    # -- what our people do -------------------------------------------------------------------------------------------

    def is_called(self) -> None:
        """Sales does its task and takes the company over."""
        self.wait(0.1, 2.2)
        self.tell(TasksDone(self.buyer.email))
        self.turns("contacting")
        self.edit_company(owner=self.seller)

    def is_researched(self) -> None:
        """Somebody looks up who the company is."""
        self.edit_company(
            fields={"industry": self.firm.industry, "employees": self.chance.choice((12, 35, 80, 250, 900))}
        )
        self.edit_contact(fields={"job_title": self.buyer.job_title})

    def turns(self, status: str) -> None:
        """The seller writes the buyer's lead status."""
        self.edit_contact(lead_status=status)

    def edit_company(self, who: str | None = None, **values: Any) -> None:
        """A person edits the company."""
        self.tell(CompanyEdited(who or self.seller, self.firm.domain, values))

    def edit_contact(self, **values: Any) -> None:
        """The seller edits the buyer."""
        self.tell(ContactEdited(self.seller, self.buyer.email, values))

    def notes_a_task(self) -> None:
        """The seller notes what comes next."""
        due_in_days = self.chance.randint(2, 9)
        title = self.chance.choice(TO_DO)
        self.tell(TaskMade(self.seller, self.buyer.email, title, timedelta(days=due_in_days)))
        self.tell(TasksDone(self.buyer.email), days_later=due_in_days + self.chance.uniform(-1.5, 4))

    def becomes_qualified(self) -> None:
        """Some days of talks, and sales knows enough."""
        self.is_called()
        self.wait(1, 6)
        self.is_researched()
        self.turns("qualified")

    def opens_sale(self, titles: tuple[str, ...] = SALES) -> str:
        """The seller registers a sale; its title."""
        told = {step.title for _, step in self.beats if isinstance(step, SaleRegistered)}
        title = self.chance.choice([one for one in titles if one not in told])
        amount = self.chance.randrange(3_000, 60_000, 500)
        self.tell(SaleRegistered(self.seller, self.firm.domain, self.buyer.email, title, amount))
        return title

    def closes(self, title: str, status: str) -> None:
        """The seller closes the sale."""
        self.tell(SaleChanged(self.seller, self.firm.domain, title, status))


def _some_interests(chance: Random, count: int) -> list[str]:
    return chance.choices(list(INTEREST), list(INTEREST.values()), k=count)


# -- plots that end as leads and marketing qualified leads -------------------------------------------------------------


def stays_curious(plot: Plot) -> None:
    """First interest, and no more; now and then sales has a look."""
    plot.looks_around(1, 2)
    if plot.maybe(0.22):
        plot.turns("contacting")
        plot.wait(1, 6)
        plot.turns(plot.chance.choice(("re-nurture", "re-nurture", "disqualified")))
    elif plot.maybe(0.15):
        plot.edit_company(MARKETER, tags=["target account"])


def wants_to_be_left_to_people(plot: Plot) -> None:
    """A person marks the company “do not automate”; a demo request then moves nothing."""
    plot.looks_around(1, 2)
    plot.edit_company(MARKETER, do_not_automate=True)
    plot.wait(2, 9)
    plot.asks_for_a_demo()


def comes_by(plot: Plot) -> None:
    """One form, just now."""
    plot.fills(_some_interests(plot.chance, 1)[0])


def wants_a_demo(plot: Plot) -> None:
    """Asks for a demo; how far sales has come with it differs."""
    plot.looks_around(0, 3)
    plot.asks_for_a_demo_or_two()
    if plot.maybe(0.12):
        return  # nobody has called yet
    if plot.maybe(0.35):
        plot.becomes_qualified()
        return
    plot.is_called()
    plot.wait(2, 12)
    if plot.maybe(0.6):
        plot.turns(plot.chance.choice(("re-nurture", "re-nurture", "disqualified")))
    else:
        plot.notes_a_task()


def wants_a_demo_today(plot: Plot) -> None:
    """Has just asked; sales does not know yet."""
    plot.looks_around(1, 2)
    plot.asks_for_a_demo()


def is_picked_by_marketing(plot: Plot) -> None:
    """Reads so much that marketing makes it an MQL by hand."""
    plot.looks_around(3, 4)
    plot.edit_company(MARKETER, category="mql", tags=["target account"])


# -- plots with a sale -------------------------------------------------------------------------------------------------


def negotiates(plot: Plot) -> None:
    """A sale is open."""
    plot.looks_around(0, 3)
    plot.asks_for_a_demo_or_two()
    plot.becomes_qualified()
    plot.wait(1, 5)
    title = plot.opens_sale()
    plot.wait(2, 8)
    plot.notes_a_task()
    if plot.maybe(0.25):
        plot.wait(3, 8)
        plot.closes(title, "stalled")
        plot.wait(3, 8)
        plot.closes(title, "open")


def jumps_in(plot: Plot) -> None:
    """Sales knew the company already: from Lead to Opportunity in one step."""
    plot.fills("contact")
    plot.wait(0.5, 3)
    plot.edit_company(owner=plot.seller)
    plot.opens_sale()


def loses(plot: Plot) -> None:
    """The only sale is lost, or one after the other."""
    negotiates_first(plot)
    first = plot.opens_sale()
    second = plot.opens_sale() if plot.maybe(0.3) else None
    plot.wait(8, 22)
    plot.closes(first, "lost")
    if second is not None:
        plot.wait(2, 6)
        plot.closes(second, "lost")
    if plot.maybe(0.5):
        plot.wait(0.1, 3)
        plot.turns("re-nurture")


def negotiates_first(plot: Plot) -> None:
    """The way from the first visit to a qualified lead."""
    plot.looks_around(1, 3)
    plot.asks_for_a_demo_or_two()
    plot.becomes_qualified()
    plot.wait(0.5, 4)


def comes_back(plot: Plot) -> None:
    """Lost, quiet for a while, then another demo request; some are in a sale again."""
    loses(plot)
    plot.wait(10, 20)
    plot.fills("ebook")
    plot.wait(1, 4)
    plot.asks_for_a_demo()
    plot.is_called()
    if plot.maybe(0.5):
        plot.wait(2, 6)
        plot.opens_sale(MORE_SALES)


def buys(plot: Plot) -> None:
    """Becomes a customer, and goes on filling forms and buying: no rule takes it back."""
    signs(plot)
    lives_as_a_customer(plot)


def signs(plot: Plot) -> None:
    """Becomes a customer; where another sale was lost before, that moved nothing."""
    negotiates_first(plot)
    first = plot.opens_sale()
    second = plot.opens_sale() if plot.maybe(0.3) else None
    plot.wait(6, 20)
    if second is not None:
        plot.closes(second, "lost")
        plot.wait(1, 4)
    plot.closes(first, "sold")


def lives_as_a_customer(plot: Plot) -> None:
    """Forms and sales of a customer: traces end in “did not match” and “stopped by the guard”."""
    plot.wait(2, 9)
    plot.fills("webinar", plot.colleague)
    plot.wait(1, 8)
    plot.asks_for_a_demo(plot.colleague)
    if plot.maybe(0.5):
        plot.wait(2, 8)
        title = plot.opens_sale(MORE_SALES)
        plot.wait(4, 12)
        plot.closes(title, plot.chance.choice(("sold", "sold", "lost")))


# -- plots in which people decide the category -------------------------------------------------------------------------


def was_a_customer_before(plot: Plot) -> None:
    """Entered by a person as what it has been for years; its forms change nothing."""
    buyer, firm = plot.buyer, plot.firm
    company = {"name": firm.name, "domain": firm.domain, "category": "customer", "owner": plot.seller}
    contact = {"email": buyer.email, "first_name": buyer.first_name, "last_name": buyer.last_name}
    plot.tell(CustomerEntered(plot.seller, {**company, "tags": ["key account"]}, contact))
    for _ in range(plot.chance.randint(1, 3)):
        lives_as_a_customer(plot)


def leaves(plot: Plot) -> None:
    """Buys, gives notice, and comes by again: a person's Former customer stays what it is."""
    buys(plot)
    plot.wait(4, 10)
    plot.edit_company(category="former-customer")
    plot.wait(2, 8)
    plot.fills("pricing")
    plot.wait(1, 3)
    plot.asks_for_a_demo()


def becomes_a_partner(plot: Plot) -> None:
    """Wants to sell with us; a person makes it a partner."""
    plot.looks_around(1, 2)
    plot.fills("contact")
    plot.wait(3, 12)
    plot.edit_company(category="partner", owner=plot.seller, tags=["reseller"])
    plot.wait(4, 15)
    plot.asks_for_a_demo()


def is_somebody_else(plot: Plot) -> None:
    """A competitor or a journalist; a person sorts it out."""
    plot.looks_around(1, 2)
    plot.turns("disqualified")
    plot.edit_company(MARKETER, category="other", tags=[plot.chance.choice(("competitor", "press"))])
    plot.wait(3, 9)
    plot.asks_for_a_demo()


@dataclass(frozen=True, slots=True)
class Part:
    """How many companies live through a plot, and how many days ago it ended; below zero it is still going on."""

    companies: int
    plot: Callable[[Plot], None]
    ends_days_ago: tuple[float, float]


ANY_TIME = (0.5, 89.0)

TODAY = (0.02, 0.28)

PARTS = (
    Part(48, stays_curious, ANY_TIME),
    Part(3, comes_by, TODAY),
    Part(1, wants_to_be_left_to_people, (3, 30)),
    Part(23, wants_a_demo, (0.5, 85)),
    Part(2, wants_a_demo, (-2, -0.5)),
    Part(3, wants_a_demo_today, TODAY),
    Part(6, is_picked_by_marketing, (1, 60)),
    Part(9, negotiates, (-6, 15)),
    Part(2, jumps_in, (0.3, 12)),
    Part(1, jumps_in, TODAY),
    Part(9, loses, (1, 50)),
    Part(5, comes_back, (1, 12)),
    Part(12, buys, (1, 40)),
    Part(1, signs, TODAY),
    Part(5, was_a_customer_before, (1, 40)),
    Part(3, leaves, (1, 6)),
    Part(4, becomes_a_partner, (2, 40)),
    Part(3, is_somebody_else, (2, 60)),
)
