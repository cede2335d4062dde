"""What holds of settling whatever is used, and that a month settled is a month charged at once by the engine."""

from collections import defaultdict
from dataclasses import dataclass

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.charge import Charge
from farebox.prices.book import compile_book
from farebox.prices.choose import Position, Rating
from farebox.prices.engine import charge
from farebox.prices.rates import Commitment, Contract
from farebox.prices.settle.items import Request, items_of, terms_of
from farebox.prices.settle.nouns import Item, Settlement
from farebox.prices.settle.periods import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from farebox.prices.settle.settler import Settler, settle
from farebox.usage import Usage
from tests.prices.settle_cases import (
    DECEMBER,
    JANUARY,
    MANY_COMMITMENTS,
    MANY_TERMS,
    NOVEMBER,
    RATES,
    SOURCE,
    USD,
    make_item,
    make_terms,
    random_items,
)

SEARCHES = ("google/gemini/standard#web_search", "google/gemini-flash/standard#web_search")
# Lines that are no item's own: they are owed for a time.
OF_A_TIME = ("/used", "/unused", "/shortfall", "/purchase", "/fee")
# Rates whose amounts are whole for every quantity, so that items can be split without rounding.
WHOLE = sorted(rate.id for rate in RATES.values() if rate.per == 1 and all(band[2] == 1 for band in rate.bands))

times = st.one_of(
    st.sampled_from([NOVEMBER, NOVEMBER + 1, DECEMBER - 1, DECEMBER, JANUARY - 1, NOVEMBER + NS_PER_DAY]),
    st.integers(0, 5).map(lambda n: NOVEMBER + n * NS_PER_MINUTE // 2),
    st.integers(NOVEMBER, JANUARY - 1),
)
quantities = st.one_of(st.integers(0, 200), st.sampled_from([4999, 5000, 5001, 10_000_000_000, 50_000_000_001]))
accounts = st.sampled_from(["org/one", "org/two", "other"])


ALL_RATES = tuple(sorted(RATES))


@st.composite
def item_lists(draw, rates=ALL_RATES, most=12):
    found = draw(st.lists(st.tuples(times, st.sampled_from(rates), quantities, accounts), max_size=most))
    found.sort(key=lambda one: one[0])
    return [make_item(n, at, rate, quantity, account) for n, (at, rate, quantity, account) in enumerate(found)]


def items_owed(settlement: Settlement) -> int:
    own = [line.amount_femto for line in settlement.adjustments if not line.id.endswith(OF_A_TIME)]
    return settlement.charged_femto + sum(own)


@settings(max_examples=60)
@given(item_lists())
def test_what_items_and_times_owe_adds_up(items):
    settler = Settler(MANY_TERMS)
    owed = [settler.take(item) for item in items]
    settlement = settler.close()
    assert min(owed, default=0) >= 0
    assert sum(owed) == items_owed(settlement)
    assert settlement.owed_femto == settlement.charged_femto + sum(a.amount_femto for a in settlement.adjustments)
    assert settlement.list_femto == sum(item.list_femto for item in items)


@settings(max_examples=60)
@given(item_lists())
def test_every_line_is_its_quantity_times_its_price(items):
    for line in settle(items, MANY_TERMS).adjustments:
        product = line.quantity * line.unit_price_femto
        assert abs(product - line.amount_femto * line.per) < line.per, line
        assert line.quantity > 0
        assert line.reason
        assert line.from_ns < line.until_ns


@given(item_lists(SEARCHES))
def test_a_pool_gives_its_free_units_and_no_more(items):
    settlement = settle(items, make_terms())
    free: dict[tuple[str, int], int] = defaultdict(int)
    used: dict[tuple[str, int], int] = defaultdict(int)
    for line in settlement.adjustments:
        free[line.account, line.from_ns] += line.quantity
    for item in items:
        used[item.account.partition("/")[0], NOVEMBER if item.at_ns < DECEMBER else DECEMBER] += item.quantity
    assert {key: units for key, units in free.items() if units} == {
        key: min(5000, units) for key, units in used.items() if units
    }


@given(item_lists(("aws/internet/standard#egress", "aws/odd/standard#egress")))
def test_bands_add_up_to_the_quantity(items):
    settler = Settler(make_terms())
    for item in items:
        settler.take(item)
    banded = sum(units for entry, (units, _) in settler.tally.items() if entry.step == "marginal")
    assert banded == sum(item.quantity for item in items)


@settings(max_examples=60)
@given(item_lists(tuple(WHOLE)), st.data())
def test_an_item_may_come_in_two_parts_of_the_same_instant(items, data):
    split: list[Item] = []
    for item in items:
        first = data.draw(st.integers(0, item.quantity))
        halves = [make_item(f"{item.id}.{n}", item.at_ns, item.rate, units, item.account)
                  for n, units in enumerate((first, item.quantity - first))]  # fmt: skip
        if sum(half.amount_femto for half in halves) != item.amount_femto:
            halves = [item]  # priced in bands on its own
        split += halves
    split.sort(key=lambda one: (one.at_ns, one.id, one.meter))
    assert settle(split, MANY_TERMS).owed_femto == settle(items, MANY_TERMS).owed_femto


@settings(max_examples=60)
@given(item_lists(), st.sampled_from(sorted(RATES)), st.integers(1, 100_000))
def test_more_usage_never_costs_less(items, rate, more):
    extra = make_item("z", JANUARY - 1, rate, more)
    more_, less = settle([*items, extra], MANY_TERMS), settle(items, MANY_TERMS)
    # What credits pay was paid before.
    more_femto, less_femto = (
        one.owed_femto + sum(balance.drawn_femto for balance in one.balances) for one in (more_, less)
    )
    assert more_femto >= less_femto


@settings(max_examples=60)
@given(item_lists(), st.integers(0, 3000), st.integers(0, 100))
def test_a_commitment_to_spend_is_owed_in_full(items, usd, percent):
    commitment = Commitment("all", "google", "spend", (), SOURCE, amount_usd=str(usd), percent=str(percent))
    google = [item for item in items if item.provider == "google"]
    settlement = settle(google, make_terms(commitments=(commitment,)))
    assert settlement.owed_femto >= 2 * usd * USD
    charged = settle(google, make_terms()).owed_femto
    if not percent:
        assert settlement.owed_femto >= charged


@settings(max_examples=60)
@given(item_lists())
def test_credits_are_never_overdrawn(items):
    settlement = settle(items, MANY_TERMS)
    drawn: dict[str, int] = defaultdict(int)
    for line in settlement.adjustments:
        if line.id.endswith("/drawn"):
            drawn[line.id.split("/")[1]] -= line.amount_femto
    for balance in settlement.balances:
        before = MANY_TERMS.drawn.get(balance.commitment, 0)
        assert balance.drawn_femto == before + drawn[balance.commitment]
        assert balance.drawn_femto + balance.expired_femto + balance.left_femto == balance.bought_femto
        assert min(balance.drawn_femto, balance.expired_femto, balance.left_femto) >= 0


@given(item_lists(tuple(rate for rate in sorted(RATES) if rate.startswith("azure/"))))
def test_capacity_serves_no_more_than_it_has(items):
    capacity = MANY_COMMITMENTS[0]
    settler = Settler(make_terms(commitments=(capacity,)))
    served: dict[int, float] = defaultdict(float)
    burn = {"input": 1, "output": 8.5, "cache_read": 0}
    for item in items:
        before = sum(q for entry, (q, _) in settler.tally.items() if entry.step == "capacity")
        settler.take(item)
        covered = sum(q for entry, (q, _) in settler.tally.items() if entry.step == "capacity") - before
        assert 0 <= covered <= item.quantity
        served[item.at_ns // NS_PER_MINUTE] += covered * burn.get(item.meter, 0)
    assert all(parts <= 80 for parts in served.values())
    lines = [line for line in settler.close().adjustments if line.id.endswith(("/used", "/unused"))]
    assert sum(line.amount_femto for line in lines) == 2 * 61 * 24 * USD
    assert sum(line.quantity for line in lines) == 2 * 61 * 86_400


@settings(max_examples=60)
@given(item_lists())
def test_settling_a_month_at_a_time_is_settling_both(items):
    whole = settle(items, MANY_TERMS)
    first = settle(
        [item for item in items if item.at_ns < DECEMBER], msgspec.structs.replace(MANY_TERMS, until_ns=DECEMBER)
    )
    drawn = {balance.commitment: balance.drawn_femto for balance in first.balances}
    later = msgspec.structs.replace(MANY_TERMS, from_ns=DECEMBER, drawn=drawn)
    second = settle([item for item in items if item.at_ns >= DECEMBER], later)
    assert first.owed_femto + second.owed_femto == whole.owed_femto
    assert second.balances == whole.balances


def test_contracts_without_volume_change_nothing_again():
    items = list(random_items(300, 5))
    percent = Contract("tenth", "google", ("*",), SOURCE, percent="10")
    assert settle(items, make_terms((percent,))) == settle(items, make_terms())


OWN = b"""
[[pools]]
provider = "acme"
id = "out"
meter = "egress"
free = "100 GB"
period = "month"
shared_by = "account"
source = "list"

[[prices]]
provider = "acme"
model = "internet"
egress = "0.09"
marginal = { egress = [["10240 GB", "0.085"], ["51200 GB", "0.07"]] }
pool = { egress = "out" }
source = "list"

[[prices]]
provider = "acme"
model = "runner"
names = ["runner-old-name"]
code_time = "0.05/h"
source = "list"

[[contracts]]
id = "eighth"
provider = "acme"
percent = "12.5"
source = "contract"
"""


@dataclass
class Engine:
    """The price engine over the user's file above."""

    book = compile_book({}, [("own.toml", OWN)])

    def charge(self, model: str, meters: dict[str, int], position: Position | None = None) -> Charge:
        rating = Rating(
            provider="acme", answered="", asked=model, usage=Usage(meters, 0), at_ns=NOVEMBER, position=position
        )
        found = charge(self.book, rating)
        assert isinstance(found, Charge), found
        return found


ENGINE = Engine()


@given(st.lists(st.integers(1, 20_000_000_000), min_size=1, max_size=8))
def test_a_month_settled_is_a_month_charged_at_once(quantities):
    items = []
    for number, quantity in enumerate(quantities):
        found = ENGINE.charge("internet", {"egress": quantity})
        items += items_of(found, Request(f"r{number}", NOVEMBER + number * NS_PER_HOUR, "org", "acme", "internet"))
    at_once = ENGINE.charge("internet", {"egress": sum(quantities)}, Position(used={"egress": 0}))
    settlement = settle(items, terms_of(ENGINE.book, NOVEMBER, DECEMBER))
    # A part of an item that a contract takes an eighth off may end between two femtodollars.
    assert abs(settlement.owed_femto - at_once.total_femto) <= 3 * len(quantities)


def test_a_name_of_a_model_is_enough_for_a_commitment():
    names = terms_of(ENGINE.book, NOVEMBER, DECEMBER).find_names
    assert "runner-old-name" in names("acme", "runner")
    spend = Commitment("x", "acme", "spend", ("runner-old*",), SOURCE, amount_usd="10")
    terms = msgspec.structs.replace(terms_of(ENGINE.book, NOVEMBER, DECEMBER), commitments=(spend,))
    found = ENGINE.charge("runner-old-name", {"code_time": 3_600_000})
    settlement = settle(items_of(found, Request("r", NOVEMBER, "org", "acme", "runner")), terms)
    assert settlement.owed_femto == 10 * USD
    assert settlement.adjustments[0].amount_femto == 10 * USD - found.total_femto
