"""What docs/prices.md shows works as it stands."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from farebox.cli.price import price
from farebox.cli.prices import prices
from farebox.prices.book import compile_book
from farebox.prices.card import read_card
from farebox.prices.check import check_book
from farebox.state.pricebook import load_book, read_shipped
from farebox.usage import METERS

DOCS = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()


def section(title: str) -> str:
    return DOCS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def code(title: str) -> str:
    lines = [line[4:] for line in section(title).splitlines() if line.startswith("    ")]
    return "\n".join(lines)


def test_the_users_prices_compile() -> None:
    own = [("docs.toml", code("Your own prices").encode())]
    book = compile_book(read_shipped(), own)
    assert check_book(book).findings == ()
    assert {"local", "acme"} <= set(book.providers())
    replaced = book.find_model("openai", "gpt-4o-2024-08-06")
    assert replaced is not None
    assert [row.tier for row in replaced[0].rows] == ["standard", "priority"]


def test_the_card_compiles() -> None:
    card = read_card("docs.toml", code("The format of a card").encode())
    assert [row.id for row in card.models[0].rows] == [
        "anthropic/claude-haiku-5-5/standard",
        "anthropic/claude-haiku-5-5/standard/over-100000",
        "anthropic/claude-haiku-5-5/batch/2026-10-14",
    ]


@pytest.mark.parametrize("line", code("Look").splitlines())
def test_the_commands_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answer.json").write_text('{"usage": {"input_tokens": 10, "output_tokens": 20}}')
    program, command, *args = shlex.split(line)
    assert program == "farebox"
    result = CliRunner().invoke({"price": price, "prices": prices}[command], args)
    assert result.exit_code == 0, result.output


def test_every_meter_is_listed() -> None:
    assert all(f"`{meter}`" in section("The format of a card") for meter in METERS)


def test_the_counts_are_those_of_the_book() -> None:
    book = load_book()
    for provider, name in (("openai", "OpenAI"), ("anthropic", "Anthropic")):
        card = book.card(provider)
        assert card is not None
        assert f"| {name}, {len(card.models)} models |" in DOCS
