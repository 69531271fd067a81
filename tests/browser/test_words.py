"""What the screens say, without a browser: moments, addresses to go back to, bytes that somebody sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from leadflow.store.reads import DayCount
from leadflow.web.pages import charts, desk, events, rulebook, times

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=44), "just now"),
        (timedelta(seconds=-30), "just now"),
        (timedelta(seconds=50), "1 min ago"),
        (timedelta(minutes=59, seconds=20), "59 min ago"),
        (timedelta(minutes=59, seconds=59), "1 h ago"),
        (timedelta(hours=23, minutes=30), "23 h ago"),
        (timedelta(hours=23, minutes=59), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=31), "22 Oct"),
        (timedelta(days=400), "18 Oct 2025"),
        (timedelta(hours=-5), "in 5 h"),
    ],
)
def test_a_moment_is_told_by_how_long_ago_it_was(ago: timedelta, words: str) -> None:
    assert times.relative(NOW - ago, NOW) == words


def test_a_task_is_late_or_has_time() -> None:
    assert times.due(NOW - timedelta(days=2), NOW) == "2 days late"
    assert times.due(NOW + timedelta(hours=23, minutes=59), NOW) == "due in 1 day"


@pytest.mark.parametrize("path", ["/", "/rules?x=1", "/events/4#run-9"])
def test_a_path_of_this_site_is_gone_back_to(path: str) -> None:
    assert desk.local_path(path, "/home") == path


@pytest.mark.parametrize(
    "target",
    ["", None, "rules", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/a\r\nb", "/\tb"],
)
def test_nobody_is_led_to_another_site(target: str | None) -> None:
    assert desk.local_path(target, "/home") == "/home"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b'{"a":1}', '{\n  "a": 1\n}'),
        (b"a=1&b=2", "a=1&b=2"),
        (b"\xff\x00\x1b[31m", "���[31m"),
        (b"[" * 20_000, "[" * 20_000),
        ("Bjørn – 東京".encode(), "Bjørn – 東京"),
    ],
)
def test_whatever_was_sent_is_shown_as_text(sent: bytes, shown: str) -> None:
    assert events.readable(sent) == shown


def test_a_line_of_yaml_is_taken_apart_without_losing_a_character() -> None:
    text = '# why\n  - company.category: {in: [Lead]}  # note\n    title: "A: b # c"\n'

    lines = rulebook.source_lines(text)

    assert ["".join(piece for _, piece in line) for line in lines] == text.rstrip("\n").split("\n")
    assert ("key", "company.category") in lines[1]
    assert ("comment", "# note") in lines[1]
    assert ("text", '"A: b # c"') in lines[2]


def test_days_without_events_have_their_place_in_the_chart() -> None:
    bars = charts.day_bars([DayCount(date(2026, 11, 21), "held", 3)], date(2026, 11, 22), 3)

    assert [bar.total for bar in bars] == [0, 3, 0]
    assert bars[1].segments[0].size == charts.BAR_HEIGHT
    assert bars[1].words == "21 November: 3 held"


def test_a_bar_is_as_long_as_its_parts() -> None:
    parts = charts.stacked([("fired", "good", 1), ("near miss", "warn", 0), ("other", "idle", 3)], width=100)

    assert [(one.start, one.size) for one in parts] == [(0, 25), (25, 75)]
    assert charts.stacked([("fired", "good", 0)]) == []
