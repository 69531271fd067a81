"""What a source is: where events come from and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Verification:
    """How a delivery proves where it comes from. `secrets` may hold several while one is being replaced."""

    kind: Literal["none", "standard-webhooks"] = "none"
    secrets: tuple[str, ...] = ()
    tolerance_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of `config/sources/`.

    `fields` maps a form field to the payload paths it is looked for in, in order (`data.email`); without it, names
    are matched directly. `root` is the path below which the answers are (`data`). `form_types` gives forms a type.
    `answers` is the path of each answer where a form builder wraps them (`data.fields.{label}.value`): the braces hold
    its name, which is a key of a mapping, or found at that path in each item of a list. `event` is the path of the
    event's name, where deliveries may be declared events; `events` says which declared event is meant where a sender
    has names of its own. `off` is the reason why deliveries are held, None while the source is enabled.
    """

    name: str
    kind: str
    title: str = ""
    verification: Verification = Verification()
    delivery_id_headers: tuple[str, ...] = ("webhook-id",)
    delivery_id_path: str | None = None
    root: str | None = None
    answers: str | None = None
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    form_types: Mapping[str, str] = field(default_factory=dict)
    event: str | None = None
    events: Mapping[str, str] = field(default_factory=dict)
    new_company_category: str | None = "lead"
    allow_unverified: bool = False
    off: str | None = None

    @property
    def is_verified(self) -> bool:
        """Whether a delivery has to prove where it comes from."""
        return self.verification.kind != "none"
