"""The gate: what two packages agree on goes in, what they disagree on does not, what one knows goes in with a note."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.prices.importing.gate import Gate, Verdict
from farebox.prices.importing.grouping import group_offers
from farebox.prices.importing.offers import Cleaner, Finding, Offer, Package

DAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
FIRST = Package("first", "1", DAY)
SECOND = Package("second", "2", DAY)
THIRD = Package("third", "3", DAY)
OLD = Package("old", "0", date(2026, 6, 1))
COPY = Package("copy", "2", DAY, origin="second")


def offer(package: Package, *rows: dict[str, Any], id: str = "m", **more: Any) -> Offer:  # noqa: A002 - as in a card
    return Offer(package, "p", id, more.pop("names", [id]), rows=list(rows), **more)


def judge(*offers: Offer, decisions: tuple[dict[str, Any], ...] = ()) -> Verdict:
    findings: list[Finding] = []
    (group,) = group_offers(offers, findings)
    verdict = Gate(NOW, decisions).judge(group)
    verdict.findings = [*findings, *verdict.findings]
    return verdict


def rows_of(verdict: Verdict) -> list[dict[str, Any]]:
    assert verdict.model is not None
    return [{key: value for key, value in row.items() if key != "by"} for row in verdict.model["prices"]]


def test_what_two_agree_on_goes_in() -> None:
    verdict = judge(offer(FIRST, {"input": "1", "output": "2"}), offer(SECOND, {"input": "1.00", "output": "2"}))
    assert rows_of(verdict) == [{"input": "1", "output": "2"}]
    assert (verdict.agreed, verdict.single, verdict.review) == (2, 0, 0)
    assert verdict.model is not None
    assert verdict.model["prices"][0]["by"] == {"first", "second"}


def test_what_one_knows_is_marked() -> None:
    assert rows_of(judge(offer(FIRST, {"input": "1"}))) == [{"input": "1", "note": "one source"}]
    verdict = judge(offer(FIRST, {"input": "1", "output": "2"}), offer(SECOND, {"input": "1"}))
    assert rows_of(verdict) == [{"input": "1", "output": "2", "note": "one source: output"}]
    verdict = judge(offer(FIRST, {"input": "1"}), offer(SECOND, {"input": "1", "cache_read": "0.1"}))
    assert rows_of(verdict) == [{"input": "1", "cache_read": "0.1", "note": "one source: cache_read"}]


def test_what_two_disagree_on_stays_out() -> None:
    verdict = judge(
        offer(FIRST, {"input": "1", "output": "2", "cache_read": "0.1"}),
        offer(SECOND, {"input": "1", "output": "2", "cache_read": "0.5"}),
    )
    assert rows_of(verdict) == [{"input": "1", "output": "2"}]
    assert verdict.findings == [Finding("p", "m", "cache_read", "disagree", {"first": "0.1", "second": "0.5"})]
    assert verdict.review == 1


def test_a_model_without_the_price_of_a_prompt_is_left_out() -> None:
    verdict = judge(offer(FIRST, {"input": "1", "output": "2"}), offer(SECOND, {"input": "3", "output": "2"}))
    assert verdict.model is None


def test_a_size_in_doubt_takes_its_smaller_size_with_it() -> None:
    plain, large = {"input": "1", "output": "2"}, {"over": 200_000, "input": "2", "output": "3"}
    verdict = judge(offer(FIRST, plain, large), offer(SECOND, plain, {**large, "input": "4"}))
    assert verdict.model is None, "large inputs would be charged as small ones"


def test_two_against_one() -> None:
    verdict = judge(offer(FIRST, {"input": "1"}), offer(SECOND, {"input": "3"}), offer(THIRD, {"input": "3"}))
    assert rows_of(verdict) == [{"input": "3"}]
    assert [finding.why for finding in verdict.findings] == ["outvoted"]


def test_copies_are_one_witness() -> None:
    verdict = judge(offer(FIRST, {"input": "1"}), offer(SECOND, {"input": "3"}), offer(COPY, {"input": "3"}))
    assert verdict.model is None
    assert [finding.why for finding in verdict.findings] == ["disagree"]


def test_old_data_confirms_but_neither_contradicts_nor_adds() -> None:
    assert rows_of(judge(offer(FIRST, {"input": "1"}), offer(OLD, {"input": "1"}))) == [{"input": "1"}]
    verdict = judge(offer(FIRST, {"input": "1"}), offer(OLD, {"input": "9", "cache_read": "1"}))
    assert rows_of(verdict) == [{"input": "1", "note": "one source"}]


def test_a_thousandfold_is_named() -> None:
    verdict = judge(offer(FIRST, {"input": "1"}), offer(SECOND, {"input": "1000"}))
    assert [finding.why for finding in verdict.findings] == ["thousandfold"]
    assert verdict.model is None


def test_an_answer_cheaper_than_a_hundredth_of_the_prompt_is_a_mistake() -> None:
    verdict = judge(offer(FIRST, {"input": "1", "output": "0.002"}))
    assert [finding.why for finding in verdict.findings] == ["implausible"]
    assert verdict.model is None


def test_a_decision_settles_it() -> None:
    offers = (offer(FIRST, {"input": "1", "output": "2"}), offer(SECOND, {"input": "3", "output": "4"}))
    rule = {"models": ["m*"], "take": "second"}
    assert rows_of(judge(*offers, decisions=(rule,))) == [{"input": "3", "output": "4", "note": "one source"}]
    assert judge(*offers, decisions=({**rule, "meters": ["input"]},)).model is None


def test_rounded_conversions_are_the_same_price() -> None:
    verdict = judge(offer(FIRST, {"input": "1.00002"}), offer(SECOND, {"input": "1"}))
    assert rows_of(verdict) == [{"input": "1"}]
    assert verdict.agreed == 1


def test_tiers_sizes_and_facts_are_compared_with_their_like() -> None:
    plain = {"input": "1", "output": "2"}
    batch = {"tier": "batch", "input": "0.5", "output": "1"}
    inclusive, exclusive = {"at_least": 200_000, **plain}, {"over": 200_000, **plain}
    verdict = judge(offer(FIRST, plain, batch, inclusive), offer(SECOND, plain, {**batch, "output": "1.5"}, exclusive))
    assert rows_of(verdict) == [plain, inclusive]
    assert [(finding.what, finding.why) for finding in verdict.findings] == [("batch/output", "disagree")]


def test_a_row_that_leaves_the_rest_is_not_added_to() -> None:
    plain = {"input": "1", "output": "2", "cache_read": "0.5"}
    batch = {"tier": "batch", "rest": "standard", "input": "0.5", "output": "1"}
    verdict = judge(offer(FIRST, plain, batch), offer(SECOND, plain, {**batch, "cache_read": "0.25"}))
    assert rows_of(verdict) == [plain, batch]


def test_a_tier_that_only_another_knows_is_added() -> None:
    plain = {"input": "1", "output": "2"}
    verdict = judge(offer(FIRST, plain), offer(SECOND, plain, {"tier": "flex", "input": "0.5"}))
    assert rows_of(verdict) == [plain, {"tier": "flex", "input": "0.5", "note": "one source"}]


def test_a_size_that_the_first_does_not_know_needs_two() -> None:
    plain, large = {"input": "1", "output": "2"}, {"over": 200_000, "input": "2", "output": "3"}
    assert rows_of(judge(offer(FIRST, plain), offer(SECOND, plain, large))) == [plain]
    assert rows_of(judge(offer(FIRST, plain), offer(SECOND, plain, large), offer(THIRD, plain, large))) == [
        plain,
        large,
    ]


def test_history_is_compared_with_history() -> None:
    cut = datetime(2026, 8, 1, tzinfo=UTC)
    dated = Package("dated", "1", DAY, dated=True)
    before, after = {"until": cut, "input": "5"}, {"from": cut, "input": "3"}
    verdict = judge(
        offer(FIRST, before, after), offer(dated, {"until": cut, "input": "5"}, {"from": cut, "input": "3"})
    )
    assert rows_of(verdict) == [before, after]
    undated = judge(offer(FIRST, before, after), offer(SECOND, {"input": "3"}))
    assert rows_of(undated) == [{**before, "note": "one source"}, after]


def test_the_beginning_of_a_history_is_not_the_beginning_of_a_price() -> None:
    start = datetime(2026, 8, 1, tzinfo=UTC)
    row = {"from": start, "first": True, "input": "3"}
    assert rows_of(judge(offer(Package("dated", "1", DAY, dated=True), row))) == [{"input": "3", "note": "one source"}]


def test_a_lent_list_confirms_only() -> None:
    lent = offer(SECOND, {"input": "1", "cache_read": "0.1"}, lends=True)
    assert rows_of(judge(offer(FIRST, {"input": "1"}), lent))[0]["input"] == "1"
    other = offer(SECOND, {"input": "2"}, lends=True)
    assert rows_of(judge(offer(FIRST, {"input": "1"}), other)) == [{"input": "1", "note": "one source"}]


def test_names_in_any_case_are_of_one_model() -> None:
    findings: list[Finding] = []
    groups = group_offers(
        [offer(FIRST, {"input": "1"}, id="Qwen/X"), offer(SECOND, {"input": "1"}, id="qwen/x")], findings
    )
    assert [(group.lead.id, group.names) for group in groups] == [("Qwen/X", ["Qwen/X", "qwen/x"])]


@pytest.mark.parametrize(
    ("other", "input_price", "models"),
    [
        ("m-20260101", "1", ["m"]),  # costs the same: covered by the pattern
        ("m-20260101", "2", ["m"]),  # a release of the same model at another price: the pattern's word stands
        ("m-vision", "2", ["m", "m-vision"]),  # another model
    ],
)
def test_ids_that_fit_a_pattern(other: str, input_price: str, models: list[str]) -> None:
    findings: list[Finding] = []
    first = offer(FIRST, {"input": "1"}, patterns=["m*"])
    groups = group_offers([first, offer(SECOND, {"input": input_price}, id=other)], findings)
    assert [group.lead.id for group in groups] == models
    assert bool(findings) == (input_price == "2")


def test_a_guessed_geography_gives_way() -> None:
    first = offer(FIRST, {"input": "1"}, patterns=["amazon.n*", "eu.amazon.n*"])
    groups = group_offers([first, offer(SECOND, {"input": "2"}, id="eu.amazon.n-v1:0")], [])
    assert [group.lead.id for group in groups] == ["m", "eu.amazon.n-v1:0"]
    assert groups[0].lead.patterns == ["amazon.n*"]


@pytest.mark.parametrize(
    ("value", "text", "why"),
    [
        ("1.50", "1.5", ""),
        ("1.0399999999999998", "1.04", ""),
        ("0.18000000000000002", "0.18", ""),
        ("0.003625", "0.003625", ""),
        ("0.0416666666666667", None, "decimals"),
        ("0", None, "zero"),
        ("-1", None, "no-number"),
        ("NaN", None, "no-number"),
        ("much", None, "no-number"),
        ("30000", None, "implausible"),
    ],
)
def test_prices_are_cleaned(value: str, text: str | None, why: str) -> None:
    cleaner = Cleaner(FIRST, "p")
    assert cleaner.price(value, "m", "input") == text
    assert [finding.why for finding in cleaner.findings] == ([why] if why else [])


@given(st.integers(1, 10**12))
def test_float_noise_is_taken_off_every_price(nanos: int) -> None:
    published = Decimal(nanos) / 10**9
    text = Cleaner(FIRST, "p").price(float(published), "m", "input")
    if published <= 1000:
        assert text is not None
        assert Decimal(text) == published
