"""Rate cards and users' price files: what they may say, and how a fault in them is named."""

import pytest

from farebox.errors import ConfigError
from farebox.prices.book import compile_book
from farebox.prices.card import read_card
from farebox.prices.check import check_book
from farebox.prices.match import Matcher, fits
from farebox.prices.own import read_own
from farebox.prices.rates import Model
from farebox.state.pricebook import load_book, read_shipped

HEAD = 'format = 2\nprovider = "acme"\n[sources.page]\nurl = "https://acme.example/prices"\n'


def card(prices: str, *, model: str = "", head: str = HEAD) -> bytes:
    return f'{head}[[models]]\nid = "one"\nnames = ["one"]\n{model}\nprices = [{prices}]\n'.encode()


def test_a_row_is_read_with_its_conditions() -> None:
    text = (
        '{ tier = "flex", over = 1000, from = 2026-01-01T00:00:00Z, until = 2026-02-01T00:00:00+01:00, '
        'input = "0.003625", source = "page", note = "n" }'
    )
    row = read_card("acme.toml", card(text)).models[0].rows[0]
    assert row.id == "acme/one/flex/over-1000/2026-01-01"
    assert (row.tier, row.above, row.prices["input"].text, row.note) == ("flex", 1000, "0.003625", "n")
    assert (row.from_ns, row.until_ns) == (1767225600 * 10**9, 1769900400 * 10**9)
    assert row.source.url == "https://acme.example/prices"


def test_at_least_is_one_token_less_than_over() -> None:
    row = read_card("acme.toml", card('{ at_least = 200000, input = "1" }')).models[0].rows[0]
    assert row.above == 199_999


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff", "acme.toml: it is not a TOML file"),
        (b"format = 1", "format must be 2"),
        (card('{ input = "1" }') + b"[extra]\na = 1", "unknown key `extra`"),
        (card("{ input = 1.5 }"), 'acme/one: row acme/one/standard: input must be a string such as "2.50"'),
        (card('{ input = "cheap" }'), "'cheap' is no price"),
        (card('{ input = "-1" }'), "a price is not negative"),
        (card('{ input = "1/0" }'), "a price is for more than nothing"),
        (card('{ input = "1/h" }'), "'h' is no unit of input"),
        (card('{ page = "1/2 h" }'), "'h' is no unit of page"),
        (card('{ audio_time = "1/0.0001 s" }'), "finer than audio_time is counted"),
        (card('{ input = "1", currency = "euro" }'), "no ISO 4217 code"),
        (card('{ input = "1", schedule = "peak" }'), "schedule 'peak' is not among [[schedules]]"),
        (card('{ web_search = "1", pool = { web_search = "free" } }'), "pool 'free' of web_search is not among"),
        (card('{ input = "1", least = { output = "1" } }'), "least: the row has no price of 'output'"),
        (card('{ audio_time = "1", step = { audio_time = "1 year" } }'), "'year' is no unit of audio_time"),
        (card('{ egress = "1", marginal = { egress = [["2", "1"], ["1", "1"]] } }'), "must rise from above 0"),
        (card('{ egress = "1", marginal = { egress = ["2", "1"] } }'), "must be a list of pairs"),
        (card('{ input = "1", when = { a = 1 } }'), "`when` must be a table of texts"),
        (card('{ input = "1" }', model="about = { size = 1 }"), "about: unknown key `size`"),
        (
            card('{ input = "1", when = { a = "1" } }, { input = "2", when = { b = "1" } }'),
            "both price input and can hold at once",
        ),
        (
            card('{ input = "1" }, { over = 9, input = "2" }, { input = "3", when = { a = "1" } }'),
            "does not say what input costs above 9 tokens",
        ),
        (card('{ input = "1", when = { a = "z" } }', head=HEAD + '[facts]\na = ["x"]\n'), "is not among [facts]: x"),
        (card('{ input = "1" }', head=HEAD + 'reported = "no"\n[facts]\na = ["x"]\n'), "unknown key"),
        (card('{ inptu = "1" }'), "acme/one: unknown key `inptu`"),
        (card(""), "acme/one: it has no prices"),
        (card("{ }"), "has no price"),
        (card('{ input = "1", over = 1, at_least = 2 }'), "either `over` or `at_least`"),
        (card('{ input = "1", over = -1 }'), "numbers of tokens"),
        (card('{ input = "1", from = 2026-01-01 }'), "an instant with a zone"),
        (card('{ input = "1", from = 2026-01-01T00:00:00 }'), "an instant with a zone"),
        (
            card('{ input = "1", from = 2026-01-01T00:00:00Z, until = 2026-01-01T00:00:00Z }'),
            "`from` must be before `until`",
        ),
        (card('{ input = "1", until = 2300-01-01T00:00:00Z }'), "between the years 1678 and 2262"),
        (card('{ input = "1", source = "rumour" }'), "source 'rumour' is not among [sources]: page"),
        (card('{ input = "1" }', model='inherit = { reasoning = "thoughts" }'), "unknown meter 'thoughts'"),
        (
            card('{ input = "1" }, { input = "2" }'),
            "rows acme/one/standard and acme/one/standard hold at the same time",
        ),
        (
            card('{ input = "1", until = 2026-01-02T00:00:00Z }, { input = "2", from = 2026-01-01T00:00:00Z }'),
            "rows acme/one/standard and acme/one/standard/2026-01-01 hold at the same time",
        ),
        (f'{HEAD}[[models]]\nid = "x"\nprices = []'.encode(), "neither `names` nor `patterns`"),
    ],
)
def test_a_fault_is_named_with_its_place(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_card("acme.toml", data)
    assert words in str(refused.value)
    assert "acme" in str(refused.value)


def test_rows_that_follow_each_other_do_not_overlap() -> None:
    text = '{ input = "1", until = 2026-01-01T00:00:00Z }, { input = "2", from = 2026-01-01T00:00:00Z }'
    assert len(read_card("acme.toml", card(text)).models[0].rows) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[prices]]\nmodel = "x"', "`provider` must be a text"),
        ('[[prices]]\nprovider = "p"\ninput = "1"', "`model` is missing"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"', "exactly one of them"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\nfree = true\ninput = "1"', "exactly one of them"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\ninput = 2', "must be a string"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\nimput = "2"', "unknown key `imput`"),
        ("prices = 3", "`prices` must be a list of tables"),
        ("prices = [3]", "`prices` must be a list of tables"),
        ('[[prices]]\nprovider = "p"\nfree = 1', "`free` is true or false"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\nrows = 3', "`rows` must be a list of tables"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\nsource = 3\ninput = "1"', "`source` must be a text"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\ntier = 3\ninput = "1"', "`tier` must be a text"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\ninherit = 3\ninput = "1"', "`inherit` must be a table"),
        ('[[prices]]\nprovider = "p"\nmodel = "x"\nnames = "x"\ninput = "1"', "`names` must be a list"),
        ('[[prices]]\nprovider = "p"\nmodel = "a*b"\ninput = "1"', "`*` may only be its last letter"),
    ],
)
def test_a_fault_in_a_users_file_shows_at_once(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compile_book({}, [("mine.toml", text.encode())])
    assert words in str(refused.value)
    assert "mine.toml" in str(refused.value)


def test_a_users_entry_may_have_several_rows() -> None:
    text = (
        b'[[prices]]\nprovider = "p"\nmodel = "x"\nsource = "contract"\n'
        b'rows = [{ input = "1" }, { tier = "flex", input = "2", source = "rider" }]'
    )
    ((provider, model),) = read_own("mine.toml", text).models
    assert (provider, model.own, [row.tier for row in model.rows]) == ("p", True, ["standard", "flex"])
    assert [row.source.url for row in model.rows] == ["contract", "rider"]


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("gpt-5*", "gpt-5", True),
        ("gpt-5*", "gpt-5-2025", True),
        ("gpt-5*", "my-gpt-5", False),
        ("claude-opus-5-########", "claude-opus-5-20260723", True),
        ("claude-opus-5-########", "claude-opus-5-2026072", False),
        ("claude-opus-5-########", "claude-opus-5-202607233", False),
        ("claude-opus-5-########", "claude-opus-5-2026072x", False),
        ("a-#", "a-²", False),
        ("*", "", True),
    ],
)
def test_a_pattern_is_anchored(pattern: str, name: str, *, expected: bool) -> None:
    assert fits(pattern, name) is expected


def model(name: str, *, names: tuple[str, ...] = (), patterns: tuple[str, ...] = (), own: bool = False) -> Model:
    return Model(id=name, names=names, patterns=patterns, rows=(), own=own)


def test_exact_names_go_before_patterns_and_long_patterns_before_short_ones() -> None:
    matcher = Matcher(
        "p",
        [
            model("any", patterns=("gpt-*",)),
            model("five", patterns=("gpt-5-*",)),
            model("dated", patterns=("gpt-5-####",)),
            model("exact", names=("gpt-5-2025",)),
        ],
    )
    found = [matcher.find(name) for name in ("gpt-5-2025", "gpt-5-2026", "gpt-5-mini", "gpt-4", "o1")]
    assert [pair and pair[0].id for pair in found] == ["exact", "dated", "five", "any", None]


def test_a_users_entry_goes_before_a_shipped_one() -> None:
    matcher = Matcher("p", [model("shipped", names=("m",)), model("mine", patterns=("*",), own=True)])
    found = matcher.find("m")
    assert found is not None
    assert (found[0].id, found[1]) == ("mine", "*")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (model("a", names=("m",)), model("b", names=("m",))),
        (model("a", patterns=("m-*",)), model("b", patterns=("m-*",))),
        (model("a", patterns=("m-1#",)), model("b", patterns=("m-#1",))),
    ],
)
def test_models_that_cannot_be_told_apart_are_refused(one: Model, two: Model) -> None:
    with pytest.raises(ConfigError, match=r"a.*b"):
        Matcher("p", [one, two])


def test_the_shipped_cards_are_clean() -> None:
    checked = check_book(load_book())
    assert checked.findings == ()
    assert checked.models > 120


def test_a_check_finds_what_compiling_cannot_refuse() -> None:
    head = (
        f'{HEAD}[[uplifts]]\nid = "eu"\nregions = ["eu"]\ntimes = "1.1"\nmodels = ["two"]\nsource = "page"\n'
        '[[schedules]]\nid = "never"\nzone = "UTC"\nspans = ["01:00-02:00"]\nsource = "page"\n'
        '[[pools]]\nid = "dry"\nmeter = "page"\nfree = "5"\nperiod = "month"\nsource = "page"\n'
    )
    rows = (
        '{ input = "1.000000001", until = 2026-01-01T00:00:00Z }, { input = "2", from = 2026-02-01T00:00:00Z }, '
        '{ tier = "odd", rest = "even", input = "3" }'
    )
    book = compile_book({"acme": card(rows, head=head)})
    found = {finding.what for finding in check_book(book).findings}
    assert found == {
        "it names no model of the card",
        "nothing names it",
        "no row draws on it",
        "tier standard has no price from 2026-01-01 to 2026-02-01",
        "no word of the provider leads to the tier odd",
        "the rest is to come from the tier even, which has no rows",
        "input = 1.000000001 looks like float noise",
    }


def test_a_check_finds_schedules_that_are_on_together() -> None:
    spans = 'zone = "UTC"\nspans = ["01:00-03:00"]\nsource = "page"\n'
    head = f'{HEAD}[[schedules]]\nid = "a"\n{spans}[[schedules]]\nid = "b"\n{spans}'
    rows = '{ input = "1" }, { input = "2", schedule = "a" }, { input = "3", schedule = "b" }'
    (finding,) = check_book(compile_book({"acme": card(rows, head=head)})).findings
    assert "rows acme/one/standard/a and acme/one/standard/b both price input and hold at once" in finding.what
    assert finding.remedy


def test_a_row_that_others_hide_is_found() -> None:
    rows = '{ page = "1", when = { a = "1" } }, { page = "2", when = { a = "1" }, over = 1 }, { page = "3" }'
    head = f'{HEAD}[facts]\na = ["1"]\n'
    (finding,) = check_book(compile_book({"acme": card(rows, head=head)})).findings
    assert (finding.where, finding.what) == ("acme/one/standard", "no charge can ever use it")


def test_a_broken_card_is_a_finding() -> None:
    checked = check_book(compile_book({"acme": card("")}))
    assert [finding.where for finding in checked.findings] == ["acme.toml"]


def test_the_hash_names_the_bytes() -> None:
    shipped = read_shipped()
    assert compile_book(shipped).hash == compile_book(shipped).hash
    own = b'[[prices]]\nprovider = "p"\nfree = true'
    assert compile_book(shipped, [("mine.toml", own)]).hash != compile_book(shipped).hash
    assert load_book().short == load_book().hash[:12]


def test_a_card_of_another_provider_is_refused() -> None:
    with pytest.raises(ConfigError, match="it is the card of 'acme'"):
        compile_book({"other": card('{ input = "1" }')}).card("other")


def test_a_missing_file_is_named(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load_book([f"{tmp_path}/nowhere.toml"])
