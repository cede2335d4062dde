"""What the end of the month may change about a charge: free units, volume contracts, commitments."""

from collections.abc import Iterator

from farebox.present.explained import units_text
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.explain import Explanation
from farebox.prices.rates import Model
from farebox.prices.tariff import covers


def settled_later(book: PriceBook, rating: Rating, explanation: Explanation) -> list[str]:
    """Return in words what depends on the rest of the period and is therefore not in a charge.

    Args:
        book: the price book.
        rating: what was priced.
        explanation: of its charge.
    """
    card = book.card(rating.provider)
    found = (book.find_model(rating.provider, name) for name in (rating.answered, rating.asked) if name)
    model = next((each[0] for each in found if each), None)
    if card is None or model is None or not explanation.lines:
        return []
    later = list(_agreed(book, rating, model))
    for line in explanation.lines if rating.position is None else ():
        row = line.origin.row if line.origin is not None else None
        pool = card.pools.get(row.pool.get(line.line.meter, "")) if row is not None else None
        if pool is not None:
            free = units_text(pool.meter, pool.free)
            later.append(f"pool {pool.id}: {free} are free per {pool.period} and {pool.shared_by}")
    return list(dict.fromkeys(later))


def _agreed(book: PriceBook, rating: Rating, model: Model) -> Iterator[str]:
    for contract in book.contracts:
        mine = contract.provider == rating.provider and contract.from_ns <= rating.at_ns < contract.until_ns
        if mine and contract.volume and covers(contract.models, model):
            steps = ", ".join(f"{percent}% beyond {usd} USD" for usd, percent in contract.volume if percent != "0")
            yield f"contract {contract.id}: {steps} a month"
    for commitment in book.commitments:
        mine = commitment.provider == rating.provider and commitment.from_ns <= rating.at_ns < commitment.until_ns
        if mine and covers(commitment.models, model):
            yield f"commitment {commitment.id}: {commitment.kind}"
