"""What can be wrong with providers, and for how long: the scenarios of the fault suite."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from farebox.simulate.run import ProvidersInThread

Providers = Mapping[str, ProvidersInThread]
Illness = Callable[[Providers], AbstractContextManager[None]]
HEALTHY: dict[str, Any] = {"ttft_ms": 8, "latency_ms": 8}
_TARGETS = '{ provider = "a", model = "gpt-4o-mini" }, { provider = "b", model = "gpt-4o-mini" }'


class Scenario(NamedTuple):
    """One thing, or two, that are wrong.

    Attributes:
        name: for people.
        illness: makes providers ill for as long as its context lasts.
        provider_a: TOML fields of provider a that differ from the usual, such as its address or its keys.
        targets: of the model, TOML.
        lasts: whether it does not end.
        cuts: whether streams are cut after their first content, which nobody can heal.
    """

    name: str
    illness: Illness
    provider_a: str = ""
    targets: str = _TARGETS
    cuts: bool = False
    lasts: bool = False


@contextmanager
def _wishes(providers: Providers, name: str, wishes: dict[str, Any], **settings: Any) -> Any:
    providers[name].providers.configure(defaults={**HEALTHY, **wishes}, **settings)
    try:
        yield
    finally:
        providers[name].providers.configure(defaults=HEALTHY)


@contextmanager
def _nothing(_: Providers) -> Any:
    yield


@contextmanager
def _down(providers: Providers, *names: str) -> Any:
    """Connections are refused, and those that are open are reset."""
    for name in names:
        providers[name].providers.configure(defaults={"fault": "reset_before_headers"})
        providers[name].call(providers[name].providers.refuse())
    try:
        yield
    finally:
        for name in names:
            providers[name].call(providers[name].providers.listen())
            providers[name].providers.configure(defaults=HEALTHY)


def ill(name: str = "a", **wishes: Any) -> Illness:
    return lambda providers: _wishes(providers, name, wishes)


def ill_at_times(probability: float, **wishes: Any) -> Illness:
    rule = {**wishes, "probability": probability, "seed": 7}
    return lambda providers: _wishes(providers, "a", {}, rules=[rule])


def down(*names: str) -> Illness:
    return lambda providers: _down(providers, *names)


@contextmanager
def _both(providers: Providers, one: Illness, other: Illness) -> Any:
    with one(providers), other(providers):
        yield


def both(one: Illness, other: Illness) -> Illness:
    return lambda providers: _both(providers, one, other)


_THREE = f'{_TARGETS}, {{ provider = "c", model = "gpt-4o-mini" }}'
SCENARIOS = (
    Scenario("nothing", _nothing),
    Scenario("provider down", down("a")),
    Scenario("black hole: it accepts and never answers", ill(fault="hang_before_headers")),
    Scenario("ten times slower", ill(ttft_ms=80, latency_ms=80)),
    Scenario("10 % answer 500", ill_at_times(0.1, status=500)),
    Scenario("50 % answer 500", ill_at_times(0.5, status=500)),
    Scenario("all answer 503", ill(status=503)),
    Scenario("429 with Retry-After", ill(status=429, retry_after_s=1)),
    Scenario("half answer 429 without a word", ill_at_times(0.5, status=429)),
    Scenario("a quota for the minute is used up", lambda p: _wishes(p, "a", {}, requests_per_minute=3), lasts=True),
    Scenario("no first token", ill(fault="stall", after_chunks=0)),
    Scenario("cut before the first content", ill(fault="cut_mid_stream", after_chunks=0)),
    Scenario("cut in the middle", ill(fault="cut_mid_stream", after_chunks=2), cuts=True),
    Scenario("an answer that is none", ill(fault="garbage")),
    Scenario("no such host", _nothing, provider_a='base_url = "http://no-such-host.invalid/v1"', lasts=True),
    Scenario("expired key", _nothing, provider_a='api_key = "sk-invalid"', lasts=True),
    Scenario(
        "one of two keys expired",
        _nothing,
        provider_a='keys = [{ name = "old", key = "sk-invalid" }, { name = "new", key = "sk-new" }]',
        targets='{ provider = "a", model = "gpt-4o-mini" }',
    ),
    Scenario("region outage: two of three down", down("a", "b"), targets=_THREE),
    Scenario(
        "two faults: one cuts, one rate limits",
        both(ill(fault="cut_mid_stream", after_chunks=0), ill("b", status=429, retry_after_s=1)),
        targets=_THREE,
    ),
    Scenario(
        "two faults: one down, 10 % of the other's answers 500",
        lambda p: _both(p, down("a"), lambda q: _wishes(q, "b", {}, rules=[{"status": 500, "probability": 0.1}])),
        targets=_THREE,
    ),
)
