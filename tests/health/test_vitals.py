"""What a worker knows of targets: failures, closed keys, pace."""

import pytest

from farebox.config.policies import Breaker, Retries
from farebox.config.providers import Provider, ProviderKey
from farebox.config.tables import Config
from farebox.health.pulse import Pulse
from farebox.health.vitals import Health
from farebox.route import Routes, Target

S = 1_000_000_000
NOW = 500 * S


def targets() -> tuple[Target, Target]:
    keys = (ProviderKey(name="a", key="k-a"), ProviderKey(name="b", key="k-b", weight=3))
    provider = Provider(name="p", kind="openai", keys=keys)
    (target,) = Routes(Config(providers=(provider,))).resolve("p/gpt-4o-mini")
    return target, target.siblings[0]


def test_each_key_is_a_target_of_its_own() -> None:
    first, second = targets()
    assert first.id == ("p", "a", "gpt-4o-mini")
    assert second.id == ("p", "b", "gpt-4o-mini")
    assert (second.key_weight, b"Bearer k-b" in second.heads["chat"]) == (3, True)
    assert b"k-b" not in first.heads["chat"]


def test_a_refused_key_is_left_out_for_every_model() -> None:
    first, second = targets()
    health = Health(Breaker(), Retries())
    health.of(first).refuse_key(NOW + S, "its key is refused")
    other = health.of(first.for_model("gpt-4o"))
    assert other.blocked_until(NOW) == NOW + S
    assert other.why_blocked == "its key is refused"
    assert health.of(second).blocked_until(NOW) == 0
    assert other.blocked_until(NOW + S) == 0
    assert other.why_blocked == ""


def test_what_asks_to_be_left_alone_is() -> None:
    first, _ = targets()
    vitals = Health(Breaker(), Retries()).of(first)
    vitals.limit(NOW, 3 * S)
    vitals.limit(NOW, S)
    assert vitals.blocked_until(NOW) == NOW + 3 * S
    assert vitals.why_blocked == "it takes no more for 3 s"
    assert not vitals.is_well(NOW)
    assert not vitals.is_failing(NOW)
    assert vitals.is_well(NOW + 3 * S)


def test_what_does_not_say_for_how_long_is_left_alone_ever_longer() -> None:
    first, _ = targets()
    vitals = Health(Breaker(), Retries(backoff_ms=200)).of(first)
    at = NOW
    for wait_ms in (200, 400, 800):
        vitals.limit(at, None)
        assert vitals.asked_until_ns == at + wait_ms * 10**6
        at = vitals.asked_until_ns
    vitals.end("good", at, probe=vitals.begin(at))
    vitals.limit(at, None)
    assert vitals.asked_until_ns == at + 200 * 10**6


def test_only_a_share_of_the_calls_gets_a_second_attempt() -> None:
    health = Health(Breaker(), Retries())
    for number in range(100):
        health.count_call("m", NOW + number)
    assert [health.may_hedge("m", 3.0, NOW) for _ in range(5)] == [True, True, True, False, False]
    assert health.may_hedge("other", 10.0, NOW)
    assert not health.may_hedge("other", 10.0, NOW)


def test_attempts_are_counted_over_all_keys_and_models() -> None:
    first, second = targets()
    health = Health(Breaker(), Retries())
    for target in (first, second, first.for_model("gpt-4o")):
        vitals = health.of(target)
        probe = vitals.begin(NOW)
        vitals.end("good", NOW, probe=probe)
    health.of(first).begin(NOW)
    assert health.attempts_lately("p", NOW) == 4
    assert health.attempts_lately("q", NOW) == 0


def test_an_ill_target_is_not_well_before_its_breaker_opens() -> None:
    first, _ = targets()
    vitals = Health(Breaker(), Retries()).of(first)
    for _ in range(2):
        vitals.end("bad", NOW, probe=vitals.begin(NOW))
    assert vitals.blocked_until(NOW) == 0
    assert not vitals.is_well(NOW)


def test_models_that_clients_invent_do_not_fill_the_memory() -> None:
    first, _ = targets()
    health = Health(Breaker(), Retries())
    busy = health.of(first)
    busy.begin(NOW)
    for number in range(2500):
        health.of(first.for_model(f"m{number}"))
    assert health.of(first) is busy
    assert len(health._vitals) <= 1001


def test_pace_is_a_decayed_mean() -> None:
    pulse = Pulse()
    assert pulse.expected_ns(100, streams=True) is None
    pulse.learn_stream(NOW, 1000, 990, 100)
    assert pulse.expected_ns(100, streams=True) == pytest.approx(1000 + 100 * 10)
    pulse.learn_stream(NOW + S, 9000, 990, 100)
    assert pulse.first_ns == pytest.approx(2000)
    pulse.learn_stream(NOW + 100 * S, 500, 990, 100)
    assert pulse.first_ns == pytest.approx(500)


def test_percentiles_come_after_some_answers() -> None:
    pulse = Pulse()
    for number in range(15):
        pulse.learn_stream(NOW, number, 0, 1)
    assert pulse.percentile_ns(50) is None
    for number in range(15, 100):
        pulse.learn_stream(NOW, number, 0, 1)
    assert pulse.percentile_ns(50) == pytest.approx(50, abs=16)
    assert (pulse.percentile_ns(99) or 0) > 80
