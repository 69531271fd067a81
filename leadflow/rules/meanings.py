"""What outcomes, errors, filters and limits mean, for people. tests/unit/test_docs.py finds what is missing."""

from __future__ import annotations

from leadflow.domain.fields import MAX_NUMBER_DIGITS, MAX_TEXT_LENGTH
from leadflow.rules.durations import MAX_DURATION, UNITS
from leadflow.rules.model import Outcome
from leadflow.rules.operands import MAX_PATTERN_LENGTH
from leadflow.rules.parsing.named_lists import MAX_LIST_BYTES
from leadflow.rules.parsing.rule import DEFAULT_PRIORITY, MAX_SLUG_LENGTH
from leadflow.rules.parsing.segments import MAX_CLAUSES
from leadflow.rules.parsing.segments import MAX_DEPTH as MAX_SEGMENT_DEPTH
from leadflow.rules.parsing.yaml_tree import MAX_DEPTH, MAX_DOCUMENT_BYTES
from leadflow.rules.problems import MAX_PROBLEMS_PER_DOCUMENT
from leadflow.rules.templates import MAX_TEMPLATE_LENGTH

OUTCOME_MEANINGS = {
    Outcome.FIRED: "All conditions held, and the rule did its work.",
    Outcome.NO_MATCH: "At least one condition did not hold. With exactly one false it is a near miss.",
    Outcome.LIMITED: "The rule has acted here already within its limit.",
    Outcome.CONFLICT_LOST: "A rule before it decided the same field, or acted for the same group.",
    Outcome.BLOCKED_BY_GUARD: "The rule matched, but the guard does not allow the change.",
    Outcome.PROPOSED: "The rule has status `propose`: a person is asked.",
    Outcome.SHADOW: "The rule has status `shadow`: it would have acted.",
    Outcome.SKIPPED_RUNNING: "The rule is waiting for this record already, and `if_running` says to skip.",
    Outcome.WAITING: "The rule has begun and waits; it goes on later.",
    Outcome.CHAIN_STOPPED: "One change led to the next too often, or to the same rule again.",
    Outcome.BRAKE: "A sweep would have changed too many records; a person must allow it.",
    Outcome.ERROR: "A value could not be read, so nothing was decided.",
}

ERROR_MEANINGS = {
    "ambiguous-file": "Several documents have this name; write more of the path.",
    "anchor": "`&name` and `*name` are not read; write the value out.",
    "bad-name": "A name has characters that names do not have.",
    "bad-slug": "The id of a rule has other characters than small letters, digits and single hyphens.",
    "bad-template": "Something in `{{ … }}` is not allowed, or a field that may be blank has no `default`.",
    "broken-selection": "What the selection asks for cannot be read any more; open it and mend it.",
    "control-character": "The document has a character that cannot be seen.",
    "duplicate-group": "Two groups have one name.",
    "duplicate-key": "A key stands twice.",
    "duplicate-name": "Two documents declare one name.",
    "duplicate-rule": "Two rules have one id.",
    "duplicate-use": "A document is used twice.",
    "duplicate-value": "Somebody stands twice in a list of those who take turns.",
    "empty-document": "There is nothing in the document.",
    "empty-list": "A list has no items.",
    "empty-range": "The end comes before the beginning.",
    "empty-value": "There is nothing after the colon.",
    "encoding": "The file is not UTF-8 text.",
    "failing-test": "A test of a live rule fails; mend the rule or the test.",
    "merge-key": "`<<` is not read; write the lines where they belong.",
    "missing-key": "Something that is needed is not there.",
    "no-company": "A test has colleagues and no company.",
    "no-contact": "The rule has no contact to look at or to act on.",
    "not-shared": "A document that others use has more than lists and segments.",
    "not-writable": "Rules cannot write this field.",
    "schedule-alone": "A schedule is the only trigger of its rule.",
    "segment-circle": "Segments ask for each other in a circle.",
    "selection-circle": "Selections ask for each other in a circle.",
    "several-documents": "There is a second document after `---`.",
    "syntax": "This is not YAML; often a wrong indentation or a missing quotation mark.",
    "tag": "`!!type` is not read; the field decides the type.",
    "too-deep": "Too many levels, of the document, of segments in segments or of selections in selections.",
    "too-few-values": "Taking turns needs two or more.",
    "too-large": "The file is too large.",
    "too-many": "A test has too many entries.",
    "too-many-clauses": "A condition has too many clauses, those of its segments included.",
    "too-many-keys": "A clause, trigger or action has more than one key; each has a line with its own `-`.",
    "too-many-problems": "There are more problems below; mend these first.",
    "unavailable-field": "The field exists, but this rule's trigger does not bring it.",
    "unknown-action": "There is no such action.",
    "unknown-channel": "There is no such channel; an administrator sets them up.",
    "unknown-column": "A table of tests has a column that means nothing.",
    "unknown-endpoint": "There is no such endpoint; an administrator sets them up.",
    "unknown-event": "The event is not declared in `config/fields.yaml`.",
    "unknown-field": "There is no such field.",
    "unknown-file": "There is no such document or list file.",
    "unknown-group": "The group is not declared under `groups`.",
    "unknown-key": "There is no such key here.",
    "unknown-list": "The list is not declared under `lists`.",
    "unknown-operator": "There is no such operator.",
    "unknown-rule": "A test is for a rule that is not there.",
    "unknown-segment": "The segment is not declared under `segments`.",
    "unknown-selection": "There is no such selection.",
    "unknown-trigger": "There is no such trigger.",
    "unknown-value": "The field's list has no such value.",
    "unknown-variable": "The variable is not declared under `vars`.",
    "unreadable-value": "The value is not what is expected here: a number, a duration, a day.",
    "unsupported-version": "The document is written for another version of the language.",
    "use-circle": "Documents use each other in a circle.",
    "useless-key": "The key does nothing in this rule.",
    "useless-wait": "Nothing comes after the last `wait`.",
    "variable-in-variable": "A variable refers to another one.",
    "wrong-keys": "A test needs exactly one of these keys.",
    "wrong-kind": "The field is of another kind than this needs.",
    "wrong-operator": "The operator does not work on this kind of field, or not under this trigger.",
    "wrong-type": "A list stands where one value is meant, or the other way round.",
}

# What the checks of rules without mistakes find: an error keeps them from being published, the others do not.
FINDING_MEANINGS = {
    "also-blank": (
        "note",
        "The clause also matches records whose field is blank. Is that meant? See [Blanks](rules.md#blanks).",
    ),
    "always-true": ("warning", "The clause always holds; it can be left out."),
    "conflict": ("warning", "Two live rules can match together and write different values; the one tried first wins."),
    "implied": ("warning", "The clause follows from the others; it can be left out."),
    "inactive-status": ("warning", "Lead status is not active where the rule sets it; the guard will refuse."),
    "never-true": ("error, or warning for one alternative of several", "The rule or the clause can never hold."),
    "outside-graph": ("error, or warning if only sometimes", "The lifecycle has no such step; the guard will refuse."),
    "selects-itself": ("warning", "A scheduled rule would find its own records again."),
    "subsumed": ("warning", "The rule can never act: another one always decides before it."),
    "too-many-pairs": ("note", "So many rules may meet that not all pairs were compared."),
    "trigger-cycle": ("warning", "Rules set each other off in a circle."),
}

FILTER_MEANINGS = {
    "default": "`default('there')`: this text where the field is blank",
    "upper": "IN CAPITALS",
    "lower": "in small letters",
    "title": "Each Word With A Capital",
    "date": "the day of a date or moment, such as 2026-03-01",
    "number": "a number with thousands apart; `number(2)` with two decimals",
}

LIMITS = (
    ("a document", f"{MAX_DOCUMENT_BYTES // 1024} kB, {MAX_DEPTH} levels deep"),
    ("a list in a file of its own", f"{MAX_LIST_BYTES // 1024} kB"),
    ("the id of a rule", f"{MAX_SLUG_LENGTH} characters"),
    ("the clauses of a condition", f"{MAX_CLAUSES:,}, those of its segments included"),
    ("segments in segments", f"{MAX_SEGMENT_DEPTH} levels"),
    ("a duration", f"1 minute to {MAX_DURATION.days:,} days; units: {', '.join(f'{unit}s' for unit in UNITS)}"),
    ("a text", f"{MAX_TEXT_LENGTH:,} characters"),
    ("a text with `{{ … }}`", f"{MAX_TEMPLATE_LENGTH:,} characters"),
    ("a pattern of `like`", f"{MAX_PATTERN_LENGTH:,} characters"),
    ("a number", f"{MAX_NUMBER_DIGITS} digits"),
    ("`priority`", f"0 to 100; {DEFAULT_PRIORITY} where nothing is said"),
    ("problems shown of one document", f"{MAX_PROBLEMS_PER_DOCUMENT}"),
)
