"""Which model of a card an id belongs to: exact names first, then the longest pattern that fits.

A pattern is an id with ``#`` for one digit and, at its end, ``*`` for any rest; it is anchored at both ends.
A user's own entries go before shipped ones. Two models that fit equally well are a fault of the card.
"""

from collections.abc import Iterable, Iterator

from farebox.errors import ConfigError
from farebox.prices.rates import Model


def fits(pattern: str, name: str) -> bool:
    """Return whether an id fits a pattern."""
    if pattern.endswith("*"):
        pattern = pattern[:-1]
        if len(name) < len(pattern):
            return False
    elif len(name) != len(pattern):
        return False
    return all(
        letter == wanted or (wanted == "#" and letter.isascii() and letter.isdigit())
        for letter, wanted in zip(name, pattern, strict=False)
    )


class Matcher:
    """Finds models by the ids they are asked for."""

    def __init__(self, provider: str, models: Iterable[Model]) -> None:
        """Raises `ConfigError` where two models have the same name or patterns that cannot be told apart."""
        self._names: dict[bool, dict[str, Model]] = {True: {}, False: {}}
        self._patterns: dict[bool, list[tuple[str, Model]]] = {True: [], False: []}
        for model in models:
            names = self._names[model.own]
            for name in model.names:
                if name in names:
                    raise ConfigError(f"{provider}: {names[name].id} and {model.id} both have the name {name!r}")
                names[name] = model
            self._patterns[model.own] += [(pattern, model) for pattern in model.patterns]
        for patterns in self._patterns.values():
            patterns.sort(key=lambda pair: _weight(pair[0]), reverse=True)
            _refuse_twins(provider, patterns)

    def find(self, name: str) -> tuple[Model, str] | None:
        """Return the model an id belongs to and what matched (a name or a pattern), or None."""
        for own in (True, False):
            model = self._names[own].get(name)
            if model is not None:
                return model, name
            for pattern, candidate in self._patterns[own]:
                if fits(pattern, name):
                    return candidate, pattern
        return None


def _weight(pattern: str) -> tuple[int, int]:
    """Return how much a pattern asks for: letters count most, then digits."""
    body = pattern.removesuffix("*")
    return len(body), len(body) - body.count("#")


def _refuse_twins(provider: str, patterns: list[tuple[str, Model]]) -> None:
    """Refuse two patterns of equal weight that one id could fit."""
    for (first, one), (second, two) in _pairs(patterns):
        if (
            one is not two
            and _weight(first) == _weight(second)
            and all(
                a == b or (a == "#" and b.isdigit()) or (b == "#" and a.isdigit())
                for a, b in zip(first.removesuffix("*"), second.removesuffix("*"), strict=True)
            )
        ):
            raise ConfigError(f"{provider}: {one.id} ({first}) and {two.id} ({second}) match the same ids")


def _pairs(
    patterns: list[tuple[str, Model]],
) -> Iterator[tuple[tuple[str, Model], tuple[str, Model]]]:
    """Yield neighbours of equal weight; the list is sorted by weight."""
    for index, pair in enumerate(patterns):
        for other in patterns[index + 1 :]:
            if _weight(other[0]) != _weight(pair[0]):
                break
            yield pair, other
