"""The first minute of a newcomer: `leadflow up`, the README's curl, and what the API shows within a second."""

import json
import os
import re
import time
import urllib.request
from pathlib import Path

import pytest

from leadflow.client import Client
from tests.support.processes import free_port, wait_until

README = Path(__file__).parents[2] / "README.md"
KEY = "first-minute-0123456789"


@pytest.fixture
def base_address(leadflow_data_dir, processes):
    """The address of a `leadflow up` on an empty data folder."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEADFLOW_")}
    process = processes.python(
        *("-m", "leadflow", "up", "--port", str(port), "--data", str(leadflow_data_dir)),
        env={**kept, "LEADFLOW_BOOTSTRAP_API_KEY": KEY},
    )
    process.wait_for_log("Ctrl-C stops", timeout_seconds=60)
    return f"http://127.0.0.1:{port}"


def curl_of_the_readme():
    """Headers and body of the README's curl."""
    command = re.search(r"curl -i localhost:8000(/hooks/generic.*?)}'", README.read_text(encoding="utf-8"), re.DOTALL)
    assert command, "the README has its curl"
    headers = dict(re.findall(r"-H '([^:]+): ([^']+)'", command[0]))
    return headers, (command[0].split("-d '")[1][:-1]).encode()


def send(url, body, headers):
    """What a form builder does."""
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        return answer.status, json.load(answer)


def test_a_demo_request_makes_the_company_an_mql_within_a_second_and_says_why(base_address):
    headers, body = curl_of_the_readme()

    status, receipt = send(f"{base_address}/hooks/generic", body, headers)
    answered_at = time.monotonic()
    assert (status, receipt["duplicate"]) == (200, False)
    with Client(base_address, KEY) as leadflow:
        event_id = receipt["event_id"]
        wait_until(lambda: leadflow.events.get(event_id)["state"] == "processed", 5, "the event is processed")
        seconds = time.monotonic() - answered_at

        assert seconds < 1
        show_what_happened(leadflow, event_id)
    assert send(f"{base_address}/hooks/generic", body, headers) == (200, {**receipt, "duplicate": True})


def show_what_happened(leadflow, event_id):
    """The company, its contact, the ledger and the trace say the same."""
    company = leadflow.companies.first(domain="nordwind.example")
    assert (company["name"], company["category"]["name"]) == ("Nordwind AS", "Marketing qualified lead")
    anna = leadflow.contacts.first(email="anna@nordwind.example")
    assert (anna["first_name"], anna["lead_status"]["name"], anna["lead_status_active"]) == ("Anna", "Open", True)
    assert anna["first_touch"]["source"] == "linkedin"
    changes = list(leadflow.changes.list(company_id=company["id"]))
    moves = [(one["old"], one["new"], one["actor"]["kind"]) for one in changes if one["field"] == "category"]
    assert moves == [(None, "lead", "source"), ("lead", "mql", "rule")]
    by_rule = next(one for one in changes if one["actor"]["kind"] == "rule")
    assert by_rule["actor"] == {"kind": "rule", "id": "1", "name": "demo-request-to-mql"}
    assert by_rule["event_id"] == event_id
    run = next(one for one in leadflow.events.get(event_id)["runs"] if one["rule"] == "demo-request-to-mql")
    assert (run["outcome"], run["version"]) == ("fired", 1)
    assert [(one["path"], one["holds"], one["value"]) for one in run["clauses"]] == [
        ("form.form", True, "demo-request"),
        ("company.category", True, "lead"),
    ]
