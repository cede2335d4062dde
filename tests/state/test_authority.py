"""The authority: slices, totals, windows, wallets, alerts, fences. On SQLite and on Postgres."""

import msgspec
import pytest

from farebox.budgets.account import Account
from farebox.budgets.authority import (
    Refused,
    StoreUnavailable,
    Total,
    Want,
    WriterClosed,
)
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.errors import ConfigError
from farebox.state.ledger_authority import open_authority
from tests.state.asking import DAY_NS, HOUR_NS, ORG, TEAM, TODAY, figures, grant_one, put, spend, status_of

DAY = read_window("day")
LIFETIME = read_window("lifetime")
DOLLAR = 10**15


# Slices


def test_what_is_granted_is_held_and_what_is_spent_is_posted(authority) -> None:
    budget = put(authority)
    share = grant_one(authority, "w1", budget, 300)
    assert (share.budget, share.span.id, share.granted, share.released, share.spent) == (budget.id, TODAY, 300, 0, 0)
    assert figures(authority) == (0, 300, 0, False)
    reported = authority.report("w1", [Total(budget.id, TODAY, 120, 180)])
    assert [(s.granted, s.released, s.spent) for s in reported.shares] == [(300, 180, 120)]
    assert figures(authority) == (120, 0, 0, False)


def test_far_from_the_limit_a_slice_is_shared_out_among_the_writers(authority) -> None:
    budget = put(authority, limit=8_000 * DOLLAR)
    for writer in ("w1", "w2"):
        authority.open_writer(writer)
    assert grant_one(authority, "w1", budget, DOLLAR).granted == 1_000 * DOLLAR
    assert authority.writers() == ["w1", "w2"]


def test_amounts_beyond_64_bits_are_exact(authority) -> None:
    limit = 10**31 + 7
    budget = put(authority, limit=limit)
    share = grant_one(authority, "w1", budget, limit)
    authority.report("w1", [Total(budget.id, share.span.id, limit - 1, 0)])
    assert figures(authority) == (limit - 1, 1, 0, False)
    assert authority.grant("w2", [Want(budget.id, 1)]) == Refused(budget.id, share.span, 0, True)
    authority.report("w1", [Total(budget.id, share.span.id, limit - 1, 1)])
    assert grant_one(authority, "w2", budget, 1).granted == 1


def test_all_budgets_of_a_path_are_granted_or_none(authority) -> None:
    org, team = put(authority, ORG, 1_000), put(authority, TEAM, 100)
    refused = authority.grant("w1", [Want(team.id, 200), Want(org.id, 200)])
    assert isinstance(refused, Refused)
    assert (refused.budget, refused.remaining, refused.idle_elsewhere, refused.closed) == (team.id, 100, False, False)
    assert figures(authority) == figures(authority, TEAM) == (0, 0, 0, False)
    granted = authority.grant("w1", [Want(team.id, 100), Want(org.id, 100)])
    assert [(share.budget, share.granted) for share in granted.shares] == [(org.id, 100), (team.id, 100)]


def test_a_message_said_again_or_late_changes_nothing(authority) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 500)
    totals = [Total(budget.id, TODAY, 100, 50), Total(budget.id, TODAY, 200, 60), Total(budget.id, TODAY, 150, 10)]
    for total in totals:
        authority.report("w1", [total])
    assert figures(authority) == (200, 240, 0, False)
    assert authority.report("w1", totals).shares[0].spent == 200
    assert figures(authority) == (200, 240, 0, False)


def test_a_lost_answer_is_in_the_next_one(authority) -> None:
    budget = put(authority)
    authority.grant("w1", [Want(budget.id, 300)])  # the writer never hears of it
    assert grant_one(authority, "w1", budget, 300).granted == 600


def test_nothing_is_needed_of_an_unknown_budget(authority) -> None:
    with pytest.raises(StoreUnavailable) as failed:
        authority.grant("w1", [Want("gone", 1)])
    assert failed.value.status == 503
    assert failed.value.code == "budget_store_unavailable"
    assert "gone" in failed.value.detail
    assert authority.report("w1", [Total("gone", TODAY, 5, 0)]).shares == ()
    with pytest.raises(ValueError, match="cannot be needed"):
        authority.grant("w1", [Want("gone", -1)])


def test_a_removed_budget_refuses_nothing_and_keeps_its_ledger(authority) -> None:
    budget = put(authority, limit=10)
    assert authority.remove(ORG, "usd", DAY)
    assert not authority.remove(ORG, "usd", DAY)
    assert authority.budgets() == []
    assert spend(authority, "w1", budget, 50).spent == 50
    assert authority.status() == []
    again = put(authority, limit=10)
    assert again.id != budget.id
    with pytest.raises(ConfigError, match="never used again"):
        authority.put(msgspec.structs.replace(again, id=budget.id, account=TEAM))


# Overruns, limits that change, soft budgets


def test_an_overrun_is_posted_in_full_and_closes_the_window(authority, clock) -> None:
    budget = put(authority)
    share = grant_one(authority, "w1", budget, 100)
    reported = authority.report("w1", [Total(budget.id, TODAY, 350, 0)])
    assert [(overrun.budget, overrun.amount) for overrun in reported.overruns] == [(budget.id, 250)]
    assert figures(authority) == (350, 0, 250, True)
    assert authority.report("w1", [Total(budget.id, TODAY, 350, 0)]).overruns == ()
    assert authority.grant("w2", [Want(budget.id, 1)]) == Refused(budget.id, share.span, 0, False, closed=True)
    assert ("overdraft", 250) in [(line.kind, line.amount) for line in authority.movements()]
    clock.at_ns += DAY_NS
    assert grant_one(authority, "w1", budget, 1).span.id == "2026-11-25"


def test_a_reset_is_a_new_generation_and_late_costs_go_to_the_old_one(authority) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 900)
    (reset,) = authority.reset(ORG)
    assert (reset.id, reset.generation) == (budget.id, 1)
    assert authority.reset(TEAM) == []
    assert figures(authority) == (0, 0, 0, False)
    share = grant_one(authority, "w1", budget, 900)
    assert (share.span.id, share.granted) == (f"g1/{TODAY}", 900)
    reported = authority.report("w1", [Total(budget.id, TODAY, 900, 0), Total(budget.id, share.span.id, 5, 0)])
    assert {s.span.id: s.spent for s in reported.shares} == {TODAY: 900, f"g1/{TODAY}": 5}
    assert figures(authority) == (5, 895, 0, False)


def test_a_lowered_limit_lets_what_is_under_way_complete(authority) -> None:
    budget = put(authority)
    version = authority.version()
    grant_one(authority, "w1", budget, 800)
    assert put(authority, limit=500).id == budget.id
    assert authority.version() != version
    assert authority.check() == []
    refused = authority.grant("w2", [Want(budget.id, 1)])
    assert (refused.remaining, refused.idle_elsewhere) == (0, True)
    authority.report("w1", [Total(budget.id, TODAY, 700, 100)])
    assert figures(authority) == (700, 0, 0, False)
    put(authority, limit=701)
    assert grant_one(authority, "w2", budget, 1).granted == 1
    assert isinstance(authority.grant("w2", [Want(budget.id, 1)]), Refused)


def test_a_soft_budget_counts_and_refuses_nothing(authority) -> None:
    budget = put(authority, limit=100, hard=False, alerts=(100, 200))
    reported = authority.report("w1", [Total(budget.id, TODAY, 150, 0)])  # without asking
    assert [alert.percent for alert in reported.alerts] == [100]
    assert reported.overruns == ()
    assert figures(authority) == (150, 0, 0, False)
    assert spend(authority, "w2", budget, 70).spent == 70
    assert figures(authority) == (220, 0, 0, False)
    assert isinstance(authority.grant("w2", [Want(put(authority, limit=100).id, 1)]), Refused)  # it is hard now


def test_who_has_a_slice_of_a_closed_budget_is_asked_to_give_it_back(authority) -> None:
    budget = put(authority, limit=8_000)
    for writer in ("w1", "w2"):
        grant_one(authority, writer, budget, 10)
    assert authority.pulse().wanted == ()
    authority.report("w1", [Total(budget.id, TODAY, 5_000, 0, over=4_000)])
    assert authority.pulse().wanted == (budget.id,)


def test_a_budget_that_becomes_soft_is_closed_no_more(authority) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 10)
    authority.report("w1", [Total(budget.id, TODAY, 20, 0)])
    put(authority, hard=False)
    assert grant_one(authority, "w2", budget, 5_000).granted == 5_000


# Windows


def test_late_costs_belong_to_the_window_of_their_hold(authority, clock) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 600)
    clock.at_ns += DAY_NS
    share = grant_one(authority, "w1", budget, 600)
    assert share.span.id == "2026-11-25"
    authority.report("w1", [Total(budget.id, TODAY, 600, 0)])
    assert figures(authority) == (0, 600, 0, False)


def test_a_clock_that_goes_back_does_not_bring_a_window_back(authority, clock) -> None:
    budget = put(authority)
    clock.at_ns += DAY_NS
    grant_one(authority, "w1", budget, 600)
    clock.at_ns -= DAY_NS
    assert grant_one(authority, "w1", budget, 300).span.id == "2026-11-25"
    assert status_of(authority).held == 900


def test_a_rolling_window_forgets_bucket_by_bucket(authority, clock) -> None:
    budget = put(authority, window="rolling:1h", unit="tokens")
    spend(authority, "w1", budget, 400)
    clock.at_ns += HOUR_NS // 2
    spend(authority, "w1", budget, 500)
    assert figures(authority) == (900, 0, 0, False)
    assert isinstance(authority.grant("w2", [Want(budget.id, 101)]), Refused)
    clock.at_ns += HOUR_NS // 2
    assert isinstance(authority.grant("w2", [Want(budget.id, 101)]), Refused)  # forgets late, never early
    clock.at_ns += HOUR_NS // 60
    assert grant_one(authority, "w2", budget, 500).granted == 500
    status = status_of(authority)
    assert status.span.end_ns - status.span.start_ns == HOUR_NS + HOUR_NS // 60
    put(authority, window="rolling:1h", unit="tokens", limit=600)
    assert authority.check() == []


def test_an_overrun_closes_a_rolling_window_until_it_has_left(authority, clock) -> None:
    budget = put(authority, window="rolling:1h")
    share = grant_one(authority, "w1", budget, 100)
    authority.report("w1", [Total(budget.id, share.span.id, 130, 0)])
    clock.at_ns += HOUR_NS // 2
    assert authority.grant("w2", [Want(budget.id, 1)]).closed
    clock.at_ns += HOUR_NS
    assert grant_one(authority, "w2", budget, 100).granted == 100


def test_calls_under_way_are_held_and_never_posted(authority) -> None:
    budget = put(authority, limit=2, unit="concurrency", window="lifetime")
    for _ in range(2):
        share = grant_one(authority, "w1", budget, 1)
    assert authority.grant("w2", [Want(budget.id, 1)]).idle_elsewhere
    authority.report("w1", [Total(budget.id, share.span.id, 0, 1)])
    assert grant_one(authority, "w2", budget, 1).granted == 1
    assert figures(authority) == (0, 2, 0, False)


# Refusals and slices that lie idle


def test_slices_that_lie_idle_elsewhere_are_wanted_back(authority, clock) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 900)
    assert authority.pulse().wanted == ()
    refused = authority.grant("w2", [Want(budget.id, 200)])
    assert (refused.remaining, refused.idle_elsewhere) == (100, True)
    assert authority.pulse().wanted == (budget.id,)
    reported = authority.report("w1", [Total(budget.id, TODAY, 0, 900)])
    assert reported.wanted == (budget.id,)
    assert grant_one(authority, "w2", budget, 200).granted == 200
    clock.at_ns += 2 * 10**9
    assert authority.pulse().wanted == ()
    assert authority.pulse().version == authority.version()


def test_a_refusal_that_nothing_helps_is_said_at_once(authority) -> None:
    org, team = put(authority, ORG, 1_000), put(authority, TEAM, 100)
    grant_one(authority, "w1", org, 950)
    spend(authority, "w1", team, 90)
    refused = authority.grant("w2", [Want(org.id, 60), Want(team.id, 60)])
    assert (refused.budget, refused.remaining, refused.idle_elsewhere) == (team.id, 10, False)
    assert authority.pulse().wanted == ()


def test_own_slices_do_not_help(authority) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 900)
    assert not authority.grant("w1", [Want(budget.id, 200)]).idle_elsewhere


# Writers


def test_a_dead_writers_slices_return_when_its_journal_is_read(authority) -> None:
    org, team = put(authority, ORG), put(authority, TEAM)
    authority.grant("w1", [Want(org.id, 400), Want(team.id, 300)])
    authority.report("w1", [Total(org.id, TODAY, 50, 0)])
    for _ in range(2):  # whoever closed it was killed and does it again
        authority.close_writer("w1", [Total(org.id, TODAY, 120)])
    assert figures(authority) == (120, 0, 0, False)
    assert figures(authority, TEAM) == (0, 0, 0, False)
    assert authority.writers() == []
    closed = [(line.account, line.amount) for line in authority.movements() if line.kind == "close"]
    assert sorted(closed) == [(ORG, 280), (TEAM, 300)]
    assert [line.amount for line in authority.movements(ORG) if line.kind == "posted"] == [120]


def test_a_closed_writer_is_fenced(authority) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 400)
    authority.close_writer("w1", [])
    for speak in (
        lambda: authority.open_writer("w1"),
        lambda: authority.grant("w1", [Want(budget.id, 1)]),
        lambda: authority.report("w1", [Total(budget.id, TODAY, 400, 0)]),
    ):
        with pytest.raises(WriterClosed, match="w1"):
            speak()
    assert figures(authority) == (0, 0, 0, False)


def test_it_is_known_which_writers_are_not_closed(authority) -> None:
    authority.open_writer("w1")
    authority.close_writer("w2", [])
    assert authority.not_closed(["w1", "w2", "never heard of"]) == ["w1", "never heard of"]
    assert authority.not_closed([]) == []


def test_a_writer_that_never_asked_can_be_closed(authority) -> None:
    put(authority)
    assert authority.close_writer("w9", []).shares == ()
    with pytest.raises(WriterClosed):
        authority.open_writer("w9")


def test_a_journal_that_says_more_than_was_reported_is_believed(authority) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 100)
    reported = authority.close_writer("w1", [Total(budget.id, TODAY, 130, over=30)])
    assert [overrun.amount for overrun in reported.overruns] == [30]
    assert figures(authority) == (130, 0, 30, True)


# Alerts, corrections, movements, wallets


def test_thresholds_are_alerted_once_in_every_window(authority, clock) -> None:
    budget = put(authority, alerts=(50, 80, 100))
    share = grant_one(authority, "w1", budget, 1_000)

    def report(spent, day=TODAY) -> list[int]:
        return [alert.percent for alert in authority.report("w1", [Total(budget.id, day, spent, 0)]).alerts]

    assert share.granted == 1_000
    assert [report(spent) for spent in (499, 500, 500, 990, 1_000)] == [[], [50], [], [80], [100]]
    clock.at_ns += DAY_NS
    grant_one(authority, "w1", budget, 1_000)
    assert report(800, "2026-11-25") == [50, 80]
    assert next(line.note for line in authority.movements() if line.kind == "alert") == "80 % of 1000"


def test_a_rolling_window_is_alerted_by_its_sum(authority, clock) -> None:
    budget = put(authority, window="rolling:1h", alerts=(50,))
    alerts = []
    for _ in range(4):
        share = grant_one(authority, "w1", budget, 200)
        alerts += authority.report("w1", [Total(budget.id, share.span.id, 200, 0)]).alerts
        clock.at_ns += HOUR_NS // 60
    assert [(alert.percent, alert.posted) for alert in alerts] == [(50, 600)]


def test_a_correction_is_a_line_of_its_own(authority) -> None:
    budget = put(authority, alerts=(90,))
    spend(authority, "w1", budget, 800)
    authority.correct(budget.id, TODAY, -300, "the invoice says so")
    assert figures(authority) == (500, 0, 0, False)
    assert [alert.percent for alert in authority.correct(budget.id, TODAY, 450, "and more").alerts] == [90]
    assert figures(authority) == (950, 0, 0, False)
    authority.correct(budget.id, TODAY, 100, "beyond the limit")
    assert figures(authority) == (1_050, 0, 50, False)
    with pytest.raises(ConfigError, match="only 1050 is posted"):
        authority.correct(budget.id, TODAY, -1_051, "")
    with pytest.raises(ConfigError, match="no window '2026-11-20'"):
        authority.correct(budget.id, "2026-11-20", -1, "")
    lines = [(line.kind, line.amount, line.note) for line in authority.movements()]
    assert ("correction", -300, "the invoice says so") in lines


def test_a_posted_line_collects_an_hour(authority, clock) -> None:
    budget = put(authority)
    for _ in range(3):
        spend(authority, "w1", budget, 10)
        clock.at_ns += HOUR_NS // 2
    spend(authority, "w2", budget, 5)
    posted = [(line.writer, line.amount) for line in authority.movements() if line.kind == "posted"]
    assert posted == [("w2", 5), ("w1", 10), ("w1", 20)]
    assert authority.movements(limit=1)[0].writer == "w2"


def test_a_wallet_refuses_at_zero_and_its_statement_adds_up(authority) -> None:
    wallet = authority.top_up(TEAM, 500, "invoice 1")
    assert (wallet.wallet, wallet.limit, wallet.hard, wallet.window) == (True, 500, True, LIFETIME)
    spend(authority, "w1", wallet, 450)
    refused = authority.grant("w1", [Want(wallet.id, 60)])
    assert (refused.remaining, refused.idle_elsewhere) == (50, False)
    assert authority.top_up(TEAM, 100).id == wallet.id
    spend(authority, "w2", wallet, 60)
    with pytest.raises(ConfigError, match="only 90 femtodollars"):
        authority.top_up(TEAM, -91)
    assert authority.top_up(TEAM, -30, "paid out").limit == 570
    statement = [(line.kind, line.amount, line.balance) for line in reversed(authority.movements(TEAM))]
    assert statement == [
        ("limit", 0, 0),
        ("top_up", 500, 500),
        ("posted", 450, 50),
        ("top_up", 100, 150),
        ("posted", 60, 90),
        ("top_up", -30, 60),
    ]


def test_an_overdrawn_wallet_opens_when_it_is_filled(authority) -> None:
    wallet = authority.top_up(TEAM, 100)
    share = grant_one(authority, "w1", wallet, 100)
    authority.report("w1", [Total(wallet.id, share.span.id, 130, 0)])
    assert authority.top_up(TEAM, 20).limit == 120
    assert authority.grant("w2", [Want(wallet.id, 1)]).closed
    authority.top_up(TEAM, 50)
    assert figures(authority, TEAM) == (130, 0, 30, False)
    again = grant_one(authority, "w1", wallet, 40)
    assert again.granted - again.released - again.spent == 40  # what was overrun is owed by nobody
    assert authority.grant("w2", [Want(wallet.id, 1)]).remaining == 0


def test_a_reset_opens_a_wallet_and_gives_nothing_back(authority) -> None:
    wallet = authority.top_up(TEAM, 100)
    share = grant_one(authority, "w1", wallet, 10)
    authority.report("w1", [Total(wallet.id, share.span.id, 40, 0)])
    assert authority.reset(TEAM) == [wallet]
    assert figures(authority, TEAM) == (40, 0, 30, False)
    assert grant_one(authority, "w2", wallet, 60).granted == 60
    assert isinstance(authority.grant("w2", [Want(wallet.id, 1)]), Refused)


def test_a_wallet_and_a_cap_of_one_account_live_side_by_side(authority) -> None:
    cap = put(authority, TEAM, 1_000, window="lifetime")
    wallet = authority.top_up(TEAM, 10)
    assert {budget.id for budget in authority.budgets()} == {cap.id, wallet.id}
    assert authority.put(msgspec.structs.replace(wallet, id="", limit=0)) == wallet
    with pytest.raises(ConfigError, match="top it up instead"):
        authority.put(msgspec.structs.replace(wallet, limit=11))
    assert authority.remove(TEAM, "usd", LIFETIME)
    assert authority.budgets() == [wallet]


# The plan


def test_the_plan_is_in_canonical_order_and_its_version_says_when_it_changed(authority, opened) -> None:
    seen = [authority.version()]
    for account in (Account("model", "m"), TEAM, Account("key", "k"), ORG):
        put(authority, account)
        seen.append(authority.version())
    assert [budget.account for budget in authority.budgets()] == [ORG, TEAM, Account("key", "k"), Account("model", "m")]
    put(authority, TEAM)  # as it is
    assert authority.version() == seen[-1]
    put(authority, TEAM, alerts=(50,))
    seen.append(authority.version())
    assert len(set(seen)) == len(seen)
    other = opened()
    assert other.budgets() == authority.budgets()
    assert other.version() == seen[-1]


def test_a_budget_is_kept_as_it_was_put(authority, clock) -> None:
    window = read_window("month", "Asia/Shanghai")
    wanted = Budget("b1", Account("tag", "a=b"), "output_tokens", window, 7, hard=False, alerts=(1, 99))
    kept = msgspec.structs.replace(wanted, created_ns=clock.at_ns)
    assert authority.put(wanted) == kept
    assert authority.budgets() == [kept]


def test_the_budgets_of_the_configuration_are_those_and_no_others(authority) -> None:
    own = put(authority, ORG, 50)
    configured = [Budget("", account, "usd", DAY, 100) for account in (ORG, TEAM)]
    first = authority.align(configured)
    assert [(budget.account, budget.source, budget.limit) for budget in first if budget != own] == [
        (ORG, "config", 100),
        (TEAM, "config", 100),
    ]
    version = authority.version()
    assert authority.align(configured) == first
    assert authority.version() == version
    after = authority.align(configured[:1])
    assert {budget.id for budget in after} == {own.id, next(b.id for b in first if b.source == "config")}
    assert authority.remove(ORG, "usd", DAY)
    with pytest.raises(ConfigError, match="stands in the configuration"):
        authority.remove(ORG, "usd", DAY)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limit": -1}, "0 or more"),
        ({"limit": 10**32}, "at most 32 digits"),
        ({"id": "a|b"}, "separates ids"),
        ({"unit": "euros"}, "there are usd"),
        ({"alerts": (80, 50)}, "rising percentages"),
        ({"alerts": (0,)}, "rising percentages"),
        ({"unit": "concurrency"}, "use lifetime"),
        ({"wallet": True, "limit": 0}, "hard, in USD and for a lifetime"),
        ({"wallet": True, "window": LIFETIME}, "begins empty"),
    ],
)
def test_what_cannot_be_a_budget_is_refused(authority, fields, words) -> None:
    budget = Budget("", ORG, "usd", DAY, 10)
    with pytest.raises(ConfigError) as refused:
        authority.put(msgspec.structs.replace(budget, **fields))
    assert words in str(refused.value)
    assert authority.budgets() == []


# Old spans, old copies


def test_what_ended_long_ago_is_forgotten_and_does_not_come_back(authority, clock) -> None:
    money, calls = put(authority), put(authority, unit="requests", window="minute", limit=100)
    spend(authority, "w1", money, 5)
    span_id = spend(authority, "w1", calls, 3).span.id
    grant_one(authority, "w1", money, 10)  # still held, so kept
    clock.at_ns += 40 * DAY_NS
    assert authority.forget(money_before_ns=clock.at_ns - 30 * DAY_NS, limits_before_ns=clock.at_ns - DAY_NS) == 1
    assert authority.report("w1", [Total(calls.id, span_id, 3, 0)]).shares == ()
    authority.close_writer("w1", [Total(calls.id, span_id, 3), Total(money.id, TODAY, 5)])
    assert authority.forget(money_before_ns=clock.at_ns - 30 * DAY_NS, limits_before_ns=0) == 1
    assert authority.close_writer("w1", [Total(calls.id, span_id, 3), Total(money.id, TODAY, 5)]).overruns == ()
    assert [line.kind for line in authority.movements()] == ["close", "limit", "limit"]


SPANS = [
    *((kind, zone) for kind in ("hour", "day", "week", "month") for zone in ("UTC", "Asia/Kolkata", "Asia/Shanghai")),
    *((kind, "UTC") for kind in ("minute", "lifetime", "rolling:1h", "rolling:36h")),
]


@pytest.mark.parametrize(("window", "zone"), SPANS)
def test_an_old_copy_of_the_ledger_learns_from_what_writers_say(tmp_path, clock, window, zone) -> None:
    now, old = open_authority(tmp_path, None, clock), tmp_path / "old"
    budget = put(now, window=window, zone=zone)
    now.reset(ORG)
    old.mkdir()
    now.close()
    (old / "ledger.db").write_bytes((tmp_path / "ledger.db").read_bytes())
    share = spend(now, "w1", budget, 600, hold=700)
    share = grant_one(now, "w1", budget, 100)
    copy = open_authority(old, None, clock)
    total = Total(budget.id, share.span.id, share.spent, share.released, share.granted)
    reported = copy.report("w1", [total])
    assert reported.shares == (share,)
    assert reported.overruns == ()
    assert figures(copy) == figures(now) == (600, 100, 0, False)
    assert copy.check() == []
    for authority in (now, copy):
        authority.close()


def test_an_old_copy_that_granted_anew_is_healed_by_permission(tmp_path, clock) -> None:
    authority = open_authority(tmp_path, None, clock)
    for window in ("day", "rolling:1h"):
        budget = put(authority, window=window)
        span_id = grant_one(authority, "w2", budget, 900).span.id
        authority.report("w1", [Total(budget.id, span_id, 600, 0, 700)])
    assert [(status.posted, status.held, status.closed) for status in authority.status()] == [(600, 1_000, False)] * 2
    assert authority.check() == []
    refused = authority.grant("w3", [Want(budget.id, 1)])
    assert isinstance(refused, Refused)
    assert not refused.closed
    authority.close()


@pytest.mark.parametrize(
    "span_id", ["", "g/2026", "2026-13-01", "2026-11-24T10", "lifetime", "gx/2026-11-24", "9" * 30]
)
def test_what_is_no_window_of_a_budget_is_left_out(authority, span_id) -> None:
    budget = put(authority)
    assert authority.report("w1", [Total(budget.id, span_id, 5, 0)]).shares == ()


# Other databases


@pytest.mark.parametrize("url", ["mysql://host/db", "redis://host"])
def test_another_kind_of_database_is_refused(tmp_path, url) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        open_authority(tmp_path, url)
