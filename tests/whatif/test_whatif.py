"""What recorded traffic would have cost otherwise, against plain loops that share no code with it."""

import json
from fractions import Fraction
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from farebox.cli.main import cli
from farebox.errors import FareboxError
from farebox.whatif.caching import Prompt, replay
from farebox.whatif.schemes import CacheTable
from farebox.whatif.tokens import ratio_of

TRACES = Path(__file__).parents[2].parent / "shared/data/traces"
NEEDS_TRACES = pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not at hand")
# USD for a million tokens of input, of output and read from a cache, looked up by hand on the makers' price pages.
PRICES = {
    "openai/gpt-4o-mini": (Fraction("0.15"), Fraction("0.60"), Fraction("0.075")),
    "openai/gpt-4o": (Fraction("2.50"), Fraction("10.00"), Fraction("1.25")),
    "anthropic/claude-haiku-4-5": (Fraction("1.00"), Fraction("5.00"), Fraction("0.10")),
}


def run(data_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--data-dir", str(data_dir)])


def whatif(data_dir: Path, *schemes: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    words = [word for scheme in schemes for word in ("--scheme", scheme)]
    result = run(data_dir, "whatif", *words, "--json", *more)
    assert result.exit_code in {0, 1}, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def bring_in(data_dir: Path, path: Path, form: str, model: str = "openai/gpt-4o-mini", *more: str) -> None:
    provider, name = model.split("/")
    result = run(data_dir, *("import", str(path), "--format", form, "--provider", provider, "--model", name), *more)
    assert result.exit_code == 0, result.output


def cost(lengths: list[tuple[int, int]], model: str) -> Fraction:
    inputs, outputs, _ = PRICES[model]
    return sum((one * inputs + other * outputs for one, other in lengths), Fraction(0)) / 1_000_000


def lengths_of(path: Path) -> list[tuple[int, int]]:
    if path.suffix == ".csv":
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        return [(int(row[1]), int(row[2])) for row in rows]
    records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [(one["input_length"], one["output_length"]) for one in records]


@NEEDS_TRACES
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("azure_2023_conv.csv", "azure"),
        ("mooncake_conversation_trace.jsonl", "mooncake"),
        ("ragpulse_trace.jsonl", "ragpulse"),
    ],
)
def test_three_schemes_on_a_trace_are_exact(tmp_path, name, form) -> None:
    bring_in(tmp_path, TRACES / name, form)
    lengths = lengths_of(TRACES / name)
    found = whatif(tmp_path, *(f"{model}=all:{model}" for model in PRICES))
    before = cost(lengths, "openai/gpt-4o-mini")
    assert Fraction(found["baseline"]["cost_usd"]) == before
    assert [one["name"] for one in found["schemes"]] == list(PRICES)
    for one in found["schemes"]:
        assert Fraction(one["cost_usd"]) == cost(lengths, one["name"])
        assert Fraction(one["difference_usd"]) == cost(lengths, one["name"]) - before
        assert sum(Fraction(line["cost_usd"]) for line in one["lines"]) == Fraction(one["cost_usd"])
        assert sum(Fraction(line["difference_usd"]) for line in one["lines"]) == Fraction(one["difference_usd"])
        assert one["unpriced"] == 0


@pytest.fixture
def small(tmp_path) -> tuple[Path, list[tuple[int, int]]]:
    """Books of a few calls, and their lengths."""
    lengths = [(1000 + 37 * number, 50 + number) for number in range(40)]
    text = "".join(f"2026-11-0{1 + n % 5} 10:00:{n:02d},{a},{b}\n" for n, (a, b) in enumerate(lengths))
    (tmp_path / "trace.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + text)
    bring_in(tmp_path / "data", tmp_path / "trace.csv", "azure")
    return tmp_path / "data", lengths


def test_a_share_of_the_calls_is_drawn_by_their_ids(small) -> None:
    data_dir, lengths = small
    (one,) = whatif(data_dir, "half=batch:50%")["schemes"]
    calls = json.loads(run(data_dir, "calls", "--limit", "100", "--json").output)
    total = Fraction(0)
    for call in calls if isinstance(calls, list) else calls["calls"]:
        row = int(call["call"].rpartition(".")[2])
        digest = md5(f"{call['call']}".encode(), usedforsecurity=False).digest()
        is_picked = int.from_bytes(digest[8:], "little") % 1000 < 500
        total += cost([lengths[row - 1]], "openai/gpt-4o-mini") / (2 if is_picked else 1)
    assert Fraction(one["cost_usd"]) == total
    assert any("50 % of the calls" in each["text"] for each in one["assumptions"])


def test_a_tier_and_a_file(small, tmp_path) -> None:
    data_dir, lengths = small
    (tmp_path / "mine.toml").write_text(
        '[[rules]]\nwhere = { model = "gpt-4o*" }\nto = { provider = "anthropic", model = "claude-haiku-4-5" }\n'
    )
    found = whatif(data_dir, "batch=tier:batch", f"mine={tmp_path / 'mine.toml'}")
    batch, mine = found["schemes"]
    assert Fraction(batch["cost_usd"]) == cost(lengths, "openai/gpt-4o-mini") / 2
    assert Fraction(mine["cost_usd"]) == cost(lengths, "anthropic/claude-haiku-4-5")


def test_limits_and_what_a_scheme_costs_a_month(small, tmp_path) -> None:
    data_dir, lengths = small
    (tmp_path / "s.toml").write_text(
        'monthly_usd = "10"\n[limits]\nrequests_per_minute = 5\n[[rules]]\nto = { processing = "batch" }\n'
    )
    (one,) = whatif(data_dir, f"s={tmp_path / 's.toml'}")["schemes"]
    assert one["throttled"] == {"minutes": 5, "of": 5}  # eight calls in each of five minutes
    saved = -Fraction(one["difference_usd"])
    assert one["break_even_calls_a_month"] == -(-10 * len(lengths) // saved)


def test_what_was_read_from_a_cache_is_input_where_nobody_caches(tmp_path) -> None:
    rows = [{"at": "2026-11-01T00:00:00Z", "input": 100, "cache_read": 900, "output": 10, "cache_write_1h": 50}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bring_in(tmp_path / "data", tmp_path / "x.jsonl", "jsonl", "anthropic/claude-haiku-4-5")
    (one,) = whatif(tmp_path / "data", "x=all:openai/gpt-4o")["schemes"]
    inputs, outputs, reads = PRICES["openai/gpt-4o"]
    # GPT-4o bills reading from the cache, and writing to it as plain input.
    assert Fraction(one["cost_usd"]) == (150 * inputs + 900 * reads + 10 * outputs) / 1_000_000


def test_a_model_without_a_price_is_said(small) -> None:
    data_dir, lengths = small
    result = run(data_dir, "whatif", "--scheme", "x=all:openai/made-up", "--json")
    assert result.exit_code == 1
    (one,) = json.loads(result.output)["schemes"]
    assert (one["cost_usd"], one["unpriced"]) == ("0", len(lengths))
    assert "made-up" in next(iter(one["reasons"]))


def test_counts_of_another_tokenizer(small) -> None:
    data_dir, lengths = small
    (one,) = whatif(data_dir, "x=all:openai/gpt-3.5-turbo", more=("--adjust-tokens",))["schemes"]
    ratio = ratio_of("gpt-4o-mini", "gpt-3.5-turbo")
    assert ratio is not None
    assert ratio < 1
    scaled = sum((a * ratio * 2 + 1) // 2 for a, _ in lengths)
    line = next(line for line in one["lines"] if line["meter"] == "input")
    assert line["quantity"] == scaled
    assert any("measured" in each["text"] for each in one["assumptions"])
    (other,) = whatif(data_dir, "x=all:anthropic/claude-haiku-4-5", more=("--adjust-tokens",))["schemes"]
    assert any("is not known" in each["text"] for each in other["assumptions"])
    assert Fraction(other["cost_usd"]) == cost(lengths, "anthropic/claude-haiku-4-5")


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("x=no-such-file.toml", "neither a file"),
        ("x=all:openai", "all:PROVIDER/MODEL"),
        ("x=tier:fast", "standard, batch, flex, priority"),
        ("x=batch:140%", "batch:40%"),
        ("x=cache:2m", "5m, 30m, 1h, 12h"),
        ("=all:openai/gpt-4o", "NAME=FILE"),
    ],
)
def test_a_scheme_that_is_none_says_what_to_write(small, scheme, said) -> None:
    result = run(small[0], "whatif", "--scheme", scheme)
    assert isinstance(result.exception, FareboxError), result.output
    assert said in str(result.exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("share_percent = 200", "share_percent"),
        ("monthly_usd = 3", "monthly_usd"),
        ("[[rules]]\nto = { modle = 'x' }", "to.modle"),
        ("[cache]\nttl = '2m'", "cache.ttl"),
        ("nonsense", "TOML"),
        ("other = 1", "other"),
    ],
)
def test_a_scheme_file_names_its_fault(small, tmp_path, text, said) -> None:
    (tmp_path / "bad.toml").write_text(text)
    result = run(small[0], "whatif", "--scheme", f"x={tmp_path / 'bad.toml'}")
    assert isinstance(result.exception, FareboxError), result.output
    assert said in str(result.exception)
    assert "bad.toml" in str(result.exception)


def test_empty_books_say_what_to_do(tmp_path) -> None:
    result = run(tmp_path / "none", "whatif", "--scheme", "x=all:openai/gpt-4o")
    assert isinstance(result.exception, FareboxError)
    assert "import a log" in str(result.exception)


def test_two_schemes_of_one_name(small) -> None:
    result = run(small[0], "whatif", "--scheme", "x=tier:batch", "--scheme", "x=tier:flex")
    assert result.exit_code == 2
    assert "'x'" in result.output


def test_tables_fit_a_narrow_terminal(small) -> None:
    result = run(small[0], "whatif", "--scheme", "mini=all:openai/gpt-4o", "--scheme", "half=batch:50%")
    assert result.exit_code == 0
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80


def test_csv_adds_up(small) -> None:
    result = run(small[0], "whatif", "--scheme", "big=all:openai/gpt-4o", "--csv")
    head, *rows = result.output.splitlines()
    place = head.split(",").index("cost_usd")
    assert sum(Fraction(row.split(",")[place]) for row in rows) == cost(small[1], "openai/gpt-4o")


# Replaying a cache of prefixes.

BLOCKS = st.lists(st.integers(0, 3), max_size=6)
PROMPTS = st.lists(st.tuples(st.integers(0, 600), BLOCKS), max_size=25)


def slow_replay(prompts: list[Prompt], keep_s: int, least: int) -> list[tuple[int, int]]:
    """The same by lists: every prefix that was used, and when last."""
    used: dict[tuple[int, ...], int] = {}
    found = []
    for prompt in prompts:
        prefixes = [tuple(prompt.blocks[:size]) for size in range(1, len(prompt.blocks) + 1)]
        hits = 0
        for prefix in prefixes:
            if prefix not in used or prompt.at_ns - used[prefix] > keep_s * 10**9:
                break
            hits += 1
        sizes = [min(size * prompt.block_tokens, prompt.tokens - 1) for size in (hits, len(prefixes))]
        read, whole = (size if size >= least and size > 0 else 0 for size in sizes)
        if whole:
            used |= dict.fromkeys(prefixes, prompt.at_ns)
        found.append((read, max(0, whole - read)))
    return found


@given(PROMPTS)
def test_a_replayed_cache_is_that_of_slow_lists(sent) -> None:
    at = 0
    prompts = []
    for ix, (pause_s, blocks) in enumerate(sent):
        at += pause_s
        prompts.append(Prompt(ix, at * 10**9, "p", 100 * len(blocks) + 7, blocks, 100))
    found = [(one.read, one.written) for one in replay(prompts, CacheTable(ttl="5m", min_tokens=200))]
    assert found == slow_replay(prompts, 300, 200)


def test_seen_writes_only_what_came_twice() -> None:
    prompts = [Prompt(n, n * 10**9, "p", 401, [1, 2, 3, 4], 100) for n in range(3)]
    found = [(one.read, one.written) for one in replay(prompts, CacheTable(ttl="5m", min_tokens=1, write="seen"))]
    assert found == [(0, 0), (0, 400), (400, 0)]


@NEEDS_TRACES
@pytest.mark.parametrize(("ttl", "share"), [("5m", "0.264"), ("1h", "0.347")])
def test_mooncake_meets_a_cache_as_published_figures_say(tmp_path, ttl, share) -> None:
    """The shares of input tokens read again within a time were measured apart from this code."""
    bring_in(tmp_path, TRACES / "mooncake_conversation_trace.jsonl", "mooncake")
    (one,) = whatif(tmp_path, f"x=cache:{ttl}")["schemes"]
    quantities = {line["meter"]: line["quantity"] for line in one["lines"]}
    whole = sum(quantities.get(name, 0) for name in ("input", "cache_read", f"cache_write_{ttl}"))
    assert abs(quantities["cache_read"] / whole - float(share)) < 0.002
    assert whole == sum(inputs for inputs, _ in lengths_of(TRACES / "mooncake_conversation_trace.jsonl"))


def test_a_cache_without_recorded_prefixes_changes_nothing_and_says_so(small) -> None:
    data_dir, lengths = small
    (one,) = whatif(data_dir, "x=cache:5m")["schemes"]
    assert Fraction(one["cost_usd"]) == cost(lengths, "openai/gpt-4o-mini")
    assert "no prompt has recorded blocks" in one["assumptions"][0]["text"]
