"""``farebox prices``: list, show, check, diff and history, and the archive they read."""

import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farebox.analyse.diff_books import diff_books, percent_text
from farebox.cli import book_options
from farebox.cli.main import cli
from farebox.prices.book import PriceBook, compile_book
from farebox.state.archive import keep_book, use_book

CARD = """
format = 2
provider = "acme"
name = "Acme"
[tiers]
default = "standard"
flex = "flex"
[sources.list]
url = "https://acme.example/prices"
retrieved = "2026-11-23"
[[models]]
id = "big-1"
names = ["big-1"{names}]
source = "list"
prices = [
{rows}
]
{more}
"""
PLAIN = '  {{ input = "{0}", output = "10" }},'


def card(rows: str = PLAIN.format("2"), more: str = "", names: str = "") -> bytes:
    return CARD.replace("{rows}", rows).replace("{more}", more).replace("{names}", names).encode()


def book(data: bytes) -> PriceBook:
    return compile_book({"acme": data})


def _without_cards(own_files: Sequence[Path]) -> PriceBook:
    return compile_book({}, [(str(path), path.read_bytes()) for path in own_files])


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli, ["prices", *args])
    assert result.exit_code == code, result.output
    if "--json" not in args and code != 2:
        assert max(len(line) for line in result.output.splitlines()) <= 80
    return result


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two folders of cards: what is dearer, gone, new and otherwise in the second one."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    gone = '[[models]]\nid = "gone-1"\nnames = ["gone-1"]\nsource = "list"\nprices = [{ input = "1" }]\n'
    (old / "acme.toml").write_bytes(card(PLAIN.format("2"), gone))
    rows = '  { input = "2.5", output = "10" },\n  { tier = "flex", input = "1", output = "5" },'
    born = gone.replace("gone-1", "new-1") + '[[uplifts]]\nid = "eu"\nregions = ["eu"]\ntimes = "1.1"\n'
    (new / "acme.toml").write_bytes(card(rows, born + 'models = ["big-1"]\nsource = "list"\n', ', "big"'))
    return str(old), str(new)


def test_a_diff_lists_models_prices_and_rules(folders: tuple[str, str]) -> None:
    said: dict[str, Any] = json.loads(run("diff", *folders, "--json", code=1).output)
    assert said["added"] == [["acme", "new-1"]]
    assert said["removed"] == [["acme", "gone-1"]]
    changes = [(one["row"], one["meter"], one["old"], one["new"], one["percent"]) for one in said["prices"]]
    assert changes == [
        ("acme/big-1/standard", "input", "2", "2.5", "+25.0%"),
        ("acme/big-1/flex", "input", "", "1", ""),
        ("acme/big-1/flex", "output", "", "5", ""),
    ]
    assert [(one["where"], one["what"]) for one in said["rules"]] == [
        ("acme: uplift eu", "added"),
        ("acme/big-1", "ids: +big"),
    ]
    shown = run("diff", *folders, code=1).output
    for words in ("Models added: 1", "  acme/new-1", "Models removed: 1", "+25.0%", "ids: +big"):
        assert words in shown
    assert "1 models added, 1 removed, 3 prices and 2 rules changed" in shown


def test_a_diff_with_itself_is_empty(folders: tuple[str, str]) -> None:
    assert "They say the same" in run("diff", folders[0], folders[0]).output
    assert "They say the same" in run("diff", "shipped", "own").output
    assert "They say the same" in run("diff", *folders, "--provider", "openai").output


def test_a_price_that_changes_on_a_day_shows_as_old_and_new() -> None:
    old = book(card())
    rows = (
        '  { until = 2027-01-01T00:00:00Z, input = "2", output = "10" },\n'
        '  { from = 2027-01-01T00:00:00Z, input = "3", output = "10" },'
    )
    new = book(card(rows))
    found = diff_books(old, new)
    assert [(one.row, one.meter, one.old, one.new, one.percent) for one in found.prices] == [
        ("acme/big-1/standard/2027-01-01", "input", "2", "3", "+50.0%")
    ]
    assert [one.what for one in found.rules] == ["ends 2027-01-01; it had no end before"]
    back = diff_books(new, old)
    assert [(one.row, one.old, one.new, one.percent) for one in back.prices] == [
        ("acme/big-1/standard/2027-01-01", "3", "2", "-33.3%")
    ]


def test_the_same_price_in_other_words_is_no_change() -> None:
    old = book(card('  { input = "2", output = "10", web_search = "10/1k" },'))
    new = book(card('  { input = "2.00", output = "10", web_search = "0.01" },'))
    assert diff_books(old, new).empty


def test_other_money_has_no_percent() -> None:
    old, new = book(card()), book(card('  { currency = "CNY", input = "14", output = "10" },'))
    found = diff_books(old, new)
    assert [(one.meter, one.old, one.new, one.percent) for one in found.prices] == [
        ("input", "2", "14 CNY", ""),
        ("output", "10", "10 CNY", ""),
    ]


def test_percent_of_a_price() -> None:
    pairs = [(Fraction(one), Fraction(two)) for one, two in ((1, 2), (3, 2), (0, 1), (4, 4))]
    assert [percent_text(*pair) for pair in pairs] == ["+100.0%", "-33.3%", "", "+0.0%"]


def test_books_are_named_by_hash_file_and_word(folders: tuple[str, str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[[prices]]\nprovider = "cellar"\nmodel = "m"\ninput = "1"\n')
    kept = use_book(tmp_path / "data", [mine])
    said = json.loads(run("diff", "shipped", str(mine), "--json", code=1).output)
    assert (said["added"], said["new"]) == ([["cellar", "m"]], kept.hash)
    data = ("--data-dir", str(tmp_path / "data"))
    assert "They say the same" in run("diff", kept.short, str(mine), *data).output
    assert "They say the same" in run("diff", kept.short, "own", "--prices", str(mine), *data).output
    replaced = json.loads(run("diff", "shipped", f"{folders[0]}/acme.toml", "--json", code=1).output)
    assert replaced["added"] == [["acme", "big-1"], ["acme", "gone-1"]]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["diff", "deadbeef"], "not in the archive"),
        (["diff", "abc"], "give the first digits of a hash"),
        (["diff", "nowhere.toml"], "nowhere.toml: No such file"),
        (["diff", "bad.toml"], "not a TOML file"),
        (["diff", "empty"], "there is no card"),
        (["list", "--provider", "nobody"], "no card of 'nobody'"),
        (["show", "gpt-99", "--provider", "openai"], "has no price for gpt-99"),
        (["show", "zzzzzzzz"], "no card knows zzzzzzzz"),
        (["history", "gpt-99", "--provider", "openai"], "has no price for gpt-99"),
        (["check", "--prices", "bad.toml"], "bad.toml"),
    ],
)
def test_bad_questions_are_refused(
    args: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("[[")
    (tmp_path / "empty").mkdir()
    assert words in run(*args, code=2).output


def test_models_are_listed() -> None:
    shown = run("list", "--provider", "anthropic", "--model", "claude-haiku-5-5").output
    row = next(line for line in shown.splitlines() if line.startswith("anthropic/claude-haiku-5-5"))
    assert row.split() == ["anthropic/claude-haiku-5-5", "0.1", "0.01", "0.5", "batch,", "long"]
    said = json.loads(run("list", "--json").output)
    assert len(said["models"]) > 1500
    assert len({model["provider"] for model in said["models"]}) >= 35


def test_a_model_is_shown_with_every_row() -> None:
    shown = run("show", "gpt-5.6-luna", "--provider", "openai").output
    assert "standard, inputs over 272,000 tokens, valid from 2026-07-30" in shown
    assert "standard, valid until 2026-07-30" in shown
    peak = run("show", "deepseek-v4-pro").output
    assert "mon tue wed thu fri 01:00-04:00, 06:00-10:00 UTC, not on" in peak
    said = json.loads(run("show", "gpt-5.6-luna", "--provider", "openai", "--json").output)
    assert said["id"] == "gpt-5.6-luna"


def test_a_check_names_where_what_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_options, "load_book", _without_cards)
    assert ": 0 findings" in run("check").output
    path = tmp_path / "gap.toml"
    path.write_text(
        '[[prices]]\nprovider = "p"\nmodel = "m"\nrows = [{ input = "1", until = 2026-01-01T00:00:00Z }, '
        '{ input = "1", from = 2026-01-02T00:00:00Z }]\n'
    )
    result = run("check", "--prices", str(path), code=1)
    words = " ".join(result.output.split())
    assert "p/m" in words
    assert "add a row for that time" in words
    assert "1 findings" in words
    (finding,) = json.loads(run("check", "--prices", str(path), "--json", code=1).output)["findings"]
    assert finding["where"] == "p/m"
    assert "2026-01-01" in finding["what"]
    assert finding["remedy"]


def test_the_history_of_a_model_has_past_current_and_announced_prices(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path))
    said = json.loads(run("history", "gpt-5.6-luna", "--provider", "openai", *data, "--json").output)
    standard = [one for one in said["periods"] if one["tier"] == "standard" and one["above"] is None]
    assert [(one["until"], one["from"], one["prices"]["input"]["price"]) for one in standard] == [
        ("2026-07-30", None, "1"),
        (None, "2026-07-30", "0.2"),
    ]
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[prices]]\nprovider = "p"\nmodel = "m"\nrows = [{ input = "1", until = 2199-01-01T00:00:00Z }, '
        '{ input = "2", from = 2199-01-01T00:00:00Z }]\n'
    )
    shown = run("history", "m", "--prices", str(mine), *data).output
    rows = [line.split() for line in shown.splitlines()]
    assert ["standard", "always", "2199-01-01", "1", "current"] in rows
    assert ["standard", "2199-01-01", "-", "2", "announced"] in rows
    assert "announced: published, but not in force yet" in shown


def test_the_history_of_a_model_says_what_each_book_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    mine = tmp_path / "mine.toml"
    for age, price in enumerate(("1", "1", "2", "4"), 1):
        mine.write_text(f'[[prices]]\nprovider = "p"\nmodel = "m"\ninput = "{price}"\nnote = "{age}"\n')
        kept = use_book(data, [mine])
        path = keep_book(data, kept.hash, kept.files)
        os.utime(path, ns=(age * 10**18, age * 10**18))
    options = ("--prices", str(mine), "--data-dir", str(data))
    said = json.loads(run("history", "m", *options, "--json").output)
    prices = [(change["old"], change["new"]) for one in said["revisions"] for change in one["prices"]]
    assert prices == [("1", "2"), ("2", "4")]
    shown = run("history", "m", *options).output
    assert "+100.0%" in shown
    assert "in use: changed" in shown


def test_the_books_that_were_used_are_listed(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path))
    assert "No book is kept" in run("history", *data).output
    first = use_book(tmp_path)
    mine = tmp_path / "mine.toml"
    mine.write_text('[[prices]]\nprovider = "p"\nmodel = "m"\ninput = "1"\n')
    second = use_book(tmp_path, [mine])
    said = json.loads(run("history", *data, "--json").output)
    books = {one["book"]: one for one in said["books"]}
    assert set(books) == {first.hash, second.hash}
    assert books[first.hash]["in_use"]
    assert not books[second.hash]["in_use"]
    assert books[second.hash]["own_files"] == ["mine.toml"]
    assert books[second.hash]["models"] == books[first.hash]["models"] + 1
    assert books[second.hash]["prices"] == books[first.hash]["prices"] + 1
    assert f"{first.short} *" in run("history", *data).output


def test_the_group_names_its_commands() -> None:
    shown = run("--help").output
    for name in ("list", "show", "history", "diff", "check", "rerate", "import"):
        assert f"  {name}" in shown
        assert f"Usage: cli prices {name}" in run(name, "--help").output
