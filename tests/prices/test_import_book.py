"""The shipped book: enough of it, every card loads, every price says where it is from, nothing is in doubt and in."""

import json
import tomllib
from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from farebox.cli.prices_import import import_prices
from farebox.prices.card import read_card
from farebox.prices.importing.sources import set_table
from farebox.prices.match import Matcher, fits
from farebox.quote import provider_id
from farebox.state.pricebook import load_book, read_shipped

SHIPPED = read_shipped()
CARDS = {provider: read_card(f"{provider}.toml", data) for provider, data in SHIPPED.items()}
DATA = files("farebox.prices").joinpath("data")
REVIEW = [json.loads(line) for line in DATA.joinpath("review.jsonl").read_text().splitlines()]
DOCUMENT = Path(__file__).parents[2] / "docs" / "price-sources.md"
GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "golden_prices.jsonl"


@cache
def written_by_hand(provider: str) -> tuple[str, ...]:
    """Return the ids and patterns of the models that a rule says something of."""
    path = DATA.joinpath("published", f"{provider}.toml")
    rules = tomllib.loads(path.read_text()) if path.is_file() else {}
    kinds = ("models", "patch", "decide", "multiples", "tier_multiples", "adds")
    chosen = [rule.get("models", [rule.get("id", "")]) for kind in kinds for rule in rules.get(kind, ())]
    return tuple(pattern for patterns in chosen for pattern in patterns)


def touched(provider: str, model: str) -> bool:
    return any(fits(pattern, model) for pattern in written_by_hand(provider))


def test_there_are_enough_providers_and_models() -> None:
    priced = {(provider, model.id) for provider, card in CARDS.items() for model in card.models if model.rows}
    assert len(CARDS) >= 35
    assert len(priced) >= 1500


def test_every_card_loads_and_its_names_are_its_own() -> None:
    for provider, card in CARDS.items():
        assert card.provider == provider
        Matcher(provider, card.models)


def test_every_row_says_where_it_was_published_and_when_it_was_read() -> None:
    for card in CARDS.values():
        for model in card.models:
            for row in model.rows:
                assert row.source.url.startswith("https://"), row.id
                assert row.source.retrieved.startswith("202"), row.id


def test_a_price_of_nothing_is_said_to_be_free() -> None:
    for provider, card in CARDS.items():
        for model in card.models:
            for row in model.rows:
                if row.source.via and all(price.amount == "0" for price in row.prices.values()) and row.prices:
                    assert "free" in row.note or model.id.endswith(("free", ":free")), (provider, model.id)


def test_what_one_package_knows_is_marked() -> None:
    marked: Counter[bool] = Counter()
    for provider, card in CARDS.items():
        for model in card.models:
            for row in model.rows if not touched(provider, model.id) else ():
                alone = "," not in row.source.via
                marked[alone] += 1
                assert not alone or row.note.startswith(("one source", "free")), row.id
    assert marked[True]
    assert marked[False] > 800


def test_what_is_in_doubt_is_not_in() -> None:
    doubts = [one for one in REVIEW if one["why"] == "disagree" and "/" not in one["what"] and "@" not in one["what"]]
    assert doubts
    held = 0
    for one in doubts:
        card = CARDS[one["provider"]]
        model = next((model for model in card.models if model.id == one["model"]), None)
        for row in model.rows if model and not touched(one["provider"], model.id) else ():
            plain = row.tier == "standard" and row.above < 0 and not row.when and not row.schedule
            if plain and one["what"] in row.prices and row.source.via and row.until_ns > 2**62:
                held += 1
                assert row.prices[one["what"]].text not in one["values"].values(), row.id
    assert held <= len(doubts)


def test_the_review_list_says_who_says_what() -> None:
    assert all(set(one) == {"provider", "model", "what", "why", "values"} for one in REVIEW)
    assert sorted(REVIEW, key=lambda one: json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode()) == REVIEW


def test_every_model_of_the_golden_cases_is_found() -> None:
    if not GOLDEN.exists():
        pytest.skip("../shared is not here")
    book = load_book()
    for line in GOLDEN.read_text().splitlines():
        case = json.loads(line)
        assert book.find_model(provider_id(case["provider"]), case["model"]), case["id"]


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    result = CliRunner().invoke(import_prices, ["--wheels", str(tmp_path), "--check"])
    assert result.exit_code == 1
    assert "has no wheel of litellm; get them with `pip download" in result.output
    assert CliRunner().invoke(import_prices, ["--wheels", str(tmp_path), "--provider", "ghost"]).exit_code == 2


def test_the_table_of_the_documentation_is_of_these_cards() -> None:
    document = DOCUMENT.read_text()
    assert set_table(document, [data.decode() for data in SHIPPED.values()], REVIEW) == document, "run the import"
    for provider in SHIPPED:
        assert f"| `{provider}` |" in document


def test_a_document_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        set_table("nothing", [], [])
