"""What differs between two versions, as people read it: rule by rule, and line by line."""

from __future__ import annotations

from leadflow.services.rule_documents import difference, rule_differences

OLD = """\
leadflow: 1
lists: {rivals: [rival.example]}
rules:
  - rule: first
    title: First
    when: {form_submitted: any}
    then: [{add_tag: a}]
  - rule: second
    status: off
    when: {form_submitted: any}
    then: [{add_tag: b}]
  - rule: third
    when: {form_submitted: any}
    then: [{add_tag: c}]
"""


def words(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    return {one.slug: one.words for one in rule_differences(old, new)}


def test_each_rule_says_what_happened_to_it() -> None:
    new = (
        OLD.replace("title: First", "title: First of all\n    if: {contact.tags: {has: hot}}")
        .replace("status: off", "status: live")
        .replace("rule: third", "rule: fourth")
    )

    assert words({"a.yaml": OLD}, {"a.yaml": new}) == {
        "first": "changed: title and condition",
        "second": "switched on (off → live)",
        "third": "taken out",
        "fourth": "new (live)",
    }


def test_a_shadow_that_goes_live_is_no_switch_but_a_change() -> None:
    shadow = OLD.replace("status: off", "status: shadow")

    assert words({"a.yaml": shadow}, {"a.yaml": shadow.replace("shadow", "live")}) == {
        "second": "changed: status (shadow → live)"
    }


def test_comments_order_of_keys_and_blank_lines_change_no_rule() -> None:
    new = OLD.replace(
        "    title: First\n    when: {form_submitted: any}\n",
        "    # why\n    when: {form_submitted: any}\n\n    title: First\n",
    )

    assert rule_differences({"a.yaml": OLD}, {"a.yaml": new}) == ()
    (document,) = difference({"a.yaml": OLD}, {"a.yaml": new})
    assert (document.added_lines, document.removed_lines) == (3, 1)


def test_a_rule_that_moves_to_another_document_is_the_same_rule() -> None:
    head, _, third = OLD.partition("  - rule: third")

    moved = {"a.yaml": head, "b.yaml": f"leadflow: 1\nrules:\n  - rule: third{third}"}

    assert words({"a.yaml": OLD}, moved) == {"third": "moved to b.yaml, otherwise the same"}


def test_lists_that_differ_are_named_and_lines_have_their_numbers() -> None:
    new = OLD.replace("[rival.example]", "[rival.example, other.example]")

    (document,) = difference({"a.yaml": OLD, "b.txt": "x\n"}, {"a.yaml": new, "b.txt": "x\n"})

    assert (document.name, document.change, document.named, document.rules) == (
        "a.yaml", "changed", ("list rivals",), (),
    )  # fmt: skip
    (hunk,) = document.hunks
    changed = [(line.mark, line.old_number, line.new_number) for line in hunk.lines if line.mark != " "]
    assert changed == [("-", 2, None), ("+", None, 2)]


def test_documents_that_nobody_can_read_are_compared_by_lines_all_the_same() -> None:
    (document,) = difference({"a.yaml": "{{{"}, {"a.yaml": "leadflow: 1\nrules: []\n"})

    assert (document.change, document.rules, document.added_lines, document.removed_lines) == ("changed", (), 2, 1)
