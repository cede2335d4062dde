"""Says whether a configuration can be used as a whole, and whether a running gateway can go over to it.

Every process asks the same, so none goes by a file that another refuses.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from farebox.budgets.plan import Budget
from farebox.config.tables import Config
from farebox.errors import ConfigError
from farebox.prices.book import PriceBook
from farebox.route import Routes, check_endpoints
from farebox.state.budget_tables import budgets_of
from farebox.state.classifiers import load_classifiers
from farebox.state.settings import Settings


class Checked(msgspec.Struct, frozen=True):
    """What follows from a configuration and a price book that go together."""

    routes: Routes
    budgets: list[Budget]
    classifiers: dict[str, Callable[..., Any]]


def check(config: Config, book: PriceBook) -> Checked:
    """Return what follows from a configuration.

    Raises:
        ConfigError: where it cannot be used, naming the key.
    """
    check_endpoints(config, book)
    return Checked(Routes(config), budgets_of(config, book, time.time_ns()), load_classifiers(config))


def refuse_restarts(now: Settings, wanted: Settings) -> None:
    """Refuse what only a restart can change, so that a file is in force as a whole or not at all.

    Raises:
        ConfigError: naming the keys.
    """
    before, after = now.config, wanted.config
    pairs: Sequence[tuple[str, object, object]] = (
        ("host", before.host, after.host),
        ("journal", before.journal, after.journal),
        ("idempotency", before.idempotency, after.idempotency),
        ("spending.ledger", before.spending.ledger, after.spending.ledger),
        ("limits.body_bytes", before.limits.body_bytes, after.limits.body_bytes),
        ("limits.write_timeout_s", before.limits.write_timeout_s, after.limits.write_timeout_s),
    )
    changed = [name for name, old, new in pairs if old != new]
    if changed:
        raise ConfigError(f"{', '.join(changed)}: this takes a restart; until then nothing of the file is in force")
    if before.keys and not after.keys and not is_loopback(after.host):
        raise ConfigError(f"keys: the last one is gone, and others reach {after.host}; keep one, or restart")


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    return host in {"localhost", "::1"} or host.startswith("127.")
