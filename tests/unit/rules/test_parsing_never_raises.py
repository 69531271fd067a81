"""No text, however strange, makes the parser raise: it gives rules or problems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from leadflow.rules.parsing import files_mentioned, parse_documents
from leadflow.rules.problems import render_github, render_json, render_text
from tests.unit.rules.given import CATALOGUE, document_with

FOLDER = Path(__file__).parents[3] / "config" / "rules"
VALID = [one.read_text() for one in sorted(FOLDER.rglob("*.yaml"))] + [
    (Path(__file__).parent / "twelve_mistakes.yaml").read_text(),
    document_with(
        "{none: [{company.category: {changed_from: [Lead, blank]}}, {before.company.owner: {same_as: company.owner}}]}",
        when="[{record_changed: {company.category: {from: [Lead, blank]}}}, {record_changed: [company.owner]}]",
        then="[{set_field: {field: company.owner, to: anna}}, {create_task: {title: '{{ company.name | upper }}'}}]",
    ),
    document_with("{contact.created_at: {between: [2026-03-01, 2026-04-01]}}", then="[{remove_tag: x}]"),
    """\
leadflow: 1
use: [shared/lists.yaml]
settings: {timezone: Europe/Oslo}
vars: {gap: 90 days, who: anna}
lists: {hosts: {file: hosts.txt}, names: [a, $who], sales: [anna, bert]}
segments:
  quiet: {last_event: {of: email_opened, where: {minutes: {gte: 5}}, by: company, older_than: $gap, or_blank: true}}
  both: {any: [{segment: quiet}, {none: [{company.name: {in: names}}]}]}
groups: {qualification: {pick: first}}
rules:
  - rule: through-companies
    when: {schedule: {every: month, at: "07:00", on: [1, 15], for_each: company}}
    if:
      all:
        - segment: both
        - last_change: {field: company.category, from: [Lead, blank], to: MQL, before: 2026-01-01}
    then: [{assign_owner: {round_robin: sales}}, {notify: {to: sales, text: "{{ company.name | default('x') }}"}}]
    limit: {once_per: company, within: $gap}
  - rule: after-a-webinar
    status: propose
    group: qualification
    when: [{event: {name: webinar_attended}}, {manual: contact}]
    if:
      all:
        - event_count: {of: webinar_attended, where: {minutes: {gte: 45}}, by: contact, within_last: 30 days, gte: 2}
        - now: {weekday_in: [mon, fri], between: ["08:00", "17:00"]}
        - contact.email: {domain_in: hosts}
    then: [{wait: {for: 3 days, recheck: false}}, {webhook: {endpoint: crm, payload: {a: b}}}, {stop_here: true}]
    if_running: queue
""",
]
# Pieces that mean something somewhere in a document.
SHARDS = [
    *"{}[]:,'\"|>#~\t\n\r\0\x1b\x85\u2028\ufeff\ud800.İß🙂",
    *("leadflow: 1", "rules:", "- ", ": ", "? ", "---", "...", "\n  ", "%YAML 1.1", "&a ", "*a", "<<: ", "!!int "),
    *(
        "null",
        "blank",
        "company.category",
        "company.",
        "before.",
        "in",
        "or_blank",
        "any: ",
        "when: ",
        "if: ",
        "then: ",
    ),
    *("use: ", "vars: ", "$gap", "$", "segments: ", "segment: both", "selection: ", "groups: ", "{file: hosts.txt}"),
    *("event_count: ", "of: ", "where: ", "by: ", "last_change: ", "field: ", "now: ", "schedule: ", "for_each: "),
    *("same_as: ", "wait: ", "round_robin: ", "../", "./1.yaml", "0.yaml"),
    *(
        "{{ ",
        " }}",
        "{%",
        "| default('x')",
        "0" * 70,
        "1e999",
        "9999-12-31",
        "0001-01-01",
        "-1 days",
        "999999999 weeks",
    ),
]


INSTALLED = replace(CATALOGUE, endpoints=frozenset({"crm"}), channels=frozenset({"sales"}))
SHARED = "leadflow: 1\nlists: {shared: [x.example]}\nsegments: {big: {company.fields.employees: {gte: 50}}}\n"


def check(*contents: str | bytes, hosts: str | bytes = "gmail.com\n") -> None:
    documents = {f"{number}.yaml": content for number, content in enumerate(contents)}
    parsed = parse_documents({"shared/lists.yaml": SHARED, "hosts.txt": hosts, **documents}, INSTALLED)
    for problem in parsed.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert len(problem.source_line) >= problem.column - 1
    render_text(parsed.problems).encode("utf-8")
    render_json(parsed.problems).encode("utf-8")
    render_github(parsed.problems).encode("utf-8")


def test_the_document_with_everything_in_it_is_valid():
    documents = {"a.yaml": VALID[-1], "shared/lists.yaml": SHARED, "hosts.txt": "gmail.com"}

    assert render_text(parse_documents(documents, INSTALLED).problems) == ""


@given(st.text(max_size=60) | st.lists(st.sampled_from(SHARDS) | st.text(max_size=3), max_size=12).map("".join))
@settings(max_examples=400, deadline=None)
@example("leadflow: 1\nrules: \x85 x")
@example('"\\ud800"')
@example("{{[]}: x}")
def test_any_text(text):
    check(text)


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes(content):
    check(content, b"\xef\xbb\xbf" + content)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_valid_documents_with_pieces_cut_out_and_put_in(data):
    text = data.draw(st.sampled_from(VALID))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(st.sampled_from(SHARDS) | st.text(max_size=2)) + text[end:]
    check(text)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_two_documents_that_use_each_other_with_pieces_exchanged(data):
    texts = [data.draw(st.sampled_from(VALID)) for _ in range(2)]
    for number in range(2):
        start = data.draw(st.integers(0, len(texts[number])))
        other = texts[1 - number]
        at = data.draw(st.integers(0, len(other)))
        texts[number] = texts[number][:start] + other[at : at + data.draw(st.integers(0, 200))] + texts[number][start:]
    check(*texts, hosts=data.draw(st.text(max_size=20) | st.binary(max_size=20)))


@given(text=st.text(max_size=60) | st.lists(st.sampled_from(SHARDS), max_size=8).map("".join), name=st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_files_that_any_text_means_can_be_told(text, name):
    for found in files_mentioned(name, f"leadflow: 1\nuse: [{text}]\nlists: {{a: {{file: {text}}}}}\n"):
        assert isinstance(found, str)


def test_hostile_documents():
    check("[" * 100_000)
    check("{" * 100_000)
    check("- " * 50_000)
    check("a: " * 50_000)
    check("x: &a [*a, *a]\n" * 5_000)
    check("? " * 50_000)
    check(document_with("{company.name: x}", then="[{create_task: '{{ " + "(" * 1_900 + "'}]"))
    check(document_with("{company.name: x}", then="[{create_task: '{{ " + "a|" * 900 + "b }}'}]"))
    check(document_with("{company.name: x}", then="[{create_task: '{{ " + "a." * 900 + "b }}'}]"))
    check(document_with("{company.name: {like: '" + "*?" * 50_000 + "'}}"))
    check("leadflow: 1\n" + "\n".join(f"k{number}: 1" for number in range(20_000)))
    check("leadflow: 1\nuse: [" + "1.yaml, " * 20_000 + "]\n", "leadflow: 1\nuse: [0.yaml]\n")
    check("leadflow: 1\nvars: {a: x}\nlists: {l: [" + "$a, " * 40_000 + "]}\n")
    check("leadflow: 1\nsegments:\n" + "".join(f"  s{number}: {{segment: s{number - 1}}}\n" for number in range(8_000)))
    check(*(f"leadflow: 1\nuse: [{number + 1}.yaml]\nlists: {{a: [b]}}\n" for number in range(300)))
