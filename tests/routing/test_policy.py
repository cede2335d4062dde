"""Policies as values: which one decides, and in what words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.config.policies import Policy, PolicyWhen
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.money import femto_from_usd
from farebox.route import Routes
from farebox.routing.policy import Flags, Policies, refusal
from farebox.routing.request import Request

TARGET = Routes(Config(providers=(Provider(name="p", kind="openai", api_key="sk-1"),))).resolve("p/m")[0]
CENT = femto_from_usd("0.01")


def call(**given: object) -> Request:
    usual: dict[str, object] = {
        "operation": "chat",
        "model": "smart",
        "key": "ci",
        "team": "search",
        "user": "",
        "tags": {"env": "prod"},
        "input_tokens": 100,
        "output_cap": None,
    }
    return Request(**{**usual, **given})  # type: ignore[arg-type]


def policies(*rules: Policy, used: int = 0, flags: dict[str, str] | None = None) -> Policies:
    known = Flags()
    known.reasons = flags or {}
    return Policies(rules, lambda _request, _target: (used, "team:search"), known)


def rule(name: str = "one", then: str = "refuse", use: str = "", **when: object) -> Policy:
    return Policy(name=name, when=PolicyWhen(**when), then=then, use=use)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("when", "request_", "holds"),
    [
        ({"models": ("smart",)}, {}, True),
        ({"models": ("other",)}, {}, False),
        ({"keys": ("ci",)}, {}, True),
        ({"keys": ("web",)}, {}, False),
        ({"teams": ("search",)}, {}, True),
        ({"teams": ("ads",)}, {}, False),
        ({"tags": {"env": "prod"}}, {}, True),
        ({"tags": {"env": "prod", "job": "x"}}, {}, False),
        ({"criticality": ("sheddable",)}, {}, False),
        ({"criticality": ("sheddable",)}, {"criticality": "sheddable"}, True),
        ({"models": ("smart",), "teams": ("ads",)}, {}, False),
    ],
)
def test_all_that_is_given_must_hold(when, request_, holds) -> None:
    decision = policies(rule(**when)).decide(call(**request_), TARGET, None)
    assert (decision is not None) == holds


@given(st.integers(min_value=0, max_value=2 * CENT))
def test_a_call_may_cost_its_threshold_but_not_more(cost: int) -> None:
    decision = policies(rule(expected_usd_over="0.01")).decide(call(), TARGET, cost)
    assert (decision is not None) == (cost > CENT)


def test_an_unknown_cost_is_over_no_threshold() -> None:
    assert policies(rule(expected_usd_over="0.01")).decide(call(), TARGET, None) is None


@pytest.mark.parametrize(("used", "holds"), [(79, False), (80, True), (100, True)])
def test_a_budget_near_its_cap(used: int, holds: bool) -> None:
    decision = policies(rule(budget_percent=80), used=used).decide(call(), TARGET, None)
    assert (decision is not None) == holds
    if decision is not None:
        assert decision.reason == f"policy one: team:search has used {used} % of its budget"


@pytest.mark.parametrize("scope", ["key:ci", "team:search", "model:smart", "tag:env=prod"])
def test_a_flag_on_anything_the_call_is_under(scope: str) -> None:
    decision = policies(rule(flagged=True), flags={scope: "it spends ten times as much"}).decide(call(), TARGET, None)
    assert decision is not None
    assert f"{scope} is flagged: it spends ten times as much" in decision.reason
    assert policies(rule(flagged=True), flags={"key:web": "x"}).decide(call(), TARGET, None) is None


def test_critical_calls_are_moved_only_by_name() -> None:
    urgent = call(criticality="critical")
    assert policies(rule(then="use", use="small")).decide(urgent, TARGET, None) is None
    assert policies(rule(then="use", use="small", criticality=("critical",))).decide(urgent, TARGET, None) is not None
    assert policies(rule(then="refuse")).decide(urgent, TARGET, None) is not None


def test_the_first_that_holds_decides() -> None:
    rules = (rule("a", models=("other",)), rule("b", then="flag"), rule("c"))
    decision = policies(*rules).decide(call(), TARGET, None)
    assert decision is not None
    assert decision.policy.name == "b"


def test_running_cost_is_a_policy_of_its_own() -> None:
    both = policies(rule("late", running_usd_over="0.01"))
    assert both.decide(call(), TARGET, 10 * CENT) is None
    running = both.running(call())
    assert running is not None
    assert running.limit_femto == CENT
    assert both.running(call(criticality="critical")) is not None
    assert policies(rule("late")).running(call()) is None


def test_only_named_models_are_watched_where_all_policies_name_some() -> None:
    named = policies(rule(models=("smart",)), rule(models=("other",)))
    assert named.watch("smart")
    assert not named.watch("third")
    assert policies(rule(models=("smart",)), rule()).watch("third")
    assert not policies().watch("smart")


def test_a_refusal_says_what_to_do() -> None:
    decision = policies(rule()).decide(call(), TARGET, None)
    assert decision is not None
    error = refusal(decision)
    assert error.code == "policy_refused"
    assert "policy one" in error.message
    assert "cheaper model" in error.message
