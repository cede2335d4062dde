"""Every pricing mechanism on a card of its own, with a case on both sides of each boundary."""

from datetime import datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.charge import Charge, Unpriced
from farebox.errors import ConfigError
from farebox.money import usd_text
from farebox.prices.arithmetic import amount_of
from farebox.prices.book import PriceBook, compile_book, restore_book
from farebox.prices.choose import Position, Rating
from farebox.prices.engine import charge, find_table
from farebox.prices.explain import explain
from farebox.prices.worst import Bound, worst_case_of
from farebox.usage import METERS, Usage

CARD = """
format = 2
provider = "p"
no_region = ["global"]
regions = ["home"]
[tiers]
default = "standard"
flex = "flex"
[facts]
deployment = ["global", "zone"]
size = ["low", "high"]
[sources.page]
url = "https://p.example/prices"
retrieved = "2026-11-23"
[[schedules]]
id = "peak"
zone = "UTC"
weekdays = ["mon", "tue", "wed", "thu", "fri"]
spans = ["01:00-04:00"]
off_days = "holidays"
source = "page"
[[schedules]]
id = "na-peak"
zone = "America/New_York"
spans = ["09:00-17:00"]
source = "page"
[[pools]]
id = "searches"
meter = "web_search"
free = "5k"
period = "month"
source = "page"
[[pools]]
id = "store"
meter = "file_storage"
free = "1"
period = "day"
source = "page"
[[uplifts]]
id = "eu"
regions = ["eu"]
times = "1.1"
models = ["sized", "busy"]
source = "page"
[[uplifts]]
id = "zone"
when = { deployment = "zone" }
times = "1.1"
models = ["*"]
source = "page"
[[uplifts]]
id = "zone-far"
regions = ["far"]
when = { deployment = "zone" }
times = "1.2"
models = ["*"]
replaces = ["zone"]
source = "page"
[[uplifts]]
id = "load"
schedule = "na-peak"
times = "1.3"
models = ["loaded"]
from = 2026-07-01T00:00:00Z
source = "page"
[[uplifts]]
id = "flex-fee"
tiers = ["flex"]
times = "2"
models = ["sized"]
meters = ["web_search"]
source = "page"
[[models]]
id = "busy"
names = ["busy"]
source = "page"
prices = [
  { until = 2026-08-16T16:00:00Z, input = "1", output = "2" },
  { from = 2026-08-16T16:00:00Z, input = "2", output = "4" },
  { from = 2026-08-16T16:00:00Z, schedule = "peak", input = "4", output = "8" },
]
[[models]]
id = "loaded"
names = ["loaded"]
source = "page"
prices = [{ input = "1", output = "2" }]
[[models]]
id = "sized"
names = ["sized"]
source = "page"
prices = [
  { input = "1", cache_read = "0.1", output = "2", web_search = "10/1k" },
  { at_least = 1000, input = "2", cache_read = "0.2", output = "3" },
  { tier = "flex", rest = "standard", input = "0.5", output = "1" },
  { tier = "flex", over = 1000, rest = "standard", input = "1", output = "1.5" },
  { tier = "any", request = "6/1k" },
  { tier = "any", when = { size = "high" }, request = "14/1k" },
]
[[models]]
id = "odd"
names = ["odd"]
source = "page"
[[models.prices]]
audio_time = "0.04/h"
session_time = "0.06/min"
web_search = "14/1k"
file_storage = "0.10"
egress = "0.09"
credit_purchase = "0.055"
provisioned = "1.00"
cache_storage = "4.50"
least = { audio_time = "10 s" }
step = { session_time = "1 min" }
pool = { web_search = "searches", file_storage = "store" }
marginal = { egress = [["10 TB", "0.085"], ["50 TB", "0.07"]] }
least_usd = { credit_purchase = "0.80" }
[[models]]
id = "abroad"
names = ["abroad"]
source = "page"
prices = [{ currency = "EUR", input = "1", output = "3" }]
"""
SHARED = b"""
[[calendars]]
id = "holidays"
days = ["2026-10-01"]
known_until = "2026-12-31"
source = { url = "https://state.example/days" }
[[exchange]]
currency = "EUR"
from = 2026-01-01T00:00:00Z
usd = "1.10"
source = { url = "https://bank.example/rates" }
[[exchange]]
currency = "EUR"
from = 2026-11-01T00:00:00Z
usd = "1.1234"
source = { url = "https://bank.example/rates" }
"""


def book_of(own: str = "", card: str = CARD) -> PriceBook:
    return compile_book({"p": card.encode()}, [("mine.toml", own.encode())] if own else [], {"shared": SHARED})


BOOK = book_of()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def cost(model: str, meters: dict[str, int], book: PriceBook = BOOK, **more: object) -> str:
    result = charge(book, rating(model, meters, **more))
    return result.reason if isinstance(result, Unpriced) else usd_text(result.total_femto)


def rating(model: str, meters: dict[str, int], **more: object) -> Rating:
    total = sum(quantity for meter, quantity in meters.items() if METERS[meter].family == "input")
    plain = Rating("p", model, model, Usage(meters, total), at("2026-11-20T12:00:00Z"))
    return msgspec.structs.replace(plain, **more)


@pytest.mark.parametrize(
    ("instant", "total"),
    [
        ("2026-08-16T15:59:59Z", "1"),
        ("2026-08-16T16:00:00Z", "2"),  # the instant of the change
        ("2026-08-10T02:00:00Z", "1"),  # a peak hour before there was a peak
        ("2026-11-16T00:59:59Z", "2"),
        ("2026-11-16T01:00:00Z", "4"),
        ("2026-11-16T03:59:59Z", "4"),
        ("2026-11-16T04:00:00Z", "2"),  # the window's end
        ("2026-11-21T02:00:00Z", "2"),  # Saturday
        ("2026-10-01T02:00:00Z", "2"),  # a holiday on a Thursday
        ("2026-10-02T02:00:00Z", "4"),
    ],
)
def test_a_schedule_changes_prices_within_its_windows(instant: str, total: str) -> None:
    assert cost("busy", {"input": 1_000_000}, at_ns=at(instant)) == total


@pytest.mark.parametrize(
    ("instant", "total"),
    [
        ("2026-06-30T15:00:00Z", "1"),  # before the uplift
        ("2026-07-01T12:59:59Z", "1"),
        ("2026-07-01T13:00:00Z", "1.3"),  # 09:00 in New York, summer
        ("2026-07-01T20:59:59Z", "1.3"),
        ("2026-07-01T21:00:00Z", "1"),
        ("2026-11-20T13:30:00Z", "1"),  # winter: an hour later
        ("2026-11-20T14:00:00Z", "1.3"),
    ],
)
def test_a_multiplier_can_follow_a_schedule(instant: str, total: str) -> None:
    assert cost("loaded", {"input": 1_000_000}, at_ns=at(instant)) == total


@pytest.mark.parametrize(
    ("tokens", "tier", "total"),
    [
        (999, None, "0.000999"),
        (1000, None, "0.002"),  # at least
        (1000, "flex", "0.0005"),
        (1001, "flex", "0.001001"),  # over
    ],
)
def test_a_size_is_a_cliff_inclusive_or_not(tokens: int, tier: str | None, total: str) -> None:
    assert cost("sized", {"input": tokens}, service_tier=tier) == total


def test_fees_of_any_tier_and_by_a_fact_lie_over_the_rows_of_the_tier() -> None:
    meters = {"input": 100, "request": 1}
    assert cost("sized", meters) == "0.0061"
    assert cost("sized", meters, facts={"size": "high"}) == "0.0141"
    assert cost("sized", meters, facts={"size": "high"}, service_tier="flex") == "0.01405"
    result = charge(BOOK, Rating("p", "sized", "sized", Usage(meters, 100, facts={"size": "high"}), 0))
    assert isinstance(result, Charge)
    assert result.lines[1].rate == "p/sized/any/size=high#request"
    assert "size 'huge' has no published rates; there are low, high" in cost("sized", meters, facts={"size": "huge"})


def test_what_a_tier_leaves_out_is_filled_from_the_rest_of_the_same_size() -> None:
    long = {"input": 500, "cache_read": 501, "output": 10}
    table = find_table(BOOK, rating("sized", long, service_tier="flex"))
    assert not isinstance(table, str)
    assert [table[meter].id for meter in ("input", "cache_read")] == [
        "p/sized/flex/over-1000#input",
        "p/sized/standard/at-least-1000#cache_read",
    ]


@pytest.mark.parametrize(
    ("region", "deployment", "total"),
    [
        (None, None, "1"),
        ("global", None, "1"),
        ("home", None, "1"),
        ("eu", None, "1.1"),
        ("far", None, "1"),
        (None, "zone", "1.1"),
        ("eu", "zone", "1.21"),  # both, multiplied
        ("far", "zone", "1.2"),  # one replaces the other
    ],
)
def test_multipliers_stack_or_replace_each_other(region: str | None, deployment: str | None, total: str) -> None:
    facts = {"deployment": deployment} if deployment else {}
    assert cost("sized", {"input": 500}, region=region, facts=facts) == usd_text(int(Decimal(total) * 500 * 10**9))


def test_what_the_card_does_not_know_is_unpriced() -> None:
    assert "in the region 'mars'" in cost("sized", {"input": 1}, region="mars")
    assert "deployment 'private' has no published rates" in cost("sized", {"input": 1}, facts={"deployment": "private"})
    assert cost("sized", {"input": 500}, facts={"colour": "blue"}) == "0.0005"


def test_a_multiplier_may_be_for_one_meter_only() -> None:
    assert cost("sized", {"input": 100, "web_search": 1}, service_tier="flex") == "0.02005"
    assert cost("sized", {"input": 100, "web_search": 1}) == "0.0101"


@pytest.mark.parametrize(
    ("milliseconds", "total"),
    [(1, "0.000111111111"), (10_000, "0.000111111111"), (10_001, "0.000111122222"), (3_600_000, "0.04")],
)
def test_a_least_quantity_is_billed(milliseconds: int, total: str) -> None:
    assert cost("odd", {"audio_time": milliseconds}) == total


@pytest.mark.parametrize(("milliseconds", "total"), [(1, "0.06"), (60_000, "0.06"), (60_001, "0.12")])
def test_a_quantity_is_rounded_up_to_steps(milliseconds: int, total: str) -> None:
    assert cost("odd", {"session_time": milliseconds}) == total


@pytest.mark.parametrize(
    ("position", "total"),
    [
        (None, "0.14"),  # left to the end of the month
        (Position(), "0.14"),
        (Position(used={"web_search": 0}), "0"),
        (Position(used={"web_search": 4990}), "0"),
        (Position(used={"web_search": 4995}), "0.07"),
        (Position(used={"web_search": 5000}), "0.14"),
        (Position(used={"web_search": 9000}), "0.14"),
        (Position(free={"web_search": 3}), "0.098"),
    ],
)
def test_free_units_come_first(position: Position | None, total: str) -> None:
    assert cost("odd", {"web_search": 10}, position=position) == total


def test_a_daily_pool_counts_for_every_day() -> None:
    meters = {"file_storage": 105_000_000}  # 3.5 GB for 30 days
    assert cost("odd", meters, position=Position(used={"file_storage": 0}, periods=30)) == "7.5"
    explained = explain(BOOK, rating("odd", meters, position=Position(used={"file_storage": 0}, periods=30)))
    assert [(line.quantity, line.unit_price_usd) for line in explained.lines] == [("30", "0"), ("75", "0.1")]


@pytest.mark.parametrize(
    ("gigabytes", "before", "total"),
    [
        (10_000, 0, "900"),
        (10_001, 0, "900.085"),
        (60_000, 0, "5000"),
        (2, 9_999, "0.175"),
        (2, 49_999, "0.155"),
        (2, 50_000, "0.14"),
    ],
)
def test_marginal_prices_hold_for_the_units_beyond(gigabytes: int, before: int, total: str) -> None:
    position = Position(used={"egress": before * 10**6}) if before else None
    assert cost("odd", {"egress": gigabytes * 10**6}, position=position) == total


@pytest.mark.parametrize(("usd", "total"), [(10, "0.8"), (14, "0.8"), (15, "0.825"), (100, "5.5")])
def test_a_line_costs_at_least_so_much(usd: int, total: str) -> None:
    assert cost("odd", {"credit_purchase": usd * 10**6}) == total


def test_units_held_over_time() -> None:
    assert cost("odd", {"provisioned": 15 * 720 * 3600}) == "10800"
    assert cost("odd", {"cache_storage": 10**6 * 3600}) == "4.5"
    assert cost("odd", {"cache_storage": 100_000 * 1800}) == "0.225"


@pytest.mark.parametrize(
    ("instant", "total"),
    [("2026-10-31T23:59:59Z", "1.1"), ("2026-11-01T00:00:00Z", "1.1234"), ("2025-12-31T23:59:59Z", None)],
)
def test_another_currency_is_converted_at_a_dated_rate(instant: str, total: str | None) -> None:
    got = cost("abroad", {"input": 1_000_000}, at_ns=at(instant))
    assert got == total if total else "no exchange rate of EUR for that time" in got


def test_an_exchange_rate_is_part_of_the_explanation() -> None:
    (line,) = explain(BOOK, rating("abroad", {"output": 10})).lines
    assert line.origin is not None
    assert line.origin.exchange is not None
    assert (line.unit_price_usd, line.origin.exchange.usd) == ("3.3702", "1.1234")


CONTRACT = """
[[contracts]]
id = "ten-off"
provider = "p"
percent = "10"
models = ["sized"]
meters = ["input", "output"]
source = "contract 7"
from = 2026-11-01T00:00:00Z
until = 2026-12-01T00:00:00Z
[[contracts]]
id = "fixed"
provider = "p"
models = ["sized"]
prices = { input = "0.50" }
tiers = ["standard"]
"""


def test_every_step_of_a_contract_is_a_line_of_its_own() -> None:
    book = book_of(CONTRACT)
    result = charge(book, rating("sized", {"input": 100, "output": 10}))
    assert isinstance(result, Charge)
    assert [(line.rate, line.amount_femto) for line in result.lines] == [
        ("p/sized/standard#input", 100 * 10**9),
        ("contract/ten-off#input", -10 * 10**9),
        ("contract/fixed#input", -40 * 10**9),
        ("p/sized/standard#output", 20 * 10**9),
        ("contract/ten-off#output", -2 * 10**9),
    ]
    assert result.total_femto == 68 * 10**9
    steps = [line for line in explain(book, rating("sized", {"input": 100})).lines if line.line.amount_femto < 0]
    assert [line.origin and line.origin.source.url for line in steps] == ["contract 7", "mine.toml"]


@pytest.mark.parametrize(
    ("model", "more", "total"),
    [
        ("sized", {"at_ns": at("2026-10-31T23:59:59Z")}, "0.00005"),  # only the fixed price
        ("sized", {"at_ns": at("2026-12-01T00:00:00Z")}, "0.00005"),
        ("sized", {"service_tier": "flex"}, "0.000045"),  # only the percentage
        ("loaded", {}, "0.0001"),
    ],
)
def test_a_contract_has_its_scope(model: str, more: dict[str, object], total: str) -> None:
    assert cost(model, {"input": 100}, book=book_of(CONTRACT), **more) == total


def test_a_percentage_off_marginal_prices_follows_the_bands() -> None:
    own = '[[contracts]]\nid = "c"\nprovider = "p"\npercent = "12.5"'
    book = book_of(own)
    assert cost("odd", {"egress": 20_000 * 10**6}, book=book) == "1531.25"
    assert cost("odd", {"web_search": 8}, book=book, position=Position(free={"web_search": 4})) == "0.049"


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ('[[contracts]]\nprovider = "p"\npercent = "1"', "`id` must be a text"),
        ('[[contracts]]\nid = "c"\npercent = "1"', "`provider` must be a text"),
        ('[[contracts]]\nid = "c"\nprovider = "p"', "exactly one of them"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\npercent = "101"', "more than 100 off"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\npercent = "lots"', "is no number"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\npercent = 5', "`percent` must be a text"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\nprices = { thoughts = "1" }', "unknown meter 'thoughts'"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\nvolume = [["5", "1"], ["5", "2"]]', "must rise"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\nvolume = [["0", "101"]]', "from 0 to 100"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\nvolume = [5]', "a list of pairs"),
        ('[[contracts]]\nid = "c"\nprovider = "p"\npercent = "1"\n' * 2, "c is there twice"),
        ('[[commitments]]\nid = "c"\nprovider = "p"\nkind = "wish"', "kind is one of spend, credits, capacity"),
        ('[[commitments]]\nid = "c"\nprovider = "p"\nkind = "spend"', "`amount_usd` is missing"),
        ('[[commitments]]\nid = "c"\nprovider = "p"\nkind = "capacity"\nunits = 1', "`unit_price_usd` is missing"),
        ('[[uplifts]]\nid = "u"\nprovider = "p"\ntimes = "0"\nmodels = ["*"]', "more than 0"),
        ('[[uplifts]]\nid = "u"\nprovider = "p"\ntimes = "2"', "`models` is missing"),
        ('[[uplifts]]\nid = "eu"\nprovider = "p"\ntimes = "2"\nmodels = ["*"]', "has the same id"),
        ('[[uplifts]]\nid = "u"\nprovider = "p"\ntimes = "2"\nmodels = ["*"]\nschedule = "x"', "schedule 'x' is not"),
        ('[[uplifts]]\nid = "u"\nprovider = "p"\ntimes = "2"\nmodels = ["*"]\nreplaces = ["x"]', "replaces 'x'"),
        ('[[schedules]]\nid = "s"\nprovider = "p"\nzone = "Mars/Base"\nspans = ["01:00-02:00"]', "IANA time zone"),
        ('[[schedules]]\nid = "s"\nprovider = "p"\nzone = "UTC"\nspans = ["02:00-01:00"]', "run forward"),
        ('[[schedules]]\nid = "s"\nprovider = "p"\nzone = "UTC"\nspans = ["1-2"]', "no time of the day"),
        ('[[schedules]]\nid = "s"\nprovider = "p"\nzone = "UTC"', "`spans` is missing"),
        (
            '[[schedules]]\nid = "s"\nprovider = "p"\nzone = "UTC"\nspans = ["01:00-03:00", "02:00-04:00"]',
            "spans overlap",
        ),
        (
            '[[schedules]]\nid = "s"\nprovider = "p"\nzone = "UTC"\nspans = ["01:00-03:00"]\nweekdays = ["someday"]',
            "weekday 'someday'",
        ),
        (
            '[[schedules]]\nid = "s"\nprovider = "p"\nzone = "UTC"\nspans = ["01:00-03:00"]\noff_days = "x"',
            "no calendar 'x'",
        ),
        ('[[pools]]\nid = "q"\nprovider = "p"\nmeter = "page"\nfree = "5"\nperiod = "year"', "one of day, month"),
        ('[[calendars]]\nid = "c"\ndays = ["soon"]\nknown_until = "2026-12-31"', "'soon' is no day"),
        ('[[exchange]]\ncurrency = "CHF"\nusd = "-1"', "not negative"),
        ('[[exchange]]\ncurrency = "CHF"\nusd = "0"', "more than 0"),
        ('[[price]]\nprovider = "p"', "unknown key `price`"),
    ],
)
def test_a_fault_in_what_was_agreed_is_named(own: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        book_of(own)
    assert words in str(refused.value)


def test_a_users_uplift_schedule_and_exchange_hold_beside_the_shipped_ones() -> None:
    own = """
    [[schedules]]
    id = "nights"
    provider = "p"
    zone = "UTC"
    spans = ["12:00-13:00"]
    [[uplifts]]
    id = "pushed"
    provider = "p"
    schedule = "nights"
    times = "1.3"
    models = ["sized"]
    [[exchange]]
    currency = "EUR"
    from = 2026-11-01T00:00:00Z
    usd = "2"
    """
    book = book_of(own)
    assert cost("sized", {"input": 100}, book=book) == "0.00013"
    assert cost("sized", {"input": 100}, book=book, at_ns=at("2026-11-20T13:00:00Z")) == "0.0001"
    assert cost("abroad", {"input": 1_000_000}, book=book) == "2"


def test_a_provider_may_bill_what_it_reports() -> None:
    book = book_of(card=CARD.replace('provider = "p"\n', 'provider = "p"\nreported = "bill"\n', 1))
    usage = Usage({"input": 100}, 100, reported_femto=123_456)
    result = charge(book, Rating("p", "unheard-of", "unheard-of", usage, 0))
    assert isinstance(result, Charge)
    assert (result.total_femto, result.lines[0].meter) == (123_456, "reported_cost")
    plain = charge(BOOK, Rating("p", "sized", "sized", usage, 0))
    assert isinstance(plain, Charge)
    assert usd_text(plain.total_femto) == "0.0001"


def test_the_worst_case_knows_schedules_and_regions() -> None:
    peak = Bound("p", "busy", 100, 0, at("2026-11-16T01:00:00Z"), region="eu")
    result = worst_case_of(BOOK, peak)
    assert isinstance(result, Charge)
    assert usd_text(result.total_femto) == "0.00044"


def test_the_worst_case_takes_a_contract_that_costs_more_and_not_one_that_costs_less() -> None:
    def worst(own: str) -> str:
        result = worst_case_of(book_of(own), Bound("p", "loaded", 1_000_000, 0, 0))
        assert isinstance(result, Charge)
        return usd_text(result.total_femto)

    contract = '[[contracts]]\nid = "c"\nprovider = "p"\nprices = { input = "PRICE" }'
    assert [worst(contract.replace("PRICE", price)) for price in ("0.5", "1.5")] == ["1", "1.5"]


def test_a_book_is_restored_from_its_files_under_its_hash() -> None:
    book = book_of(CONTRACT)
    again = restore_book(book.files)
    assert again.hash == book.hash
    assert charge(again, rating("sized", {"input": 100})) == charge(book, rating("sized", {"input": 100}))
    assert book_of(CONTRACT + "\n").hash != book.hash


@given(
    model=st.sampled_from(["busy", "loaded", "sized", "odd", "abroad"]),
    meters=st.dictionaries(st.sampled_from(list(METERS)), st.integers(0, 10**10), min_size=1, max_size=5),
    hour=st.integers(0, 24 * 365),
    tier=st.sampled_from([None, "flex"]),
    region=st.sampled_from([None, "eu", "far"]),
    facts=st.fixed_dictionaries(
        {}, optional={"size": st.sampled_from(["low", "high"]), "deployment": st.sampled_from(["global", "zone"])}
    ),
    used=st.dictionaries(st.sampled_from(["web_search", "egress"]), st.integers(0, 10**11)),
)
def test_lines_add_up_whatever_the_mechanism(
    *,
    model: str,
    meters: dict[str, int],
    hour: int,
    tier: str | None,
    region: str | None,
    facts: dict[str, str],
    used: dict[str, int],
) -> None:
    book = book_of(CONTRACT)
    asked = rating(
        model,
        meters,
        at_ns=at("2026-01-01T00:00:00Z") + hour * 3600 * 10**9,
        service_tier=tier,
        region=region,
        facts=facts,
        position=Position(used=used),
    )
    result = charge(book, asked)
    if isinstance(result, Unpriced):
        assert result.reason
        return
    assert result.total_femto == sum(line.amount_femto for line in result.lines)
    assert result.total_femto >= 0
    for line in result.lines:
        assert line.amount_femto == amount_of(line.quantity, line.unit_price_femto, line.per)
    assert all(line.origin is not None for line in explain(book, asked).lines)
