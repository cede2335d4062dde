"""What ``--since`` means."""

import pytest

from farebox.analyse.window import parse_window
from farebox.books.rows import Window
from farebox.errors import ConfigError

NOW = 1_795_392_000_000_000_123  # 2026-11-23 00:00:00 UTC and a little
DAY = 86_400_000_000_000
MIDNIGHT = NOW - 123


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("", Window()),
        ("30m", Window(NOW - DAY // 48)),
        ("24h", Window(NOW - DAY)),
        ("30d", Window(NOW - 30 * DAY)),
        ("2w", Window(NOW - 14 * DAY)),
        ("2026-11-22..2026-11-23", Window(MIDNIGHT - DAY, MIDNIGHT + DAY)),
        ("2026-11-23..", Window(MIDNIGHT)),
        ("..2026-11-22", Window(None, MIDNIGHT)),
        ("2026-11-22T12:00..2026-11-23T01:00+01:00", Window(MIDNIGHT - DAY // 2, MIDNIGHT)),
        ("2026-11-23..2026-11-23", Window(MIDNIGHT, MIDNIGHT + DAY)),
    ],
)
def test_reads_durations_and_ranges(text, window):
    assert parse_window(text, NOW) == window


@pytest.mark.parametrize("text", ["30", "d", "yesterday", "2026-13-01..", "30y", "2026-11-23..2026-11-22", "-3d"])
def test_refuses_what_is_no_window_and_says_so(text):
    with pytest.raises(ConfigError, match="--since"):
        parse_window(text, NOW)
