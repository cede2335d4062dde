"""Which budgets a call is under."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Literal

import msgspec

from farebox.budgets.account import KINDS, Account, Kind, Payer
from farebox.budgets.window import Span, Window, span_at

Unit = Literal["usd", "requests", "input_tokens", "output_tokens", "tokens", "concurrency"]
UNITS: tuple[Unit, ...] = ("usd", "requests", "input_tokens", "output_tokens", "tokens", "concurrency")


class Budget(msgspec.Struct, frozen=True):
    """A cap on what an account may use in a window.

    Attributes:
        id: unique, never used again.
        account: whose.
        unit: of the amounts: femtodollars for ``usd``, else counts. ``concurrency`` counts calls under way.
        window: over what it counts.
        limit: the most that may be used.
        hard: whether calls that do not fit are refused; else they are counted and alerted.
        alerts: percents of the limit at which an alert is raised, rising.
        created_ns: when it was made, nanoseconds since the epoch.
        generation: how often it was reset; part of the ids of its windows.
        wallet: whether the limit is what was paid in.
        source: ``state`` for one that people set, ``config`` for one of the configuration.
        call_limit: the most that one call may use of it, in its unit, or None.
        stated: the limit as it was given where that was not in USD, with its dated rate; for people.
    """

    id: str
    account: Account
    unit: Unit
    window: Window
    limit: int
    hard: bool = True
    alerts: tuple[int, ...] = ()
    created_ns: int = 0
    generation: int = 0
    wallet: bool = False
    source: Literal["state", "config"] = "state"
    call_limit: int | None = None
    stated: str = ""


class Plan:
    """All budgets, found by what a call is charged to."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self.by_id: dict[str, Budget] = {budget.id: budget for budget in budgets}
        self._by_kind: dict[Kind, dict[str, tuple[Budget, ...]]] = {}
        for budget in sorted(self.by_id.values(), key=_order):
            named = self._by_kind.setdefault(budget.account.kind, {})
            named[budget.account.name] = (*named.get(budget.account.name, ()), budget)

    def __bool__(self) -> bool:
        return bool(self._by_kind)

    def matching(self, payer: Payer, provider: str = "", model: str = "") -> tuple[Budget, ...]:
        """Return the budgets that an attempt is under, from the widest account to the narrowest.

        Args:
            payer: what is known of the call.
            provider: the configured name of the provider it goes to.
            model: the model that is asked of the provider, which counts beside the one the client asked for.
        """
        found: list[Budget] = []
        for kind, named in self._by_kind.items():
            if kind == "org":
                found += named[""]
            elif kind == "tag":
                for tag, value in payer.tags.items():
                    found += named.get(f"{tag}={value}", ())
            elif kind == "model":
                found += named.get(payer.model, ())
                if model != payer.model:
                    found += named.get(model, ())
            else:
                name = provider if kind == "provider" else _NAME_OF[kind](payer)
                found += named.get(name, ())
        return tuple(found)


_NAME_OF: dict[Kind, Callable[[Payer], str]] = {
    "team": attrgetter("team"),
    "project": attrgetter("project"),
    "key": attrgetter("key"),
    "user": attrgetter("user"),
}


def span_now(budget: Budget, at_ns: int) -> Span:
    """Return the window of a budget's present generation at an instant."""
    span = span_at(budget.window, at_ns)
    if budget.generation == 0:
        return span
    return msgspec.structs.replace(span, id=f"g{budget.generation}/{span.id}")


def _order(budget: Budget) -> tuple[int, str, str]:
    """Return the canonical order: from the widest account to the narrowest, then by id. Locks are taken in it."""
    return KINDS.index(budget.account.kind), budget.account.name, budget.id
