"""A card is made of offers and of what was written by hand: the same bytes from the same input, and it loads."""

import tomllib
from datetime import UTC, date, datetime
from typing import Any

import pytest

from farebox.errors import ConfigError
from farebox.prices.card import read_card
from farebox.prices.importing.compile import Compiled, compile_card
from farebox.prices.importing.offers import Offer, Package
from farebox.prices.rates import Card, Model

DAY = date(2026, 11, 23)
FIRST = Package("first", "1", DAY)
SECOND = Package("second", "2", date(2026, 11, 1))
HEAD = (
    'provider = "openai"\nname = "O"\n[sources.list]\nurl = "u"\n[sources.batch]\nurl = "b"\nretrieved = "2026-01-01"\n'
)


def offer(id: str = "m", package: Package = FIRST, **more: Any) -> Offer:  # noqa: A002 - as in a card
    rows = more.pop("rows", [{"input": "2", "output": "4"}])
    return Offer(package, "openai", id, more.pop("names", [id]), rows=rows, **more)


def compiled(*offers: Offer, rules: str = "", schedules: tuple[dict[str, Any], ...] = ()) -> Compiled:
    return compile_card("openai", offers, (HEAD + rules).encode(), day=DAY, schedules=schedules)


def card_of(result: Compiled) -> Card:
    return read_card("openai.toml", result.text.encode())


def model_of(result: Compiled, model: str = "m") -> Model:
    return next(one for one in card_of(result).models if one.id == model)


def prices_of(model: Model, number: int = 0) -> dict[str, str]:
    return {meter: price.text for meter, price in model.rows[number].prices.items()}


def test_the_same_input_gives_the_same_bytes() -> None:
    offers = [offer("b"), offer("a"), offer("b", SECOND)]
    assert compiled(*offers).text == compiled(*offers).text
    assert [model.id for model in card_of(compiled(*offers)).models] == ["a", "b"]


def test_every_row_says_where_it_is_from() -> None:
    batch = {"tier": "batch", "input": "1", "rest": "standard"}
    both = offer(rows=[{"input": "2"}, batch])
    model = model_of(compiled(both, offer(package=SECOND, rows=[{"input": "2"}])))
    assert [(row.source.url, row.source.retrieved, row.source.via, row.note) for row in model.rows] == [
        ("u", "2026-11-23", "first 1, second 2", ""),
        ("b", "2026-11-23", "first 1", "one source"),
    ]


def test_a_provider_without_rules_has_a_head() -> None:
    result = compile_card("groq", [Offer(FIRST, "groq", "m", ["m"], rows=[{"input": "2"}])], None, day=DAY)
    card = read_card("groq.toml", result.text.encode())
    assert card.name == "Groq"
    assert card.tiers == {"default": "standard", "standard": "standard"}
    assert card.models[0].rows[0].source.url.startswith("https://console.groq.com")


def test_about_is_what_any_package_knows() -> None:
    first = offer(about={"context": 100, "supports": ["tools"]})
    second = offer(package=SECOND, about={"context": 90, "supports": ["vision"], "kind": "chat"})
    about = model_of(compiled(first, second)).about
    assert about is not None
    assert (about.kind, about.context_tokens, about.supports) == ("chat", 100, ("tools", "vision"))


def test_schedules_come_along_where_a_row_names_them() -> None:
    schedule = {"id": "night", "zone": "UTC", "spans": ["22:00-24:00"], "source": "list"}
    other = {**schedule, "id": "day"}
    row = {"input": "1", "schedule": "night"}
    result = compiled(offer(rows=[{"input": "2"}, row]), schedules=(schedule, other))
    assert list(card_of(result).schedules) == ["night"]


def test_a_bad_model_does_not_break_a_card() -> None:
    twice = [{"input": "1"}, {"input": "2"}]
    result = compiled(
        offer("bad", rows=twice), offer("good"), offer("half", rows=[{"input": "1"}, {"when": {"a": ""}}])
    )
    assert [model.id for model in card_of(result).models] == ["good", "half"]
    assert any(note.startswith("bad: left out: ") for note in result.notes)


def test_a_name_belongs_to_one_model() -> None:
    result = compiled(offer("a", names=["a", "x"]), offer("x", names=["x"]), offer("b", names=["b"], patterns=["a"]))
    assert {model.id: model.names for model in card_of(result).models} == {"a": ("a", "x"), "b": ("b",)}


def test_rules_that_are_no_toml_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"published/openai\.toml: it is not a TOML file"):
        compile_card("openai", [], b"name = ", day=DAY)


def test_whole_models_are_added_or_replace_key_by_key() -> None:
    rules = (
        '[[models]]\nid = "m"\nprices = [{ input = "9" }]\n'
        '[[models]]\nid = "new"\nnames = ["new", "alias"]\nsource = "list"\nprices = [{ input = "1" }]\n'
    )
    result = compiled(offer(about={"context": 5}), offer("other", names=["other", "alias"]), rules=rules)
    model = model_of(result)
    assert (prices_of(model), model.names, model.about is not None) == ({"input": "9"}, ("m",), True)
    assert model_of(result, "new").names == ("new", "alias")
    assert model_of(result, "other").names == ("other",)
    assert "new: takes alias from other" in result.notes


def test_drops_and_decisions() -> None:
    rules = '[[drop]]\nmodels = ["x*", "ghost"]\n[[decide]]\nmodels = ["m"]\ntake = "second"\n'
    result = compiled(offer("x-1"), offer(), offer(package=SECOND, rows=[{"input": "3", "output": "4"}]), rules=rules)
    assert [model.id for model in card_of(result).models] == ["m"]
    assert prices_of(model_of(result))["input"] == "3"
    assert "ghost: a published rule (drop) names it, but there is no such model" in result.notes


def test_patches_change_rows_by_their_conditions() -> None:
    rules = """
[[patch]]
id = "m"
names = ["m-latest"]
patterns = ["m-##"]
inherit = { reasoning = "output" }
about = { released = "2026-01-01" }
note = "watch"
clear = ["flex"]
rows = [
  { output = "5", cache_read = "0.1" },
  { over = 1000, input = "" },
  { tier = "batch", input = "1" },
]
"""
    rows = [{"input": "2", "output": "4"}, {"over": 1000, "input": "3", "output": "6"}, {"tier": "flex", "input": "1"}]
    model = model_of(compiled(offer(rows=rows), rules=rules))
    assert [(row.tier, row.above, prices_of(model, number)) for number, row in enumerate(model.rows)] == [
        ("standard", -1, {"input": "2", "cache_read": "0.1", "output": "5"}),
        ("standard", 1000, {"output": "6"}),
        ("batch", -1, {"input": "1"}),
    ]
    assert (model.names, model.patterns, model.note) == (("m", "m-latest"), ("m-##",), "watch")
    assert model.inherit == {"reasoning": "output"}
    assert model.about is not None
    assert model.about.released == "2026-01-01"


def test_multiples_of_tiers_and_meters() -> None:
    rules = """
[[tier_multiples]]
models = ["m"]
tier = "flex"
times = "0.5"
source = "list"
from = 2026-03-01T00:00:00Z
[[tier_multiples]]
models = ["m"]
tier = "batch"
times = "0.5"
[[multiples]]
models = ["m"]
meter = "cache_write_5m"
of = "input"
times = "1.25"
tiers = ["standard"]
"""
    rows = [{"input": "2", "web_search": "0.01"}, {"over": 9, "input": "4"}, {"tier": "batch", "input": "1.5"}]
    result = compiled(offer(rows=rows), rules=rules)
    model = model_of(result)
    found = [(row.tier, row.above, row.rest, prices_of(model, number)) for number, row in enumerate(model.rows)]
    assert found == [
        ("standard", -1, "", {"input": "2", "cache_write_5m": "2.5", "web_search": "0.01"}),
        ("standard", 9, "", {"input": "4", "cache_write_5m": "5"}),
        ("batch", -1, "", {"input": "1.5"}),
        ("flex", -1, "standard", {"input": "1"}),
        ("flex", 9, "standard", {"input": "2"}),
    ]
    assert model.rows[3].from_ns == int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 10**9
    assert "m: has rows of the tier batch already; its multiple is left out" in result.notes


def test_shared_fees_hold_at_every_tier() -> None:
    rules = """
[[pools]]
id = "free"
meter = "web_search"
free = "5"
period = "month"
source = "list"
[[adds]]
models = ["m"]
prices = { web_search = "10/1k" }
pool = { web_search = "free" }
source = "list"
[[adds]]
models = ["m"]
prices = { file_search = "2.5/1k" }
source = "list"
"""
    rows = [{"input": "2", "web_search": "0.02"}, {"tier": "batch", "input": "1", "rest": "standard"}]
    model = model_of(compiled(offer(rows=rows), rules=rules))
    assert prices_of(model) == {"input": "2"}
    assert model.rows[2].tier == "any"
    assert prices_of(model, 2) == {"web_search": "10/1k", "file_search": "2.5/1k"}
    assert model.rows[2].pool == {"web_search": "free"}


def test_tiers_begin_and_end() -> None:
    rules = (
        '[[ends]]\nmodels = ["m"]\ntier = "batch"\nuntil = 2026-12-01T00:00:00Z\n'
        '[[starts]]\nmodels = ["m"]\ntier = "batch"\nfrom = 2026-01-01T00:00:00Z\n'
        '[[inherits]]\nmodels = ["m"]\ninherit = { input_image = "input" }\n'
    )
    model = model_of(compiled(offer(rows=[{"input": "2"}, {"tier": "batch", "input": "1"}]), rules=rules))
    assert model.rows[1].from_ns < model.rows[1].until_ns < 2**62
    assert model.inherit["input_image"] == "input"


def test_counts() -> None:
    result = compiled(offer(), offer(package=SECOND, rows=[{"input": "2", "output": "9", "cache_read": "1"}]))
    assert (result.models, result.agreed, result.single, result.review) == (0, 1, 1, 1)
    assert tomllib.loads(result.text)["provider"] == "openai"
