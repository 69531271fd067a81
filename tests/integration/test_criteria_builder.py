"""The criteria builder shows every condition, and what its form sends back means the same."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from flask import render_template
from sqlalchemy import Connection
from werkzeug.datastructures import MultiDict

from leadflow.errors import InvalidRequest
from leadflow.rules.parsing.json_conditions import Names, read_json_condition
from leadflow.services.searches import ROOTS
from leadflow.store.conditions import Subject
from leadflow.web.pages.criteria import build
from leadflow.web.pages.criteria_lines import KEPT, condition_of, sets_from, sets_of
from tests.integration.test_conditions_agree import connection as agreeing_connection
from tests.integration.test_conditions_agree import found_in_memory, situations
from tests.support.random_conditions import CATALOGUE, Conditions, write_world
from tests.support.scenes import Scene

world = agreeing_connection
LISTS: Any = SimpleNamespace(catalogue=CATALOGUE)
NAMES = Names()


class _Form(HTMLParser):
    """What a browser would send of the fields in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._select: tuple[str, str | None, bool] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "input" and "name" in said:
            is_box = said.get("type") == "checkbox"
            if not is_box or "checked" in said:
                self.sent.append((said["name"], said.get("value", "")))
        elif tag == "select":
            self._select = (said["name"], None, False)
        elif tag == "option" and self._select:
            name, chosen, is_marked = self._select
            if "selected" in said or chosen is None:
                self._select = (name, said.get("value", chosen or ""), "selected" in said or is_marked)
                self._is_text = "value" not in said

    def handle_data(self, data: str) -> None:
        if self._select and getattr(self, "_is_text", False):
            self._select, self._is_text = (self._select[0], data.strip(), self._select[2]), False

    def handle_endtag(self, tag: str) -> None:
        if tag == "select" and self._select:
            self.sent.append((self._select[0], self._select[1] or ""))
            self._select = None


@pytest.fixture
def page(scene: Scene) -> Iterator[Scene]:
    with scene.client.application.test_request_context("/"):
        yield scene


def sent_back(subject: Subject, where: Any, lists: Any = LISTS, names: Names = NAMES) -> Any:
    """The condition that a browser sends of the builder that shows `where`."""
    shown = build(subject, sets_of(where, subject, lists.catalogue), lists, names)
    html = render_template("parts/criteria_alone.html", criteria=shown)
    return condition_of(sets_from(MultiDict(_Form(html).sent)))


@pytest.mark.parametrize("subject", ["contact", "company"])
def test_what_the_builder_sends_back_means_what_it_was_shown(page: Scene, world: Connection, subject: Subject) -> None:
    random = Random(44)
    write_world(world, random, companies=25, contacts=60)
    everybody = situations(world, subject)
    maker, in_lines = Conditions(random, subject), 0

    for _ in range(120):
        where = maker.condition()
        try:
            meant = read_json_condition(where, CATALOGUE, frozenset(ROOTS[subject]), NAMES)
        except InvalidRequest:
            continue
        back = sent_back(subject, where)
        again = read_json_condition(back, CATALOGUE, frozenset(ROOTS[subject]), NAMES)
        assert meant is not None
        assert again is not None, (where, back)
        assert found_in_memory(again, everybody) == found_in_memory(meant, everybody), (where, back)
        in_lines += all(line.about != KEPT for lines in sets_of(where, subject, CATALOGUE) for line in lines)

    assert in_lines > 40, "hardly anything fits into lines"
