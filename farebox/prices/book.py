"""A price book: every card there is, immutable, named by the hash of their bytes.

A card is parsed when it is first asked for, and a model's rows are compiled when it is first charged, so a book
costs nothing at start. The files a user adds are read at once, so that a fault in them shows at once. What is
kept between calls is only what follows from the bytes.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from farebox.errors import ConfigError
from farebox.prices.card import read_card, read_own
from farebox.prices.match import Matcher
from farebox.prices.rates import Card, Model, Rate
from farebox.prices.schedule import Schedule, compile_schedule

_SHORT = 12


class PriceBook:
    """The compiled cards.

    Attributes:
        hash: SHA-256 over the files, hexadecimal.
        memo: what the engine has chosen before, by what it was asked; it may be emptied at any time.
    """

    def __init__(self, shipped: Mapping[str, bytes], own: Sequence[tuple[str, bytes]]) -> None:
        self._shipped: dict[str, bytes] = dict(shipped)
        self._own: dict[str, list[Model]] = {}
        for file, data in own:
            for provider, model in read_own(file, data):
                self._own.setdefault(provider, []).append(model)
        for provider, models in self._own.items():
            _refuse_doubles(provider, models)
            Matcher(provider, models)
        self._cards: dict[str, tuple[Card, Matcher]] = {}
        self._schedules: dict[tuple[str, str, str, str], Schedule] = {}
        self.memo: dict[Any, Any] = {}
        self.hash: str = _hash_files([*(data for _, data in sorted(shipped.items())), *(data for _, data in own)])

    @property
    def short(self) -> str:
        """The hash for people: its first 12 digits."""
        return self.hash[:_SHORT]

    def providers(self) -> list[str]:
        """Return the ids of all providers that have a card or a user's entry, sorted."""
        return sorted({*self._shipped, *self._own})

    def card(self, provider: str) -> Card | None:
        """Return a provider's card with the user's models first, or None.

        Raises:
            ConfigError: where the card has a fault.
        """
        entry = self._entry(provider)
        return entry[0] if entry else None

    def find_model(self, provider: str, name: str) -> tuple[Model, str] | None:
        """Return the model that an id belongs to and what matched, or None.

        Raises:
            ConfigError: where the provider's card has a fault.
        """
        entry = self._entry(provider)
        return entry[1].find(name) if entry else None

    def schedule(self, card: Card, model: Model, tier: str, region: str) -> Schedule:
        """Return a model's rates over time for one tier and region ("" for none).

        Raises:
            ConfigError: where a price is not a whole number of femtodollars after an uplift.
        """
        key = (card.provider, model.id, tier, region)
        found = self._schedules.get(key)
        if found is None:
            found = self._schedules[key] = compile_schedule(card, model, tier, region)
        return found

    def find_rate(self, rate_id: str) -> Rate | None:
        """Return the rate with this id, such as ``openai/gpt-5/flex/2026-10-12#output``, or None."""
        row_id, _, rest = rate_id.rpartition("#")
        meter, _, region = rest.partition("+")
        card = self.card(row_id.partition("/")[0])
        if card is None:
            return None
        for model in card.models:
            for row in model.rows:
                if row.id == row_id:
                    for rate in self.schedule(card, model, row.tier, region).rates():
                        if rate.id == rate_id and rate.meter == meter:
                            return rate
        return None

    def _entry(self, provider: str) -> tuple[Card, Matcher] | None:
        entry = self._cards.get(provider)
        if entry is not None:
            return entry
        own = self._own.get(provider, [])
        data = self._shipped.get(provider)
        if data is None:
            if not own:
                return None
            card = Card(provider, provider, tuple(own), shipped=False)
        else:
            card = read_card(f"{provider}.toml", data)
            if card.provider != provider:
                raise ConfigError(f"{provider}.toml: it is the card of {card.provider!r}")
            card = msgspec.structs.replace(card, models=_add_own(own, card.models))
        _refuse_doubles(provider, card.models)
        entry = self._cards[provider] = (card, Matcher(provider, card.models))
        return entry


def compile_book(shipped: Mapping[str, bytes], own: Sequence[tuple[str, bytes]] = ()) -> PriceBook:
    """Return the book of the shipped cards and the user's files.

    Args:
        shipped: the bytes of a card by its provider's id.
        own: the user's files, each a name for errors and its bytes.

    Raises:
        ConfigError: where a user's file has a fault; naming the file, the model and the row.
    """
    return PriceBook(shipped, own)


def _refuse_doubles(provider: str, models: Iterable[Model]) -> None:
    seen: set[str] = set()
    for model in models:
        if model.id in seen:
            raise ConfigError(f"{provider}: the model {model.id} is priced twice")
        seen.add(model.id)


def _add_own(own: Iterable[Model], shipped: Sequence[Model]) -> tuple[Model, ...]:
    """Return the user's models before the shipped ones they do not replace.

    A model that replaces one of the same id without naming ids of its own keeps the ids and the published
    inheritance of the one it replaces.
    """
    by_id = {model.id: model for model in shipped}
    mine: list[Model] = []
    for model in own:
        old = by_id.pop(model.id, None)
        if old is not None and not model.patterns and model.names == (model.id,):
            inherit = {**old.inherit, **model.inherit}
            mine.append(msgspec.structs.replace(model, names=old.names, patterns=old.patterns, inherit=inherit))
        else:
            mine.append(model)
    return (*mine, *by_id.values())


def _hash_files(files: Iterable[bytes]) -> str:
    """Return the hash of the contents in their order; where a file lies does not matter, its lengths do."""
    digest = hashlib.sha256()
    for data in files:
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()
