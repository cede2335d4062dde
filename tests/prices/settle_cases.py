"""A small world of rates, contracts and commitments, and random items in it, for the tests of settling."""

import random
from collections.abc import Iterator
from fractions import Fraction

from farebox.prices.arithmetic import amount_of
from farebox.prices.rates import Commitment, Contract, Pool, Price, Rate, Row, Source
from farebox.prices.settle.nouns import Item, Terms
from farebox.prices.settle.periods import NS_PER_DAY, NS_PER_HOUR

SOURCE = Source("a contract")
USD = 10**15
NOVEMBER = 1_793_491_200 * 10**9  # 2026-11-01T00:00:00Z
DECEMBER = NOVEMBER + 30 * NS_PER_DAY
JANUARY = DECEMBER + 31 * NS_PER_DAY
SEARCHES = Pool("search", "web_search", 5000, "month", "organisation", SOURCE)
DAILY_SEARCHES = Pool("daily", "web_search", 30, "day", "project", SOURCE)
CODE = Pool("code", "code_time", 100_000, "day", "organisation", SOURCE)


def make_rate(rate_id: str, usd_per: str = "1/1", **more) -> Rate:
    """A rate of ``provider/model/tier#meter`` at a price in USD for so many of the smallest part."""
    row_id, meter = rate_id.split("#")
    usd, per = usd_per.split("/")
    price = Fraction(usd) * USD / int(per)
    row = Row(row_id, row_id.split("/")[2], -1, 0, 1, {}, "", SOURCE)
    return Rate(rate_id, price.numerator, meter, row, price.denominator, plain=False, **more)


def bands(*prices: tuple[int, str]) -> tuple[tuple[int, int, int], ...]:
    """Marginal prices in USD for a million of the smallest part."""
    found = []
    for start, usd in prices:
        price = Fraction(usd) * USD / 10**6
        found.append((start, price.numerator, price.denominator))
    return tuple(found)


EGRESS = bands((0, "0.09"), (10_000 * 10**6, "0.085"), (50_000 * 10**6, "0.07"))
# Contracts in the charges: a tenth off searches, an eighth off egress.
STEP = Rate("contract/tenth#web_search", -(14 * USD // 10_000), "web_search", None)
EIGHTH = Rate("contract/eighth#egress", 0, "egress", None, bands=tuple((s, -f // 8, p) for s, f, p in EGRESS))
RATES = {
    rate.id: rate
    for rate in (
        make_rate("google/gemini/standard#web_search", "14/1000", pool=SEARCHES),
        make_rate("google/gemini-flash/standard#web_search", "7/1000", pool=SEARCHES),
        make_rate("google/gemini-old/standard#web_search", "14/1000", pool=DAILY_SEARCHES, steps=(STEP,)),
        make_rate("google/gemini/standard#input", "1.25/1000000"),
        make_rate("anthropic/code/standard#code_time", "0.05/3600000", pool=CODE),
        make_rate("aws/internet/standard#egress", "0.09/1000000", bands=EGRESS),
        make_rate("azure/internet/standard#egress", "0.09/1000000", bands=EGRESS, steps=(EIGHTH,)),
        make_rate("gcp/internet/standard#egress", "0.09/1000000", bands=EGRESS, steps=(EIGHTH,)),
        make_rate("aws/odd/standard#egress", "0.09/7000000", bands=((0, 90, 7), (1000, 80, 7), (5000, 1, 3))),
        make_rate("aws/nova/standard#input", "0.8/1000000"),
        make_rate("aws/nova/flex#output", "1.6/1000000"),
        make_rate("azure/gpt/standard#input", "1.25/1000000"),
        make_rate("azure/gpt/standard#cache_read", "0.125/1000000"),
        make_rate("azure/gpt/standard#output", "10/1000000"),
        make_rate("azure/gpt/standard#audio_time", "0.111/3600000"),
        make_rate("azure/units/standard#provisioned", "1/3600"),
    )
}


def net_of(rate: Rate, quantity: int) -> tuple[int, int]:
    """What a quantity is charged on its own: at list price, and after contract steps."""

    def priced(part: Rate) -> int:
        if not part.bands:
            return amount_of(quantity, part.femto, part.per)
        ends = [start for start, _, _ in part.bands[1:]] + [quantity]
        amounts = (
            amount_of(max(0, min(quantity, end) - start), femto, per)
            for (start, femto, per), end in zip(part.bands, ends, strict=True)
        )
        return sum(amounts)

    listed = priced(rate)
    return listed, listed + sum(priced(step) for step in rate.steps)


def make_item(number: int | str, at_ns: int, rate_id: str, quantity: int, account: str = "org/one") -> Item:
    """An item as the engine would have charged it."""
    rate = RATES[rate_id]
    listed, amount = net_of(rate, quantity)
    provider, model = rate_id.split("/")[:2]
    name = number if isinstance(number, str) else f"r{number:09}"
    return Item(name, at_ns, account, provider, model, rate.meter, quantity, rate_id, listed, amount)


def make_terms(contracts: tuple[Contract, ...] = (), commitments: tuple[Commitment, ...] = (), **more) -> Terms:
    """Terms for November and December 2026."""
    return Terms(RATES.get, contracts, commitments, **{"from_ns": NOVEMBER, "until_ns": JANUARY, **more})


LADDER = (("1", "3"), ("20", "10"), ("55.5", "33.3333"))
MANY_CONTRACTS = (
    Contract("ladder", "google", ("*",), SOURCE, volume=LADDER, until_ns=DECEMBER + 5 * NS_PER_DAY),
    Contract("nova", "aws", ("nova", "int*"), SOURCE, tiers=("standard",), volume=(("0", "1"), ("10", "50"))),
    Contract("flat", "gcp", (), SOURCE, prices={"egress": Price("0.08", "0.08", 10**6, "GB")},
             from_ns=NOVEMBER + 9 * NS_PER_DAY, until_ns=DECEMBER + 9 * NS_PER_DAY),
    Contract("again", "google", ("gemini*",), SOURCE, volume=(("30", "20"),), from_ns=DECEMBER + 5 * NS_PER_DAY),
)  # fmt: skip
MANY_COMMITMENTS = (
    Commitment("units", "azure", "capacity", ("gpt",), SOURCE, units=2, unit_price_usd="1.00",
               unit_tokens_per_minute=40, burn={"output": "8.5", "cache_read": "0"}),
    Commitment("more", "azure", "capacity", ("*",), SOURCE, units=1, unit_price_usd="0.37", unit_tokens_per_minute=100,
               from_ns=NOVEMBER + 7 * NS_PER_DAY + 12_345_678_901, until_ns=DECEMBER + 3 * NS_PER_DAY + 30 * 10**9),
    Commitment("reserved", "azure", "capacity", ("units",), SOURCE, units=5, unit_price_usd="0.7"),
    Commitment("edp", "aws", "spend", ("*",), SOURCE, amount_usd="40", percent="5"),
    Commitment("google", "google", "spend", ("*",), SOURCE, amount_usd="700.01", from_ns=NOVEMBER + 4 * NS_PER_DAY),
    Commitment("late", "google", "credits", ("*",), SOURCE, amount_usd="25", percent="1.5", fee_percent="5.5",
               least_fee_usd="0.8", from_ns=NOVEMBER + NS_PER_DAY, until_ns=DECEMBER + 20 * NS_PER_DAY),
    Commitment("early", "google", "credits", ("*",), SOURCE, amount_usd="5", until_ns=NOVEMBER + 20 * NS_PER_DAY),
    Commitment("cloud", "aws", "credits", ("*",), SOURCE, amount_usd="3"),
)  # fmt: skip
MANY_TERMS = make_terms(MANY_CONTRACTS, MANY_COMMITMENTS, drawn={"cloud": USD // 3})
_SIZES = {"web_search": 9, "input": 90_000, "output": 3_000, "cache_read": 9_000, "provisioned": 3 * 3600}


def random_items(count: int, seed: int, spread_ns: int = 61 * NS_PER_DAY) -> Iterator[Item]:
    """Items in order of time, clustered so that minutes, days and months fill up."""
    chance = random.Random(seed)
    ids = list(RATES)
    times = sorted(NOVEMBER + min(spread_ns - 1, _cluster(chance, spread_ns)) for _ in range(count))
    for number, at_ns in enumerate(times):
        rate_id = chance.choice(ids)
        size = _SIZES.get(RATES[rate_id].meter, 5_000_000)
        if rate_id.startswith("azure/gpt"):
            size = min(size, 90)
        if rate_id.startswith(("aws/internet", "azure/internet", "gcp")):
            size = 20_000_000
        if rate_id.startswith("aws/odd"):
            size = 90
        quantity = 0 if chance.random() < 0.01 else chance.randrange(1, size)
        yield make_item(number, at_ns, rate_id, quantity, chance.choice(("org/one", "org/two", "other")))


def _cluster(chance: random.Random, spread_ns: int) -> int:
    start = chance.randrange(spread_ns // NS_PER_HOUR // 6) * 6 * NS_PER_HOUR
    return start + chance.choice((0, 1, chance.randrange(NS_PER_HOUR // 6), chance.randrange(6 * NS_PER_HOUR)))
