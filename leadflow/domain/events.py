"""What happened: the occurrences that trigger rules, and who caused a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Trigger(StrEnum):
    """The triggers a rule may name under `when`."""

    FORM_SUBMITTED = "form_submitted"
    EVENT = "event"
    SALE = "sale"
    RECORD_CREATED = "record_created"
    RECORD_CHANGED = "record_changed"
    SCHEDULE = "schedule"
    MANUAL = "manual"


class SaleStep(StrEnum):
    """What a sale may do that rules listen to."""

    REGISTERED = "registered"
    SOLD = "sold"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One thing that happened to a company or contact; rules are tried against it.

    `detail` is what the trigger filters on: the form's key and type, the event's name, the sale's step, the record.
    `changes` maps a field path to (old, new) under record_changed. `chain` names the rules whose changes led here.
    """

    trigger: Trigger
    detail: Mapping[str, str | None] = field(default_factory=dict)
    changes: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    chain: tuple[str, ...] = ()
    is_import: bool = False

    @property
    def is_from_rule(self) -> bool:
        return bool(self.chain)


class ActorKind(StrEnum):
    """Who may cause a change. Persons and connectors are outside the guard; the rest is automation."""

    PERSON = "person"
    API_KEY = "api_key"
    RULE = "rule"
    SOURCE = "source"
    IMPORT = "import"
    CONNECTOR = "connector"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: `id` is the account, key, rule-set version or source; `name` is what people read (a rule's slug)."""

    kind: ActorKind
    id: str | None
    name: str
    acts_as_person: bool = False

    @property
    def is_automation(self) -> bool:
        """Whether the no-downgrade guard binds this actor."""
        return not (self.acts_as_person or self.kind in (ActorKind.PERSON, ActorKind.CONNECTOR))


SYSTEM = Actor(ActorKind.SYSTEM, None, "leadflow")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a change was made: the actor, and the event (or sweep) and run it belongs to.

    `action` tells a rule's actions apart; with event, rule and record it makes an effect unique in the ledger.
    """

    actor: Actor
    event_id: int | None = None
    run_id: int | None = None
    action: str = ""
    sweep_id: int | None = None
