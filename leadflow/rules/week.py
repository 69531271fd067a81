"""Hours of the week: `{weekday_in: [mon, tue], between: ["08:00", "17:00"]}`, in the document's time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, tzinfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """Weekdays (0 is Monday; None: all) and a span of the day, both ends included; it may go past midnight."""

    weekdays: frozenset[int] | None
    between: tuple[time, time] | None
    zone: tzinfo

    @property
    def words(self) -> str:
        """`is mon, tue between 08:00 and 17:00`."""
        days = "" if self.weekdays is None else ", ".join(WEEKDAYS[day] for day in sorted(self.weekdays))
        hours = "" if self.between is None else "between {:%H:%M} and {:%H:%M}".format(*self.between)
        return " ".join(part for part in ("is", days, hours) if part)

    def include(self, moment: datetime) -> bool:
        """Whether the moment lies in these hours, by the clock on the wall of the zone."""
        local = moment.astimezone(self.zone)
        return self._is_day(local) and self._is_hour(local.time().replace(second=0, microsecond=0))

    def _is_day(self, local: datetime) -> bool:
        return self.weekdays is None or local.weekday() in self.weekdays

    def _is_hour(self, clock: time) -> bool:
        if self.between is None:
            return True
        start, end = self.between
        return start <= clock <= end if start <= end else clock >= start or clock <= end
