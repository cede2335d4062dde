"""Which target answers a call: conditions, strategies, and the reasons that are given."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.call import Inbound
from farebox.config.models import Model, Target, When
from farebox.config.parse import parse
from farebox.config.policies import Breaker, Retries
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.errors import BadRequest, ConfigError, NotFound
from farebox.health.vitals import Health
from farebox.prices.book import compile_book
from farebox.route import Routes
from farebox.routing.expect import USUAL_OUTPUT_TOKENS, Habits, Pricer
from farebox.routing.request import Request, read_request
from farebox.routing.router import Route, Router
from farebox.wire.operations import READINGS

NOW = 1_795_478_400_000_000_000  # 2026-11-24T00:00:00Z
HOUR_NS = 3_600_000_000_000
CARD = """
format = 2
provider = "{provider}"
[sources.l]
url = "https://p.example"
[[models]]
id = "cheap-in"
names = ["cheap-in"]
about = {{ context = 100000, output = 8000, supports = ["tools"] }}
prices = [{{ input = "1", output = "10" }}]
[[models]]
id = "cheap-out"
names = ["cheap-out"]
about = {{ context = 1000000, inputs = ["text", "image"], supports = ["tools", "json_schema", "vision"] }}
prices = [{{ input = "5", output = "2" }}]
[[models]]
id = "late"
names = ["late"]
prices = [
  {{ until = 2026-11-24T12:00:00Z, input = "0.5", output = "0.5" }},
  {{ from = 2026-11-24T12:00:00Z, input = "50", output = "50" }},
]
"""
IMAGE = {"type": "image_url", "image_url": {"url": "u"}}
BOOK = compile_book({name: CARD.format(provider=name).encode() for name in ("a", "b")})
PROVIDERS = (
    Provider(name="a", kind="openai-compatible", base_url="http://a", rates="a"),
    Provider(name="b", kind="openai-compatible", base_url="http://b", rates="b", region="eu", zero_retention=True),
)


def router(strategy: Any = "priority", *targets: Target) -> Router:
    config = Config(providers=PROVIDERS, models=(Model(name="m", strategy=strategy, targets=targets),))
    return Router(config, Routes(config), BOOK, Health(Breaker(), Retries()))


def to(provider: str = "a", model: str = "cheap-in", **fields: Any) -> Target:
    return Target(provider=provider, model=model, **fields)


def plan(
    made: Router,
    *,
    call: str = "c",
    key: str = "",
    team: str = "",
    headers: Mapping[str, str] | None = None,
    now: int = NOW,
    **body: Any,
) -> Route:
    asked = READINGS["chat"].request({"model": "m", "messages": [{"role": "user", "content": "hi"}], **body})
    return made.plan(asked, Inbound(call, "", key, 0, dict(headers or {}), team), now, 10**12)


def names(route: Route) -> list[str]:
    return [f"{target.provider.name}/{target.model}" for target in route.targets]


def test_priority_is_the_order_of_the_file_but_for_what_priority_says() -> None:
    assert names(plan(router("priority", to("b"), to("a")))) == ["b/cheap-in", "a/cheap-in"]
    assert names(plan(router("priority", to("b", priority=1), to("a")))) == ["a/cheap-in", "b/cheap-in"]


def test_a_plain_table_is_not_looked_into() -> None:
    assert plan(router("priority", to("a"))).why == ""


@pytest.mark.parametrize(
    ("when", "fits", "does_not"),
    [
        (When(keys=("ci",)), {"key": "ci"}, {"key": "web"}),
        (When(teams=("search",)), {"team": "search"}, {}),
        (When(tags={"env": "prod"}), {"metadata": {"env": "prod"}}, {"metadata": {"env": "dev"}}),
        (When(criticality=("sheddable",)), {"headers": {"x-farebox-criticality": "Sheddable"}}, {}),
        (When(input_tokens_over=100), {"messages": [{"role": "user", "content": "x" * 404}]}, {}),
        (When(input_tokens_up_to=100), {}, {"messages": [{"role": "user", "content": "x" * 404}]}),
        (When(hours="22:00-06:00"), {"now": NOW}, {"now": NOW + 6 * HOUR_NS}),
        (When(hours="06:00-22:00"), {"now": NOW + 6 * HOUR_NS}, {"now": NOW + 22 * HOUR_NS}),
        (When(hours="00:30-01:30", zone="Europe/Berlin"), {"now": NOW}, {"now": NOW + HOUR_NS}),
    ],
)
def test_conditions(when: When, fits: dict[str, Any], does_not: dict[str, Any]) -> None:
    made = router("priority", to("a", when=when), to("b"))
    assert names(plan(made, **fits)) == ["a/cheap-in", "b/cheap-in"]
    assert names(plan(made, **does_not)) == ["b/cheap-in"]
    assert "not a/cheap-in: it" in plan(made, **does_not).why


def test_the_last_hour_ends_at_midnight() -> None:
    made = router("priority", to("a", when=When(hours="23:00-24:00")), to("b"))
    assert len(plan(made, now=NOW - 1).targets) == 2
    assert len(plan(made, now=NOW).targets) == 1


@pytest.mark.parametrize(
    ("body", "dropped"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, []),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, ["a/cheap-in"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
            ["a/cheap-in"],
        ),
        ({"messages": [{"role": "user", "content": "x" * 400_004}]}, ["a/cheap-in"]),
    ],
)
def test_what_a_model_cannot_do_is_not_asked_of_it(body: dict[str, Any], dropped: list[str]) -> None:
    made = router("cheapest", to("a", "cheap-in"), to("a", "cheap-out"))
    left = names(plan(made, **body))
    assert [name for name in ("a/cheap-in", "a/cheap-out") if name not in left] == dropped


def test_data_stays_where_it_has_to() -> None:
    made = router("priority", to("a"), to("b"))
    assert names(plan(made, headers={"x-farebox-region": "EU"})) == ["b/cheap-in"]
    assert names(plan(made, headers={"x-farebox-zero-retention": "true"})) == ["b/cheap-in"]
    with pytest.raises(BadRequest) as refused:
        plan(router("priority", to("a")), headers={"x-farebox-region": "eu"})
    assert refused.value.code == "no_target"
    assert "a/cheap-in: it is in no named region, not in eu" in refused.value.message


def test_cheapest_is_by_this_calls_tokens() -> None:
    made = router("cheapest", to("a", "cheap-in"), to("a", "cheap-out"))
    long_input = [{"role": "user", "content": "x" * 40_000}]
    assert names(plan(made, messages=long_input, max_tokens=10))[0] == "a/cheap-in"
    assert names(plan(made, max_tokens=5000))[0] == "a/cheap-out"


def test_cheapest_is_at_this_moment() -> None:
    made = router("cheapest", to("a", "late"), to("a", "cheap-in"))
    assert names(plan(made))[0] == "a/late"
    assert names(plan(made, now=NOW + 12 * HOUR_NS))[0] == "a/cheap-in"


def test_an_unknown_price_is_no_low_price() -> None:
    made = router("cheapest", to("a", "unheard-of"), to("a", "cheap-out"))
    assert names(plan(made)) == ["a/cheap-out", "a/unheard-of"]


@given(st.integers(1, 200_000), st.integers(1, 20_000))
def test_cheapest_is_the_least_of_all_expected_costs(size: int, cap: int) -> None:
    options = [("a", "cheap-in"), ("b", "cheap-in"), ("a", "cheap-out"), ("b", "late")]
    made = router("cheapest", *(to(*option) for option in options))
    route = plan(made, messages=[{"role": "user", "content": "x" * size}], max_tokens=cap)
    request = Request("chat", "m", "", "", "", {}, -(-size // 4), cap)
    output = min(cap, USUAL_OUTPUT_TOKENS)
    costs = [Pricer(BOOK, target).femto(request, output, NOW) for target in route.targets]
    assert costs == sorted(costs, key=lambda cost: (cost is None, cost or 0))
    assert costs[0] is not None


def test_weights_are_shares() -> None:
    made = router("weighted", to("a", weight=3), to("b", weight=1), to("a", "late", weight=0))
    drawn = Counter(names(plan(made, call=f"call-{number}"))[0] for number in range(4000))
    assert drawn["a/late"] == 0
    assert 2850 < drawn["a/cheap-in"] < 3150
    assert names(plan(made, call="same")) == names(plan(made, call="same"))


def test_weights_count_within_a_priority() -> None:
    made = router("weighted", to("a", weight=1000, priority=1), to("b"))
    assert {names(plan(made, call=f"{number}"))[0] for number in range(50)} == {"b/cheap-in"}


def test_sticky_sends_a_session_to_one_target_and_moves_few_when_one_is_added() -> None:
    two = router("sticky", to("a"), to("b"))
    three = router("sticky", to("a"), to("b"), to("a", "cheap-out"))
    before = {user: names(plan(two, call=f"1-{user}", user=user))[0] for user in map(str, range(900))}
    again = {user: names(plan(two, call=f"2-{user}", user=user))[0] for user in before}
    after = {user: names(plan(three, user=user))[0] for user in before}
    assert before == again
    assert len(set(before.values())) == 2
    moved = [user for user in before if before[user] != after[user]]
    assert {after[user] for user in moved} == {"a/cheap-out"}
    assert 230 < len(moved) < 370


def test_habits_follow_what_answers_are() -> None:
    habits = Habits()
    request = Request("chat", "m", "", "", "", {}, 10, None)
    assert habits.output_tokens(request) == USUAL_OUTPUT_TOKENS
    for _ in range(100):
        habits.learn("m", 2000)
    assert habits.output_tokens(request) == 2000
    assert habits.output_tokens(Request("chat", "m", "", "", "", {}, 10, 50)) == 50


def test_unknown_models_and_words() -> None:
    with pytest.raises(NotFound):
        plan(router("priority", to("a")), model="nobody")
    with pytest.raises(BadRequest, match="critical, normal, sheddable"):
        plan(router("cheapest", to("a")), headers={"x-farebox-criticality": "very"})


def test_what_a_request_needs_is_read_from_it() -> None:
    asked = READINGS["messages"].request(
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "tools": [{"name": "f"}]}
    )
    request = read_request(asked, Inbound("c", "", "k", 0, {}, "t"))
    assert (request.needs, request.key, request.team, request.output_cap) == (frozenset({"tools"}), "k", "t", 5)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ('when = { hours = "9-5" }', "hours: '9-5'"),
        ('when = { hours = "09:00-09:00" }', "hours"),
        ('when = { zone = "Mars" }', "zone: 'Mars'"),
        ('when = { criticality = ["very"] }', "criticality"),
        ("when = { input_tokens_over = -1 }", "input_tokens_over"),
        ("weight = -1", "weight"),
    ],
)
def test_tables_that_are_wrong_name_the_key(target: str, said: str) -> None:
    text = f"""
providers = [{{ name = "p", kind = "openai" }}]
[[models]]
name = "m"
targets = [{{ provider = "p", model = "x", {target} }}]
"""
    with pytest.raises(ConfigError, match=r"models\[0\]") as refused:
        parse(text, "f.toml", str, frozenset({"openai"}))
    assert said in str(refused.value)


def test_a_strategy_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"models\[0\]\.strategy"):
        parse('[[models]]\nname = "m"\nstrategy = "luck"\ntargets = []', "f", str, frozenset())
