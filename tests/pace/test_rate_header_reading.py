"""Headers about limits, as OpenAI and Anthropic write them."""

import pytest

from farebox.pace.headers import Said, read_limits, read_reset, read_retry_after

S = 1_000_000_000
NOW = 1_795_478_400 * S  # 2026-11-24T00:00:00Z


def test_openai():
    headers = [
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]
    assert read_limits(headers, NOW) == {
        "requests": Said(60, 59, NOW + S),
        "tokens": Said(150_000, 149_984, NOW + 360 * S),
    }


def test_anthropic():
    headers = [
        ("anthropic-ratelimit-input-tokens-limit", "30000"),
        ("anthropic-ratelimit-input-tokens-remaining", "29000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-11-24T00:00:02Z"),
        ("anthropic-ratelimit-output-tokens-limit", "8000"),
    ]
    assert read_limits(headers, NOW) == {"input_tokens": Said(30_000, 29_000, NOW + 2 * S)}


@pytest.mark.parametrize(
    ("text", "after_ns"),
    [
        ("20ms", 20_000_000),
        ("1m30.5s", 90_500_000_000),
        ("0s", 0),
        ("12", 12 * S),
        ("2026-11-23T23:59:00Z", 0),
        ("2026-11-24T01:00:01+01:00", S),
    ],
)
def test_resets(text, after_ns):
    assert read_reset(text, NOW) == NOW + after_ns


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1s later", "2026-11-24T00:00:02", "9999d", "1x", "s"])
def test_a_reset_that_cannot_be_read_says_nothing(text):
    assert read_reset(text, NOW) is None


@pytest.mark.parametrize("limit", ["", "-1", "many", "9" * 400, "0", "٣"])
def test_a_limit_that_cannot_be_read_says_nothing(limit):
    headers = [
        ("x-ratelimit-limit-requests", limit),
        ("x-ratelimit-remaining-requests", "1"),
        ("x-ratelimit-reset-requests", "1s"),
    ]
    assert read_limits(headers, NOW) == {}


def test_retry_after():
    assert read_retry_after([("retry-after", "1.5")], NOW) == 1_500_000_000
    assert read_retry_after([("retry-after", "1"), ("retry-after-ms", "250")], NOW) == 250_000_000
    assert read_retry_after([("retry-after", "Tue, 24 Nov 2026 00:00:07 GMT")], NOW) == 7 * S
    assert read_retry_after([("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], NOW) == 0
    assert read_retry_after([("retry-after", "soon")], NOW) is None
    assert read_retry_after([], NOW) is None
