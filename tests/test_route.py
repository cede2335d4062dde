"""Which targets may answer a call, and how they are addressed."""

import pytest

from farebox.config.models import Model, Target
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.errors import ConfigError, NotFound
from farebox.prices.book import compile_book
from farebox.route import Routes, address_of, check_endpoints

CONFIG = Config(
    providers=(
        Provider(name="openai", kind="openai", api_key="sk-1"),
        Provider(name="house", kind="openai-compatible", base_url="http://10.0.0.1:8000/v1/", headers={"X-Team": "a"}),
        Provider(name="claude", kind="anthropic", base_url="https://api.example.com/v1", api_key="sk-2", rates="x"),
    ),
    models=(
        Model(name="fast", targets=(Target(provider="openai", model="a"), Target(provider="house", model="b"))),
        Model(name="openai/a", targets=(Target(provider="claude", model="c"),)),
    ),
)
ROUTES = Routes(CONFIG)


def test_a_model_has_its_targets_in_order() -> None:
    assert [(t.provider.name, t.model) for t in ROUTES.resolve("fast")] == [("openai", "a"), ("house", "b")]


def test_a_provider_and_a_model() -> None:
    (target,) = ROUTES.resolve("house/org/model:7b")
    assert (target.provider.name, target.model) == ("house", "org/model:7b")


def test_a_name_of_the_table_goes_first() -> None:
    (target,) = ROUTES.resolve("openai/a")
    assert (target.provider.name, target.model) == ("claude", "c")


@pytest.mark.parametrize("model", ["slow", "nobody/a", "openai/", "openai", "/a", ""])
def test_unknown_models(model) -> None:
    with pytest.raises(NotFound, match=r"openai, house, claude") as caught:
        ROUTES.resolve(model)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_whose_prices_apply() -> None:
    rates = {name: ROUTES.resolve(f"{name}/x")[0].rate_provider for name in ("openai", "house", "claude")}
    assert rates == {"openai": "openai", "house": "house", "claude": "x"}


def test_addresses() -> None:
    assert [address_of(provider).geturl() for provider in CONFIG.providers] == [
        "https://api.openai.com/v1",
        "http://10.0.0.1:8000/v1",
        "https://api.example.com",
    ]


def test_what_is_sent_with_every_request() -> None:
    (target,) = ROUTES.resolve("house/x")
    line, *headers = target.heads["chat"].decode().split("\r\n")
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert "host: 10.0.0.1:8000" in headers
    assert "x-team: a" in headers
    assert not any(header.startswith("authorization") for header in headers)
    (claude,) = ROUTES.resolve("claude/x")
    assert claude.heads["messages"].startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert b"x-api-key: sk-2\r\n" in claude.heads["messages"]
    assert claude.defaults == {"anthropic-version": "2023-06-01"}, "unless the client asks for another"


def test_who_drains() -> None:
    assert [ROUTES.resolve(f"{name}/x")[0].drains for name in ("openai", "house", "claude")] == [False, True, False]


CARD = b"""
format = 2
provider = "acme"
no_region = ["global"]
regions = ["north"]
facts = { deployment = ["shared", "own", "bare"] }
[[uplifts]]
id = "south"
regions = ["south"]
times = "1.1"
models = ["*"]
source = "page"
[sources.page]
url = "https://acme.example/prices"
[[models]]
id = "m"
names = ["m"]
source = "page"
prices = [{ input = "1", output = "2" }, { when = { deployment = "bare" }, input = "3" }]
"""


def endpoint(**changes: str) -> Config:
    provider = {"name": "p", "kind": "openai-compatible", "base_url": "http://10.0.0.1", "rates": "acme", **changes}
    return Config(providers=(Provider(**provider),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"region": "global"},
        {"region": "north"},
        {"region": "south", "deployment": "own"},
        {"deployment": "bare"},
        {"region": "nowhere", "rates": "house"},
    ],
)
def test_endpoints_whose_prices_are_known(changes) -> None:
    check_endpoints(endpoint(**changes), compile_book({"acme": CARD}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": "west"}, "provider 'p': region: acme has no prices for 'west'; there are global, north, south"),
        ({"deployment": "x"}, "provider 'p': deployment: acme has no prices for 'x'; there are bare, own, shared"),
    ],
)
def test_endpoints_that_no_price_is_published_for(changes, message) -> None:
    with pytest.raises(ConfigError) as caught:
        check_endpoints(endpoint(**changes), compile_book({"acme": CARD}))
    assert str(caught.value) == message
