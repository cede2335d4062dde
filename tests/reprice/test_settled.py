"""A scheme's month, settled from re-priced traffic, owes what its charges owe when they are settled one by one."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from farebox.charge import Charge
from farebox.prices.book import PriceBook, compile_book
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.prices.settle.items import Request, items_of, terms_of
from farebox.prices.settle.nouns import Settlement
from farebox.prices.settle.settler import Settler
from farebox.reprice.lay import lay_prices
from farebox.reprice.prepare import TrafficFault, prepare
from farebox.reprice.scheme import Scheme
from farebox.reprice.settled import Period, settle_scheme
from farebox.reprice.traffic import DuckEngine
from farebox.usage import METERS, Usage
from tests.reprice.ratings import load

CARD = b"""
format = 2
provider = "p"
[sources.l]
url = "https://p.example"
[[pools]]
id = "searches"
meter = "web_search"
free = "100"
period = "month"
source = "l"
[[models]]
id = "m"
names = ["m"]
prices = [{ input = "2", output = "8", web_search = "14/1k", pool = { web_search = "searches" } }]
[[models]]
id = "n"
names = ["n", "n', 'x"]
prices = [{ input = "1", output = "3", audio_time = "0.04/h", least = { audio_time = "10 s" } }]
[[models]]
id = "egress"
names = ["egress"]
prices = [{ egress = "0.09", marginal = { egress = [["10 TB", "0.085"]] } }]
"""
OWN = b"""
[[contracts]]
id = "ten"
provider = "p"
percent = "10"
models = ["m"]
[[contracts]]
id = "volume"
provider = "p"
volume = [["0", "0"], ["1", "5"], ["5", "12.5"]]
[[commitments]]
id = "spend"
provider = "p"
kind = "spend"
amount_usd = "2000"
percent = "3"
"""
FROM_NS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 10**9
UNTIL_NS = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * 10**9


def draw(count: int) -> list[Rating]:
    chance = random.Random(7)
    step_ns = (UNTIL_NS - FROM_NS) // count
    ratings = []
    for number in range(count):
        model = chance.choice(["m", "n", "m", "n", "egress", "unheard-of"])
        meters = {
            "m": {"input": chance.randrange(2000), "output": chance.randrange(500), "web_search": chance.randrange(3)},
            "n": {"input": chance.randrange(9000), "audio_time": chance.randrange(20_000)},
            "egress": {"egress": chance.randrange(2_000_000_000)},
        }.get(model, {"input": 5})
        size = sum(quantity for meter, quantity in meters.items() if METERS[meter].family == "input")
        ratings.append(
            Rating("p", "n', 'x" if model == "n" else model, model, Usage(meters, size), FROM_NS + number * step_ns)
        )
    return ratings


def settle_one_by_one(book: PriceBook, ratings: list[Rating]) -> Settlement:
    settler = Settler(terms_of(book, FROM_NS, UNTIL_NS))
    for number, rating in enumerate(ratings):
        result = charge(book, rating)
        if isinstance(result, Charge):
            request = Request(f"{number:09d}", rating.at_ns, f"team-{number % 3}", "p", rating.asked)
            for item in sorted(items_of(result, request), key=lambda item: item.meter):
                settler.take(item)
    return settler.close()


@pytest.mark.parametrize("own", [b"", OWN], ids=["list", "agreed"])
def test_a_scheme_is_settled_like_its_charges(own: bytes, tmp_path: Path) -> None:
    book = compile_book({"p": CARD}, [("own.toml", own)] if own else [])
    ratings = draw(2000)
    engine = DuckEngine()
    try:
        scheme = Scheme("s", book)
        laid = lay_prices(prepare(engine, load(engine, ratings, tmp_path), [scheme]), scheme)
        found = settle_scheme(laid, Period(FROM_NS, UNTIL_NS, "team"))
        with pytest.raises(TrafficFault, match="no column 'nobody'"):
            settle_scheme(laid, Period(FROM_NS, UNTIL_NS, "nobody"))
        laid.drop()
    finally:
        engine.close()
    expected = settle_one_by_one(book, ratings)
    assert found == expected
    assert found.owed_femto != found.charged_femto
    assert any(one.id.startswith("marginal/") for one in found.adjustments)
    assert any(one.id.startswith("pool/") for one in found.adjustments)
    assert any(one.id.startswith("contract/volume") for one in found.adjustments) == bool(own)
