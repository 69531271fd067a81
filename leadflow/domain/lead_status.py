"""Lead statuses: how far the qualification of a contact is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leadflow.domain.text import fold
from leadflow.errors import UnknownValue


@dataclass(frozen=True, slots=True)
class LeadStatus:
    """One value of the installation's list; exactly one `is_default` and cannot be deleted."""

    key: str
    name: str
    rank: int
    description: str = ""
    is_default: bool = False
    deleted: bool = False
    former_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeadStatuses:
    """The list, in rank order, by key."""

    by_key: Mapping[str, LeadStatus]

    @property
    def default(self) -> LeadStatus:
        """The status that a new lead gets (Open)."""
        return next(status for status in self.by_key.values() if status.is_default)

    def status(self, key: str) -> LeadStatus:
        """The status with this key. Raises: UnknownValue."""
        try:
            return self.by_key[key]
        except KeyError:
            raise UnknownValue(f"There is no lead status '{key}'.") from None

    def resolve(self, text: str) -> LeadStatus | None:
        """The status meant by a key, name or former name, in any case; None if there is none."""
        wanted = fold(text.strip())
        found = [s for s in self.by_key.values() if wanted in _spellings(s)]
        return min(found, key=lambda s: (s.deleted, _spellings(s).index(wanted), s.rank), default=None)


def _spellings(status: LeadStatus) -> list[str]:
    return [fold(name) for name in (status.key, status.name, *status.former_names)]
