"""Each mechanism of settling on its own, with figures that can be checked by hand."""

from typing import Any

import msgspec
import pytest

from farebox.charge import Charge, Line
from farebox.errors import ConfigError
from farebox.prices.rates import Commitment, Contract, Price
from farebox.prices.settle.items import Request, items_of
from farebox.prices.settle.nouns import Item, Settlement
from farebox.prices.settle.periods import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from farebox.prices.settle.settler import Settler, settle
from tests.prices.settle_cases import DECEMBER, JANUARY, NOVEMBER, SOURCE, USD, make_item, make_terms

SEARCH = "google/gemini/standard#web_search"
FLASH_SEARCH = "google/gemini-flash/standard#web_search"
OLD_SEARCH = "google/gemini-old/standard#web_search"
EGRESS = "aws/internet/standard#egress"
INPUT = "google/gemini/standard#input"
GPT_INPUT = "azure/gpt/standard#input"
GPT_OUTPUT = "azure/gpt/standard#output"
GPT_CACHED = "azure/gpt/standard#cache_read"
UNITS = "azure/units/standard#provisioned"
GB = 10**6


def amounts(settlement: Settlement) -> dict[str, str]:
    """Lines as id: USD, in order; several of an id are joined."""
    found: dict[str, str] = {}
    for line in settlement.adjustments:
        usd = f"{line.amount_femto / USD:.12g}"
        found[line.id] = f"{found[line.id]}, {usd}" if line.id in found else usd
    return found


def owed_usd(settlement: Settlement) -> str:
    assert settlement.owed_femto == settlement.charged_femto + sum(a.amount_femto for a in settlement.adjustments)
    return f"{settlement.owed_femto / USD:.12g}"


class TestPools:
    def test_the_first_units_of_a_month_are_free_and_one_item_is_cut(self):
        items = [make_item(1, NOVEMBER, SEARCH, 4990), make_item(2, NOVEMBER + 1, SEARCH, 30)]
        settlement = settle(items, make_terms())
        assert amounts(settlement) == {"pool/google/search": "-70"}
        assert owed_usd(settlement) == "0.28"
        (line,) = settlement.adjustments
        assert (line.quantity, line.meter, line.account) == (5000, "web_search", "org")
        assert line.reason == "2026-11: 5000 web_search free of charge"
        assert (line.from_ns, line.until_ns) == (NOVEMBER, DECEMBER)

    def test_models_share_it_in_the_order_of_time(self):
        items = [make_item(1, NOVEMBER, FLASH_SEARCH, 4000), make_item(2, NOVEMBER + 1, SEARCH, 4000)]
        settlement = settle(items, make_terms())
        assert [line.amount_femto for line in settlement.adjustments] == [-28 * USD, -14 * USD]
        assert owed_usd(settlement) == "42"

    def test_a_month_ends_at_midnight_utc(self):
        items = [make_item(1, DECEMBER - 1, SEARCH, 5001), make_item(2, DECEMBER, SEARCH, 5001)]
        settlement = settle(items, make_terms())
        assert amounts(settlement) == {"pool/google/search": "-70, -70"}
        assert owed_usd(settlement) == "0.028"

    def test_projects_of_an_organisation_share_and_organisations_do_not(self):
        items = [
            make_item(1, NOVEMBER, SEARCH, 5000, "org/one"),
            make_item(2, NOVEMBER + 1, SEARCH, 1, "org/two"),
            make_item(3, NOVEMBER + 2, SEARCH, 1, "other/one"),
        ]
        assert owed_usd(settle(items, make_terms())) == "0.014"

    def test_a_daily_pool_of_each_project_after_a_contract_by_percent(self):
        items = [
            make_item(1, NOVEMBER, OLD_SEARCH, 31, "org/one"),
            make_item(2, NOVEMBER, OLD_SEARCH, 31, "org/two"),
            make_item(3, NOVEMBER + NS_PER_DAY, OLD_SEARCH, 30, "org/one"),
        ]
        settlement = settle(items, make_terms())
        assert [line.account for line in settlement.adjustments] == ["org/one", "org/one", "org/two"]
        assert settlement.adjustments[0].reason.startswith("2026-11-01: 30 ")
        assert owed_usd(settlement) == "0.0252"  # two searches at 0.014 less a tenth

    def test_what_is_free_costs_nothing_though_each_line_was_rounded(self):
        rate = "anthropic/code/standard#code_time"
        items = [make_item(n, NOVEMBER + n, rate, 1) for n in range(1000)]
        assert items[0].amount_femto == 13_889_000  # 0.05 USD an hour: 13,888,888.9 femtodollars a millisecond
        assert settle(items, make_terms()).owed_femto == 0


class TestMarginalPrices:
    def test_an_item_across_a_threshold_is_cut(self):
        items = [make_item(1, NOVEMBER, EGRESS, 9_990 * GB), make_item(2, NOVEMBER + 1, EGRESS, 30 * GB)]
        settlement = settle(items, make_terms())
        assert amounts(settlement) == {"marginal/aws/internet/egress#2": "-0.1"}
        assert settlement.adjustments[0].quantity == 20 * GB
        assert settlement.adjustments[0].reason == "2026-11: 20 GB of egress beyond the first 10000"
        assert owed_usd(settlement) == "901.7"  # 10,000 GB at 0.09 and 20 GB at 0.085

    def test_the_threshold_itself_is_in_the_dearer_band(self):
        at = settle([make_item(1, NOVEMBER, EGRESS, 10_000 * GB)], make_terms())
        beyond = settle([make_item(1, NOVEMBER, EGRESS, 10_000 * GB), make_item(2, NOVEMBER, EGRESS, 1)], make_terms())
        assert at.adjustments == ()
        assert beyond.owed_femto - at.owed_femto == 85_000_000

    def test_a_large_item_that_was_priced_in_bands_by_itself_changes_nothing_alone(self):
        settlement = settle([make_item(1, NOVEMBER, EGRESS, 60_000 * GB)], make_terms())
        assert owed_usd(settlement) == "5000"  # 900, 3,400 and 700

    def test_a_contract_by_percent_takes_the_same_part_in_every_band(self):
        rate = "azure/internet/standard#egress"
        items = [make_item(n, NOVEMBER + n, rate, 10_000 * GB) for n in range(3)]
        assert owed_usd(settle(items, make_terms())) == "2275"  # 900 + 850 + 850 less an eighth

    def test_a_fixed_price_has_no_bands_while_it_holds(self):
        price = {"egress": Price("0.08", "0.08", GB, "GB")}
        flat = Contract("flat", "aws", ("inter*",), SOURCE, prices=price, until_ns=NOVEMBER + NS_PER_DAY)
        agreed = Item("a", NOVEMBER, "org", "aws", "internet", "egress", 20_000 * GB, EGRESS, 1750 * USD, 1600 * USD)
        items = [agreed, make_item("b", NOVEMBER + NS_PER_DAY, EGRESS, 20_000 * GB)]
        assert owed_usd(settle(items, make_terms((flat,)))) == "3350"  # 1,600; then 900 and 850

    def test_bands_count_what_is_left_of_a_month(self):
        items = [make_item(1, DECEMBER - 1, EGRESS, 10_000 * GB), make_item(2, DECEMBER, EGRESS, 10_000 * GB)]
        assert owed_usd(settle(items, make_terms())) == "1800"


class TestVolumeContracts:
    def contract(self, **more):
        words = {"provider": "google", "models": ("*",), "volume": (("0", "0"), ("100", "5"), ("500", "10"))}
        return Contract(id="acme", source=SOURCE, **(words | more))

    def items(self, *usd: str, at: int = NOVEMBER):
        return [make_item(n, at + n, INPUT, int(float(one) * 800_000)) for n, one in enumerate(usd)]

    def test_percentages_rise_with_what_was_spent_at_list(self):
        settlement = settle(self.items("90", "20", "500"), make_terms((self.contract(),)))
        assert amounts(settlement) == {"contract/acme/volume#2": "-20", "contract/acme/volume#3": "-11"}
        assert settlement.adjustments[0].reason == "2026-11: 5% off 400 USD spent beyond 100 USD at list price"
        assert owed_usd(settlement) == "579"

    def test_the_next_month_starts_again(self):
        items = [*self.items("110"), *self.items("110", at=DECEMBER)]
        settlement = settle(items, make_terms((self.contract(),)))
        assert amounts(settlement) == {"contract/acme/volume#2": "-0.5, -0.5"}

    def test_steps_count_list_prices_and_take_off_what_is_charged(self):
        items = [Item("a", NOVEMBER, "org", "google", "gemini", "input", 1, INPUT, 200 * USD, 100 * USD)]
        settlement = settle(items, make_terms((self.contract(),)))
        assert amounts(settlement) == {"contract/acme/volume#2": "-2.5"}  # half of it is beyond 100 at list

    def test_what_the_pool_gave_was_not_spent(self):
        items = [make_item(1, NOVEMBER, SEARCH, 5000), *self.items("110", at=NOVEMBER + 1)]
        settlement = settle(items, make_terms((self.contract(),)))
        assert amounts(settlement) == {"pool/google/search": "-70", "contract/acme/volume#2": "-0.5"}

    def test_it_holds_for_its_models_meters_tiers_and_time(self):
        others = [
            self.contract(models=("gemini-pro*",)),
            self.contract(meters=("output",)),
            self.contract(tiers=("batch",)),
            self.contract(until_ns=NOVEMBER),
            self.contract(provider="openai"),
        ]
        for other in others:
            assert settle(self.items("600"), make_terms((other,))).adjustments == ()

    def test_two_at_once_are_refused_and_one_after_the_other_is_not(self):
        second = Contract("more", "google", ("gem*",), SOURCE, volume=(("0", "50"),))
        with pytest.raises(ConfigError, match="contracts acme and more both take a percentage"):
            settle(self.items("200"), make_terms((self.contract(), second)))
        first, later = self.contract(until_ns=DECEMBER), msgspec.structs.replace(second, from_ns=DECEMBER)
        items = [*self.items("200"), *self.items("200", at=DECEMBER)]
        assert amounts(settle(items, make_terms((first, later)))) == {
            "contract/acme/volume#2": "-5", "contract/more/volume#1": "-100",
        }  # fmt: skip


class TestSpendCommitments:
    def commitment(self, usd: str = "100", percent: str = "", **more):
        return Commitment("edp", "google", "spend", ("*",), SOURCE, amount_usd=usd, percent=percent, **more)

    def test_a_shortfall_is_owed_month_by_month(self):
        items = [make_item(1, NOVEMBER, INPUT, 60 * 800_000), make_item(2, DECEMBER, INPUT, 120 * 800_000)]
        settlement = settle(items, make_terms(commitments=(self.commitment(),)))
        assert amounts(settlement) == {"commitment/edp/shortfall": "40"}
        assert settlement.adjustments[0].reason == "2026-11: 60 USD of the committed 100 USD were spent"
        assert owed_usd(settlement) == "220"

    def test_a_month_without_usage_is_owed_too(self):
        assert amounts(settle([], make_terms(commitments=(self.commitment(),)))) == {
            "commitment/edp/shortfall": "100, 100"
        }

    def test_what_counts_is_what_is_left_after_the_percentage(self):
        items = [make_item(1, NOVEMBER, INPUT, 100 * 800_000)]
        settlement = settle(items, make_terms(commitments=(self.commitment(percent="12.5"),), until_ns=DECEMBER))
        assert amounts(settlement) == {"commitment/edp/percent": "-12.5", "commitment/edp/shortfall": "12.5"}
        assert owed_usd(settlement) == "100"

    def test_cut_months_count_by_their_time(self):
        commitment = self.commitment(from_ns=NOVEMBER + 15 * NS_PER_DAY, until_ns=DECEMBER + 31 * NS_PER_DAY // 4)
        assert amounts(settle([], make_terms(commitments=(commitment,)))) == {"commitment/edp/shortfall": "50, 25"}

    def test_a_month_that_is_not_over_counts_as_far_as_it_goes(self):
        terms = make_terms(commitments=(self.commitment(),), until_ns=NOVEMBER + 3 * NS_PER_DAY)
        assert amounts(settle([], terms)) == {"commitment/edp/shortfall": "10"}


class TestCredits:
    def credit(self, name: str, usd: str, **more):
        return Commitment(name, "google", "credits", ("*",), SOURCE, amount_usd=usd, **more)

    def test_they_are_drawn_until_they_are_used_up(self):
        items = [make_item(n, NOVEMBER + n, INPUT, 30 * 800_000) for n in range(3)]
        settlement = settle(items, make_terms(commitments=(self.credit("prepaid", "50"),)))
        assert amounts(settlement) == {"commitment/prepaid/drawn": "-50"}
        assert owed_usd(settlement) == "40"
        (balance,) = settlement.balances
        assert (balance.drawn_femto, balance.left_femto, balance.expired_femto) == (50 * USD, 0, 0)

    def test_what_expires_first_goes_first_and_the_rest_is_lost(self):
        credits_ = (
            self.credit("late", "100"),
            self.credit("early", "50", until_ns=NOVEMBER + NS_PER_DAY),
        )
        items = [make_item(1, NOVEMBER, INPUT, 30 * 800_000), make_item(2, NOVEMBER + NS_PER_DAY, INPUT, 30 * 800_000)]
        settlement = settle(items, make_terms(commitments=credits_))
        assert amounts(settlement) == {"commitment/early/drawn": "-30", "commitment/late/drawn": "-30"}
        assert [(one.commitment, one.expired_femto, one.left_femto) for one in settlement.balances] == [
            ("early", 20 * USD, 0),
            ("late", 0, 70 * USD),
        ]

    def test_buying_them_costs_their_worth_and_a_fee(self):
        credit = self.credit("prepaid", "10", from_ns=NOVEMBER, fee_percent="5.5", least_fee_usd="0.80")
        settlement = settle([make_item(1, NOVEMBER, INPUT, 4 * 800_000)], make_terms(commitments=(credit,)))
        assert amounts(settlement) == {
            "commitment/prepaid/drawn": "-4",
            "commitment/prepaid/purchase": "10",
            "commitment/prepaid/fee": "0.8",
        }
        large = self.credit("prepaid", "100", from_ns=NOVEMBER, fee_percent="5.5", least_fee_usd="0.80")
        assert amounts(settle([], make_terms(commitments=(large,))))["commitment/prepaid/fee"] == "5.5"

    def test_what_was_drawn_before_is_gone(self):
        terms = make_terms(commitments=(self.credit("prepaid", "50"),), drawn={"prepaid": 45 * USD})
        settlement = settle([make_item(1, NOVEMBER, INPUT, 30 * 800_000)], terms)
        assert amounts(settlement) == {"commitment/prepaid/drawn": "-5"}
        assert settlement.balances[0].drawn_femto == 50 * USD

    def test_they_do_not_lower_what_counts_as_spent(self):
        spend = Commitment("edp", "google", "spend", ("*",), SOURCE, amount_usd="30")
        terms = make_terms(commitments=(self.credit("prepaid", "20"), spend), until_ns=DECEMBER)
        settlement = settle([make_item(1, NOVEMBER, INPUT, 30 * 800_000)], terms)
        assert amounts(settlement) == {"commitment/prepaid/drawn": "-20"}


class TestCapacity:
    def units(self, **more):
        words: dict[str, Any] = {
            "units": 1,
            "unit_price_usd": "1.00",
            "unit_tokens_per_minute": 100,
            "burn": {"output": "8", "cache_read": "0"},
        }
        return Commitment("ptu", "azure", "capacity", ("gpt*",), SOURCE, **(words | more))

    def settle(self, *items: Item, **more) -> Settlement:
        return settle(items, make_terms(commitments=(self.units(**more),), until_ns=DECEMBER))

    def test_what_fits_a_minute_is_served_and_the_rest_is_charged(self):
        settlement = self.settle(
            make_item("a", NOVEMBER, GPT_INPUT, 60),
            make_item("b", NOVEMBER + 1, GPT_OUTPUT, 10),  # 40 are left: 5 tokens of the answer
            make_item("c", NOVEMBER + 2, GPT_INPUT, 1),
            make_item("d", NOVEMBER + NS_PER_MINUTE, GPT_INPUT, 100),
        )
        covered = [line for line in settlement.adjustments if line.id == "commitment/ptu/covered"]
        assert [(line.meter, line.quantity) for line in covered] == [("input", 160), ("output", 5)]
        assert settlement.charged_femto + sum(line.amount_femto for line in covered) == 5 * 10**10 + 1_250_000_000

    def test_hours_cost_whatever_they_served_and_the_unused_part_is_said(self):
        settlement = self.settle(make_item("a", NOVEMBER, GPT_INPUT, 100))
        used, unused = settlement.adjustments[1:]
        assert (used.id, unused.id) == ("commitment/ptu/used", "commitment/ptu/unused")
        assert used.quantity == 60  # unit-seconds: one minute of one unit
        assert used.amount_femto + unused.amount_femto == 720 * USD
        assert unused.quantity == 30 * 86_400 - 60
        assert unused.reason == "2026-11: 719.983333333333333 unit-hours of ptu unused"

    def test_cached_tokens_are_served_while_there_is_room(self):
        settlement = self.settle(
            make_item("a", NOVEMBER, GPT_CACHED, 1_000_000),
            make_item("b", NOVEMBER + 1, GPT_INPUT, 100),
            make_item("c", NOVEMBER + 2, GPT_CACHED, 1000),
        )
        covered = [line.quantity for line in settlement.adjustments if line.id == "commitment/ptu/covered"]
        assert covered == [1_000_000, 100]

    def test_meters_of_the_answer_burn_like_output_unless_said(self):
        reasoning = Item("a", NOVEMBER, "org", "azure", "gpt", "reasoning", 100, GPT_OUTPUT, 10**12, 10**12)
        lines = self.settle(reasoning).adjustments
        assert lines[0].quantity == 12  # 12 times 8 of 100
        assert self.settle(reasoning, burn={"output": "8", "reasoning": "0.5"}).adjustments[0].quantity == 100

    def test_a_minute_in_which_it_starts_has_room_for_its_part(self):
        settlement = self.settle(
            make_item("a", NOVEMBER, GPT_INPUT, 90),
            make_item("b", NOVEMBER + 45 * NS_PER_SECOND, GPT_INPUT, 90),
            from_ns=NOVEMBER + 45 * NS_PER_SECOND,
        )
        assert settlement.adjustments[0].quantity == 25

    def test_what_it_serves_draws_on_nothing_else(self):
        contract = Contract("acme", "azure", ("*",), SOURCE, volume=(("0", "10"),))
        terms = make_terms((contract,), (self.units(),), until_ns=DECEMBER)
        settlement = settle([make_item("a", NOVEMBER, GPT_INPUT, 100)], terms)
        assert "contract/acme/volume#1" not in amounts(settlement)

    def test_a_reservation_covers_deployed_units_hour_by_hour(self):
        reserved = Commitment("ri", "azure", "capacity", ("units",), SOURCE, units=500, unit_price_usd="0.7")
        hours = [make_item(n, NOVEMBER + n * NS_PER_HOUR, UNITS, 600 * 3600) for n in range(24)]
        terms = make_terms(commitments=(reserved,), until_ns=NOVEMBER + NS_PER_DAY)
        settlement = settle(hours, terms)
        assert amounts(settlement) == {"commitment/ri/covered": "-12000", "commitment/ri/used": "8400"}
        assert owed_usd(settlement) == "10800"  # 500 x 24 at 0.70, and 100 x 24 at 1.00

    def test_a_surplus_of_reserved_units_is_unused(self):
        reserved = Commitment("ri", "azure", "capacity", ("units",), SOURCE, units=500, unit_price_usd="0.7")
        terms = make_terms(commitments=(reserved,), until_ns=NOVEMBER + NS_PER_HOUR)
        settlement = settle([make_item(1, NOVEMBER, UNITS, 400 * 3600)], terms)
        assert amounts(settlement) == {
            "commitment/ri/covered": "-400", "commitment/ri/used": "280", "commitment/ri/unused": "70",
        }  # fmt: skip


class TestOrder:
    def test_everything_at_once(self):
        contract = Contract("acme", "google", ("*",), SOURCE, volume=(("0", "10"),))
        commitments = (
            Commitment("prepaid", "google", "credits", ("*",), SOURCE, amount_usd="5"),
            Commitment("edp", "google", "spend", ("*",), SOURCE, amount_usd="20", percent="50"),
        )
        terms = make_terms((contract,), commitments, until_ns=DECEMBER)
        settlement = settle([make_item(1, NOVEMBER, SEARCH, 6000)], terms)
        assert amounts(settlement) == {
            "pool/google/search": "-70",  # of 84
            "contract/acme/volume#1": "-1.4",  # of 14
            "commitment/edp/percent": "-6.3",  # of 12.6
            "commitment/prepaid/drawn": "-5",  # of 6.3
            "commitment/edp/shortfall": "13.7",
        }
        assert owed_usd(settlement) == "15"  # 20 as committed, of which 5 are paid

    def test_what_is_left_of_each_item_is_returned(self):
        settler = Settler(make_terms())
        assert settler.take(make_item(1, NOVEMBER, SEARCH, 4999)) == 0
        assert settler.take(make_item(2, NOVEMBER, SEARCH, 2)) == 14 * 10**12
        assert settler.take(make_item(3, NOVEMBER, INPUT, 2)) == 2_500_000_000


class TestRefusals:
    @pytest.mark.parametrize(
        ("items", "message"),
        [
            ([make_item(2, NOVEMBER + 1, INPUT, 1), make_item(1, NOVEMBER, INPUT, 1)], "order"),
            ([make_item(1, NOVEMBER, INPUT, 1), make_item(1, NOVEMBER, INPUT, 1)], "each once"),
            ([make_item(1, NOVEMBER - 1, INPUT, 1)], "outside"),
            ([make_item(1, JANUARY, INPUT, 1)], "outside"),
            ([Item("a", NOVEMBER, "o", "google", "gemini", "input", 1, INPUT, 1, -1)], "0 or more"),
        ],
    )
    def test_items(self, items, message):
        with pytest.raises(ValueError, match=message):
            settle(items, make_terms())

    def test_a_rate_that_the_book_lacks(self):
        item = Item("a", NOVEMBER, "o", "google", "gemini", "input", 1, "google/other#input", 1, 1)
        with pytest.raises(ConfigError, match=r"google/other#input is not in the price book"):
            settle([item], make_terms())

    @pytest.mark.parametrize(
        ("commitment", "message"),
        [
            ({"kind": "promise"}, "commitment x: kind"),
            ({"kind": "spend", "amount_usd": "ten"}, r"amount_usd: 'ten' is not a decimal"),
            ({"kind": "spend"}, "amount_usd"),
            ({"kind": "spend", "amount_usd": "-1"}, "0 or more"),
            ({"kind": "spend", "amount_usd": "1", "percent": "101"}, "more than 100"),
            ({"kind": "credits", "amount_usd": "0.0000000000000001"}, "amount_usd: .*femtodollars"),
            ({"kind": "capacity", "unit_price_usd": "1"}, "units must be more than 0"),
            ({"kind": "capacity", "units": 1}, "unit_price_usd"),
            (
                {
                    "kind": "capacity",
                    "units": 1,
                    "unit_price_usd": "1",
                    "unit_tokens_per_minute": 1,
                    "burn": {"page": "1"},
                },
                "burn: page does not count tokens",
            ),
        ],
    )
    def test_commitments(self, commitment, message):
        words = {"id": "x", "provider": "google", "models": ("*",), "source": SOURCE} | commitment
        with pytest.raises(ConfigError, match=message):
            settle([], make_terms(commitments=(Commitment(**words),)))

    @pytest.mark.parametrize("volume", [(("10", "1"), ("5", "2")), (("0", "x"),), (("0", "1"), ("0", "2"))])
    def test_contracts(self, volume):
        with pytest.raises(ConfigError, match="contract x: volume"):
            settle([], make_terms((Contract("x", "google", ("*",), SOURCE, volume=volume),)))

    def test_times(self):
        with pytest.raises(ConfigError, match="calendar month"):
            settle([], make_terms(from_ns=NOVEMBER + 1))
        with pytest.raises(ConfigError, match="later than from"):
            settle([], make_terms(until_ns=NOVEMBER))

    def test_credits_drawn_beyond_what_they_are(self):
        credit = Commitment("x", "google", "credits", ("*",), SOURCE, amount_usd="1")
        with pytest.raises(ConfigError, match="drawn before"):
            settle([], make_terms(commitments=(credit,), drawn={"x": 2 * USD}))

    def test_two_of_an_id(self):
        credit = Commitment("x", "google", "credits", ("*",), SOURCE, amount_usd="1")
        with pytest.raises(ConfigError, match="commitment x: two have this id"):
            settle([], make_terms(commitments=(credit, credit)))


class TestItems:
    REQUEST = Request("r", NOVEMBER, "org", "aws", "internet")

    def test_lines_of_a_meter_are_one_item(self):
        lines = (
            Line("egress", 10, 9, 90, "aws/internet/standard#egress"),
            Line("egress", 5, 8, 40, "aws/internet/standard#egress"),
            Line("egress", 1, 20, 20, "aws/internet/standard#egress!least"),
            Line("egress", 15, -1, -15, "contract/acme#egress"),
            Line("request", 1, 7, 7, "aws/internet/standard#request"),
        )
        assert items_of(Charge(lines, 142, "b"), self.REQUEST) == [
            Item("r", NOVEMBER, "org", "aws", "internet", "egress", 15, "aws/internet/standard#egress", 150, 135),
            Item("r", NOVEMBER, "org", "aws", "internet", "request", 1, "aws/internet/standard#request", 7, 7),
        ]

    def test_a_charge_with_free_units_is_refused(self):
        lines = (Line("egress", 10, 0, 0, "pool/egress#egress"),)
        with pytest.raises(ValueError, match="charge it without a position"):
            items_of(Charge(lines, 0, "b"), self.REQUEST)
