"""Where prices can change: the instants and the sizes of inputs between which every price stays what it is."""

from collections.abc import Iterable

from farebox.prices.book import PriceBook
from farebox.prices.rates import Card, Model, Row, Uplift
from farebox.prices.tariff import covers
from farebox.prices.windows import transitions


def instants(
    book: PriceBook, provider: str, from_ns: int, until_ns: int, names: Iterable[str] | None = None
) -> list[int]:
    """Return the instants after ``from_ns`` and before ``until_ns`` at which a price of a provider can change.

    These are where rows, multipliers, contracts and exchange rates begin and end, and where schedules turn on or off.

    Args:
        book: the price book.
        provider: its id; one that the book does not know has no prices and no instants.
        from_ns: nanoseconds since the epoch, UTC.
        until_ns: likewise.
        names: ids of models as they are asked for; None: all models of the provider.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    card = book.card(provider)
    if card is None:
        return []
    models = _models(book, card, names)
    dated: list[Row | Uplift] = [row for model in models for row in model.rows]
    dated += [uplift for uplift in card.uplifts if any(covers(uplift.models, model) for model in models)]
    found = {instant for one in dated for instant in (one.from_ns, one.until_ns)}
    for contract in book.contracts:
        if contract.provider == provider:
            found |= {contract.from_ns, contract.until_ns}
    currencies = {row.currency for model in models for row in model.rows}
    found |= {rate.from_ns for rate in book.exchange if rate.currency in currencies}
    for schedule in {one.schedule for one in dated if one.schedule}:
        found |= set(transitions(card.schedules[schedule], book.calendars, from_ns, until_ns))
    return sorted(instant for instant in found if from_ns < instant < until_ns)


def sizes(book: PriceBook, provider: str, names: Iterable[str] | None = None) -> list[int]:
    """Return the sizes of inputs, in tokens, from which on other prices can hold, rising.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    card = book.card(provider)
    models = [] if card is None else _models(book, card, names)
    return sorted({row.above + 1 for model in models for row in model.rows if row.above >= 0})


def _models(book: PriceBook, card: Card, names: Iterable[str] | None) -> list[Model]:
    if names is None:
        return list(card.models)
    found = [book.find_model(card.provider, name) for name in names if name]
    return list({pair[0].id: pair[0] for pair in found if pair is not None}.values())
