"""Spend tiers of providers: what an account may spend in a month, and what it must have paid to move up. As data."""

import tomllib

import msgspec

from farebox.money import femto_from_usd


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it is published, and when it was read there."""

    url: str
    retrieved: str
    note: str = ""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: str
    name: str
    source: Source
    paid_usd: str | None = None
    days: int = 0
    monthly_usd: str | None = None


class SpendTier(msgspec.Struct, frozen=True):
    """One tier.

    Attributes:
        provider: id in the price book.
        name: as the provider calls it.
        paid_femto: what must have been paid in all to reach it, femtodollars, or None where that is not published.
        days: since the first payment, at least.
        monthly_femto: the most that may be spent in a calendar month, or None where that is not published.
        source: where it is published.
    """

    provider: str
    name: str
    paid_femto: int | None
    days: int
    monthly_femto: int | None
    source: Source


def read_tiers(text: str) -> dict[str, tuple[SpendTier, ...]]:
    """Return the tiers of each provider, from the lowest up, in a TOML text.

    Raises:
        ValueError: where an amount is none, or the text is not of that form.
    """
    entries = msgspec.convert(tomllib.loads(text)["tiers"], list[_Entry])
    tiers: dict[str, tuple[SpendTier, ...]] = {}
    for entry in entries:
        tier = SpendTier(
            entry.provider,
            entry.name,
            None if entry.paid_usd is None else femto_from_usd(entry.paid_usd),
            entry.days,
            None if entry.monthly_usd is None else femto_from_usd(entry.monthly_usd),
            entry.source,
        )
        tiers[entry.provider] = (*tiers.get(entry.provider, ()), tier)
    return tiers
