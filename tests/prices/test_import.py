"""Cards are written from the data of genai-prices, the same way every time."""

from datetime import date
from decimal import Decimal
from importlib.metadata import version
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.types import ClauseContains, ClauseEquals, ClauseOr, ClauseRegex, ClauseStartsWith

from farebox.prices.card import read_card
from farebox.prices.import_genai import import_card
from farebox.state.pricebook import read_shipped

PUBLISHED = b'provider = "openai"\nname = "O"\n[sources.list]\nurl = "u"\n[sources.batch]\nurl = "b"\n'


def info(**given: Any) -> SimpleNamespace:
    plain: dict[str, Any] = {"id": "m", "match": ClauseEquals(equals="m"), "price_variants": None}
    return SimpleNamespace(**{**plain, **given})


def prices(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**given)


def take_over(*models: SimpleNamespace, rules: bytes = PUBLISHED) -> tuple[Any, tuple[str, ...]]:
    provider = SimpleNamespace(id="openai", models=list(models))
    imported = import_card(provider, rules, version="9.9", retrieved=date(2026, 1, 2))
    return read_card("openai.toml", imported.text.encode()), imported.notes


def test_importing_again_changes_nothing() -> None:
    shipped = read_shipped()
    folder = files("farebox.prices").joinpath("data", "published")
    for provider in providers:
        if provider.id in shipped:
            rules = folder.joinpath(f"{provider.id}.toml").read_bytes()
            again = import_card(provider, rules, version=version("genai-prices"), retrieved=date(2026, 11, 23))
            assert again.text.encode() == shipped[provider.id], "run `farebox prices import`"


def test_ids_become_names_and_patterns() -> None:
    match = ClauseOr(
        or_=[
            ClauseEquals(equals="m"),
            ClauseStartsWith(starts_with="m-preview"),
            ClauseRegex(regex=r"^m-5\.6[-@]\d{4}-\d{2}$"),
        ]
    )
    card, _ = take_over(info(match=match, prices=prices(input_mtok=Decimal("1.50"))))
    (model,) = card.models
    assert model.names == ("m",)
    assert model.patterns == ("m-5.6-####-##", "m-5.6@####-##", "m-preview*")
    assert model.rows[0].prices == {"input": "1.5"}
    assert card.models[0].rows[0].source.via == "genai-prices 9.9"


def test_what_is_not_taken_over_is_named() -> None:
    card, notes = take_over(
        info(
            match=ClauseContains(contains="m"),
            prices=prices(
                input_mtok=Decimal("1.0399999999999998"),
                output_mtok=Decimal(0),
                cache_read_mtok=Decimal("0.0000000001"),
                audio_hours=Decimal(3),
            ),
        ),
        info(id="hours", match=ClauseEquals(equals="hours"), prices=prices(audio_hours=Decimal(3))),
    )
    assert [model.rows[0].prices for model in card.models] == [{"input": "1.04"}]
    assert list(notes) == [
        "m: contains 'm' became an exact name",
        "m: input_mtok = 1.0399999999999998 was cleaned of float noise: 1.04",
        "m: output_mtok = 0 was not taken over; a price of 0 must be explicit",
        "m: cache_read_mtok = 1E-10 was not taken over; it has too many decimals",
        "m: audio_hours has no meter",
        "hours: audio_hours has no meter",
        "hours: left out, it is not priced by the token",
    ]


def test_published_rules_are_added() -> None:
    rules = PUBLISHED + (
        b'[[multiples]]\nmeter = "cache_write_12h"\nof = "input"\ntimes = "2.5"\nmodels = ["m"]\n'
        b'[[tier_multiples]]\ntier = "ultrafast"\ntimes = "6"\nmodels = ["m"]\nsource = "batch"\n'
        b'[[inherits]]\ninherit = { reasoning = "output" }\nmodels = ["m"]\n'
        b'[[ends]]\ntier = "ultrafast"\nuntil = 2026-01-01T00:00:00Z\nmodels = ["m", "ghost"]\n'
        b'[[models]]\nid = "extra"\nnames = ["extra"]\nsource = "list"\nprices = [{ input = "1" }]\n'
    )
    one = info(prices=prices(input_mtok=Decimal(2), output_mtok=Decimal(3), web_searches_kcount=Decimal(10)))
    card, notes = take_over(one, rules=rules)
    extra, model = card.models
    assert extra.id == "extra"
    standard, fast = model.rows
    assert standard.prices == {"input": "2", "cache_write_12h": "5", "output": "3", "web_search": "0.01"}
    assert fast.prices == {"input": "12", "cache_write_12h": "30", "output": "18"}
    assert (fast.tier, fast.rest, fast.source.url) == ("ultrafast", "standard", "b")
    assert fast.until_ns == 1767225600 * 10**9
    assert model.inherit == {"reasoning": "output"}
    assert notes == ("ghost: a published rule names it, but it is not in the table",)


def test_a_regular_expression_that_is_no_pattern_is_refused() -> None:
    strange = info(match=ClauseRegex(regex="^m(-a)?$"), prices=prices(input_mtok=Decimal(1)))
    with pytest.raises(ValueError, match="not a pattern of dated ids"):
        take_over(strange)


def test_tiers_with_two_prices_are_named() -> None:
    variants = [
        SimpleNamespace(when={"service_tier": word}, constraint=None, prices=prices(input_mtok=Decimal(price)))
        for word, price in (("default", 9), ("priority", 2), ("fast", 3))
    ]
    rules = PUBLISHED + b'[sources.tiers]\nurl = "t"\n'
    card, notes = take_over(info(prices=prices(input_mtok=Decimal(1)), price_variants=variants), rules=rules)
    assert [(row.tier, row.prices["input"]) for row in card.models[0].rows] == [("standard", "1"), ("priority", "2")]
    assert notes == ("m: two different prices for the tier priority; the first is kept",)
