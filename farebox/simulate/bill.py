"""The provider's bill: an append-only file of JSON lines, written on receipt and again when generation ends.

Two rows per billed request, same id: ``received`` carries what will be billed if nothing more is heard, ``done``
what is billed in the end. A request that is refused has a ``done`` row with amount 0 only. Each row is one write
to a file opened for appending, before any byte of the answer, so a killed simulator or caller loses none.
"""

import hashlib
import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec


class BillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the bill.

    Attributes:
        id: the provider's request id, as sent in ``x-request-id`` or ``request-id``.
        phase: ``received`` or ``done``.
        time_s: seconds since 1970, by the simulator's clock.
        api: ``openai`` or ``anthropic``.
        endpoint: path of the request.
        key: fingerprint of the API key (12 hex digits of its SHA-256), empty without a key.
        status: HTTP status; of the planned answer in a ``received`` row.
        stream: whether events were asked for.
        outcome: ``planned``, ``complete``, ``cut`` by a fault, ``left`` by the caller, or ``refused``.
        asked_model: the model's name in the request, None if it had none.
        model: the resolved model, None if there is none.
        usage: the usage object that the answer reports, None if it reports none.
        quantities: billed tokens by disjoint meter; reasoning is inside ``output``.
        amount_usd: exact decimal US dollars.
        correlation: the caller's ``x-farebox-attempt`` or ``x-client-request-id``, None without either.
    """

    id: str
    phase: Literal["received", "done"]
    time_s: float
    api: str
    endpoint: str
    key: str
    status: int
    stream: bool = False
    outcome: Literal["planned", "complete", "cut", "left", "refused"]
    asked_model: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    quantities: dict[str, int] = {}
    amount_usd: str = "0"
    correlation: str | None = None

    @property
    def amount(self) -> Decimal:
        """The amount in US dollars."""
        return Decimal(self.amount_usd)


def fingerprint(key: str) -> str:
    """Names a key without revealing it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else ""


def usd_text(amount: Decimal) -> str:
    """Plain decimal notation without an exponent or trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class Bill:
    """The writing side of one bill file; continues a file that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._encoder = msgspec.json.Encoder()
        self._start = path.stat().st_size
        self._mend()

    def _mend(self) -> None:
        """Ends a line that a killed process left torn, so that the next row stands on its own."""
        if self._start:
            with self.path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    os.write(self._file, b"\n")

    def add(self, row: BillRow) -> None:
        """Append one row in one write.

        Raises:
            OSError: the row could not be written whole.
        """
        line = self._encoder.encode(row) + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(f"{self.path}: a row of the bill was written in part only")

    def clear(self) -> None:
        """Empty the file: tests that count from zero."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)


def read_bill(path: str | Path) -> list[BillRow]:
    """The final row of every request, in the order of receipt.

    A request without a ``done`` row (the simulator was killed) is billed as planned: its ``received`` row is
    final. Lines that are not whole rows, as a kill may leave them, are skipped.
    """
    decoder = msgspec.json.Decoder(BillRow)
    final: dict[str, BillRow] = {}
    for line in Path(path).read_bytes().splitlines():
        try:
            row = decoder.decode(line)
        except msgspec.DecodeError:
            continue
        if row.phase == "done" or row.id not in final:
            final[row.id] = row
    return list(final.values())


def total_usd(rows: Iterable[BillRow]) -> Decimal:
    """The sum of the amounts, exact."""
    return sum((row.amount for row in rows), Decimal(0))
