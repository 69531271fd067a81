"""What the domain's values are called on the screens, and which colour they have. Texts for marketing ops people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l

from leadflow.domain.lifecycle import GROUP_NAMES, Group
from leadflow.rules.conditions import COUNTED_TITLES, PAST_TITLES
from leadflow.store import reads
from leadflow.store.lists import Lists

TONES = {
    "lead": "sky",
    "mql": "indigo",
    "opportunity": "amber",
    "lost-opportunity": "rose",
    "customer": "green",
    "former-customer": "clay",
    "partner": "violet",
    "other": "grey",
}
GROUP_TONES = {
    "potential_customer": "sky",
    "customer": "green",
    "partner": "violet",
    "lost": "clay",
    "other": "grey",
}
STATUS_TONES = {
    "open": "sky",
    "contacting": "amber",
    "disqualified": "grey",
    "re-nurture": "violet",
    "qualified": "green",
}


@dataclass(frozen=True, slots=True)
class Words:
    """A short label, its colour, its icon, and a sentence that explains it."""

    label: str
    tone: str
    icon: str
    sentence: str = ""


STATES = {
    "pending": Words(
        _l("Waiting"), "sky", "hourglass", _l("It is stored and waits for its turn, usually for less than a second.")
    ),
    "processed": Words(
        _l("Processed"), "green", "circle-check", _l("The rules have been tried and their changes are made.")
    ),
    "held": Words(
        _l("Held"), "amber", "player-pause", _l("It is stored, but it could not be used. Nothing has been changed.")
    ),
    "failed": Words(
        _l("Failed"),
        "red",
        "alert-triangle",
        _l("It was tried several times without success. Nothing has been changed."),
    ),
}

OUTCOMES = {
    "fired": Words(_l("Fired"), "green", "bolt", _l("All conditions held, and the rule did its work.")),
    "no_match": Words(_l("Did not match"), "grey", "minus", _l("At least one condition did not hold.")),
    "near_miss": Words(_l("Near miss"), "amber", "target", _l("All conditions but one held.")),
    "limited": Words(
        _l("Held back by its limit"), "violet", "clock", _l("The rule has acted here already within its limit.")
    ),
    "conflict_lost": Words(
        _l("Another rule went first"), "violet", "git-branch", _l("A rule before it decided the same field.")
    ),
    "blocked_by_guard": Words(
        _l("Stopped by the guard"), "rose", "shield-lock", _l("The rule matched, but the change is not allowed.")
    ),
    "proposed": Words(_l("Proposed"), "sky", "message-question", _l("The rule matched and asks a person to decide.")),
    "waiting": Words(_l("Waiting"), "sky", "hourglass", _l("The rule matched; it goes on when its wait is over.")),
    "skipped_running": Words(
        _l("Still waiting"), "violet", "clock", _l("The rule still waits here for an earlier event.")
    ),
    "brake": Words(
        _l("Stopped by the brake"), "rose", "hand-stop", _l("It would have changed too many records at once.")
    ),
    "shadow": Words(_l("Shadow"), "teal", "eye", _l("The rule only watches: it would have fired.")),
    "chain_stopped": Words(
        _l("Stopped"), "violet", "route", _l("A rule before it stopped here, or a chain was too long.")
    ),
    "error": Words(
        _l("Could not be judged"), "red", "alert-triangle", _l("A value could not be read, so nothing was decided.")
    ),
}

RULE_STATUSES = {
    "live": Words(_l("Live"), "green", "player-play", _l("It acts on every event.")),
    "shadow": Words(_l("Shadow"), "teal", "eye", _l("It watches and records what it would do, and changes nothing.")),
    "propose": Words(_l("Proposes"), "sky", "message-question", _l("It asks a person before anything changes.")),
    "draft": Words(_l("Draft"), "grey", "pencil", _l("It is checked, but it does not run.")),
    "off": Words(_l("Off"), "grey", "player-pause", _l("It rests.")),
}

SALE_STATUSES = {
    "open": Words(_l("Open"), "amber", "cash"),
    "sold": Words(_l("Sold"), "green", "cash"),
    "lost": Words(_l("Lost"), "rose", "cash"),
    "stalled": Words(_l("Stalled"), "grey", "cash"),
}

SALE_TITLES = {
    "open": "Sale registered",
    "sold": "Sale sold",
    "lost": "Sale lost",
    "stalled": "Sale stalled",
}
EVENT_TITLES = {
    "record_changed": "Edit by hand",
    "record_created": "Made by hand",
    "manual": "Rule started by hand",
    "wait_over": "A rule’s wait is over",
}
EVENT_ICONS = {
    "sale": "cash",
    "event": "click",
    "record_changed": "pencil",
    "record_created": "circle-plus",
    "manual": "hand-click",
    "wait_over": "hourglass",
}

FIELD_NAMES = {
    "category": "category",
    "lead_status": "lead status",
    "company_id": "company",
    "owner": "owner",
    "tags": "tags",
    "do_not_automate": "do not automate",
}

FORM_FIELD_ORDER = ("form", "form_type", "email", "first_name", "last_name", "company", "job_title", "phone", "country")


def outcome_of(run: reads.RunView) -> Words:
    """How the rule ended, in words; a near miss is its own outcome here."""
    return OUTCOMES["near_miss" if run.near_miss else run.outcome]


def trace_sentence(run: reads.RunView) -> str:
    """What the outcome means, with the rules that led here, if any."""
    said = outcome_of(run).sentence
    if run.guard and not is_about_guard(run):
        said = run.guard
    return f"{said} Led here by {' → '.join(run.chain)}." if run.chain else said


def is_about_guard(run: reads.RunView) -> bool:
    """Whether the words beside the outcome are the guard's; else they say of limits and of rules that went first."""
    return run.outcome not in ("limited", "conflict_lost")


def category_tone(key: str, group: str | None) -> str:
    """The colour of a category; one that the installation added takes its group's."""
    return TONES.get(key) or GROUP_TONES.get(group or "", "grey")


def status_tone(key: str) -> str:
    return STATUS_TONES.get(key, "teal")


def group_name(group: str | None) -> str:
    """`Potential customer`; a category may have no group."""
    return GROUP_NAMES[Group(group)] if group else "no group"


def company_name(company: reads.CompanyView | None) -> str:
    """The name, else the domain, else the number."""
    if company is None:
        return "Unknown company"
    return company.name or company.domain or f"Company {company.id}"


def contact_name(contact: reads.ContactView | None) -> str:
    """The name, else the address, else the number."""
    if contact is None:
        return "Unknown contact"
    name = " ".join(part for part in (contact.first_name, contact.last_name) if part)
    return name or contact.email or f"Contact {contact.id}"


def initials(name: str) -> str:
    """One or two letters for the round mark beside a name."""
    words = [word for word in name.replace("@", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


def hue_of(name: str) -> str:
    """A colour that stays the same for a name."""
    tones = ("sky", "indigo", "amber", "rose", "green", "violet", "teal", "clay")
    return tones[sum(name.encode()) % len(tones)]


def actor_words(change: reads.ChangeView) -> str:
    """Who did it, as the subject of a cause."""
    name = change.actor.name
    match change.actor.kind:
        case "rule":
            return f"rule {name}"
        case "source":
            return f"source {name}"
        case "api_key":
            return f"API key {name}"
        case "import":
            return f"import {name}"
        case "connector":
            return f"connector {name}"
        case "system":
            return "leadflow"
        case _:
            return name


def event_title(event_type: str, fields: Mapping[str, Any] | None) -> str:
    """What happened, in two or three words: `Form demo-request`, `Sale sold`."""
    known = fields or {}
    if event_type.startswith("form"):
        if fields is None:
            return "Unread form"
        return f"Form {known['form']}" if known.get("form") else "Form without a name"
    if event_type.startswith("sale"):
        return SALE_TITLES.get(known.get("status", ""), "Sale")
    return EVENT_TITLES.get(event_type, event_type.replace("_", " ").capitalize())


def event_icon(event_type: str) -> str:
    return EVENT_ICONS.get(event_type, "forms")


def field_label(lists: Lists, path: str) -> str:
    """The name of a field by its path, as the catalogue has it; `trigger` and the like read as they are."""
    known = lists.catalogue.get(path)
    if known is not None:
        return known.label
    kind, bracket, said = path.partition("(")
    if bracket and kind == "selection":
        selection = lists.catalogue.selections.get(said.removesuffix(")"))
        return f"Selection “{selection.title if selection else said.removesuffix(')')}”"
    if bracket and kind in PAST_TITLES:
        name = said.split(",")[0]
        return f"{PAST_TITLES[kind]} ({COUNTED_TITLES.get(name, name)}{said.removeprefix(name)}"
    return {"sale.step": "Sale", "trigger": "What happened", "record": "Record"}.get(path, path)


def value_words(lists: Lists, path: str, value: Any) -> str:
    """A stored value as people read it: names for keys, `blank` for nothing."""
    if value is None or value in ("", []):
        return "blank"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(one) for one in value)
    known = lists.catalogue.get(path)
    if known is not None and isinstance(value, str) and (choice := known.choice(value)):
        return choice.name
    return _moment_words(str(value))


def _moment_words(text: str) -> str:
    if len(text) < 19 or text[10:11] != "T":
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.day} {moment:%b} {moment.year}, {moment:%H:%M}"


def change_tone(lists: Lists, change: reads.ChangeView) -> str:
    """The colour of a change in a timeline: that of the value it led to."""
    if change.field == "category" and change.new is not None:
        known = lists.lifecycle.categories.get(change.new)
        return category_tone(change.new, known.group if known else None)
    return status_tone(change.new) if change.field == "lead_status" and change.new is not None else "grey"


def change_field(lists: Lists, entity: str, field: str) -> str:
    """What a change changed, inside a sentence: `category`, `lead status`, `Budget`."""
    if field in FIELD_NAMES:
        return FIELD_NAMES[field]
    known = lists.catalogue.get(f"{entity}.{field}")
    return known.label if known else field.removeprefix("fields.")


def field_lines(lists: Lists, fields: Mapping[str, Any] | None) -> list[tuple[str, str, bool]]:
    """(label, value, is readable) for what an event brought, the telling ones first."""
    known = dict(fields or {})
    unreadable = known.pop("unreadable", None) or {}
    order = {name: index for index, name in enumerate(FORM_FIELD_ORDER)}
    names = sorted((name for name in known if known[name] is not None), key=lambda name: order.get(name, len(order)))
    lines = [(_form_label(lists, name), value_words(lists, _path_of(lists, name), known[name]), True) for name in names]
    return [*lines, *((_form_label(lists, name), str(reason), False) for name, reason in unreadable.items())]


def _path_of(lists: Lists, name: str) -> str:
    """The catalogue's path of what an event brought: a form's field, else a sale's."""
    return f"form.{name}" if lists.catalogue.get(f"form.{name}") else f"sale.{name}"


def _form_label(lists: Lists, name: str) -> str:
    known = lists.catalogue.get(_path_of(lists, name))
    return known.label.removesuffix(" as entered") if known else name.replace("_", " ").capitalize()
