"""A model's prices over time: from the dated rows of one book, and from what earlier books said."""

from collections.abc import Iterable

import msgspec

from farebox.analyse.diff_books import PriceChange, RuleChange, diff_models, diff_prices
from farebox.prices.rates import Model, Row


class Period(msgspec.Struct, frozen=True):
    """A row of prices in its place in time.

    Attributes:
        row: the row.
        state: ``past``, ``current`` or ``announced`` (it begins later).
    """

    row: Row
    state: str


class Revision(msgspec.Struct, frozen=True):
    """What a newer book changed about a model.

    Attributes:
        book: hash of the newer book.
        seen_ns: when that book was first used, nanoseconds since the epoch; None: it is the one at hand.
        kind: ``added``, ``removed`` or ``changed``.
        prices: the prices that differ.
        rules: what else differs.
    """

    book: str
    seen_ns: int | None
    kind: str
    prices: tuple[PriceChange, ...] = ()
    rules: tuple[RuleChange, ...] = ()


class Edition(msgspec.Struct, frozen=True):
    """A model as a book has it; None where the book does not have it."""

    book: str
    seen_ns: int | None
    model: Model | None


def periods_of(model: Model, now_ns: int) -> list[Period]:
    """Return a model's rows: those under the same conditions together, in order of time.

    Args:
        model: the model.
        now_ns: nanoseconds since the epoch.
    """
    order: dict[tuple[object, ...], int] = {}
    for row in model.rows:
        order.setdefault(_conditions(row), len(order))
    rows = sorted(model.rows, key=lambda row: (order[_conditions(row)], row.from_ns))
    return [Period(row, _state(row, now_ns)) for row in rows]


def revisions_of(provider: str, editions: Iterable[Edition]) -> list[Revision]:
    """Return what each book changed about a model, the oldest first; books that changed nothing are left out.

    Args:
        provider: id in the books.
        editions: the model in every book, the oldest first.
    """
    found: list[Revision] = []
    first = True
    before: Model | None = None
    for edition in editions:
        after = edition.model
        if not first and after != before:
            found.append(_revision(provider, before, edition))
        before, first = after, False
    return found


def _revision(provider: str, before: Model | None, edition: Edition) -> Revision:
    after = edition.model
    if before is None or after is None:
        return Revision(edition.book, edition.seen_ns, "added" if after else "removed")
    return Revision(
        edition.book,
        edition.seen_ns,
        "changed",
        tuple(diff_prices(provider, before, after)),
        tuple(diff_models(provider, before, after)),
    )


def _conditions(row: Row) -> tuple[object, ...]:
    return (row.tier, row.above, tuple(sorted(row.when.items())), row.schedule)


def _state(row: Row, now_ns: int) -> str:
    if row.from_ns > now_ns:
        return "announced"
    return "current" if now_ns < row.until_ns else "past"
