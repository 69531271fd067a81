"""The spans of time that dashboards look at: whole days in the installation's time zone, and the span before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from leadflow.errors import Fault, InvalidRequest

MAX_DAYS = 731
# Up to so many days a chart has a point for each; beyond, one for each week.
DAILY_UP_TO = 45
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class DateRange:
    """From the first day to the last one, both included."""

    key: str
    first: date
    last: date
    zone: tzinfo

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def start(self) -> datetime:
        """The moment at which it begins."""
        return _begin(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return _begin(self.last + timedelta(days=1), self.zone)

    @property
    def criterion(self) -> list[str]:
        """As criteria say it: `between` these two days."""
        return [self.first.isoformat(), self.last.isoformat()]

    @property
    def before(self) -> DateRange:
        """The span of the same length that ends where this one begins; of a whole month or quarter the one before."""
        ends = self.first - timedelta(days=1)
        months = {"month": 1, "last-month": 1, "quarter": 3, "last-quarter": 3}.get(self.key)
        starts = _back(self.first, months) if months else self.first - timedelta(days=self.days)
        return DateRange(self.key, starts, ends, self.zone)

    @property
    def step(self) -> int:
        """How many days a point of a chart stands for."""
        return 1 if self.days <= DAILY_UP_TO else 7

    @property
    def points(self) -> list[date]:
        """The first day of each point of a chart."""
        return [self.first + timedelta(days=at) for at in range(0, self.days, self.step)]


def _begin(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _back(day: date, months: int) -> date:
    """The first of a month, so many months earlier."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _last_days(count: int) -> Callable[[date], tuple[date, date]]:
    return lambda today: (today - timedelta(days=count - 1), today)


def _quarter(day: date) -> date:
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


RANGES: dict[str, Callable[[date], tuple[date, date]]] = {
    "7d": _last_days(7),
    "30d": _last_days(30),
    "90d": _last_days(90),
    "month": lambda today: (today.replace(day=1), today),
    "last-month": lambda today: (_back(today.replace(day=1), 1), today.replace(day=1) - timedelta(days=1)),
    "quarter": lambda today: (_quarter(today), today),
    "last-quarter": lambda today: (_back(_quarter(today), 3), _quarter(today) - timedelta(days=1)),
}
DEFAULT = "30d"


def read_range(key: str, first: str, last: str, now: datetime, zone: tzinfo) -> DateRange:
    """The range with this key, or from `first` to `last` (2026-10-01) if they are given. Raises: InvalidRequest."""
    if first or last or key == CUSTOM:
        return _custom(_day(first, "from"), _day(last, "until"), zone)
    if key and key not in RANGES:
        raise InvalidRequest([Fault("range", f"is not known; allowed: {', '.join([*RANGES, CUSTOM])}")])
    chosen = key or DEFAULT
    return DateRange(chosen, *RANGES[chosen](now.astimezone(zone).date()), zone)


def _custom(first: date, last: date, zone: tzinfo) -> DateRange:
    if last < first:
        raise InvalidRequest([Fault("until", "is before the first day")])
    if (last - first).days >= MAX_DAYS:
        raise InvalidRequest([Fault("until", f"is more than {MAX_DAYS} days after the first day")])
    return DateRange(CUSTOM, first, last, zone)


def _day(text: str, name: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest([Fault(name, "must be a day such as 2026-10-01")]) from None
    if not 1990 <= found.year <= 2200:
        raise InvalidRequest([Fault(name, "lies outside of what can be asked for")])
    return found
