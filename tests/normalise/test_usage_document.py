"""docs/usage.md says what is so: its tables are complete and its examples are computed."""

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from farebox.normalise.billed import KINDS, read_billed
from farebox.normalise.server_tools import TOOLS, meter_of, tool_of
from farebox.normalise.table import NORMALISERS, normaliser
from farebox.quote import read_rating
from farebox.usage import METERS, Usage

PAGE = (Path(__file__).parent.parent.parent / "docs" / "usage.md").read_text()
EXAMPLES = re.findall(r"^    ([a-z-]+)\n((?:    .*\n)+?)    = (.*)$", PAGE, re.MULTILINE)
BILLED = re.findall(r"^\| `(\w+)` \| `(\{.*\})` \| `(\w+)` ([\d.]+) \|$", PAGE, re.MULTILINE)


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def units_of(usage: Usage) -> dict[str, Fraction]:
    return {name: Fraction(parts, METERS[name].scale) for name, parts in usage.meters.items()}


def test_every_api_has_a_row_and_an_example() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", section("Who includes what"), re.MULTILINE)
    assert rows == [api for api, _, _ in EXAMPLES]
    assert sorted(rows) == sorted(NORMALISERS)


@pytest.mark.parametrize(("api", "raw", "meters"), EXAMPLES, ids=[api for api, _, _ in EXAMPLES])
def test_an_example_is_computed(api: str, raw: str, meters: str) -> None:
    said = dict(part.split() for part in meters.split(", "))
    assert units_of(normaliser(api)(json.loads(raw))) == {name: Fraction(text) for name, text in said.items()}


def test_every_meter_of_a_tool_has_a_row() -> None:
    rows = re.findall(
        r"^\| (?:`(\w+)`|free of charge) \| (.*) \|$", section("Tools that the provider runs"), re.MULTILINE
    )
    assert {meter for meter, _ in rows} == {meter or "" for meter in TOOLS.values()}
    for meter, words in rows:
        for word in re.findall(r"`(\w+)`", words):
            tool = tool_of(word)
            assert meter in {meter_of(tool, "openai") or "", meter_of(tool, "x-ai") or ""}, word


def test_every_kind_has_a_row() -> None:
    assert {kind for kind, _, _, _ in BILLED} == set(KINDS.values())


@pytest.mark.parametrize(("kind", "raw", "meter", "amount"), BILLED, ids=[raw for _, raw, _, _ in BILLED])
def test_a_billed_quantity_is_computed(kind: str, raw: str, meter: str, amount: str) -> None:
    assert units_of(read_billed(json.loads(raw), kind).usage) == {meter: Fraction(amount)}
    rating = read_rating("openai", "x", json.loads(raw), {"kind": kind}, 0)
    assert units_of(rating.usage) == {meter: Fraction(amount)}


def test_every_key_of_the_context_is_understood() -> None:
    chat = {"prompt_tokens": 1, "completion_tokens": 1}
    firsts = re.findall(r"^\| (`[^|]*) \|", section("What the context says"), re.MULTILINE)
    keys = [key for first in firsts for key in re.findall(r"`([a-z_]+)`", first)]
    said = {"time": "2026-11-20T12:00:00Z", "batch": True, "processing": "batch"}
    silent = read_rating("openai", "x", chat, {}, 0)
    for key in set(keys) - {"api", "kind", "cache_ttl", "period"}:
        assert read_rating("openai", "x", chat, {key: said.get(key, "low")}, 0) != silent, key
    assert len(keys) > 15
