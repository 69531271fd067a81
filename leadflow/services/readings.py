"""What an event says, before any record is looked at: a form, a step of a sale, a change to a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leadflow.domain.events import Occurrence, SaleStep, Trigger
from leadflow.domain.fields import Unreadable, Value
from leadflow.domain.text import fold
from leadflow.services.resuming import (
    OWN_FIELDS,
    WAIT_OVER,
    Resumption,
    occurrence_from_json,
    own_fields_from_json,
    resumption_of,
)
from leadflow.sources.addresses import Address
from leadflow.sources.mapping import map_submission
from leadflow.sources.model import Source
from leadflow.sources.payloads import UnreadablePayload
from leadflow.store.inbox import ClaimedEvent
from leadflow.store.lists import Lists
from leadflow.store.values import form_to_json, kept_value

# Sources of leadflow's own events; they cannot be posted to.
SALES_SOURCE = "sales"
RECORDS_SOURCE = "records"


@dataclass(frozen=True, slots=True)
class Reading:
    """One event as read. `held` is the reason why it cannot be worked on; then the rest is empty.

    `form` also has what an `event` tells about its person; `said` are the fields below `event.`.
    """

    event: ClaimedEvent
    occurrence: Occurrence | None = None
    source: Source | None = None
    address: Address | None = None
    form: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    said: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    sale: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    user: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    company_id: int | None = None
    contact_id: int | None = None
    open_sales: int | None = None
    resumption: Resumption | None = None
    held: str | None = None

    @property
    def name(self) -> str | None:
        """The case-folded name of a declared event; None for everything else."""
        is_event = self.occurrence is not None and self.occurrence.trigger is Trigger.EVENT
        return fold(self.occurrence.detail.get("name") or "") if is_event and self.occurrence else None

    def own_fields(self) -> Mapping[str, Value | Unreadable]:
        """What the event said of its own: what is kept on it for people to read and for conditions to count by."""
        if self.resumption is not None:
            return {}
        return self.said or self.form or self.sale or self.user

    def fields_as_json(self) -> dict[str, Any]:
        """Those fields as they are kept."""
        return form_to_json(self.own_fields())


def read_event(event: ClaimedEvent, sources: Mapping[str, Source], lists: Lists) -> Reading:
    """The event read; never raises for what a sender wrote."""
    if event.type == Trigger.FORM_SUBMITTED:
        return _read_form(event, sources.get(event.source), lists)
    document = json.loads(event.body)
    common = {"company_id": document["company_id"], "contact_id": document["contact_id"]}
    if event.type == WAIT_OVER:
        return _read_wait(event, document, lists, common)
    if event.type == Trigger.MANUAL:
        detail = {"record": document["record"], "rule": document["rule"]}
        user = own_fields_from_json(lists.catalogue, "user", document["user"])
        return Reading(event, Occurrence(Trigger.MANUAL, detail), user=user, **common)
    if event.type == Trigger.SALE:
        return Reading(
            event,
            _sale_occurrence(document["step"]),
            sale=_sale_fields(document, lists),
            open_sales=document["open_sales"],
            **common,
        )
    changes = {path: (old, new) for path, (old, new) in document.get("changes", {}).items()}
    changes = {
        path: (kept_value(lists.catalogue, path, old), kept_value(lists.catalogue, path, new))
        for path, (old, new) in changes.items()
    }
    occurrence = Occurrence(Trigger(event.type), {"record": document["entity"]}, changes)
    return Reading(event, occurrence, **common)


def _read_form(event: ClaimedEvent, source: Source | None, lists: Lists) -> Reading:
    if source is None:
        return Reading(event, held=f"The source '{event.source}' is no longer configured.")
    if source.off is not None:
        return Reading(event, source=source, held=source.off)
    try:
        submission = map_submission(source, event.content_type, event.body, lists.catalogue)
    except UnreadablePayload as reason:
        return Reading(event, source=source, held=str(reason))
    address, fields = submission.address, submission.fields
    if submission.event is not None:
        occurrence = Occurrence(Trigger.EVENT, {"name": submission.event})
        said = {"at": event.received_at, **submission.event_fields}
        return Reading(event, occurrence, source, address, form=fields, said=said)
    detail = {name: _text(fields.get(name)) for name in ("form", "form_type")}
    return Reading(event, Occurrence(Trigger.FORM_SUBMITTED, detail), source, address, form=fields)


def _read_wait(event: ClaimedEvent, document: Mapping[str, Any], lists: Lists, ids: Mapping[str, Any]) -> Reading:
    """A rule that waited goes on with what its event said."""
    situation, catalogue = document["situation"], lists.catalogue
    form, said, sale, user = (own_fields_from_json(catalogue, one, situation[one]) for one in OWN_FIELDS)
    return Reading(
        event,
        occurrence_from_json(catalogue, situation),
        form=form,
        said=said,
        sale=sale,
        user=user,
        resumption=resumption_of(document),
        **ids,
    )


def _text(value: Value | Unreadable) -> str | None:
    return value if isinstance(value, str) else None


def _sale_occurrence(step: str) -> Occurrence | None:
    """None for steps that no rule can listen to (stalled, opened again)."""
    return Occurrence(Trigger.SALE, {"step": step}) if step in set(SaleStep) else None


def _sale_fields(document: Mapping[str, Any], lists: Lists) -> dict[str, Value | Unreadable]:
    return {name: kept_value(lists.catalogue, f"sale.{name}", document[name]) for name in ("status", "title", "amount")}
