"""The configuration: read whole or refused with the file, the key and the remedy."""

import pytest

from farebox.config.parse import parse
from farebox.config.tables import Config
from farebox.errors import ConfigError
from farebox.providers.profile import PROFILES

KINDS = frozenset(PROFILES)
PROVIDER = '[[providers]]\nname = "p"\nkind = "openai"\n'
MODEL = '[[models]]\nname = "m"\ntargets = [{ provider = "p", model = "x" }]\n'
KEY = '[[keys]]\nname = "k"\nkey = "s"\n'


def read(text: str) -> Config:
    return parse(text, "farebox.toml", lambda secret: f"<{secret}>", KINDS)


def test_everything_is_optional() -> None:
    assert read("") == Config()


def test_the_published_contract() -> None:
    config = read("""
        [[providers]]
        name = "openai"
        kind = "openai"
        base_url = "http://127.0.0.1:9100/v1"
        api_key = "env:OPENAI_API_KEY"

        [[models]]
        name = "gpt-4o-mini"
        targets = [{ provider = "openai", model = "gpt-4o-mini" }]

        [[keys]]
        name = "bench"
        key = "env:FAREBOX_BENCH_KEY"
    """)
    assert config.providers[0].api_key == "<env:OPENAI_API_KEY>"
    assert config.keys[0].key == "<env:FAREBOX_BENCH_KEY>"
    assert config.models[0].targets[0].model == "gpt-4o-mini"


def test_region_and_deployment_of_an_endpoint() -> None:
    provider = read(PROVIDER + "region = 'us-east-1'\ndeployment = 'data_zone'").providers[0]
    assert (provider.region, provider.deployment) == ("us-east-1", "data_zone")


def test_no_secret_is_asked_for_where_none_is_given() -> None:
    def refuse(secret: str) -> str:
        raise AssertionError(secret)

    assert parse(PROVIDER + MODEL, "f", refuse, KINDS).providers[0].api_key == ""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[[providers]", ["TOML", "line 1"]),
        ("port = 1", ["port"]),
        ("host = 7", ["host", "str"]),
        ("[[providers]]\nkind = 'openai'", ["name", "providers[0]"]),
        ("[[providers]]\nname = ''\nkind = 'openai'", ["providers[0].name"]),
        (PROVIDER + "colour = 'red'", ["colour", "providers[0]"]),
        (PROVIDER + "idle_timeout_s = 0", ["providers[0].idle_timeout_s", "> 0"]),
        (PROVIDER + "region = 'EU West'", ["providers[0] (p)", "region", "'EU West'", "small letters"]),
        (PROVIDER + "deployment = 'DataZone'", ["deployment", "'data_zone'"]),
        (PROVIDER + "region = 1", ["providers[0].region", "str"]),
        (PROVIDER.replace("openai", "opneai"), ["providers[0] (p)", "'opneai'", "use one of", "openai-compatible"]),
        (PROVIDER.replace("openai", "openai-compatible"), ["providers[0] (p)", "base_url is missing"]),
        (PROVIDER + "base_url = 'localhost:80'", ["providers[0] (p)", "base_url", "http(s)"]),
        (PROVIDER + "base_url = 'https://u:p@host/v1'", ["base_url"]),
        (PROVIDER + "base_url = 'https://host/v1?x=y'", ["base_url"]),
        (PROVIDER + "base_url = 'http://host:99999/v1'", ["base_url"]),
        (PROVIDER + "base_url = 'http://ho st/v1'", ["base_url"]),
        (PROVIDER + 'headers = { "x-a" = "b\\r\\nx-c: d" }', ["headers"]),
        (PROVIDER + 'headers = { "x a" = "b" }', ["headers"]),
        (PROVIDER + "on_disconnect = 'wait'", ["on_disconnect", "'abort' or 'drain'"]),
        (PROVIDER + PROVIDER, ["providers[1] (p)", "used twice"]),
        (PROVIDER.replace('"p"', '"p/q"'), ["'/'"]),
        (PROVIDER + MODEL + MODEL, ["models[1] (m)", "used twice"]),
        (MODEL, ["models[0] (m)", "'p'", "none is configured"]),
        (PROVIDER + MODEL.replace('"p"', '"q"'), ["'q'", "known: p"]),
        (PROVIDER + "[[models]]\nname = 'm'\ntargets = []", ["models[0].targets"]),
        (KEY + KEY, ["keys[1] (k)", "used twice"]),
        ("[[keys]]\nname = 'k'\nkey = ''", ["keys[0].key"]),
        ("[limits]\nbody_bytes = 1", ["limits.body_bytes", "1024"]),
        ("[limits]\njson_depth = 500", ["limits.json_depth", "200"]),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else None,
)
def test_errors_name_the_file_the_key_and_the_remedy(text, names) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("farebox.toml: ")
    assert "$" not in message
    for name in names:
        assert name in message
