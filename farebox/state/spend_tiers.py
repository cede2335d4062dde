"""Reads the spend tiers that are in the package."""

from importlib.resources import files

from farebox.providers.spend_tiers import SpendTier, read_tiers


def load_tiers() -> dict[str, tuple[SpendTier, ...]]:
    """Return the tiers of each provider, by its id in the price book."""
    text = files("farebox.providers").joinpath("data", "spend_tiers.toml").read_text(encoding="utf-8")
    return read_tiers(text)
