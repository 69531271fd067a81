"""What a plan keeps of the runs that it plays through, where a worker would write them: counts, and some samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from leadflow.domain.records import Company, Contact
from leadflow.rules.model import Outcome
from leadflow.services.runs import Run
from leadflow.services.sweeps import has_acted

# What tests and the curious get to see: all runs of one record, in the order in which they happened.
Watch = Callable[[Sequence[Run]], object]

# The lists whose values are counted before and after, by entity and field.
COUNTED = (("company", "category"), ("contact", "lead_status"))


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One value that would change, as a trace has it: keys for enumerations. A task or message has no id."""

    entity: str
    entity_id: int | None
    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class PlanSample:
    """One record that the rule would act on: who it is, how its run would end, and what would change."""

    record: Literal["company", "contact"]
    company_id: int | None
    contact_id: int | None
    name: str
    outcome: str
    changes: list[PlannedChange]
    guard: str | None


class _Marks:
    """A set of ids, an eighth of a byte each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> bool:
        """Whether the id is new to the set."""
        place, bit = divmod(number, 8)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits) + 4_096))
        is_new = not self._bits[place] >> bit & 1
        self._bits[place] |= 1 << bit
        return is_new


@dataclass
class Tally:
    """The runs of one rule's plan, added up.

    `is_each_alone`: each record was judged as if nothing had happened to the others, so a company that several of
    its contacts would move is moved once.
    """

    slug: str
    wanted_samples: int
    is_each_alone: bool = False
    watch: Watch = lambda runs: None
    judged: int = 0
    matching: int = 0
    touched: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    followed_by: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str, str | None, str | None]] = field(default_factory=Counter)
    samples: list[PlanSample] = field(default_factory=list)
    _moved: dict[tuple[str, str], _Marks] = field(default_factory=lambda: {one: _Marks() for one in COUNTED})

    def note(self, runs: Sequence[Run]) -> None:
        """Add what happened to one record."""
        self.judged += 1
        self.watch(runs)
        own = next((run for run in runs if run.rule.slug == self.slug), None)
        if own is None:
            return
        self.outcomes[own.outcome.value] += 1
        self.matching += own.judgement.holds
        self._note_conflicts(own, runs)
        if own.guard and own.outcome is Outcome.BLOCKED_BY_GUARD:
            self.refusals[own.guard] += 1
        if has_acted(own):
            self._note_act(own, runs)

    def _note_conflicts(self, own: Run, runs: Iterable[Run]) -> None:
        """Whom the rule loses to, and who loses to it."""
        self.conflicts.update((winner, self.slug) for winner in own.lost_to)
        self.conflicts.update((self.slug, run.rule.slug) for run in runs if self.slug in run.lost_to)

    def _note_act(self, own: Run, runs: Sequence[Run]) -> None:
        self.touched += 1
        if len(self.samples) < self.wanted_samples:
            self.samples.append(_sample(own))
        following = [run for run in runs if self.slug in run.occurrence.chain]
        self.followed_by.update(run.rule.slug for run in following if has_acted(run))
        for run in (own, *(run for run in following if run.outcome in (Outcome.FIRED, Outcome.WAITING))):
            self._note_moves(run)

    def _note_moves(self, run: Run) -> None:
        for change in run.made:
            marks = self._moved.get((change.entity, change.field))
            if marks is None or change.entity_id < 0:
                continue
            if not self.is_each_alone or marks.add(change.entity_id):
                self.moves[change.entity, change.field, _key(change.old), _key(change.new)] += 1

    def after(self, entity: str, name: str, before: Mapping[str | None, int]) -> dict[str | None, int]:
        """The counts by value of a list, once the rule has acted."""
        counts = Counter(before)
        for (moved, moved_field, old, new), records in self.moves.items():
            if (moved, moved_field) == (entity, name):
                counts[old] -= records
                counts[new] += records
        return dict(counts)


def _key(value: Any) -> str | None:
    return None if value is None else str(value)


def _sample(run: Run) -> PlanSample:
    record: Literal["company", "contact"] = "company" if run.contact is None else "contact"
    changes = [
        PlannedChange(one["entity"], one.get("entity_id"), one["field"], one["old"], one["new"]) for one in run.changes
    ]
    name = name_of(run.contact or run.company)
    return PlanSample(record, run.company_id, run.contact_id, name, run.outcome.value, changes, run.guard)


def name_of(record: Company | Contact | None) -> str:
    """What people call the record."""
    match record:
        case None:
            return ""
        case Contact():
            whole = " ".join(part for part in (record.first_name, record.last_name) if part)
            return whole or record.email or f"contact {record.id}"
        case Company():
            return record.name or record.domain or f"company {record.id}"
