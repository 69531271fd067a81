"""Examples: a record, made up, that is one of a condition's cases. The evaluator has the last word on each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Catalogue, Value
from leadflow.domain.history import History, PastChange, PastEvent
from leadflow.domain.records import Company, Contact, FirstTouch
from leadflow.rules.conditions import Condition
from leadflow.rules.durations import MAX_DURATION
from leadflow.rules.linting.cases import NO as NOT_SO
from leadflow.rules.linting.cases import YES as SO
from leadflow.rules.linting.cases import Algebra, Case, Cases, ChangedKey, HoursKey, Key, PastKey, SameKey, TriggerKey
from leadflow.rules.linting.domains import Chosen, Domain, Hours, Values, space_of
from leadflow.rules.linting.lines import Line, line_of
from leadflow.rules.linting.texts import Texts, TextSets
from leadflow.rules.linting.times import Times, moment_of, ticks_of
from leadflow.rules.model import Situation
from leadflow.rules.values import BEFORE, as_text

COMPANY_ID, CONTACT_ID = 1, 2

# As many cases of one condition are tried, and as many minutes for one that asks for hours of the week.
MAX_TRIED = 32
MINUTES_TRIED = 8 * 24 * 60

# Nobody wants to see an example with more events than this.
MAX_EVENTS = 1_000

ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Example:
    """A situation, and the fields that matter in it by path, as people read them."""

    situation: Situation
    shown: Mapping[str, str]

    @property
    def words(self) -> str:
        """`company.category is Lead and contact.tags is blank`."""
        return " and ".join(f"{path} is {value}" for path, value in self.shown.items())


def find_example(algebra: Algebra, cases: Cases, holds: Callable[[Situation], bool]) -> Example | None:
    """A situation in one of the cases that `holds`; None where none is found."""
    for case in islice(cases.possible(algebra.now), MAX_TRIED):
        for now in moments_for(case, algebra.now):
            example = _Maker(algebra, case, now).make()
            if example is not None and holds(example.situation):
                return example
    return None


def moments_for(case: Case, now: datetime) -> Iterator[datetime]:
    """Moments of asking at which the case can be: now, if it is one; first ones of later days, if days matter."""
    nows = case.possible_nows(now)
    hours = {key: domain.values for key, domain in case.domains.items() if isinstance(key, HoursKey)}
    days = [domain.values for domain in case.domains.values() if isinstance(domain.values, Times)]
    first = [low[0] for low, _ in nows.spans[:1]]
    for ticks in (*first, *(at for one in days for start in first for at in one.nows_of_next_days(start))):
        moment = moment_of(ticks)
        for _ in range(MINUTES_TRIED if hours and moment else 0):
            if moment is None or all(_include(mask, moment, key) for key, mask in hours.items()):
                break
            moment += ONE_MINUTE
        if moment is not None and nows.holds(ticks_of(moment)):
            yield moment


def _include(values: Values, moment: datetime, key: HoursKey) -> bool:
    return isinstance(values, Hours) and values.include(moment, key.zone)


class NothingFound(Exception):
    """No value was found for a field; there may be one all the same."""


class _Maker:
    """Makes one example of one case."""

    def __init__(self, algebra: Algebra, case: Case, now: datetime) -> None:
        self._algebra = algebra
        self._catalogue: Catalogue = algebra.catalogue
        self._domains: dict[Key, Domain] = dict(case.domains)
        self._now = now
        self._ticks = ticks_of(now)
        self._values: dict[str, Any] = {}

    def make(self) -> Example | None:
        try:
            self._choose_values()
            return Example(self._situation(), self._shown())
        except NothingFound:
            return None

    # -- values ----------------------------------------------------------------------------------------------------

    def _choose_values(self) -> None:
        for path in self._changed(NOT_SO):
            if BEFORE + path in self._domains:
                self._unite([path, BEFORE + path])
        for group in _groups(self._pairs(SO)):
            self._unite(sorted(group))
        for key, domain in self._domains.items():
            if isinstance(key, str):
                self._values[key] = self._pick(domain)
        for one, other in map(sorted, self._pairs(NOT_SO)):
            self._part(one, other)
        for path in self._changed(SO):
            self._values |= {one: self._values.get(one) for one in (path, BEFORE + path)}
            self._part(BEFORE + path, path, blanks_are_equal=True)

    def _pairs(self, wanted: Domain) -> list[frozenset[str]]:
        return [key.paths for key, domain in self._domains.items() if isinstance(key, SameKey) and domain == wanted]

    def _changed(self, wanted: Domain) -> list[str]:
        return [key.path for key, domain in self._domains.items() if isinstance(key, ChangedKey) and domain == wanted]

    def _unite(self, paths: Sequence[str]) -> None:
        """Give the fields one common domain, so that they get the same value."""
        known = [self._domains[path] for path in paths if path in self._domains]
        joined = known[0]
        for domain in known[1:]:
            if _kind_of(domain.values) != _kind_of(joined.values):
                raise NothingFound
            joined &= domain
        if joined.is_empty:
            raise NothingFound
        self._domains |= dict.fromkeys(paths, joined)

    def _part(self, one: str, other: str, *, blanks_are_equal: bool = False) -> None:
        """Make the two fields different, if they came out the same."""
        mine, theirs = self._values.get(one), self._values.get(other)
        if mine != theirs or (mine is None and not blanks_are_equal):
            return
        for path in (other, one):
            domain = self._domains.get(path) or self._space(path).everything()
            values = excluding(domain.values, mine) if mine is not None else domain.values
            try:
                self._values[path] = self._pick(Domain(values, domain.has_blank and mine is not None))
            except NothingFound:
                continue
            return
        raise NothingFound

    def _space(self, path: str) -> Any:
        return space_of(self._catalogue.fields[path.removeprefix(BEFORE)], self._now.tzinfo)  # type: ignore[arg-type]

    def _pick(self, domain: Domain) -> Any:
        """A value of the domain; blank (None) only where there is no other."""
        value = _pick_from(domain.values, self._ticks)
        if value is None and not domain.has_blank:
            raise NothingFound
        return value

    # -- the situation ---------------------------------------------------------------------------------------------

    def _situation(self) -> Situation:
        own = {root: self._own_fields(root) for root in ("form", "sale", "event", "user")}
        record = self._trigger("record")
        return Situation(
            self._occurrence(),
            self._now,
            company=self._company(),
            contact=None if record == "company" else self._contact(),
            history=self._history(),
            **own,
        )

    def _own_fields(self, root: str) -> dict[str, Any]:
        prefix = f"{root}."
        named = {path.removeprefix(prefix): value for path, value in self._values.items() if path.startswith(prefix)}
        return {name: value for name, value in named.items() if value is not None}

    def _trigger(self, name: str) -> Any:
        domain = self._domains.get(TriggerKey(name))
        return None if domain is None or not isinstance(domain.values, Chosen) else min(domain.values.values)

    def _occurrence(self) -> Occurrence:
        values = self._values
        detail = {
            "form": values.get("form.form"),
            "form_type": values.get("form.form_type"),
            "name": values.get("event.name"),
            "step": self._trigger("sale.step"),
            "record": self._trigger("record"),
        }
        changes = {
            path.removeprefix(BEFORE): (old, values.get(path.removeprefix(BEFORE)))
            for path, old in values.items()
            if path.startswith(BEFORE)
        }
        trigger = self._trigger("trigger") or (Trigger.RECORD_CHANGED if changes else Trigger.FORM_SUBMITTED)
        return Occurrence(trigger, {name: value for name, value in detail.items() if value is not None}, changes)

    def _company(self) -> Company:
        return Company(COMPANY_ID, **self._record_values("company"))

    def _contact(self) -> Contact:
        return Contact(CONTACT_ID, company_id=COMPANY_ID, **self._record_values("contact"))

    def _record_values(self, record: str) -> dict[str, Any]:
        values: dict[str, Any] = {"fields": {}}
        touch: dict[str, Any] = {}
        for path, value in self._values.items():
            root, _, name = path.partition(".")
            if root != record:
                continue
            if name.startswith("fields."):
                values["fields"][name.removeprefix("fields.")] = value
            elif name.startswith("first_touch."):
                touch[name.removeprefix("first_touch.")] = value
            else:
                values[name] = () if name == "tags" and value is None else value
        return values | ({"first_touch": FirstTouch(**touch)} if touch else {})

    # -- the past --------------------------------------------------------------------------------------------------

    def _history(self) -> History:
        history = History()
        for key, domain in self._domains.items():
            if isinstance(key, PastKey):
                self._note(history, key, self._pick(domain))
        return history

    def _note(self, history: History, key: PastKey, value: Any) -> None:
        if value is None:
            return
        if key.kind == "last_change":
            path, sources, targets = key.asked
            record_id = COMPANY_ID if path.startswith("company.") else CONTACT_ID
            history.note_change(PastChange(path, record_id, _any_of(sources), _any_of(targets), value))
            return
        name, by, where, within = key.asked
        own = self._event_fields(where)
        ids = {"company_id": COMPANY_ID} if by == "company" else {"contact_id": CONTACT_ID}
        # What counts ever happened before every window, so that it does not count there.
        at_counted = self._now if within else self._now - 2 * MAX_DURATION
        if key.kind == "event_count" and value > MAX_EVENTS:
            raise NothingFound
        moments = [value] if key.kind == "last_event" else [at_counted] * int(value)
        for number, at in enumerate(moments, 1):
            history.note_event(PastEvent(number, name, at, own, **ids))

    def _event_fields(self, where: Condition | None) -> dict[str, Any]:
        """Fields of an event that is one of those meant."""
        possible = self._algebra.cases(where).possible(self._now)
        if not possible:
            raise NothingFound
        maker = _Maker(self._algebra, possible[0], self._now)
        maker._choose_values()
        return {path.partition(".")[2]: value for path, value in maker._values.items() if value is not None}

    # -- words -----------------------------------------------------------------------------------------------------

    def _shown(self) -> dict[str, str]:
        shown = {}
        for path, value in sorted(self._values.items()):
            field = self._catalogue.get(path.removeprefix(BEFORE))
            if field is not None:
                shown[path] = as_text(field, self._now.tzinfo)(value) or "blank"  # type: ignore[arg-type]
        return shown


def event_like(algebra: Algebra, where: Condition | None, now: datetime) -> dict[str, Any]:
    """The own fields of an event that is one of those meant by `where`. Raises: NothingFound."""
    return _Maker(algebra, Case({}), now)._event_fields(where)


def excluding(values: Values, value: Any) -> Values:
    """The values without this one."""
    match values:
        case Chosen():
            return Chosen(values.values - {value})
        case Line(is_whole=is_whole):
            return values & ~line_of([value], is_whole=is_whole)
        case Texts():
            return values & Texts(without=frozenset({value}))
        case TextSets():
            return values & TextSets(has=frozenset({"other-" + "-".join(value)}))
        case _:
            return values


def _pick_from(values: Values, now: int) -> Value:
    if values.is_empty:
        return None
    match values:
        case Chosen():
            return min(values.values, key=str)  # type: ignore[no-any-return]
        case Times():
            return values.pick(now)
        case Line():
            return Decimal(values.pick())
        case Hours():
            return None
        case _:
            return values.pick()


def _kind_of(values: Values) -> tuple[type, bool]:
    """Days are not moments."""
    return type(values), isinstance(values, Times) and values.zone is not None


def _any_of(values: frozenset[Any] | None) -> Any:
    return None if values is None else min(values, key=lambda one: (one is None, str(one)))


def _groups(pairs: Iterable[frozenset[str]]) -> list[set[str]]:
    """Fields that have one value, by pairs that do."""
    groups: list[set[str]] = []
    for pair in pairs:
        touching = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair]
        groups.append(set(pair).union(*touching))
    return groups
