"""What docs/prices.md shows works as it stands."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from farebox.cli.price import price
from farebox.cli.prices import prices
from farebox.prices.arithmetic import parse_price
from farebox.prices.book import compile_book
from farebox.prices.check import check_book
from farebox.state.pricebook import read_shared, read_shipped
from farebox.usage import METERS

DOCS = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()


CARDS = (Path(__file__).parents[2] / "docs" / "rate-cards.md").read_text()


def code(title: str, docs: str = DOCS) -> str:
    section = docs.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def test_the_users_prices_compile() -> None:
    own = [("docs.toml", code("Your own prices").encode())]
    book = compile_book(read_shipped(), own, read_shared())
    assert check_book(book).findings == ()
    assert {"local", "acme"} <= set(book.providers())
    replaced = book.find_model("openai", "gpt-4o-2024-08-06")
    assert replaced is not None
    assert [row.tier for row in replaced[0].rows] == ["standard", "priority"]


def test_the_card_compiles() -> None:
    book = compile_book({"acme": code("The format of a card", CARDS).encode()})
    assert check_book(book).findings == ()
    card = book.card("acme")
    assert card is not None
    assert [row.id for row in card.models[0].rows][2:] == [
        "acme/acme-large/standard/peak",
        "acme/acme-large/standard/peak/over-200000",
        "acme/acme-large/flex",
        "acme/acme-large/any",
        "acme/acme-large/any/search_context_size=high",
    ]


def test_the_users_own_file_compiles() -> None:
    own = [("docs.toml", code("Your own file", CARDS).encode())]
    book = compile_book(read_shipped(), own, read_shared())
    assert [contract.id for contract in book.contracts] == ["openai-2026", "openai-embeddings"]
    assert book.find_model("acme", "acme-huge") is not None
    assert check_book(book).findings == check_book(compile_book(read_shipped(), (), read_shared())).findings


@pytest.mark.parametrize("line", code("Look").splitlines())
def test_the_commands_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answer.json").write_text('{"usage": {"input_tokens": 10, "output_tokens": 20}}')
    program, command, *args = shlex.split(line)
    assert program == "farebox"
    result = CliRunner().invoke({"price": price, "prices": prices}[command], args)
    assert result.exit_code == 0, result.output


def test_every_meter_is_listed_with_its_unit() -> None:
    for meter in METERS.values():
        line = next((line for line in CARDS.splitlines() if line.startswith(f"| `{meter.name}` |")), "")
        assert line == f"| `{meter.name}` | {parse_price('1', meter.name).unit} | {meter.meaning} |"
