"""Selections: records with a name, found by a condition or chosen one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from leadflow.domain.text import fold


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selection means: `condition` is the rule language as JSON; None is a static one, which has members.

    Plain dates in the condition are days in `zone`, whoever asks for the selection and from wherever.
    """

    id: int
    slug: str
    title: str
    subject: Literal["company", "contact"]
    condition: Any | None = None
    zone: str = "UTC"

    @property
    def is_static(self) -> bool:
        return self.condition is None


def find_selection(selections: Mapping[str, Selection], name: str) -> Selection | None:
    """The selection with this slug or title, in any case; `selections` are by slug."""
    wanted = fold(" ".join(name.split()))
    by_title = (one for one in selections.values() if fold(one.title) == wanted)
    return selections.get(wanted) or next(by_title, None)
