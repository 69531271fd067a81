"""Every text of the screens goes through gettext, so that a translation has all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).resolve().parents[2] / "leadflow" / "web" / "templates"

JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
# Code is code in every language.
CODE = re.compile(r'<(code|pre|kbd)\b.*?</\1>|<(\w+) class="[^"]*\bmono\b[^"]*">[^<]*</\2>', re.DOTALL)
SPOKEN = re.compile(r'\b(?:aria-label|placeholder|title|alt)="([^"]*)"')
TAG = re.compile(r"<[^>]*>")
ENTITY = re.compile(r"&[a-z]+;")
WORD = re.compile(r"[A-Za-z]{2}")
# What is the same in every language.
NAMES = {"leadflow", "· leadflow", "CSV", "whsec_…", "data", "data.fields.{label}.value"}


def bare_texts(template: str) -> list[str]:
    """What people read or hear of the template without gettext having seen it."""
    plain = JINJA.sub("\0", CODE.sub("", template))
    spoken = SPOKEN.findall(plain)
    shown = re.split("[\0\1]", ENTITY.sub(" ", TAG.sub("\1", plain)))
    return [one.strip() for one in (*spoken, *shown) if WORD.search(one) and one.strip() not in NAMES]


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_every_text_of_a_template_goes_through_gettext(path: Path) -> None:
    assert bare_texts(path.read_text()) == []


def test_a_bare_text_would_be_seen() -> None:
    seen = bare_texts('<p title="Help">{{ _("Known") }} and <b>bare</b> {{ n }} <code>rules apply</code></p>')

    assert seen == ["Help", "and", "bare"]
