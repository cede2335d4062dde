"""Which calls are refused when a worker is full: by calls, by lag, by memory; those that matter least first."""

from typing import Any

import pytest

from farebox import overload as module
from farebox.config.policies import Shedding
from farebox.overload import Overload

WORDS: tuple[Any, ...] = ("sheddable", "normal", "critical")


def taken(overload: Overload, calls: int = 1) -> list[str]:
    return [word for word in WORDS if overload.admits(word, calls)]


def test_calls_under_way() -> None:
    overload = Overload(Shedding(calls=100))
    assert taken(overload, 70) == ["sheddable", "normal", "critical"]
    assert taken(overload, 71) == ["normal", "critical"]
    assert taken(overload, 91) == ["critical"]
    assert taken(overload, 100) == ["critical"]
    assert taken(overload, 101) == []
    overload.configure(Shedding(calls=None))
    assert taken(overload, 10**6) == ["sheddable", "normal", "critical"]


@pytest.mark.parametrize(
    ("late_s", "left"),
    [(0.05, ["sheddable", "normal", "critical"]), (0.2, ["normal", "critical"]), (0.5, ["critical"]), (2.0, [])],
)
def test_a_loop_that_runs_late(late_s: float, left: list[str]) -> None:
    overload = Overload(Shedding(lag_ms=100))
    for _ in range(20):
        overload._look(late_s)
    assert taken(overload) == left
    assert (overload.level == "normal") == (len(left) == 3)
    for _ in range(20):
        overload._look(0.0)
    assert taken(overload) == ["sheddable", "normal", "critical"]


def test_one_hiccup_is_no_overload() -> None:
    overload = Overload(Shedding(lag_ms=100))
    overload._look(1.5)
    assert taken(overload) == ["sheddable", "normal", "critical"]


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    overload = Overload(Shedding(memory_mib=100))
    monkeypatch.setattr(module, "_resident_mib", lambda: 80.0)
    overload._look(0.0)
    assert taken(overload) == ["normal", "critical"]
    assert module.Overload(Shedding()).memory_mib == 0


def test_memory_can_be_read_here() -> None:
    assert module._resident_mib() > 5


def test_those_that_are_refused_together_come_back_apart() -> None:
    overload = Overload(Shedding())
    waits = {overload.refusal(f"call_{number}").retry_after_s for number in range(100)}
    assert waits == {1, 2, 3, 4, 5}
