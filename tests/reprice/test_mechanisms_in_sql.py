"""Every mechanism of a rate in SQL is what the scalar engine makes of it; Hypothesis looks for where it is not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.errors import ConfigError
from farebox.prices import marks
from farebox.prices.book import PriceBook, compile_book
from farebox.prices.choose import Rating
from farebox.prices.engine import MAX_FEMTO
from farebox.reprice.prepare import TrafficFault, prepare
from farebox.reprice.scheme import Scheme
from farebox.reprice.traffic import DuckEngine, Source
from farebox.usage import METERS, Usage
from tests.reprice.ratings import assert_same, load, vectorised

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = int(NOON.timestamp()) * 10**9
HOUR = 3_600 * 10**9


def card(rows: str, more: str = "", model: str = "") -> bytes:
    return f"""
format = 2
provider = "acme"
name = "Acme"
[tiers]
default = "standard"
flex = "flex"
[sources.list]
url = "https://example.com/prices"
retrieved = "2026-11-23"
{more}
[[models]]
id = "m"
names = ["m"]
source = "list"
{model}
prices = [
{rows}
]
""".encode()


def book_of(rows: str, more: str = "", model: str = "", own: str = "", shared: str = "") -> PriceBook:
    return compile_book(
        {"acme": card(rows, more, model)},
        [("own.toml", own.encode())] if own else (),
        {"exchange": shared.encode()} if shared else {},
    )


def rating(meters: dict[str, int], at_ns: int = NOW, size: int | None = None, **more: object) -> Rating:
    total = sum(count for name, count in meters.items() if METERS[name].family == "input") if size is None else size
    plain: dict[str, object] = {"provider": "acme", "answered": "", "asked": "m"}
    prompts = more.pop("prompts", ())
    usage = Usage(meters, total, prompts, reported_femto=more.pop("reported_femto", None))  # type: ignore[arg-type]
    return Rating(usage=usage, at_ns=at_ns, **(plain | more))  # type: ignore[arg-type]


EXCHANGE = """
[[exchange]]
currency = "CNY"
from = 2026-11-01T00:00:00Z
usd = "0.1402"
source = { url = "https://example.com/rates", retrieved = "2026-11-23" }
[[exchange]]
currency = "CNY"
from = 2026-11-20T12:00:00Z
usd = "0.14033"
source = { url = "https://example.com/rates", retrieved = "2026-11-23" }
"""

SCHEDULE = '[[schedules]]\nid = "peak"\nzone = "{}"\nweekdays = [{}]\nspans = [{}]\nsource = "list"\n'

POOL = """
[[pools]]
id = "s"
meter = "web_search"
free = "50"
period = "month"
shared_by = "project"
source = "list"
"""

MECHANISMS = {
    "plain": ('{ input = "2.50", output = "10" },', "", {}),
    "rounded once": ('{ audio_time = "0.04/h", web_search = "10/1k" },', "", {}),
    "least quantity": ('{ audio_time = "0.04/h", least = { audio_time = "10 s" } },', "", {}),
    "rounded up": ('{ audio_time = "0.006/min", step = { audio_time = "1 min" } },', "", {}),
    "both": ('{ audio_time = "0.006/min", least = { audio_time = "90 s" }, step = { audio_time = "1 min" } },', "", {}),
    "least amount": ('{ credit_purchase = "0.055/1", least_usd = { credit_purchase = "0.80" } },', "", {}),
    "least amount of tokens": ('{ input = "2.50", least_usd = { input = "0.0001" } },', "", {}),
    "bands": ('{ egress = "0.09", marginal = { egress = [["10 GB", "0.085"], ["50 GB", "0.07"]] } },', "", {}),
    "bands with a free one": ('{ egress = "0", marginal = { egress = [["10 GB", "0.085"]] } },', "", {}),
    "bands and a least amount": (
        (
            '{ egress = "0.09", marginal = { egress = [["1 GB", "0.0001"], ["20 GB", "0.07"]] }, '
            'least_usd = { egress = "0.5" } },'
        ),
        "",
        {},
    ),
    "pool": ('{ web_search = "10/1k", pool = { web_search = "s" } },', POOL, {}),
    "sizes": ('{ input = "1", output = "5" }, { over = 20000, input = "2", output = "7" },', "", {}),
    "exchange": ('{ currency = "CNY", input = "0.7", audio_time = "0.3/h" },', "", {"shared": EXCHANGE}),
    "uplift": (
        '{ input = "1.3", output = "5.7", audio_time = "0.04/h" },',
        '[[uplifts]]\nid = "late"\ntimes = "1.137"\nmodels = ["m"]\nfrom = 2026-11-20T12:00:00Z\nsource = "list"\n',
        {},
    ),
    "schedule": (
        '{ input = "1", output = "5" }, { schedule = "peak", input = "2", output = "9" },',
        SCHEDULE.format("Asia/Shanghai", '"fri"', '"19:00-20:00", "21:30-24:00"'),
        {},
    ),
}  # fmt: skip

CONTRACT = '[[contracts]]\nid = "{}"\nprovider = "acme"\nsource = "contract"\n{}\n'
CONTRACTS = {
    "none": "",
    "percent": CONTRACT.format("c", 'percent = "12.5"'),
    "thirds": CONTRACT.format("c", 'percent = "33.3333333"\nfrom = 2026-11-20T12:00:00Z'),
    "prices": CONTRACT.format(
        "c", 'prices = { input = "1.80", audio_time = "0.05/h", egress = "0.05", web_search = "7/1k" }'
    ),
    "stacked": CONTRACT.format("c", 'percent = "7.77"')
    + CONTRACT.format("d", 'meters = ["input", "egress", "audio_time"]\npercent = "3.1"\nuntil = 2026-11-20T13:00:00Z'),
}


def meters_of(rows: str) -> list[str]:
    return [meter for meter in METERS if f"{meter} = " in rows]


def quantities(meter: str) -> Iterator[int]:
    """Quantities on both sides of what the mechanisms have for boundaries."""
    yield from (0, 1, 2, 3, 499, 500, 501, 9_999, 10_000, 10_001, 59_999, 60_000, 60_001, 89_999, 90_000, 90_001)
    yield from (
        999_999,
        10**6,
        10**6 + 1,
        10**7 - 1,
        10**7,
        10**7 + 1,
        5 * 10**7 - 1,
        5 * 10**7,
        5 * 10**7 + 1,
        123_456_789,
    )
    if METERS[meter].family == "period":
        yield from (2**62, 2**63 - 1)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanism_under_every_contract(mechanism: str, tmp_path: Path) -> None:
    rows, more, parts = MECHANISMS[mechanism]
    books = [book_of(rows, more, own=own, **parts) for own in CONTRACTS.values()]
    times = [NOW - 1, NOW, NOW + 1, NOW + HOUR - 1, NOW + HOUR, NOW - HOUR, NOW - HOUR - 1]
    ratings = [
        rating({meter: quantity}, at_ns, size)
        for meter in meters_of(rows)
        for quantity in quantities(meter)
        for at_ns in times
        for size in ((19_999, 20_000, 20_001) if mechanism == "sizes" else (0,))
    ]
    result = assert_same(books, ratings, tmp_path)
    assert result.total_femto > 0
    assert result.unpriced == 0


def test_the_cost_that_a_provider_reports(tmp_path: Path) -> None:
    data = card('{ input = "1" },').replace(b"[tiers]", b'reported = "bill"\n[tiers]')
    book = compile_book({"acme": data})
    ratings = [
        rating({"input": 10}, reported_femto=123_456_789),
        rating({"input": 10}),
        rating({"input": 10}, reported_femto=0),
        rating({}, reported_femto=2**80),
        rating({}),
        rating({"output": 3}, reported_femto=5),
        rating({"output": 3}),
    ]
    result = assert_same(book, ratings, tmp_path)
    assert result.unpriced == 2
    assert result.total_femto == 123_456_789 + 10 * 10**9 + 2**80 + 5


def test_amounts_beyond_64_bits(tmp_path: Path) -> None:
    """An attempt's tokens have a limit; what is billed for a period has none."""
    book = book_of('{ input = "1000", output = "1000", egress = "1000", web_search = "10/1k" },')
    most = MAX_FEMTO // 10**12
    ratings = [
        rating({"input": most}),
        rating({"input": most + 1}),
        rating({"input": most - 5, "output": 5}),
        rating({"input": most - 5, "output": 6}),
        rating({"egress": 2**63 - 1}),
        rating({"egress": 5, "input": 1}),
        rating({"input": 0, "egress": 2**62}),
        rating({"web_search": 2**60}),
        rating({"input": 1, "web_search": 2**60}),
    ]
    result = assert_same(book, ratings, tmp_path)
    assert result.reasons == {"the amount is larger than one attempt can have": 4}
    assert result.total_femto > 2**70


def test_what_128_bits_do_not_hold_has_no_price(tmp_path: Path) -> None:
    book = book_of('{ egress = "1000000000000000000000", input = "1" },')
    engine = DuckEngine()
    scheme = Scheme("as it was", book)
    ratings = [rating({"egress": 2**62}), rating({"egress": 1})]
    prepared = prepare(engine, load(engine, ratings, tmp_path), [scheme])
    amounts, result = vectorised(prepared, scheme)
    assert amounts == [None, 10**30]
    assert result.reasons == {"4611686018427387904 units at the rate acme/m/standard#egress need more than 128 bits": 1}


def test_traffic_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    engine = DuckEngine()
    load(engine, [rating({"input": 1})], tmp_path)
    engine.rows("CREATE SEQUENCE reads")
    piece = "SELECT *, unnest(range(nextval('reads'))) AS nothing FROM ratings"
    with pytest.raises(TrafficFault, match="requests found their cell"):
        prepare(engine, Source((piece,)), [Scheme("as it was", book_of('{ input = "1" },'))])


def test_prompts_decide_the_size_together(tmp_path: Path) -> None:
    book = book_of('{ input = "1" }, { over = 100, input = "2" }, { over = 1000, input = "3" },')
    several = [(), (5,), (100, 100), (101, 100), (100, 101), (101, 1000), (101, 1001), (5, 500, 5000), (1001, 5000)]
    ratings = [rating({"input": 7}, size=size, prompts=prompts) for prompts in several for size in (7, 101, 1001)]
    result = assert_same(book, ratings, tmp_path)
    assert result.unpriced == 4 * 3


def test_every_kind_of_unpriced_is_counted_and_none_is_in_a_sum(tmp_path: Path) -> None:
    book = book_of('{ input = "1", from = 2026-11-20T12:00:00Z }, { tier = "flex", input = "2" },')
    ratings = [
        rating({"input": 1}),
        rating({"input": 1}, at_ns=NOW - 1),
        rating({"input": 1, "output": 1}),
        rating({"input": 1, "output": 0}),
        rating({}),
        rating({"input": 0}),
        rating({"input": 1}, service_tier="turbo"),
        rating({"input": 1}, asked="who"),
        rating({"input": 1}, provider="nobody"),
        rating({"input": 1}, region="mars"),
        rating({"input": 1}, processing="batch"),
        rating({"input": 1}, service_tier="flex", speed="fast"),
    ]
    result = assert_same(book, ratings, tmp_path)
    assert result.unpriced == 9
    assert len(result.reasons) == 9
    assert result.total_femto == 2 * 10**9


amounts = st.integers(0, 10**9).map(lambda number: f"{number / 10**6:.6f}")
instants = st.sampled_from([NOON - timedelta(hours=5), NOON, NOON + timedelta(minutes=1), NOON + timedelta(hours=30)])
METERS_DRAWN = ("input", "cache_read", "output", "web_search", "audio_time", "egress")
PER = {"audio_time": ["", "/h", "/min", "/s"], "egress": ["", "/7 GB"], "web_search": ["", "/1k", "/3"]}


@st.composite
def row_texts(draw: st.DrawFn) -> str:
    """A row of prices with any of the mechanisms."""
    meters = draw(st.lists(st.sampled_from(METERS_DRAWN), min_size=1, unique=True))
    parts = [f'{meter} = "{draw(amounts)}{draw(st.sampled_from(PER.get(meter, [""])))}"' for meter in meters]
    if draw(st.booleans()):
        parts.append(f"over = {draw(st.sampled_from([10, 1000, 1001]))}")
    if draw(st.booleans()):
        parts.append(f'tier = "{draw(st.sampled_from(["standard", "flex", "any"]))}"')
    if draw(st.booleans()):
        parts.append(f"{draw(st.sampled_from(['from', 'until']))} = {draw(instants):%Y-%m-%dT%H:%M:%SZ}")
    if draw(st.booleans()):
        parts.append('schedule = "peak"')
    if draw(st.booleans()):
        parts.append('currency = "CNY"')
    if "audio_time" in meters and draw(st.booleans()):
        parts.append(f'{draw(st.sampled_from(["least", "step"]))} = {{ audio_time = "{draw(st.integers(1, 99))} s" }}')
    if "egress" in meters and draw(st.booleans()):
        bands = sorted(draw(st.sets(st.integers(1, 99), min_size=1, max_size=3)))
        pairs = ", ".join(f'["{size} GB", "{draw(amounts)}"]' for size in bands)
        parts.append(f"marginal = {{ egress = [{pairs}] }}")
    least = [meter for meter in meters if draw(st.booleans())]
    if least:
        pairs = ", ".join(f'{meter} = "{draw(amounts)}"' for meter in least)
        parts.append(f"least_usd = {{ {pairs} }}")
    return f"{{ {', '.join(parts)} }},"


@st.composite
def books(draw: st.DrawFn) -> PriceBook | None:
    """A book of rows at random; None where they contradict each other."""
    rows = "\n".join(draw(st.lists(row_texts(), min_size=1, max_size=4)))
    more = SCHEDULE.format("Europe/Berlin", '"fri", "sat"', '"13:00-14:00"')
    if draw(st.booleans()):
        when = draw(st.sampled_from(['schedule = "peak"', 'tiers = ["flex"]', "until = 2026-11-20T12:00:00Z"]))
        more += f'[[uplifts]]\nid = "up"\ntimes = "{draw(amounts)}"\nmodels = ["m"]\n{when}\nsource = "list"\n'
    try:
        book = book_of(rows, more, own=CONTRACTS[draw(st.sampled_from(sorted(CONTRACTS)))], shared=EXCHANGE)
        book.card("acme")
    except ConfigError:
        return None
    return book


@st.composite
def traffic(draw: st.DrawFn, book: PriceBook) -> list[Rating]:
    near = marks.instants(book, "acme", NOW - 9 * HOUR, NOW + 40 * HOUR)
    times = st.sampled_from(near or [NOW]).flatmap(lambda at: st.sampled_from([at - 1, at, at + 1]))
    counts = st.one_of(st.integers(0, 3), st.integers(0, 10**5), st.integers(0, 10**9), st.just(2**45))
    # In the order of METERS: of two meters without a price, the first is the reason.
    used = st.dictionaries(st.sampled_from(METERS_DRAWN), counts, max_size=4).map(
        lambda drawn: {meter: drawn[meter] for meter in METERS if meter in drawn}
    )
    return [
        rating(
            draw(used),
            draw(times),
            draw(st.sampled_from([0, 10, 11, 1000, 1001, 1002])),
            service_tier=draw(st.sampled_from([None, "default", "flex"])),
        )
        for _ in range(draw(st.integers(0, 25)))
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_book_and_any_traffic(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    drawn = [book for book in data.draw(st.lists(books(), min_size=1, max_size=2)) if book is not None]
    if drawn:
        assert_same(drawn, data.draw(traffic(drawn[-1])), tmp_path_factory.mktemp("t"), piece_rows=10)
