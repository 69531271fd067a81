"""Documents as a whole: what they use of each other, names that they give, and what is unique among all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from leadflow.domain.history import History, PastEvent
from leadflow.rules.model import Rule
from leadflow.rules.parsing import ParsedRules, files_mentioned, parse_documents
from leadflow.rules.problems import render_text
from tests.unit.rules.given import CATALOGUE, NOW, document_with, make_company, situation_with

FREEMAIL = "leadflow: 1\nlists: {freemail: [gmail.com, web.de]}\n"
USES_FREEMAIL = "{form.email: {domain_in: freemail}}"


def document(rules: str, top: str = "") -> str:
    """A document with lines at its top, and rules given as their flow mappings."""
    return f"leadflow: 1\n{top}\nrules:\n" + "".join(f"  - {one}\n" for one in rules.splitlines())


def rule_text(condition: str, name: str = "tested", more: str = "") -> str:
    return f"{{rule: {name}, when: {{form_submitted: any}}, if: {condition}, then: [{{add_tag: x}}]{more}}}"


def parsed(documents: dict[str, str | bytes]) -> ParsedRules:
    return parse_documents(documents, CATALOGUE)


def places(documents: dict[str, str | bytes]) -> list[str]:
    """Every problem as `file:line:column code`."""
    return [f"{one.file}:{one.line}:{one.column} {one.code}" for one in parsed(documents).problems]


def only_rule(documents: dict[str, str | bytes]) -> Rule:
    found = parsed(documents)
    assert not found.problems, render_text(found.problems)
    (rule,) = found.rule_set.rules
    return rule


def holds(rule: Rule, **values: object) -> bool:
    judgement = rule.judge(situation_with({path.replace("__", "."): value for path, value in values.items()}))
    assert judgement.error is None
    return judgement.holds


# -- use ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "shared", "using"),
    [
        ("shared/lists.yaml", "shared/lists.yaml", "a.yaml"),
        ("shared/lists.yaml", "shared/lists.yaml", "deep/down/a.yaml"),
        ("lists.yaml", "team/lists.yaml", "team/a.yaml"),
        ("./lists.yaml", "team/lists.yaml", "team/a.yaml"),
        ("../lists.yaml", "lists.yaml", "team/a.yaml"),
        ("/lists.yaml", "lists.yaml", "team/a.yaml"),
        ("./shared/../lists.yaml", "lists.yaml", "a.yaml"),
    ],
)
def test_a_used_document_is_named_from_the_root_or_from_the_document_that_uses_it(path, shared, using):
    rule = only_rule({using: document(rule_text(USES_FREEMAIL), f"use: [{path}]"), shared: FREEMAIL})

    assert holds(rule, form__email="anna@gmail.com")
    assert not holds(rule, form__email="anna@nordwind.example")


def test_a_path_that_may_mean_two_documents_is_refused_until_it_says_which():
    both = {"lists.yaml": FREEMAIL, "team/lists.yaml": "leadflow: 1\nlists: {freemail: [web.de]}\n"}
    using = {path: document(rule_text(USES_FREEMAIL), f"use: [{path}]") for path in ("lists.yaml", "./lists.yaml")}

    (problem,) = [
        one for one in parsed({**both, "team/a.yaml": using["lists.yaml"]}).problems if one.file == "team/a.yaml"
        and one.code == "ambiguous-file"
    ]  # fmt: skip

    assert "lists.yaml or team/lists.yaml" in problem.message
    found = parsed({**both, "team/a.yaml": using["./lists.yaml"]})
    assert [one.code for one in found.problems] == ["missing-key"], "the other one is used by nobody and has no rules"
    assert not holds(found.rule_set.rules[0], form__email="anna@gmail.com")


@pytest.mark.parametrize("order", list(permutations(["a.yaml", "b.yaml", "c.yaml"])))
def test_a_circle_of_uses_is_told_at_every_place_of_it(order):
    texts = {
        "a.yaml": document(rule_text("{company.name: x}"), "use: [b.yaml]"),
        "b.yaml": "leadflow: 1\nuse: [c.yaml]\nlists: {b: [x]}\n",
        "c.yaml": "leadflow: 1\nuse: [b.yaml]\nlists: {c: [x]}\n",
    }

    problems = parsed({name: texts[name] for name in order}).problems

    assert [(one.file, one.line, one.column, one.code) for one in problems] == [
        ("b.yaml", 2, 7, "use-circle"),
        ("c.yaml", 2, 7, "use-circle"),
    ]
    assert problems[0].message.endswith("b.yaml → c.yaml → b.yaml")


@pytest.mark.parametrize(
    ("shared", "what"),
    [
        (document(rule_text("{company.name: x}", "other")), "rules"),
        ("leadflow: 1\nvars: {a: b}\nlists: {b: [c]}\n", "vars"),
        ("leadflow: 1\ngroups: {a: {pick: first}}\nlists: {b: [c]}\n", "groups"),
    ],
)
def test_a_used_document_has_lists_and_segments_only(shared, what):
    using = document(rule_text("{company.name: x}"), "use: [b.yaml]")

    (problem,) = parsed({"a.yaml": using, "b.yaml": shared}).problems

    assert (problem.file, problem.line, problem.column, problem.code) == ("a.yaml", 2, 7, "not-shared")
    assert f"'b.yaml' has {what}" in problem.message


def test_only_a_used_document_may_lack_rules():
    using = document(rule_text(USES_FREEMAIL), "use: [b.yaml]")

    assert places({"a.yaml": using, "b.yaml": FREEMAIL}) == []
    assert places({"a.yaml": document(rule_text("{company.name: x}")), "b.yaml": FREEMAIL}) == [
        "b.yaml:1:1 missing-key"
    ]


def test_a_document_that_cannot_be_read_makes_no_other_one_look_unused():
    assert places({"a.yaml": "leadflow: 1\nuse: [b.yaml]\nrules: [\n", "b.yaml": FREEMAIL}) == ["a.yaml:4:1 syntax"]


def test_what_a_used_document_uses_itself_is_its_own_affair():
    between = "leadflow: 1\nuse: [c.yaml]\nsegments: {private: {form.email: {domain_in: freemail}}}\n"
    documents = {"b.yaml": between, "c.yaml": FREEMAIL}

    rule = only_rule({**documents, "a.yaml": document(rule_text("{segment: private}"), "use: [b.yaml]")})

    assert holds(rule, form__email="anna@web.de")
    direct = {**documents, "a.yaml": document(rule_text(USES_FREEMAIL), "use: [b.yaml]")}
    assert [one.split()[1] for one in places(direct)] == ["unknown-list"]


def test_a_name_stands_in_one_document_only():
    own = document(rule_text(USES_FREEMAIL), "use: [b.yaml, c.yaml]\nlists: {freemail: [x.example]}")
    segments = "leadflow: 1\nsegments: {s: {company.name: x}}\n"

    assert places({"a.yaml": own, "b.yaml": FREEMAIL, "c.yaml": FREEMAIL}) == [
        "a.yaml:2:7 duplicate-name",
        "a.yaml:2:15 duplicate-name",
    ]
    using = document(rule_text("{segment: s}"), "use: [b.yaml, c.yaml]")
    assert places({"a.yaml": using, "b.yaml": segments, "c.yaml": segments}) == ["a.yaml:2:15 duplicate-name"]


def test_a_document_is_used_once():
    using = document(rule_text(USES_FREEMAIL), "use: [b.yaml, ./b.yaml]")

    assert places({"a.yaml": using, "b.yaml": FREEMAIL}) == ["a.yaml:2:15 duplicate-use"]


def test_a_list_file_is_no_document_to_use():
    using = document(rule_text("{company.name: x}"), "use: [b.txt]")

    assert places({"a.yaml": using, "b.txt": "x"}) == ["a.yaml:2:7 unknown-file"]


def test_an_anchor_in_a_used_document_is_refused_there():
    using = document(rule_text(USES_FREEMAIL), "use: [b.yaml]")

    assert places({"a.yaml": using, "b.yaml": "leadflow: 1\nlists: {freemail: &all [gmail.com]}\n"}) == [
        "b.yaml:2:19 anchor"
    ]


# -- lists and their files ---------------------------------------------------------------------------------------------

FROM_FILE = document(rule_text(USES_FREEMAIL), "lists: {freemail: {file: lists/freemail.txt}}")


@pytest.mark.parametrize(
    "content",
    [
        "gmail.com\nweb.de\n",
        "# providers\n\n  gmail.com  # Google\n\t\nweb.de",
        "gmail.com\r\nweb.de\r\n",
        b"\xef\xbb\xbfGMAIL.COM\nweb.de\n",
    ],
)
def test_a_list_file_has_one_value_a_line(content):
    rule = only_rule({"a.yaml": FROM_FILE, "lists/freemail.txt": content})

    assert [holds(rule, form__email=f"anna@{host}") for host in ("gmail.com", "web.de", "google")] == [
        True,
        True,
        False,
    ]


def test_values_of_a_list_file_are_normalised_as_stored_text_is():
    text = document(rule_text("{company.name: {in: names}}"), "lists: {names: {file: names.txt}}")
    rule = only_rule({"a.yaml": text, "names.txt": "Ma\u0308rz   und\tSo\u0308hne\nC# House\nnull\n"})

    assert holds(rule, company__name="März und Söhne")
    assert holds(rule, company__name="c# house")
    assert holds(rule, company__name="null")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("gmail.com\nnot a domain\n", "lists/freemail.txt:2:1 unreadable-value"),
        ("gmail.com\n  a@b.example # no\n", "lists/freemail.txt:2:3 unreadable-value"),
        ("", "lists/freemail.txt:1:1 empty-list"),
        ("# nothing\n\n", "lists/freemail.txt:1:1 empty-list"),
        ("gmail.com\nx\0y\n", "lists/freemail.txt:2:2 control-character"),
        ("gmail.com\n\ud800\n", "lists/freemail.txt:2:1 control-character"),
        (b"gmail.com\ncaf\xe9.fr\n", "lists/freemail.txt:2:4 encoding"),
        (b"\xff", "lists/freemail.txt:1:1 encoding"),
        ("gmail.com\n" * 110_000, "lists/freemail.txt:1:1 too-large"),
    ],
)
def test_a_fault_of_a_list_file_is_told_in_the_file(content, expected):
    found = parsed({"a.yaml": FROM_FILE, "lists/freemail.txt": content})

    assert [f"{one.file}:{one.line}:{one.column} {one.code}" for one in found.problems] == [expected]
    assert not found.rule_set.rules, "a rule whose list has a fault must not run without it"


def test_a_list_file_that_nobody_names_is_checked_for_what_no_database_can_keep():
    good = document(rule_text("{company.name: x}"))

    assert places({"a.yaml": good, "b.txt": "x\n"}) == []
    assert places({"a.yaml": good, "b.txt": "x\0"}) == ["b.txt:1:2 control-character"]


def test_a_fault_in_a_shared_list_is_told_once_where_it_stands():
    shared = "leadflow: 1\nlists:\n  freemail:\n    - gmail.com\n    - gmail\n"
    rules = "\n".join(rule_text(USES_FREEMAIL, f"rule-{number}") for number in range(5))
    text = document(rules, "use: [b.yaml]")

    found = parsed({"a.yaml": text, "b.yaml": shared, "c.yaml": text.replace("rule-", "more-")})

    assert [(one.file, one.line, one.source_line) for one in found.problems] == [("b.yaml", 5, "    - gmail")]
    assert not found.rule_set.rules


def test_a_fault_in_a_list_of_a_past_clause_keeps_the_rule_from_running():
    condition = "{event_count: {of: form_submitted, where: {email: {domain_in: freemail}}, gte: 2}}"
    text = document(rule_text(condition), "use: [b.yaml]")

    found = parsed({"a.yaml": text, "b.yaml": "leadflow: 1\nlists: {freemail: [gmail]}\n"})

    assert [one.file for one in found.problems] == ["b.yaml"]
    assert not found.rule_set.rules


def test_a_list_may_hold_what_suits_one_field_and_not_another():
    rules = "\n".join(
        [rule_text("{company.category: {in: words}}", "a"), rule_text("{company.name: {in: words}}", "b")]
    )

    assert places({"a.yaml": document(rules, "lists: {words: [Lead, Leed]}")}) == ["a.yaml:2:23 unknown-value"]


# -- variables ---------------------------------------------------------------------------------------------------------


def test_a_variable_stands_for_its_value_wherever_it_stands_alone():
    top = "vars: {gap: 90 days, home: Europe/Oslo, who: anna, name: 'Null'}\nsettings: {timezone: $home}"
    condition = "{all: [{contact.created_at: {older_than: $gap}}, {company.name: [$name, B]}]}"
    text = document(rule_text(condition, more=", limit: {once_per: contact, within: $gap}, owner: $who"), top)

    rule = only_rule({"a.yaml": text})

    assert rule.limit is not None
    assert rule.limit.within == timedelta(days=90)
    assert (rule.owner, str(rule.zone)) == ("anna", "Europe/Oslo")
    old = NOW - timedelta(days=90, seconds=1)
    assert holds(rule, contact__created_at=old, company__name="null")
    assert not holds(rule, contact__created_at=NOW - timedelta(days=90), company__name="null")


@pytest.mark.parametrize("written", ["'$gap'", '"$gap"', "$gap and more", "$100", "a$gap", "$"])
def test_a_dollar_in_quotes_or_within_a_text_is_text(written):
    text = document(rule_text(f"{{company.name: {written}}}"), "vars: {gap: 90 days}")

    assert holds(only_rule({"a.yaml": text}), company__name=written.strip("'\""))


def test_a_name_is_never_a_variable():
    assert places({"a.yaml": document(rule_text("{$gap: x}"), "vars: {gap: company.name}")})[0].endswith("unknown-key")


def test_an_unused_variable_is_fine():
    assert places({"a.yaml": document(rule_text("{company.name: x}"), "vars: {gap: 90 days}")}) == []


def test_an_unknown_variable_is_told_once_with_the_nearest_name():
    text = document(rule_text("{contact.created_at: {older_than: $nurture_gab}}"), "vars: {nurture_gap: 90 days}")

    (problem,) = parsed({"a.yaml": text}).problems

    assert (problem.code, problem.suggestion, problem.allowed) == ("unknown-variable", "$nurture_gap", ("nurture_gap",))
    assert problem.source_line[problem.column - 1 :].startswith("$nurture_gab")


def test_a_variable_with_a_fault_has_one_problem_wherever_it_is_meant():
    text = document(rule_text("{contact.created_at: {older_than: $gap}}"), "vars: {gap: [a]}")

    assert [one.split()[1] for one in places({"a.yaml": text})] == ["wrong-type"]


def test_variables_end_with_their_document():
    other = document(rule_text("{company.name: $gap}", "other"))

    documents = {"a.yaml": document(rule_text("{company.name: x}"), "vars: {gap: a}"), "b.yaml": other}
    assert [one.split()[1] for one in places(documents)] == ["unknown-variable"]


# -- segments ----------------------------------------------------------------------------------------------------------


def test_a_segment_is_a_condition_that_many_rules_name():
    big, lead = "{company.fields.employees: {gte: 50}}", "{all: [{segment: big}, {company.category: Lead}]}"
    top = f"segments:\n  big: {big}\n  big_lead: {lead}"
    rule = only_rule({"a.yaml": document(rule_text("{none: [{segment: big_lead}]}"), top)})

    assert not holds(rule, company__fields__employees=50, company__category="lead")
    assert holds(rule, company__fields__employees=49, company__category="lead")
    assert holds(rule, company__fields__employees=50, company__category="mql")


def test_a_segment_is_read_in_its_own_document():
    """Its days are those of its own time zone, its lists and segments the ones that it sees."""
    shared = (
        "leadflow: 1\nsettings: {timezone: Pacific/Kiritimati}\nlists: {names: [x]}\n"
        "segments: {s: {all: [{contact.created_at: {on: 2026-06-15}}, {company.name: {in: names}}]}}\n"
    )
    using = document(rule_text("{segment: s}"), "use: [b.yaml]\nsettings: {timezone: America/New_York}")
    rule = only_rule({"a.yaml": using, "b.yaml": shared})

    assert holds(rule, contact__created_at=datetime(2026, 6, 14, 10, tzinfo=UTC), company__name="x")
    assert not holds(rule, contact__created_at=datetime(2026, 6, 15, 12, tzinfo=UTC), company__name="x")


def test_a_faulty_segment_is_told_once_and_no_rule_runs_without_it():
    top = "segments: {bad: {company.category: Leed}, unused: {company.nam: x}}"
    rules = "\n".join(rule_text("{all: [{segment: bad}, {company.name: x}]}", f"rule-{number}") for number in range(3))

    found = parsed({"a.yaml": document(rules, top)})

    assert [one.code for one in found.problems] == ["unknown-value", "unknown-field"]
    assert not found.rule_set.rules


@pytest.mark.parametrize("order", list(permutations(["a", "b", "c"])))
def test_a_circle_of_segments_is_shown(order):
    asks = {"a": "b", "b": "c", "c": "a"}
    top = "segments:\n" + "".join(f"  {name}: {{any: [{{segment: {asks[name]}}}]}}\n" for name in order)

    found = parsed({"a.yaml": document(rule_text("{segment: a}"), top)})

    (problem,) = found.problems
    first = order[0]
    assert problem.code == "segment-circle"
    assert problem.message.endswith(" → ".join([first, asks[first], asks[asks[first]], first]))
    assert not found.rule_set.rules


def chain(length: int, *, top_down: bool) -> str:
    """Segments of which each asks for the next one."""
    lines = [f"  s{number}: {{segment: s{number + 1}}}\n" for number in range(1, length)]
    lines.append(f"  s{length}: {{company.name: x}}\n")
    return "segments:\n" + "".join(lines if top_down else reversed(lines))


@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize(("length", "fits"), [(8, True), (9, False), (4_000, False)])
def test_segments_ask_for_segments_eight_levels_deep_at_most(length, fits, top_down):
    found = parsed({"a.yaml": document(rule_text("{segment: s1}"), chain(length, top_down=top_down))})

    assert {one.code for one in found.problems} <= {"too-deep", "too-many-problems"}
    assert bool(found.problems) is not fits
    assert bool(found.rule_set.rules) is fits


def test_the_deepest_conditions_can_be_judged():
    def nested(inner: str) -> str:
        for _ in range(7):
            inner = f"{{all: [{inner}]}}"
        return inner

    lines = "".join(f"  s{number}: {nested(f'{{segment: s{number + 1}}}')}\n" for number in range(1, 8))
    top = f"segments:\n{lines}  s8: {nested('{company.name: x}')}\n"

    assert holds(only_rule({"a.yaml": document(rule_text("{segment: s1}"), top)}), company__name="x")


def test_segments_that_multiply_end_with_a_problem():
    lines = "".join(
        f"  s{number}: {{all: [{', '.join([f'{{segment: s{number + 1}}}'] * 40)}]}}\n" for number in range(5)
    )
    top = f"segments:\n{lines}  s5: {{company.name: x}}\n"

    found = parsed({"a.yaml": document(rule_text("{segment: s0}"), top)})

    assert {one.code for one in found.problems} == {"too-many-clauses"}
    assert not found.rule_set.rules


def test_a_rule_has_a_thousand_clauses_at_most():
    clauses = ", ".join("{company.name: x}" for _ in range(1_001))

    assert places({"a.yaml": document(rule_text(f"{{any: [{clauses}]}}"))}) == ["a.yaml:4:53 too-many-clauses"]
    assert places({"a.yaml": document(rule_text(f"{{any: [{clauses.removesuffix(', {company.name: x}')}]}}"))}) == []


NEEDS = {
    "form": "{form.email: {exists: true}}",
    "event": "{event.minutes: {gt: 5}}",
    "sale": "{sale.amount: {gt: 5}}",
    "user": "{user.role: editor}",
    "contact": "{contact.first_name: anna}",
    "company": "{company.name: x}",
    "change": "{company.category: {changed: true}}",
    "before": "{before.company.category: Lead}",
    "same as form": "{company.name: {same_as: form.company}}",
    "same as before": "{company.owner: {same_as: before.company.owner}}",
    "events of the contact": "{event_count: {of: sale, by: contact, gte: 1}}",
    "events of the company": "{last_event: {of: sale, by: company, older_than: 1 day}}",
    "change of the contact": "{last_change: {field: contact.lead_status, older_than: 1 day}}",
    "change of the company": "{last_change: {field: company.category, older_than: 1 day}}",
    "hours": "{now: {weekday_in: [mon]}}",
}
ALWAYS = {"company", "events of the company", "change of the company", "hours"}
OF_CONTACT = {"contact", "events of the contact", "change of the contact"}
EVERY = "{schedule: {every: day, for_each: %s}}"
BROUGHT = [
    ("{form_submitted: any}", ALWAYS | OF_CONTACT | {"form", "same as form"}),
    ("{event: {name: email_opened}}", ALWAYS | OF_CONTACT | {"event"}),
    ("{sale: sold}", ALWAYS | OF_CONTACT | {"sale"}),
    ("{manual: contact}", ALWAYS | OF_CONTACT | {"user"}),
    ("{record_created: contact}", ALWAYS | OF_CONTACT),
    ("{record_changed: [company.category]}", ALWAYS | OF_CONTACT | {"change", "before", "same as before"}),
    (EVERY % "contact", ALWAYS | OF_CONTACT),
    (EVERY % "company", ALWAYS),
    ("[{form_submitted: any}, {sale: sold}]", ALWAYS | OF_CONTACT),
    ("[{record_changed: [company.category]}, {sale: sold}]", ALWAYS | OF_CONTACT),
]


@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.parametrize(("when", "brought"), BROUGHT, ids=[when for when, _ in BROUGHT])
def test_a_segment_may_ask_only_for_what_the_trigger_brings(when, brought, need):
    """And it is told exactly where the clause itself would be."""
    rule = f"{{rule: r, when: {when}, if: %s, then: [{{create_task: x}}], limit: {{once_per: company}}}}"
    named = parsed({"a.yaml": document(rule % "{segment: s}", f"segments: {{s: {NEEDS[need]}}}")}).problems
    plain = parsed({"a.yaml": document(rule % NEEDS[need])}).problems

    assert [one.code for one in named] == ([] if need in brought else ["unavailable-field"])
    assert bool(plain) is bool(named)


# -- groups ------------------------------------------------------------------------------------------------------------


def test_a_rule_names_its_group():
    text = document(
        rule_text("{company.name: x}", more=", group: qualification"), "groups: {qualification: {pick: first}}"
    )

    assert only_rule({"a.yaml": text}).group == "qualification"


def test_a_group_belongs_to_one_document():
    top = "groups: {g: {pick: first}}"
    first, second = (document(rule_text("{company.name: x}", name, ", group: g"), top) for name in ("a", "b"))

    assert places({"a.yaml": first, "b.yaml": second}) == ["b.yaml:2:10 duplicate-group"]
    assert places({"a.yaml": first, "b.yaml": second.replace(top, "")}) == ["b.yaml:4:96 unknown-group"]


# -- hostile and large -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("leadflow: 1\nlists: {a: [" + "x, " * 350_000 + "x]}\n", "too-large"),
        ("leadflow: 1\nsegments: {s: " + "{all: [" * 3_000, "too-deep"),
        ("leadflow: 1\nlists: {a: " + "[" * 3_000, "too-deep"),
        ("leadflow: 1\nlists: &l {a: [x]}\nsegments: *l\n", "anchor"),
        ("leadflow: 1\nuse: [*b]\n", "anchor"),
        ('leadflow: 1\nuse: ["\\0", "//", "/", "..", "."]\n', "unreadable-value"),
    ],
)
def test_a_used_document_may_be_anything(text, code):
    using = document(rule_text("{segment: s}"), "use: [b.yaml]")

    found = parsed({"a.yaml": using, "b.yaml": text})

    assert code in {one.code for one in found.problems if one.file == "b.yaml"}
    assert len(found.problems) < 10


def test_a_long_list_is_read_once_however_many_rules_name_it():
    domains = "".join(f"free-{number}.example\n" for number in range(20_000))
    rules = "\n".join(rule_text(USES_FREEMAIL, f"rule-{number}") for number in range(40))
    text = document(rules, "lists: {freemail: {file: f.txt}}")

    operands = [rule.condition.tests[0].operand for rule in parsed({"a.yaml": text, "f.txt": domains}).rule_set.rules]  # type: ignore[union-attr]

    assert len(operands[0].value) == 20_000
    assert len({id(one.value) for one in operands}) == 1


# -- which files a document means --------------------------------------------------------------------------------------


def test_the_files_that_a_document_means_are_found_without_its_rules():
    text = "leadflow: 1\nuse: [../s.yaml, b.yaml]\nlists: {x: {file: f.txt}, y: [a], z: {file: [g.txt]}}\nrules: {\n"

    assert files_mentioned("team/a.yaml", text) == ()
    assert files_mentioned("team/a.yaml", text.removesuffix("rules: {\n")) == (
        "s.yaml", "b.yaml", "team/b.yaml", "f.txt", "team/f.txt",
    )  # fmt: skip
    assert files_mentioned("a.yaml", "[x]") == files_mentioned("a.yaml", b"\xff") == ()


# -- past --------------------------------------------------------------------------------------------------------------


def test_a_named_past_clause_counts_as_the_clause_itself_does():
    top = "segments: {twice: {event_count: {of: sale, by: company, gte: 2}}}"
    rule = only_rule({"a.yaml": document(rule_text("{segment: twice}"), top)})

    def fires(*events: PastEvent) -> bool:
        return rule.judge(replace(situation_with({"company.name": "x"}), history=History(events))).holds

    first, second = (PastEvent(number, "sale", NOW, {}, make_company().id) for number in range(2))
    assert not fires(first)
    assert fires(first, second)


def test_documents_without_use_are_read_as_before():
    assert places({"a.yaml": document_with("{company.name: x}")}) == []
