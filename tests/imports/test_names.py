"""Names of providers and models, against the price book that is shipped."""

from pathlib import Path

import duckdb
import pytest

import farebox.prices
from farebox.imports import names
from farebox.imports.options import Options
from farebox.imports.phrases import quoted

SHIPPED = {path.stem for path in (Path(farebox.prices.__file__).parent / "data").glob("*.toml")}


def ask(phrase: str) -> object:
    with duckdb.connect() as connection:
        row = connection.execute(f"SELECT {phrase}").fetchone()
    assert row is not None
    return row[0]


def test_every_provider_is_in_the_price_book() -> None:
    found = set(names.PROVIDERS.values()) | set(names.PREFIXES.values())
    assert sorted(found - SHIPPED) == []


def test_no_name_hides_an_id_of_the_price_book() -> None:
    assert {name: provider for name, provider in names.PROVIDERS.items() if name in SHIPPED and name != provider} == {}


@pytest.mark.parametrize(
    ("model", "maker"),
    [
        ("gpt-4o", "openai"),
        ("o3", "openai"),
        ("o4-mini", "openai"),
        ("o30-something", None),
        ("text-embedding-3-small", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("gemini-2.5-flash", "google"),
        ("grok-4", "x-ai"),
        ("deepseek-chat", "deepseek"),
        ("deepseek-v3", None),
        ("mistral-large-latest", "mistral"),
        ("command-a-03-2025", "cohere"),
        ("sonar-pro", "perplexity"),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "aws"),
        ("meta.llama3-70b-instruct-v1:0", "aws"),
        ("openai/gpt-4o", None),
        ("llama-3.3-70b", None),
    ],
)
def test_makers(model: str, maker: str | None) -> None:
    assert ask(names.maker_of(quoted(model))) == maker


def test_the_source_goes_before_the_options_and_they_before_the_maker() -> None:
    maker = names.maker_of("'gpt-4o'")
    given = Options(provider="azure")
    assert ask(names.provider_of("'Bedrock'", given, maker)) == "aws"
    assert ask(names.provider_of("'ours'", given, maker)) == "ours"
    assert ask(names.provider_of("NULL::VARCHAR", given, maker)) == "azure"
    assert ask(names.provider_of("NULL::VARCHAR", Options(), maker)) == "openai"


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com/model/x", "eu-central-1"),
        ("us-central1-aiplatform.googleapis.com", "us-central1"),
        ("https://api.openai.com", None),
        ("https://aiplatform.googleapis.com", None),
    ],
)
def test_regions(address: str, region: str | None) -> None:
    assert ask(names.region_in(quoted(address))) == region
