"""A price book: every card there is, immutable, named by the hash of their bytes.

A card is parsed when it is first asked for, and a model's rates are compiled when it is first charged, so a book
costs nothing at start. The files a user adds are read at once, so that a fault in them shows at once. What is
kept between calls is only what follows from the bytes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.errors import ConfigError
from farebox.prices.card import check_references, check_uplifts, read_card
from farebox.prices.match import Matcher
from farebox.prices.own import Own, read_own, read_shared
from farebox.prices.rates import Calendar, Card, Commitment, Contract, Exchange, Model, Windows
from farebox.prices.tariff import Circumstances, Tariff, Terms
from farebox.prices.windows import Timetable

_SHORT = 12
PUSHED = "pushed-"  # how the names of files begin whose prices replace those of the files before them


class PriceBook:
    """The compiled cards.

    Attributes:
        hash: SHA-256 over the files, hexadecimal.
        files: what the book is made of, for keeping it: ``shipped/<provider>.toml``, ``shared/<name>.toml`` and
            ``own/<number>/<name>`` with their bytes, in order.
        calendars: by id, the user's before shipped ones.
        exchange: in order of time.
        contracts: of the user, in the order of the files.
        commitments: of the user.
        memo: what the engine has chosen before, by what it was asked; it may be emptied at any time.
    """

    def __init__(
        self, shipped: Mapping[str, bytes], own: Sequence[tuple[str, bytes]], shared: Mapping[str, bytes]
    ) -> None:
        self._shipped: dict[str, bytes] = dict(shipped)
        self.files: dict[str, bytes] = {f"shipped/{name}.toml": data for name, data in sorted(shipped.items())}
        self.files |= {f"shared/{name}.toml": data for name, data in sorted(shared.items())}
        self.files |= {f"own/{number}/{_name(file)}": data for number, (file, data) in enumerate(own)}
        mine = [read_own(file, data) for file, data in own]
        common = [read_shared(f"{name}.toml", data) for name, data in sorted(shared.items())]
        self._own: dict[str, Own] = _by_provider(mine, [_name(file).startswith(PUSHED) for file, _ in own])
        self.calendars: dict[str, Calendar] = {
            calendar.id: calendar for part in (*common, *mine) for calendar in part.calendars
        }
        self.exchange: tuple[Exchange, ...] = _order_exchange(mine, common)
        self.contracts: tuple[Contract, ...] = tuple(one for part in mine for one in part.contracts)
        self.commitments: tuple[Commitment, ...] = tuple(one for part in mine for one in part.commitments)
        _refuse_doubles("[[contracts]]", [contract.id for contract in self.contracts])
        _refuse_doubles("[[commitments]]", [commitment.id for commitment in self.commitments])
        for provider, part in self._own.items():
            models = [model for _, model in part.models]
            _refuse_doubles(provider, [model.id for model in models])
            Matcher(provider, models)
        self._cards: dict[str, tuple[Card, Matcher, Terms]] = {}
        self._tariffs: dict[tuple[str, str, Circumstances], Tariff] = {}
        self.memo: dict[Any, Any] = {}
        self.hash: str = _hash_files(self.files)
        for provider in self._own:
            self._entry(provider)

    @property
    def short(self) -> str:
        """The hash for people: its first 12 digits."""
        return self.hash[:_SHORT]

    def providers(self) -> list[str]:
        """Return the ids of all providers that have a card or a user's entry, sorted."""
        return sorted({*self._shipped, *(name for name, part in self._own.items() if part.models)})

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

    def tariff(self, provider: str, model: Model, circumstances: Circumstances) -> Tariff:
        """Return a model's rates over time under given circumstances.

        Raises:
            ConfigError: where the provider's card has a fault.
            KeyError: where there is no such provider.
        """
        key = (provider, model.id, circumstances)
        found = self._tariffs.get(key)
        if found is None:
            found = self._tariffs[key] = Tariff(self.terms(provider), model, circumstances)
        return found

    def terms(self, provider: str) -> Terms:
        """Return what the rates of a provider's card are worked out with.

        Raises:
            ConfigError: where the card has a fault.
            KeyError: where there is no such provider.
        """
        entry = self._entry(provider)
        if entry is None:
            raise KeyError(provider)
        return entry[2]

    def timetable(self, provider: str, schedule: str) -> Timetable:
        """Return a schedule of a provider's card, laid out.

        Raises:
            ConfigError: where the provider's card has a fault.
            KeyError: where there is no such schedule.
        """
        return self.terms(provider).timetables[schedule]

    def _entry(self, provider: str) -> tuple[Card, Matcher, Terms] | None:
        entry = self._cards.get(provider)
        if entry is not None:
            return entry
        own = self._own.get(provider, Own())
        data = self._shipped.get(provider)
        if data is None and not own.models:
            return None
        if data is None:
            card = Card(provider, provider, (), shipped=False)
        else:
            card = read_card(f"{provider}.toml", data)
            if card.provider != provider:
                raise ConfigError(f"{provider}.toml: it is the card of {card.provider!r}")
        card = _add_own(card, own)
        _refuse_doubles(provider, [model.id for model in card.models])
        timetables = {name: self._lay_out(provider, windows) for name, windows in card.schedules.items()}
        contracts = [one for one in self.contracts if one.provider == provider and not one.volume]
        entry = card, Matcher(provider, card.models), Terms(card, timetables, self.exchange, contracts)
        self._cards[provider] = entry
        return entry

    def _lay_out(self, provider: str, windows: Windows) -> Timetable:
        for calendar in (windows.off_days, windows.on_days):
            if calendar and calendar not in self.calendars:
                there = ", ".join(self.calendars) or "none"
                raise ConfigError(f"{provider}: schedule {windows.id}: no calendar {calendar!r}; there are {there}")
        return Timetable(windows, self.calendars)


def compile_book(
    shipped: Mapping[str, bytes], own: Sequence[tuple[str, bytes]] = (), shared: Mapping[str, bytes] | None = None
) -> PriceBook:
    """Return the book of the shipped cards and the user's files.

    Args:
        shipped: the bytes of a card by its provider's id.
        own: the user's files, each a name for errors and its bytes.
        shared: the bytes of the package's calendars and exchange rates, by name.

    Raises:
        ConfigError: where a user's file has a fault; naming the file, the model and the row.
    """
    return PriceBook(shipped, own, shared or {})


def restore_book(files: Mapping[str, bytes]) -> PriceBook:
    """Return the book that `PriceBook.files` was taken from; its hash is the same.

    Raises:
        ConfigError: where a file has a fault.
    """
    parts: dict[str, dict[str, bytes]] = {"shipped": {}, "shared": {}}
    own: list[tuple[int, str, bytes]] = []
    for path, data in files.items():
        place, _, name = path.partition("/")
        if place == "own":
            number, _, file = name.partition("/")
            own.append((int(number), file, data))
        else:
            parts[place][name.removesuffix(".toml")] = data
    return PriceBook(parts["shipped"], [(file, data) for _, file, data in sorted(own)], parts["shared"])


def _by_provider(parts: Sequence[Own], pushed: Sequence[bool]) -> dict[str, Own]:
    """Return what the user's files say of each provider; a pushed one replaces models of those before it."""
    found: dict[str, Own] = {}
    for part, replaces in zip(parts, pushed, strict=True):
        ids = {(provider, model.id) for provider, model in part.models}
        for provider, old in found.items():
            if replaces:
                kept = tuple([one for one in old.models if (provider, one[1].id) not in ids])
                found[provider] = msgspec.structs.replace(old, models=kept)
        for kind in ("models", "uplifts", "schedules", "pools"):
            for provider, one in getattr(part, kind):
                old = found.get(provider, Own())
                found[provider] = msgspec.structs.replace(old, **{kind: (*getattr(old, kind), (provider, one))})
    return found


def _add_own(card: Card, own: Own) -> Card:
    """Return a card with what the user added to it.

    A model that replaces one of the same id without naming ids of its own keeps the ids and the published
    inheritance of the one it replaces.
    """
    by_id = {model.id: model for model in card.models}
    mine: list[Model] = []
    for _, model in own.models:
        old = by_id.pop(model.id, None)
        if old is not None and not model.patterns and model.names == (model.id,):
            kept = {"names": old.names, "patterns": old.patterns, "inherit": {**old.inherit, **model.inherit}}
            mine.append(msgspec.structs.replace(model, about=old.about, **kept))
        else:
            mine.append(model)
    changed = msgspec.structs.replace(
        card,
        models=(*mine, *by_id.values()),
        uplifts=(*card.uplifts, *(uplift for _, uplift in own.uplifts)),
        schedules={**card.schedules, **{one.id: one for _, one in own.schedules}},
        pools={**card.pools, **{one.id: one for _, one in own.pools}},
    )
    for model in mine:
        check_references(model, changed, f"prices of {card.provider}")
    check_uplifts(changed.uplifts, changed.schedules, f"prices of {card.provider}")
    return changed


def _order_exchange(mine: Sequence[Own], common: Sequence[Own]) -> tuple[Exchange, ...]:
    """Return the exchange rates in order of time; a user's rate goes before a shipped one of the same instant."""
    found = {(one.currency, one.from_ns): one for part in (*common, *mine) for one in part.exchange}
    return tuple(sorted(found.values(), key=lambda one: (one.from_ns, one.currency)))


def _refuse_doubles(where: str, ids: Sequence[str]) -> None:
    for one in ids:
        if ids.count(one) > 1:
            raise ConfigError(f"{where}: {one} is there twice; keep one of them")


def _name(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2]


def _hash_files(files: Mapping[str, bytes]) -> str:
    """Return the hash of what the files are for and their contents; where a file lies does not matter."""
    digest = hashlib.sha256()
    for path, data in files.items():
        kind, _, name = path.partition("/")
        mark = kind if kind == "own" else name
        digest.update(f"{mark}:{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()
