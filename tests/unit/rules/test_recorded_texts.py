"""A recorded test finds its place in the text of its rule."""

from __future__ import annotations

import yaml

from leadflow.services.recorded_texts import with_test

RECORDED = """\
# Run 7 of one, version 2 of the rules.
leadflow: 1
tests:
- test: one as it was in run 7
  rule: one
  given:
    company: {category: lead}
  expect: {outcome: fired}
"""
TWO_RULES = """\
leadflow: 1

rules:
  - rule: one
    title: First
    when: {form_submitted: any}
    then:
      - add_tag: a

  # About the second.
  - rule: two
    title: Second
"""


def test_a_rule_without_tests_gets_them_below_its_last_line() -> None:
    text = with_test(TWO_RULES, "one", RECORDED)

    document = yaml.safe_load(text)
    assert document["rules"][0]["tests"] == [
        {
            "test": "one as it was in run 7",
            "given": {"company": {"category": "lead"}},
            "expect": {"outcome": "fired"},
        }
    ]
    assert "      - add_tag: a\n    tests:\n      # Run 7 of one" in text
    assert "\n\n  # About the second.\n  - rule: two" in text


def test_a_rule_with_tests_gets_one_more() -> None:
    text = with_test(with_test(TWO_RULES, "one", RECORDED), "one", RECORDED.replace("run 7", "run 8"))

    assert [one["test"] for one in yaml.safe_load(text)["rules"][0]["tests"]] == [
        "one as it was in run 7",
        "one as it was in run 8",
    ]


def test_the_last_rule_before_other_parts_keeps_its_place() -> None:
    text = with_test(TWO_RULES + "\nlists:\n  a: [b]\n", "two", RECORDED.replace("one", "two"))

    document = yaml.safe_load(text)
    assert len(document["rules"][1]["tests"]) == 1
    assert document["lists"] == {"a": ["b"]}


def test_a_rule_in_one_line_has_its_test_among_those_of_the_document() -> None:
    text = with_test("leadflow: 1\nrules: [{rule: one, when: {manual: contact}}]\n", "one", RECORDED)

    assert yaml.safe_load(text)["tests"][0]["rule"] == "one"
    again = with_test(text, "one", RECORDED)
    assert len(yaml.safe_load(again)["tests"]) == 2
