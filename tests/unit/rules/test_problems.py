"""Every mistake is reported at its place, all in one run; and how problems are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import Problem, render_github, render_json, render_text
from tests.unit.rules.given import CATALOGUE, document_with

HEADER = "leadflow: 1\nrules:\n"


# An installation that knows its endpoints and channels.
INSTALLED = replace(CATALOGUE, endpoints=frozenset({"crm"}), channels=frozenset({"sales-team"}))


def problems_of(content: str | bytes, name: str = "a.yaml") -> tuple[Problem, ...]:
    return parse_documents({name: content}, INSTALLED).problems


def rule_text(rule: str) -> str:
    """A document with one rule, whose lines are given without the dash."""
    return HEADER + "  - " + rule.replace("\n", "\n    ") + "\n"


def with_top(top: str, condition: str) -> str:
    """A document with one more line at its top, after the settings."""
    return document_with(condition).replace("rules:", f"{top}\nrules:")


def test_a_file_with_twelve_different_mistakes_reports_all_twelve_at_their_places():
    text = (Path(__file__).parent / "twelve_mistakes.yaml").read_text()

    found = [(one.line, one.column, one.code, one.suggestion) for one in problems_of(text)]

    assert found == [
        (7, 5, "unknown-key", "title"),
        (11, 35, "unknown-value", "Lead"),
        (12, 35, "unknown-list", "freemail"),
        (13, 11, "unknown-field", "company.category"),
        (14, 26, "wrong-operator", None),
        (15, 44, "unreadable-value", None),
        (16, 11, "unavailable-field", None),
        (17, 43, "unreadable-value", None),
        (18, 38, "empty-value", None),
        (21, 22, "bad-template", None),
        (22, 11, "duplicate-rule", None),
        (24, 13, "unknown-action", "set_category"),
    ]


def test_a_set_with_problems_still_has_its_other_documents_checked():
    good = document_with("{company.name: x}")
    parsed = parse_documents({"a.yaml": "leadflow: [1", "b.yaml": "leadflow: 2\nrules: [x]", "c.yaml": good}, CATALOGUE)

    assert [(one.file, one.code) for one in parsed.problems] == [
        ("a.yaml", "syntax"),
        ("b.yaml", "unsupported-version"),
        ("b.yaml", "wrong-type"),
    ]


# What is wrong, at which line:column, under which code. Rules stand from line 3, column 5 on.
MISTAKES: list[tuple[str, str, str]] = [
    # -- YAML that surprises
    ("leadflow: 1\nrules: [\n", "3:1", "syntax"),
    ("leadflow: 1\nrules:\n\t- rule: a\n", "3:1", "syntax"),
    ("", "1:1", "empty-document"),
    ("# nothing\n", "1:1", "empty-document"),
    ("leadflow: 1\nrules: &all\n  - x\n", "2:8", "anchor"),
    ("a: &x 1\nb: *x\n", "2:4", "anchor"),
    ("leadflow: !!int 1\nrules: [x]\n", "1:11", "tag"),
    ("leadflow: 1\n<<: {rules: 1}\n", "2:1", "merge-key"),
    ("leadflow: 1\nleadflow: 1\n", "2:1", "duplicate-key"),
    ("leadflow: 1\n? [a]\n: b\n", "2:3", "wrong-type"),
    ("leadflow: 1\nrules: [x]\n---\nleadflow: 1\n", "3:1", "several-documents"),
    ("leadflow: 1\nrules: \0\n", "2:8", "control-character"),
    ("leadflow: 1\nrules: \x07\n", "2:8", "control-character"),
    ("leadflow: 1\nrules: \ud800\n", "2:8", "control-character"),
    ("a: " + "[" * 3_000, "1:23", "too-deep"),
    ("- " * 3_000, "1:41", "too-deep"),
    ("x" * 300_000, "1:1", "too-large"),
    # -- the document
    ("just text", "1:1", "wrong-type"),
    ("[a, b]", "1:1", "wrong-type"),
    ("rules: [x]", "1:1", "missing-key"),
    ("leadflow: 1", "1:1", "missing-key"),
    ("leadflow: 1\nrules: []\n", "2:8", "empty-list"),
    ("leadflow: 1\nrules:\n", "2:7", "wrong-type"),
    ("leadflow: 1\nrules: {a: b}\n", "2:8", "wrong-type"),
    ("leadflow: 2\nrules: [x]\n", "1:11", "unsupported-version"),
    ("leadflow: 1\nrulez: [x]\n", "2:1", "unknown-key"),
    ("leadflow: 1\nsegments: {}\n", "1:1", "missing-key"),
    ("leadflow: 1\nvars: {gap: 90 days}\n", "1:1", "missing-key"),
    # -- use
    ("leadflow: 1\nuse: shared.yaml\nrules: [x]\n", "2:6", "wrong-type"),
    ("leadflow: 1\nuse: []\nrules: [x]\n", "2:6", "empty-list"),
    ("leadflow: 1\nuse: [{file: shared.yaml}]\nrules: [x]\n", "2:7", "wrong-type"),
    ("leadflow: 1\nuse: [shared.yaml]\nrules: [x]\n", "2:7", "unknown-file"),
    ("leadflow: 1\nuse: [../a.yaml]\nrules: [x]\n", "2:7", "unknown-file"),
    ("leadflow: 1\nuse: [a.yaml]\nrules: [x]\n", "2:7", "use-circle"),
    # -- vars
    ("leadflow: 1\nvars: [a]\nrules: [x]\n", "2:7", "wrong-type"),
    ("leadflow: 1\nvars: {gap: [1, 2]}\nrules: [x]\n", "2:13", "wrong-type"),
    ("leadflow: 1\nvars: {gap: }\nrules: [x]\n", "2:13", "empty-value"),
    ("leadflow: 1\nvars: {Gap: 90 days}\nrules: [x]\n", "2:8", "bad-name"),
    ("leadflow: 1\nvars: {a: 90 days, b: $a}\nrules: [x]\n", "2:23", "variable-in-variable"),
    (document_with("{contact.created_at: {older_than: $gap}}"), "6:43", "unknown-variable"),
    (document_with("{company.name: [x, $Name]}"), "6:28", "unknown-variable"),
    ("leadflow: $version\nrules: [x]\n", "1:11", "unknown-variable"),
    (with_top("vars: {gap: soon}", "{contact.created_at: {older_than: $gap}}"), "7:43", "unreadable-value"),
    # -- groups
    ("leadflow: 1\ngroups: [a]\nrules: [x]\n", "2:9", "wrong-type"),
    ("leadflow: 1\ngroups: {a: first}\nrules: [x]\n", "2:13", "wrong-type"),
    ("leadflow: 1\ngroups: {a: {}}\nrules: [x]\n", "2:13", "missing-key"),
    ("leadflow: 1\ngroups: {a: {pick: last}}\nrules: [x]\n", "2:20", "unknown-value"),
    ("leadflow: 1\ngroups: {a: {choose: first}}\nrules: [x]\n", "2:14", "unknown-key"),
    # -- segments
    ("leadflow: 1\nsegments: [a]\nrules: [x]\n", "2:11", "wrong-type"),
    (with_top("segments: {s: {company.nam: x}}", "{segment: s}"), "3:16", "unknown-field"),
    (with_top("segments: {unused: {company.name: {lt: 5}}}", "{company.name: x}"), "3:36", "wrong-operator"),
    (with_top("segments: {s: {segment: s}}", "{company.name: x}"), "3:25", "segment-circle"),
    (with_top("segments: {s: {company.name: x}}", "{segment: z}"), "7:19", "unknown-segment"),
    (with_top("segments: {s: {company.name: x}}", "{segment: [s]}"), "7:19", "wrong-type"),
    (with_top("segments: {s: {sale.amount: 5}}", "{segment: s}"), "7:19", "unavailable-field"),
    (document_with("{selection: warm}"), "6:21", "unknown-selection"),
    ("leadflow: 1\nsettings: {zone: UTC}\n", "2:12", "unknown-key"),
    ("leadflow: 1\nsettings: {timezone: ../../etc/passwd}\n", "2:22", "unknown-value"),
    ("leadflow: 1\nsettings: {timezone: Europe}\n", "2:22", "unknown-value"),
    ("leadflow: 1\nlists: [a]\n", "2:8", "wrong-type"),
    ("leadflow: 1\nlists: {a: []}\n", "2:12", "empty-list"),
    ("leadflow: 1\nlists: {a: {file: b.txt}}\n", "2:19", "unknown-file"),
    ("leadflow: 1\nlists: {a: {path: b.txt}}\n", "2:13", "unknown-key"),
    ("leadflow: 1\nlists: {a: {}}\n", "2:12", "missing-key"),
    ("leadflow: 1\nlists: {a: {file: [b.txt]}}\n", "2:19", "wrong-type"),
    ("leadflow: 1\nlists: {a: b.txt}\n", "2:12", "wrong-type"),
    ("leadflow: 1\nlists: {a: [b, '']}\n", "2:16", "empty-value"),
    # -- the rule's header
    (rule_text("rule: a"), "3:5", "missing-key"),
    (rule_text("rule: A b"), "3:11", "bad-slug"),
    (rule_text("rule: a--b"), "3:11", "bad-slug"),
    (rule_text("rule: " + "a" * 81), "3:11", "bad-slug"),
    (rule_text("rule: [a]"), "3:11", "wrong-type"),
    (rule_text("rule:"), "3:10", "empty-value"),
    (rule_text("rule: a\non: {sale: sold}"), "4:5", "unknown-key"),
    (rule_text("rule: a\nstatus: proposed"), "4:13", "unknown-value"),
    (rule_text("rule: a\npriority: 101"), "4:15", "unreadable-value"),
    (rule_text("rule: a\npriority: 5.5"), "4:15", "unreadable-value"),
    (rule_text("rule: a\npriority: high"), "4:15", "unreadable-value"),
    (rule_text("rule: a\nstarts: soon"), "4:13", "unreadable-value"),
    (rule_text("rule: a\nstarts: 9999-12-31"), "4:13", "unreadable-value"),
    (rule_text("rule: a\nstarts: 2026-03-02\nends: 2026-03-01"), "5:11", "empty-range"),
    (rule_text("rule: a\nalso_from_rules: maybe"), "4:22", "unreadable-value"),
    (rule_text("rule: a\nlimit: {within: 7 days}"), "4:12", "missing-key"),
    (rule_text("rule: a\nlimit: {once_per: year}"), "4:23", "unknown-value"),
    (rule_text("rule: a\nlimit: {once_per: contact, within: 1 month}"), "4:40", "unreadable-value"),
    (rule_text("rule: a\nlimit: once"), "4:12", "wrong-type"),
    (rule_text("rule: a\nwhen: {record_created: company}\nlimit: {once_per: contact}"), "5:23", "no-contact"),
    (rule_text("rule: a\ngroup: qualification"), "4:12", "unknown-group"),
    (rule_text("rule: a\ngroup: [qualification]"), "4:12", "wrong-type"),
    (rule_text("rule: a\nif_running: skip"), "4:17", "useless-key"),
    (rule_text("rule: a\nif_running: wait"), "4:17", "unknown-value"),
    (rule_text("rule: a\ntest: []"), "4:5", "unknown-key"),
    # -- when
    (rule_text("rule: a\nwhen: form_submitted"), "4:11", "wrong-type"),
    (rule_text("rule: a\nwhen: []"), "4:11", "empty-list"),
    (rule_text("rule: a\nwhen: {}"), "4:11", "empty-value"),
    (rule_text("rule: a\nwhen: {schedule: daily}"), "4:22", "wrong-type"),
    (rule_text("rule: a\nwhen: {schedule: {every: day}}"), "4:22", "missing-key"),
    (rule_text("rule: a\nwhen: {schedule: {for_each: contact}}"), "4:22", "missing-key"),
    (rule_text("rule: a\nwhen: {schedule: {every: days, for_each: contact}}"), "4:30", "unknown-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: day, for_each: sale}}"), "4:45", "unknown-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: day, at: 7am, for_each: contact}}"), "4:39", "unreadable-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: day, at: 24:00, for_each: contact}}"), "4:39", "unreadable-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: hour, at: 07:15, for_each: contact}}"), "4:40", "unreadable-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: week, on: [monday], for_each: contact}}"), "4:41", "unknown-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: week, on: mon, for_each: contact}}"), "4:40", "wrong-type"),
    (rule_text("rule: a\nwhen: {schedule: {every: week, on: [], for_each: contact}}"), "4:40", "empty-list"),
    (rule_text("rule: a\nwhen: {schedule: {every: month, on: [31], for_each: contact}}"), "4:42", "unreadable-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: month, on: [mon], for_each: contact}}"), "4:42", "unreadable-value"),
    (rule_text("rule: a\nwhen: {schedule: {every: day, for_each: contact, cron: x}}"), "4:54", "unknown-key"),
    (rule_text("rule: a\nwhen: {schedule: {every: day, for_each: contact}}"), "4:11", "missing-key"),
    (
        rule_text("rule: a\nwhen: [{schedule: {every: day, for_each: contact}}, {sale: sold}]"),
        "4:11",
        "schedule-alone",
    ),
    (rule_text("rule: a\nwhen: {event: webinar_attended}"), "4:19", "wrong-type"),
    (rule_text("rule: a\nwhen: {event: {}}"), "4:19", "missing-key"),
    (rule_text("rule: a\nwhen: {event: {name: webinar_atended}}"), "4:26", "unknown-event"),
    (rule_text("rule: a\nwhen: {event: {name: form_submitted}}"), "4:26", "unknown-event"),
    (rule_text("rule: a\nwhen: {event: {name: email_opened, minutes: 5}}"), "4:40", "unknown-key"),
    (rule_text("rule: a\nwhen: {manual: sale}"), "4:20", "unknown-value"),
    (rule_text("rule: a\nwhen: {manual: {record: contact}}"), "4:20", "wrong-type"),
    (rule_text("rule: a\nwhen: {form_submited: any}"), "4:12", "unknown-trigger"),
    (rule_text("rule: a\nwhen: {form_submitted: any, sale: sold}"), "4:33", "too-many-keys"),
    (rule_text("rule: a\nwhen: {form_submitted: demo-request}"), "4:28", "unknown-value"),
    (rule_text("rule: a\nwhen: {form_submitted: {name: x}}"), "4:29", "unknown-key"),
    (rule_text("rule: a\nwhen: {form_submitted: {}}"), "4:28", "empty-value"),
    (rule_text("rule: a\nwhen: {form_submitted: {form: }}"), "4:35", "empty-value"),
    (rule_text("rule: a\nwhen: {form_submitted: {form: [a, b]}}"), "4:35", "wrong-type"),
    (rule_text("rule: a\nwhen: {sale: won}"), "4:18", "unknown-value"),
    (rule_text("rule: a\nwhen: {record_created: sale}"), "4:28", "unknown-value"),
    (rule_text("rule: a\nwhen: {record_changed: [company.categry]}"), "4:29", "unknown-field"),
    (rule_text("rule: a\nwhen: {record_changed: [form.email]}"), "4:29", "unavailable-field"),
    (rule_text("rule: a\nwhen: {record_changed: {}}"), "4:28", "empty-value"),
    (rule_text("rule: a\nwhen: {record_changed: {company.category: {to: Leed}}}"), "4:52", "unknown-value"),
    (rule_text("rule: a\nwhen: {record_changed: {company.category: {into: Lead}}}"), "4:48", "unknown-key"),
    (rule_text("rule: a\nwhen: {record_changed: {contact.tags: {to: x}}}"), "4:43", "wrong-kind"),
    # -- if
    (document_with("[{company.name: x}]"), "6:9", "wrong-type"),
    (document_with("text"), "6:9", "wrong-type"),
    (document_with("{}"), "6:9", "empty-value"),
    (document_with("{all: []}"), "6:15", "empty-list"),
    (document_with("{all: {company.name: x}}"), "6:15", "wrong-type"),
    (document_with("{al: [{company.name: x}]}"), "6:10", "unknown-key"),
    # -- what happened before, and now
    (document_with("{event_count: form_submitted}"), "6:23", "wrong-type"),
    (document_with("{event_count: {of: form_submitted}}"), "6:23", "missing-key"),
    (document_with("{event_count: {gte: 2}}"), "6:23", "missing-key"),
    (document_with("{event_count: {of: form_submited, gte: 2}}"), "6:28", "unknown-event"),
    (document_with("{event_count: {of: [sale], gte: 2}}"), "6:28", "wrong-type"),
    (document_with("{event_count: {of: sale, by: user, gte: 2}}"), "6:38", "unknown-value"),
    (document_with("{event_count: {of: sale, gte: many}}"), "6:39", "unreadable-value"),
    (document_with("{event_count: {of: sale, gte: 1.5}}"), "6:39", "unreadable-value"),
    (document_with("{event_count: {of: sale, is: -1}}"), "6:38", "unreadable-value"),
    (document_with("{event_count: {of: sale, between: [1, 2.5]}}"), "6:47", "unreadable-value"),
    (document_with("{event_count: {of: sale, within_last: 1 month, gte: 2}}"), "6:47", "unreadable-value"),
    (document_with("{event_count: {of: sale, exists: true}}"), "6:34", "unknown-key"),
    (document_with("{event_count: {of: sale, gte: 2, or_blank: true}}"), "6:42", "unknown-key"),
    (document_with("{event_count: {of: sale, same_as: company.open_sales}}"), "6:34", "unknown-key"),
    (document_with("{event_count: {of: sale, older_than: 3 days}}"), "6:34", "unknown-key"),
    (document_with("{event_count: {of: form_submitted, where: content, gte: 2}}"), "6:51", "wrong-type"),
    (document_with("{event_count: {of: form_submitted, where: {}, gte: 2}}"), "6:51", "wrong-type"),
    (document_with("{event_count: {of: form_submitted, where: {form_typ: x}, gte: 2}}"), "6:52", "unknown-field"),
    (document_with("{event_count: {of: sale, where: {form_type: x}, gte: 2}}"), "6:42", "unknown-field"),
    (document_with("{event_count: {of: sale, where: {amount: {gt: x}}, gte: 2}}"), "6:55", "unreadable-value"),
    (
        document_with("{event_count: {of: form_submitted, where: {company: {same_as: company.name}}, gte: 2}}"),
        "6:71",
        "unavailable-field",
    ),
    (
        document_with("{event_count: {of: form_submitted, where: {form: {in: forms}}, gte: 2}}"),
        "6:63",
        "unknown-list",
    ),
    (document_with("{last_event: {of: email_opened}}"), "6:22", "missing-key"),
    (document_with("{last_event: {of: email_opend, older_than: 60 days}}"), "6:27", "unknown-event"),
    (document_with("{last_event: {of: email_opened, within_next: 60 days}}"), "6:41", "unknown-key"),
    (document_with("{last_event: {of: email_opened, gte: 2}}"), "6:41", "unknown-key"),
    (document_with("{last_event: {of: email_opened, older_than: 60}}"), "6:53", "unreadable-value"),
    (document_with("{last_event: {of: email_opened, or_blank: true}}"), "6:41", "missing-key"),
    (document_with("{last_change: contact.lead_status}"), "6:23", "wrong-type"),
    (document_with("{last_change: {older_than: 90 days}}"), "6:23", "missing-key"),
    (document_with("{last_change: {field: contact.lead_status}}"), "6:23", "missing-key"),
    (document_with("{last_change: {field: contact.led_status, older_than: 90 days}}"), "6:31", "unknown-field"),
    (document_with("{last_change: {field: contact.email, older_than: 90 days}}"), "6:31", "wrong-kind"),
    (document_with("{last_change: {field: [company.category], older_than: 90 days}}"), "6:31", "wrong-type"),
    (
        document_with("{last_change: {field: company.category, to: Leed, older_than: 90 days}}"),
        "6:53",
        "unknown-value",
    ),
    (document_with("{last_change: {field: company.tags, to: x, older_than: 90 days}}"), "6:49", "wrong-kind"),
    (document_with("{last_change: {field: company.category, by: contact, before: now}}"), "6:49", "unknown-key"),
    (document_with("{now: today}"), "6:15", "wrong-type"),
    (document_with("{now: {}}"), "6:15", "empty-value"),
    (document_with("{now: {weekday_in: mon}}"), "6:28", "wrong-type"),
    (document_with("{now: {weekday_in: []}}"), "6:28", "empty-list"),
    (document_with("{now: {weekday_in: [mo]}}"), "6:29", "unknown-value"),
    (document_with("{now: {between: [08:00]}}"), "6:25", "wrong-type"),
    (document_with("{now: {between: [8, 17:00]}}"), "6:26", "unreadable-value"),
    (document_with("{now: {between: [08:00, 17:60]}}"), "6:33", "unreadable-value"),
    (document_with("{now: {hour: 8}}"), "6:16", "unknown-key"),
    (document_with("{company.name: x, company.domain: y}"), "6:27", "too-many-keys"),
    (document_with("{company.nam: x}"), "6:10", "unknown-field"),
    (document_with("{Company.name: x}"), "6:10", "unknown-field"),
    (document_with("{sale.amount: 5}"), "6:10", "unavailable-field"),
    (document_with("{before.company.name: x}"), "6:10", "unavailable-field"),
    (document_with("{company.name: {}}"), "6:24", "empty-value"),
    (document_with("{company.name: []}"), "6:24", "empty-list"),
    (document_with("{company.name: }"), "6:24", "empty-value"),
    (document_with("{company.name: ~}"), "6:24", "empty-value"),
    (document_with("{company.name: null}"), "6:24", "empty-value"),
    (document_with("{company.name: ' '}"), "6:24", "empty-value"),
    (document_with('{company.name: "a\\0b"}'), "6:24", "unreadable-value"),
    (document_with("{company.name: [x, '']}"), "6:28", "empty-value"),
    (document_with("{company.name: {isnt: x}}"), "6:25", "unknown-operator"),
    (document_with("{company.name: {or_blank: true}}"), "6:25", "missing-key"),
    (document_with("{company.name: {is: x, or_blank: perhaps}}"), "6:42", "unreadable-value"),
    (document_with("{company.name: {lt: x}}"), "6:25", "wrong-operator"),
    (document_with("{company.name: {changed: true}}"), "6:25", "wrong-operator"),
    (document_with("{company.fields.employees: [1, 2]}"), "6:36", "wrong-operator"),
    (document_with("{company.fields.employees: {lt: NaN}}"), "6:41", "unreadable-value"),
    (document_with("{company.fields.employees: {between: [5, 1]}}"), "6:46", "empty-range"),
    (document_with("{company.fields.employees: {between: [5]}}"), "6:46", "wrong-type"),
    (document_with("{contact.created_at: 2026-03-01}"), "6:30", "wrong-operator"),
    (document_with("{contact.created_at: {on: 2026-02-30}}"), "6:35", "unreadable-value"),
    (document_with("{contact.created_at: {between: [2026-03-02, 2026-03-01]}}"), "6:40", "empty-range"),
    (document_with("{contact.created_at: {older_than: 90}}"), "6:43", "unreadable-value"),
    (document_with("{contact.fields.newsletter: perhaps}"), "6:37", "unreadable-value"),
    (document_with("{form.email: {domain_in: [gmail]}}"), "6:35", "unreadable-value"),
    (document_with("{form.email: {domain_in: [a@b.com]}}"), "6:35", "unreadable-value"),
    (document_with("{form.email: {domain_in: gmail.com}}"), "6:34", "unknown-list"),
    (document_with("{company.category: {in_group: prospects}}"), "6:39", "unknown-value"),
    (document_with("{company.category: blank}"), "6:28", "unknown-value"),
    (document_with("{company.name: {same_as: company.nam}}"), "6:34", "unknown-field"),
    (document_with("{company.name: {same_as: company.category}}"), "6:34", "wrong-kind"),
    (document_with("{company.category: {same_as: contact.lead_status}}"), "6:38", "wrong-kind"),
    (document_with("{company.name: {same_as: [a]}}"), "6:34", "wrong-type"),
    # -- then
    (document_with("{company.name: x}", then="[]"), "7:11", "empty-list"),
    (document_with("{company.name: x}", then="{add_tag: x}"), "7:11", "wrong-type"),
    (document_with("{company.name: x}", then="[add_tag]"), "7:12", "wrong-type"),
    (document_with("{company.name: x}", then="[{notfy: x}]"), "7:13", "unknown-action"),
    (document_with("{company.name: x}", then="[{notify: x}]"), "7:21", "wrong-type"),
    (document_with("{company.name: x}", then="[{notify: {to: sales-team}}]"), "7:21", "missing-key"),
    (document_with("{company.name: x}", then="[{notify: {text: Hello}}]"), "7:21", "missing-key"),
    (document_with("{company.name: x}", then="[{notify: {to: sale-team, text: x}}]"), "7:26", "unknown-channel"),
    (document_with("{company.name: x}", then="[{notify: {to: sales-team, text: ''}}]"), "7:44", "empty-value"),
    (
        document_with("{company.name: x}", then="[{notify: {to: sales-team, text: '{{ company.owner }}'}}]"),
        "7:44",
        "bad-template",
    ),
    (document_with("{company.name: x}", then="[{webhook: crn}]"), "7:22", "unknown-endpoint"),
    (document_with("{company.name: x}", then="[{webhook: [crm]}]"), "7:22", "wrong-type"),
    (document_with("{company.name: x}", then="[{webhook: {payload: {a: b}}}]"), "7:22", "missing-key"),
    (document_with("{company.name: x}", then="[{webhook: {endpoint: crm, payload: x}}]"), "7:47", "wrong-type"),
    (document_with("{company.name: x}", then="[{webhook: {endpoint: crm, payload: {}}}]"), "7:47", "wrong-type"),
    (document_with("{company.name: x}", then="[{webhook: {endpoint: crm, payload: {a: [b]}}}]"), "7:51", "wrong-type"),
    (document_with("{company.name: x}", then="[{webhook: {endpoint: crm, payload: {a: }}}]"), "7:51", "empty-value"),
    (
        document_with("{company.name: x}", then="[{webhook: {endpoint: crm, payload: {a: '{{ form.emial }}'}}}]"),
        "7:51",
        "unknown-field",
    ),
    (document_with("{company.name: x}", then="[{webhook: {endpoint: crm, url: x}}]"), "7:38", "unknown-key"),
    (document_with("{company.name: x}", then="[{wait: 3 days}]"), "7:13", "useless-wait"),
    (document_with("{company.name: x}", then="[{wait: 3}, {add_tag: x}]"), "7:19", "unreadable-value"),
    (document_with("{company.name: x}", then="[{wait: {recheck: false}}, {add_tag: x}]"), "7:19", "missing-key"),
    (
        document_with("{company.name: x}", then="[{wait: {for: 3 days, recheck: maybe}}, {add_tag: x}]"),
        "7:42",
        "unreadable-value",
    ),
    (document_with("{company.name: x}", then="[{stop_here: false}]"), "7:24", "unreadable-value"),
    (document_with("{company.name: x}", then="[{stop_here: perhaps}]"), "7:24", "unreadable-value"),
    (document_with("{company.name: x}", then="[{stop_here: }]"), "7:24", "empty-value"),
    (document_with("{company.name: x}", then="[{assign_owner: ''}]"), "7:27", "empty-value"),
    (document_with("{company.name: x}", then="[{assign_owner: [anna]}]"), "7:27", "wrong-type"),
    (document_with("{company.name: x}", then="[{assign_owner: {}}]"), "7:27", "missing-key"),
    (document_with("{company.name: x}", then="[{assign_owner: {of: anna}}]"), "7:28", "unknown-key"),
    (
        document_with("{company.name: x}", then="[{assign_owner: {to: anna, round_robin: [anna, bert]}}]"),
        "7:51",
        "too-many-keys",
    ),
    (document_with("{company.name: x}", then="[{assign_owner: {round_robin: [anna]}}]"), "7:41", "too-few-values"),
    (
        document_with("{company.name: x}", then="[{assign_owner: {round_robin: [anna, Anna, bert]}}]"),
        "7:41",
        "duplicate-value",
    ),
    (document_with("{company.name: x}", then="[{assign_owner: {round_robin: []}}]"), "7:41", "empty-list"),
    (document_with("{company.name: x}", then="[{assign_owner: {round_robin: sales}}]"), "7:41", "unknown-list"),
    (document_with("{company.name: x}", then="[{assign_owner: '{{ user.name }}'}]"), "7:27", "bad-template"),
    (document_with("{company.name: x}", then="[{set_category: Leed}]"), "7:27", "unknown-value"),
    (document_with("{company.name: x}", then="[{set_category: Suspect}]"), "7:27", "unknown-value"),
    (document_with("{company.name: x}", then="[{set_category: {from: Lead}}]"), "7:27", "missing-key"),
    (document_with("{company.name: x}", then="[{set_category: {to: Lead, from: []}}]"), "7:44", "empty-list"),
    (
        document_with("{company.name: x}", then="[{set_lead_status: {to: Open, of: everybody}}]"),
        "7:45",
        "unknown-value",
    ),
    (document_with("{company.name: x}", then="[{add_tag: {tag: x, of: sale}}]"), "7:35", "unknown-value"),
    (document_with("{company.name: x}", then="[{set_field: {field: company.name, to: x}}]"), "7:32", "not-writable"),
    (document_with("{company.name: x}", then="[{set_field: {field: form.budget, to: 5}}]"), "7:32", "not-writable"),
    (document_with("{company.name: x}", then="[{set_field: {field: company.owner, to: ''}}]"), "7:51", "empty-value"),
    (document_with("{company.name: x}", then="[{set_field: company.owner}]"), "7:24", "wrong-type"),
    (document_with("{company.name: x}", then="[{create_task: {owner: sales}}]"), "7:26", "missing-key"),
    (document_with("{company.name: x}", then="[{create_task: {title: x, due_in: soon}}]"), "7:45", "unreadable-value"),
]


@pytest.mark.parametrize(("text", "place", "code"), MISTAKES, ids=range(len(MISTAKES)))
def test_the_mistake_is_reported_at_its_place(text, place, code):
    found = [f"{one.line}:{one.column} {one.code}" for one in problems_of(text)]

    assert f"{place} {code}" in found


@pytest.mark.parametrize(
    ("when", "action"),
    [
        ("{record_created: company}", "{set_lead_status: Open}"),
        ("{record_changed: [company.category]}", "{add_tag: {tag: x, of: contact}}"),
        ("{record_changed: [company.category]}", "{set_field: {field: contact.fields.newsletter, to: true}}"),
        ("[{sale: sold}, {record_changed: [company.owner]}]", "{add_tag: x}"),
    ],
)
def test_a_contact_action_needs_a_contact(when, action):
    (problem,) = problems_of(document_with("{company.name: x}", when, f"[{action}]"))

    assert problem.code == "no-contact"


def test_one_mistake_is_one_problem():
    text = document_with("{all: [{company.category: Leed}, {company.category: Leed}]}")

    assert [one.code for one in problems_of(text)] == ["unknown-value", "unknown-value"]
    assert [one.code for one in problems_of(document_with("{form.email: x}", when="{form_submittd: any}"))] == [
        "unknown-trigger"
    ]


def test_text_that_is_not_utf_8_is_reported_where_it_stops():
    (problem,) = problems_of(b"leadflow: 1\n# caf\xe9\n")

    assert (problem.line, problem.column, problem.code) == (2, 6, "encoding")


def test_bytes_with_a_byte_order_mark_are_read():
    assert not problems_of(b"\xef\xbb\xbf" + document_with("{company.name: x}").encode())
    assert not problems_of("\ufeff" + document_with("{company.name: x}"))


def test_windows_line_endings_are_read_and_places_stay_right():
    text = document_with("{company.category: Leed}").replace("\n", "\r\n")

    assert [(one.line, one.column, one.source_line) for one in problems_of(text)] == [
        (6, 28, "    if: {company.category: Leed}")
    ]


def test_columns_count_characters_not_bytes():
    (problem,) = problems_of(document_with("{any: [{company.name: Ærlig 🙂}, {company.category: Leed}]}"))

    assert problem.source_line[problem.column - 1 :].startswith("Leed")


def test_a_rule_is_unique_among_all_documents():
    text = document_with("{company.name: x}")
    (problem,) = parse_documents({"b.yaml": text, "a.yaml": text}, CATALOGUE).problems

    assert (problem.file, problem.line, problem.code) == ("b.yaml", 4, "duplicate-rule")
    assert "a.yaml:4" in problem.message


def test_a_document_full_of_problems_ends_with_the_remark_that_there_are_more():
    clauses = ", ".join("{company.category: Leed}" for _ in range(500))
    problems = problems_of(document_with(f"{{all: [{clauses}]}}"))

    assert len(problems) == 101
    assert problems[-1].code == "too-many-problems"


@pytest.mark.parametrize(
    "text",
    [
        with_top("vars: {gap: x}", "{company.name: [" + ", ".join(f"$gab{number}" for number in range(500)) + "]}"),
        document_with("{any: [" + ", ".join(f"{{segment: s{number}}}" for number in range(500)) + "]}"),
        document_with("{any: [" + ", ".join(f"{{company.nam{number}: x}}" for number in range(500)) + "]}"),
        document_with("{any: [" + ", ".join(f"{{company.category: Leed{number}}}" for number in range(500)) + "]}"),
    ],
    ids=["variables", "segments", "fields", "values"],
)
def test_nobody_looks_for_the_nearest_name_of_what_is_not_told(text, monkeypatch):
    """Among thousands of names it takes a millisecond each: twenty thousand mistakes would take a minute."""
    asked: list[str] = []
    monkeypatch.setattr("leadflow.rules.problems.find_nearest", lambda text, names: asked.append(text))

    assert len(problems_of(text)) == 101
    assert len(asked) <= 101


# -- how problems are shown -------------------------------------------------------------------------------------------

LEED = document_with("{company.category: [Leed]}")


def test_the_text_shows_line_caret_suggestion_and_what_is_allowed():
    problems = parse_documents({"rules/demo.yaml": LEED}, CATALOGUE).problems

    assert render_text(problems) == (
        "rules/demo.yaml:6:29: error[unknown-value]: 'Leed' is not a value of company.category\n"
        "    6 |     if: {company.category: [Leed]}\n"
        "      |                             ^^^^\n"
        "      = did you mean 'Lead'?\n"
        "      = allowed: Lead, Marketing qualified lead, Opportunity, Lost opportunity, Customer, …"
    )


def test_json_has_everything():
    (row,) = json.loads(render_json(problems_of(LEED)))

    assert row["allowed"][-1] == "Other"
    assert (row["file"], row["line"], row["column"], row["code"]) == ("a.yaml", 6, 29, "unknown-value")
    assert (row["suggestion"], row["caret_width"]) == ("Lead", 4)


def test_github_gets_an_annotation_with_its_special_characters_escaped():
    (problem,) = problems_of(LEED, name="a,b:c.yaml")

    assert render_github([problem]) == (
        "::error file=a%2Cb%3Ac.yaml,line=6,col=29,endColumn=33,title=unknown-value::"
        "'Leed' is not a value of company.category (did you mean 'Lead'?)"
    )


def test_tabs_keep_the_caret_under_its_word():
    (problem,) = problems_of(document_with("{any:\t[{company.category:\tLeed}]}"))
    _, line, caret = render_text([problem]).splitlines()[:3]

    assert [i for i, character in enumerate(line) if character == "\t"] == [
        i for i, character in enumerate(caret) if character == "\t"
    ]
    assert line[caret.index("^") :].startswith("Leed")


def test_a_very_long_line_is_shown_around_its_caret():
    padding = "x" * 5_000
    (problem,) = problems_of(document_with(f"{{any: [{{company.name: {padding}}}, {{company.category: Leed}}]}}"))
    _, line, caret = render_text([problem]).splitlines()[:3]

    assert len(line) < 200
    assert line[caret.index("^") :].startswith("Leed")


def test_characters_that_move_a_terminal_are_not_printed():
    (problem,) = problems_of(document_with('{company.category: "\\e[2J\\x07"}'))

    assert not {"\x1b", "\x07"} & set(render_text([problem]))


def test_no_message_shows_the_inside_of_the_program():
    texts = [render_text(problems_of(text)) for text, _, _ in MISTAKES]

    assert not [text for text in texts for word in ("Node", "Traceback", "object at", "NoneType") if word in text]
