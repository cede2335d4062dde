"""What differs between two price books: models, rows, prices and the rules around them.

A row that one book has and the other does not is set against what the other book says at the same time, so that a
price that changes on a day shows as old and new.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from farebox.prices.arithmetic import fraction_of
from farebox.prices.book import PriceBook
from farebox.prices.explain import instant_text
from farebox.prices.rates import ALWAYS_NS, NEVER_NS, Card, Model, Price, Row

_HEAD = ("tiers", "no_region", "regions", "facts", "schedules", "pools", "reported")


class PriceChange(msgspec.Struct, frozen=True):
    """A price that differs.

    Attributes:
        provider: id in the books.
        model: its id there.
        row: id of the row in the newer book, or in the older one where the newer has none.
        meter: what is priced.
        old: the price in the older book as published, or "".
        new: the price in the newer one, or "".
        percent: by how much it rose, with one decimal and a sign, or "" where that cannot be said.
    """

    provider: str
    model: str
    row: str
    meter: str
    old: str
    new: str
    percent: str


class RuleChange(msgspec.Struct, frozen=True):
    """Something other than a price that differs: where, and what in words."""

    where: str
    what: str


class BookDiff(msgspec.Struct, frozen=True):
    """What differs; models are pairs of provider and id."""

    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    prices: tuple[PriceChange, ...] = ()
    rules: tuple[RuleChange, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the books say the same."""
        return not (self.added or self.removed or self.prices or self.rules)


def diff_books(old: PriceBook, new: PriceBook, same: Iterable[str] = ()) -> BookDiff:
    """Return what differs between two books.

    Args:
        old: the older one.
        new: the newer one.
        same: providers of which it is known that nothing differs; they are not looked at.

    Raises:
        ConfigError: where a card has a fault.
    """
    added: list[tuple[str, str]] = []
    removed: list[tuple[str, str]] = []
    prices: list[PriceChange] = []
    rules = [*_diff_lists("contract", old.contracts, new.contracts)]
    rules += _diff_lists("commitment", old.commitments, new.commitments)
    for provider in sorted({*old.providers(), *new.providers()} - set(same)):
        before, after = old.card(provider), new.card(provider)
        mine = {model.id: model for model in before.models} if before else {}
        its = {model.id: model for model in after.models} if after else {}
        added += [(provider, model) for model in its if model not in mine]
        removed += [(provider, model) for model in mine if model not in its]
        if before and after:
            rules += _diff_heads(before, after)
        for name, model in mine.items():
            if name in its and model != its[name]:
                prices += diff_prices(provider, model, its[name])
                rules += diff_models(provider, model, its[name])
    return BookDiff(tuple(added), tuple(removed), tuple(prices), tuple(rules))


def diff_prices(provider: str, old: Model, new: Model) -> list[PriceChange]:
    """Return the prices of a model that differ, in the order of its rows."""
    before = {row.id: row for row in old.rows}
    after = {row.id: row for row in new.rows}
    changes: list[PriceChange] = []
    for row in new.rows:
        was = before.get(row.id) or _held(old.rows, row)
        changes += _diff_rows((provider, new.id, row.id), was, row)
    for row in old.rows:
        if row.id not in after:
            now = _held(new.rows, row)
            # A new row that took its place has been set against it above.
            if now is None or now.id in before or _held(old.rows, now) is not row:
                changes += _diff_rows((provider, old.id, row.id), row, now)
    return changes


def diff_models(provider: str, old: Model, new: Model) -> Iterator[RuleChange]:
    """Yield what differs in a model beside its prices."""
    where = f"{provider}/{new.id}"
    for what, mine, its in (
        ("ids", {*old.names, *old.patterns}, {*new.names, *new.patterns}),
        ("inherited prices", {*old.inherit.items()}, {*new.inherit.items()}),
    ):
        if mine != its:
            yield RuleChange(where, f"{what}: {_set_change(mine, its)}")
    if old.about != new.about:
        yield RuleChange(where, "what is known of the model beside its prices changed")
    rows = {row.id: row for row in old.rows}
    for row in new.rows:
        was = rows.get(row.id)
        if was is not None:
            yield from _diff_terms(was, row)


def percent_text(old: Fraction, new: Fraction) -> str:
    """Return by how many percent a price rose, with one decimal and a sign, or "" where it was 0."""
    if not old:
        return ""
    tenths = round((new - old) / old * 1000)
    return f"{'-' if tenths < 0 else '+'}{abs(tenths) // 10:,}.{abs(tenths) % 10}%"


def _diff_rows(where: tuple[str, str, str], old: Row | None, new: Row | None) -> Iterator[PriceChange]:
    before, after = old.prices if old else {}, new.prices if new else {}
    same_money = old is None or new is None or old.currency == new.currency
    for meter in dict.fromkeys([*after, *before]):
        was, now = before.get(meter), after.get(meter)
        if was is None or now is None or not same_money or fraction_of(was) != fraction_of(now):
            percent = percent_text(fraction_of(was), fraction_of(now)) if was and now and same_money else ""
            yield PriceChange(*where, meter, _price_text(was, old), _price_text(now, new), percent)


def _price_text(price: Price | None, row: Row | None) -> str:
    if price is None or row is None:
        return ""
    return price.text if row.currency == "USD" else f"{price.text} {row.currency}"


def _held(rows: tuple[Row, ...], wanted: Row) -> Row | None:
    """Return the row under the same conditions that holds when another one begins, or when it ends."""
    instant = wanted.from_ns if wanted.from_ns != ALWAYS_NS else wanted.until_ns - 1
    for row in rows:
        if _conditions(row) == _conditions(wanted) and row.from_ns <= instant < row.until_ns:
            return row
    return None


def _conditions(row: Row) -> tuple[Any, ...]:
    return (row.tier, row.above, sorted(row.when.items()), row.schedule)


def _diff_terms(old: Row, new: Row) -> Iterator[RuleChange]:
    """Yield what differs in a row beside its prices."""
    if old.until_ns != new.until_ns:
        end = "has no end any more" if new.until_ns == NEVER_NS else f"ends {instant_text(new.until_ns)}"
        before = "had no end" if old.until_ns == NEVER_NS else f"ended {instant_text(old.until_ns)}"
        yield RuleChange(new.id, f"{end}; it {before} before")
    for name in ("rest", "currency", "least_units", "step_units", "least_amount", "marginal", "pool"):
        if getattr(old, name) != getattr(new, name):
            yield RuleChange(new.id, f"`{name.partition('_')[0]}` changed")


def _diff_heads(old: Card, new: Card) -> Iterator[RuleChange]:
    for name in _HEAD:
        mine, its = getattr(old, name), getattr(new, name)
        if mine != its:
            yield RuleChange(new.provider, f"{name.replace('_', ' ')}: {_set_change(_parts(mine), _parts(its))}")
    yield from _diff_lists(f"{new.provider}: uplift", old.uplifts, new.uplifts)


def _parts(value: Any) -> set[Any]:
    if isinstance(value, Mapping):
        return {f"{key} = {item}" if isinstance(item, str) else key for key, item in value.items()}
    return {value} if isinstance(value, str) else set(value)


def _set_change(old: set[Any], new: set[Any]) -> str:
    parts = [f"{sign}{_word(item)}" for sign, items in (("+", new - old), ("-", old - new)) for item in sorted(items)]
    return ", ".join(parts) or "changed"


def _word(item: Any) -> str:
    return " as ".join(item) if isinstance(item, tuple) else str(item)


def _diff_lists(kind: str, old: Iterable[Any], new: Iterable[Any]) -> Iterator[RuleChange]:
    """Yield what was added, removed or changed among things that have an id."""
    before, after = ({each.id: each for each in things} for things in (old, new))
    for name in dict.fromkeys([*after, *before]):
        if before.get(name) != after.get(name):
            what = "added" if name not in before else "removed" if name not in after else "changed"
            yield RuleChange(f"{kind} {name}", what)
