"""What the demo's forms send: who fills them, what they say, and which campaign brought the visitor."""

from __future__ import annotations

import json
from random import Random
from urllib.parse import urlencode

from leadflow.demo.cast import Firm, Person
from leadflow.demo.steps import Delivery

SITE = "https://www.ourcompany.example"
PAGES = {
    "newsletter": "/news",
    "whitepaper": "/library/lead-management-guide",
    "ebook": "/library/from-lead-to-customer",
    "webinar": "/webinars/qualify-faster",
    "webinar-recording": "/webinars/recordings",
    "contact": "/contact",
    "pricing": "/pricing",
    "demo-request": "/demo",
}

# What people fill in out of interest, and how often.
INTEREST = {
    "whitepaper": 24, "newsletter": 20, "webinar": 17, "ebook": 14, "webinar-recording": 9, "contact": 9, "pricing": 7,
}  # fmt: skip

# (source, medium, campaign) and how many of a hundred visitors come that way; no source: straight to the site.
ORIGINS = {
    ("linkedin", "paid-social", "lead-to-customer"): 21,
    ("google", "cpc", "lead-management"): 18,
    ("newsletter", "email", "monthly-news"): 17,
    ("partner", "referral", "partner-days"): 7,
    ("trade-fair", "event", "fair-follow-up"): 6,
    ("bing", "cpc", "crm-switch"): 4,
    ("google", "organic", None): 12,
    (None, None, None): 15,
}

MESSAGES = {
    "contact": (
        "Could somebody call me back this week?",
        "We are comparing three systems and have a few questions about imports.",
        "Is there an interface to our web shop?",
        "Our contract with the present supplier ends in spring. What would a move look like?",
        "Do you work with partners in our region?",
    ),
    "pricing": (
        "Please send a price for 25 users.",
        "What does the yearly plan cost for a team of ten?",
        "Is there a discount for non-profit organisations?",
    ),
    "demo-request": (
        "We would like to see how leads are handed over to sales.",
        "Could you show us the rules with our own examples?",
        "There would be four of us, Tuesday or Wednesday suits best.",
        "Please include reporting in the demo.",
    ),
}
INTERESTS = ("lead scoring", "reporting", "web forms", "integrations", "data quality")


def fill_form(chance: Random, form: str, person: Person, firm: Firm | None) -> Delivery:
    """A form as its builder delivers it: most as JSON; the contact form is an old one that posts as browsers do."""
    answers = _answers(chance, form, person, firm) | _origin(chance)
    if form == "contact":
        body = urlencode({_old_name(name): value for name, value in answers.items()})
        return Delivery("application/x-www-form-urlencoded", body.encode())
    return _as_json(answers)


def _answers(chance: Random, form: str, person: Person, firm: Firm | None) -> dict[str, object]:
    answers: dict[str, object] = {
        "form": form,
        "email": person.email,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "country": person.country,
        "page_url": SITE + PAGES[form],
        "consent": "yes",
    }
    if firm is not None:
        answers |= {"company": firm.name, "job_title": person.job_title}
    if form in MESSAGES:
        answers["message"] = chance.choice(MESSAGES[form])
    if form == "demo-request":
        answers["interest"] = sorted(chance.sample(INTERESTS, 2))
        answers["phone"] = f"+44 1632 960{chance.randint(0, 999):03}"
    if form == "pricing":
        answers["budget"] = chance.choice((5_000, 12_000, 20_000, 45_000))
    return answers


def _origin(chance: Random) -> dict[str, object]:
    source, medium, campaign = chance.choices(list(ORIGINS), list(ORIGINS.values()))[0]
    origin = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign}
    return {name: value for name, value in origin.items() if value}


def _old_name(name: str) -> str:
    return {"email": "your-email", "message": "your-message"}.get(name, name)


def _as_json(answers: object) -> Delivery:
    return Delivery("application/json", json.dumps(answers, ensure_ascii=False).encode())


def spoilt_deliveries() -> list[Delivery]:
    """What goes wrong with forms now and then; each is held with its reason."""
    nobody = {"form": "newsletter", "first_name": "Edith", "page_url": SITE + PAGES["newsletter"]}
    mistyped = {"form": "webinar", "email": "jonas.at.work", "first_name": "Jonas", "last_name": "Ek"}
    broken = Delivery("application/json", b'{"form": "contact", "email": "lena.voss@werkhof')
    empty = Delivery("application/json", b"")
    return [_as_json(nobody), broken, _as_json(mistyped), empty, _as_json({**nobody, "first_name": "Tove"})]
