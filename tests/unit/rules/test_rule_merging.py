"""Two edits of one rule document put together, or told apart."""

from __future__ import annotations

from leadflow.services.rule_merging import merge_documents

BASE = """\
# Ours.
leadflow: 1

rules:
  # The first.
  - rule: one
    status: live
  - rule: two
    status: live

tests:
  - test: a
"""


def test_edits_of_different_rules_are_both_taken() -> None:
    mine = BASE.replace("rule: one\n    status: live", "rule: one\n    status: off")
    theirs = BASE.replace("rule: two\n    status: live", "rule: two\n    status: shadow")

    merged = merge_documents(BASE, mine, theirs)

    assert merged.is_clean
    assert merged.text == mine.replace("rule: two\n    status: live", "rule: two\n    status: shadow")


def test_a_rule_that_both_changed_is_shown_with_both_sides_and_mine_is_kept() -> None:
    mine, theirs = BASE.replace("live", "off", 1), BASE.replace("live", "draft", 1).replace("test: a", "test: b")

    merged = merge_documents(BASE, mine, theirs)

    assert [one.rule for one in merged.disputes] == ["one"]
    assert "off" in (merged.disputes[0].mine or "")
    assert "draft" in (merged.disputes[0].theirs or "")
    assert "status: off" in merged.text
    assert "test: b" in merged.text


def test_a_new_rule_stands_behind_the_one_that_it_followed() -> None:
    mine = BASE.replace("  - rule: two", "  - rule: new\n    status: off\n  - rule: two")
    theirs = BASE.replace("  # The first.\n  - rule: one\n    status: live\n", "")

    merged = merge_documents(BASE, mine, theirs)

    assert merged.is_clean
    assert "rule: one" not in merged.text
    assert merged.text.index("rule: new") < merged.text.index("rule: two")


def test_a_rule_taken_out_by_one_and_changed_by_the_other_is_disputed() -> None:
    mine = BASE.replace("  - rule: two\n    status: live\n", "")
    theirs = BASE.replace("rule: two\n    status: live", "rule: two\n    status: off")

    merged = merge_documents(BASE, mine, theirs)

    assert [(one.rule, one.mine) for one in merged.disputes] == [("two", None)]


def test_the_same_edit_by_both_is_one_edit() -> None:
    both = BASE.replace("live", "off")

    assert merge_documents(BASE, both, both).text == both
    assert merge_documents(BASE, BASE, both).text == both
    assert merge_documents(BASE, both, BASE).text == both
