"""``farebox price --jsonl``: prices a stream of usage objects, one line in, one line out, in order.

Numbers are read with their decimals as they stand and written as decimal strings: no float on the way. A line that
cannot be priced gives a line that says why, and the run goes on.
"""

import sys
import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from farebox.charge import Charge
from farebox.errors import FareboxError, UsageViolation
from farebox.money import usd_text
from farebox.present.charges import LineText, LineWriter
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.quote import read_rating

_FOUND = 1
_FLUSHED_BYTES = 1 << 16
_LOOKED_LINES = 4096  # after how many lines the clock is looked at
_SHOWN_S = 0.5
_NO_ID = msgspec.Raw(b"null")


class Asked(msgspec.Struct):
    """One line of the input; other keys are ignored.

    Attributes:
        provider: id in the price book, or another common name of it.
        model: as asked for or answered.
        usage: the provider's raw usage object.
        context: tier, region, time and whatever else the price depends on.
        id: any JSON, given back.
    """

    provider: str
    model: str
    usage: dict[str, Any]
    context: dict[str, Any] | None = None
    id: msgspec.Raw = _NO_ID


class Answer(msgspec.Struct):
    """One line of the output."""

    id: msgspec.Raw
    total_usd: str
    lines: list[LineText]
    book: str


class Failure(msgspec.Struct):
    """Why a line has no price."""

    code: str
    message: str


class Refusal(msgspec.Struct):
    """One line of the output for a line that has no price."""

    id: msgspec.Raw
    error: Failure


class LinePricer:
    """Prices lines by one book.

    Args:
        book: the price book.
        now_ns: the time of lines that name none, nanoseconds since the epoch.
    """

    def __init__(self, book: PriceBook, now_ns: int) -> None:
        self._book = book
        self._now_ns = now_ns
        self._writer = LineWriter(book)
        self._decode = msgspec.json.Decoder(Asked, float_hook=Decimal).decode
        self._books_hash: str = book.hash

    def price(self, line: bytes, number: int) -> Answer | Refusal:
        """Return the answer to one line.

        Args:
            line: JSON.
            number: of the line, from 1, for errors.
        """
        try:
            asked = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Refusal(_id_of(line), Failure("bad_line", f"line {number}: {_words(error)}"))
        try:
            return self._price(asked)
        except UsageViolation as violation:
            return Refusal(asked.id, Failure("invalid_usage", f"usage: {violation}"))
        except FareboxError as error:
            return Refusal(asked.id, Failure("bad_context", str(error)))
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            # A value of a kind that nobody expects, such as a list where a word belongs, must not end the run.
            message = f"usage or context has a value of the wrong kind: {error}"
            return Refusal(asked.id, Failure("invalid_usage", message))

    def _price(self, asked: Asked) -> Answer | Refusal:
        rating = read_rating(asked.provider, asked.model, asked.usage, asked.context or {}, self._now_ns)
        result = charge(self._book, rating)
        if isinstance(result, Charge):
            lines = self._writer.write(result.lines, rating.at_ns)
            return Answer(asked.id, usd_text(result.total_femto), lines, self._books_hash)
        return Refusal(asked.id, Failure(failure_code(self._book, rating), result.reason))


def failure_code(book: PriceBook, rating: Rating) -> str:
    """Return why something has no price in one word for programs."""
    try:
        if book.card(rating.provider) is None:
            return "unknown_provider"
        if not any(book.find_model(rating.provider, name) for name in (rating.answered, rating.asked) if name):
            return "unknown_model"
    except FareboxError:
        return "bad_price_book"
    return "unpriced"


def price_lines(book: PriceBook, given: str) -> None:
    """Price the lines of a file, or of standard input for ``-``, to standard output; exit with 1 after errors.

    Raises:
        click.UsageError: where the file cannot be read.
    """
    out = sys.stdout.buffer
    if given == "-":
        failed = _run(book, sys.stdin.buffer, out)
    else:
        try:
            with Path(given).open("rb") as lines:
                failed = _run(book, lines, out)
        except OSError as error:
            raise click.UsageError(f"--jsonl {given}: {error.strerror or error}") from None
    if failed:
        sys.exit(_FOUND)


def _run(book: PriceBook, lines: Iterable[bytes], out: BinaryIO) -> int:
    """Return how many lines had an error."""
    pricer = LinePricer(book, time.time_ns())
    encode_into = msgspec.json.Encoder().encode_into
    buffer = bytearray()
    counter = _Counter()
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        answer = pricer.price(line, number)
        counter.failed += type(answer) is Refusal
        encode_into(answer, buffer, len(buffer))
        buffer += b"\n"
        if len(buffer) >= _FLUSHED_BYTES:
            out.write(buffer)
            buffer.clear()
        if not number % _LOOKED_LINES:
            counter.show(number)
    out.write(buffer)
    out.flush()
    counter.end()
    return counter.failed


class _Counter:
    """Shows on a terminal how far it is."""

    def __init__(self) -> None:
        self.failed: int = 0
        self._quiet: bool = not sys.stderr.isatty()
        self._started_s: float = time.monotonic()
        self._shown_s: float = self._started_s

    def show(self, lines: int) -> None:
        """Say how many lines are done, twice a second at most."""
        now_s = time.monotonic()
        if self._quiet or now_s - self._shown_s < _SHOWN_S:
            return
        self._shown_s = now_s
        speed = lines / (now_s - self._started_s)
        click.echo(f"\r{lines:,} lines, {speed:,.0f} a second, {self.failed:,} errors ", nl=False, err=True)

    def end(self) -> None:
        """Leave the line that was written over."""
        if self._shown_s != self._started_s:
            click.echo(err=True)


def _id_of(line: bytes) -> msgspec.Raw:
    """Return the id of a line that has other faults, or null."""
    try:
        found = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NO_ID
    return found.get("id", _NO_ID)


def _words(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"{error}; a line needs provider, model and usage"
    return f"it is not JSON: {error}"
