"""What clients are told of limits, in the words of each dialect."""

import pytest

from farebox.wire.rate_headers import Standing, duration_text, write_limit

NOW = 1_795_478_400_000_000_000  # 2026-11-24T00:00:00Z


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (1, "1s"), (60, "1m0s"), (366, "6m6s"), (3600, "1h0m0s"), (90_061, "25h1m1s")],
)
def test_durations(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


def test_openai() -> None:
    assert write_limit("openai", Standing("requests", 60, 0, NOW + 59_000_000_001), NOW) == (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m0s"),
    )
    (limit, *_) = write_limit("openai", Standing("output_tokens", 5, 1, NOW), NOW)
    assert limit == ("x-ratelimit-limit-tokens", "5")


def test_anthropic() -> None:
    assert write_limit("anthropic", Standing("input_tokens", 50_000, 12, NOW + 1), NOW) == (
        ("anthropic-ratelimit-input-tokens-limit", "50000"),
        ("anthropic-ratelimit-input-tokens-remaining", "12"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-11-24T00:00:01Z"),
    )


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("unit", ["concurrency", "usd"])
def test_what_has_no_header(dialect: str, unit: str) -> None:
    assert write_limit(dialect, Standing(unit, 1, 1, NOW), NOW) == ()
