"""YAML as an editor reads it, by version 1.2: numbers, truth and null are guessed; dates and `no` are texts."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _EditorLoader(yaml.SafeLoader):
    """PyYAML with the guesses of YAML 1.2 in place of those of 1.1."""


_EditorLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[.][0-9]+|[0-9]+(?:[.][0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?[.](?:inf|Inf|INF)|[.](?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _EditorLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def load_as_an_editor(text: str) -> Any:
    """The document's value. Raises: yaml.YAMLError."""
    return yaml.load(text, Loader=_EditorLoader)
