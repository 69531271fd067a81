"""Faults of `config/fields.yaml` are all told at once, each by its name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from leadflow.errors import ConfigurationError
from leadflow.services.configuration import Configuration, read_configuration

CONFIG = Path(__file__).parents[2] / "config"


def configured(folder: Path, fields: str, source: str = "") -> Configuration:
    shutil.copy(CONFIG / "lifecycle.yml", folder)
    (folder / "fields.yaml").write_text(fields)
    if source:
        (folder / "sources").mkdir()
        (folder / "sources" / "mine.yaml").write_text(f"source: mine\nkind: generic\n{source}")
    return read_configuration(folder, {})


def test_events_and_their_fields_are_read_in_their_order(tmp_path):
    found = configured(
        tmp_path,
        "event: [{name: minutes, type: number}]\nevents: [{name: b_done, label: B is done}, {name: a_done}]\n",
        "event: type\nevents: {a.done: a_done}\n",
    )

    assert list(found.events.items()) == [("b_done", "B is done"), ("a_done", "A done")]
    assert [one.path for one in found.custom_fields] == ["event.minutes"]
    assert (found.sources["mine"].event, found.sources["mine"].events) == ("type", {"a.done": "a_done"})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("contact: [{name: a, type: text}, {name: a, type: number}]", "contact: 'a' is declared 2 times"),
        ("contact: [{name: a, type: text}]\ncontact: []", "'contact' stands twice in one mapping"),
        ("form: [{name: email, type: text}]", "form: 'email' is there already, rules name it form.email"),
        ("event: [{name: at, type: moment}]", "event: 'at' is there already, rules name it event.at"),
        ("contact: [{name: size, type: enumeration}]", "contact: 'size' is an enumeration and needs choices"),
        ("contact: [{name: size, type: text, choices: {a: A}}]", "'size' has choices, but is of type text"),
        ("contact: [{name: s, type: enumeration, choices: {a: Big, b: BIG}}]", "'big' means two choices, a and b"),
        ("contact: [{name: Size, type: text}]", "contact.0.name"),
        ("contact: [{name: size, type: string}]", "contact.0.type"),
        ("events: [{name: x}, {name: x}]", "events: 'x' is declared 2 times"),
        ("events: [{name: form_submitted}]", "events: 'form_submitted' is built in"),
        ("events: [{name: sale}]", "events: 'sale' is built in"),
        ("events: [{name: Webinar attended}]", "events.0.name"),
        ("events: {x: X}", "events"),
        ("event: [", "not readable as YAML"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path, fields, words):
    with pytest.raises(ConfigurationError) as raised:
        configured(tmp_path, fields)

    assert words in str(raised.value)
    assert "fields.yaml" in str(raised.value)


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(ConfigurationError) as raised:
        configured(tmp_path, "form: [{name: email, type: text}]\nevents: [{name: sale}]\n", "events: {x: y}\n")

    assert len(str(raised.value).splitlines()) == 3


def test_a_source_may_not_mean_an_event_that_is_not_declared(tmp_path):
    with pytest.raises(ConfigurationError, match=r"mine\.yaml: events: 'a_don' is not declared .* 'a_done'\?"):
        configured(tmp_path, "events: [{name: a_done}]\n", "events: {x: a_don}\n")
