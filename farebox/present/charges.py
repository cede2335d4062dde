"""A charge as lines for programs: decimal strings everywhere, quantity times unit price over ``per`` is the amount.

It is so exactly but where the amount had to be rounded, once and to 1e-12 USD (see `prices.arithmetic`).
"""

from collections.abc import Sequence

import msgspec

from farebox.charge import Line
from farebox.money import usd_text
from farebox.prices.arithmetic import quantity_text, unit_price_text
from farebox.prices.book import PriceBook
from farebox.prices.explain import Explained, explain_line
from farebox.prices.rates import Rate
from farebox.usage import METERS

_MEMO_LIMIT = 65_536
# What a line is priced by whose rate does not depend on the time or on the line's own amount.
_LASTING = frozenset({"row", "contract", "pool"})


class LineText(msgspec.Struct, frozen=True, gc=False):
    """A line of a charge as text.

    Attributes:
        meter: what was priced.
        quantity: in the meter's unit, decimal string.
        unit_price_usd: for ``per`` units, uplifts included; negative for a discount; decimal string.
        per: for how many units the price is given, as published; text where that is no whole number.
        amount_usd: decimal string.
        rate: id in the price book.
        source: where the price was published, or "".
    """

    meter: str
    quantity: str
    unit_price_usd: str
    per: int | str
    amount_usd: str
    rate: str
    source: str


class LineWriter:
    """Writes the lines of charges by one book; it remembers what rates it has seen."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        # By rate, meter and unit price: the unit price as text, for how many, the source.
        self._known: dict[tuple[str, str, int, int], tuple[str, int | str, str]] = {}

    def write(self, lines: Sequence[Line], at_ns: int) -> list[LineText]:
        """Return the lines of a charge as text.

        Args:
            lines: of the charge.
            at_ns: the time of the attempt, nanoseconds since the epoch.
        """
        written = []
        for line in lines:
            meter, rate, per = line.meter, line.rate, line.per
            found = self._known.get((rate, meter, line.unit_price_femto, per))
            if found is None:
                written.append(self._learn(line, at_ns))
            else:
                quantity = quantity_text(meter, line.quantity)
                written.append(LineText(meter, quantity, *found[:2], usd_text(line.amount_femto), rate, found[2]))
        return written

    def _learn(self, line: Line, at_ns: int) -> LineText:
        explained = explain_line(self._book, line, at_ns)
        text = line_text(explained)
        if explained.origin is not None and explained.origin.kind in _LASTING and explained.origin.exchange is None:
            if len(self._known) >= _MEMO_LIMIT:
                self._known.clear()
            key = (line.rate, line.meter, line.unit_price_femto, line.per)
            self._known[key] = (text.unit_price_usd, text.per, text.source)
        return text


def line_text(explained: Explained) -> LineText:
    """Return an explained line as text."""
    line, origin = explained.line, explained.origin
    per = int(explained.per) if explained.per.isdigit() else explained.per
    source = "" if origin is None else origin.source.url
    return LineText(
        line.meter, explained.quantity, explained.unit_price_usd, per, explained.amount_usd, line.rate, source
    )


def rate_text(meter: str, rate: Rate) -> str:
    """Return a rate as text: USD, uplifts included, for as many as its price was published for."""
    price = rate.row.prices.get(rate.meter) if rate.row is not None else None
    known = METERS[meter]
    return unit_price_text(rate.femto, rate.per, price.per if price else known.per * known.scale)


def rate_unit(meter: str, rate: Rate) -> str:
    """Return for how many of what a rate's price was published, in words such as ``1M tokens``."""
    price = rate.row.prices.get(rate.meter) if rate.row is not None else None
    return price.unit if price is not None else METERS[meter].unit
