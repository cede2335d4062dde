"""Writes the table of the documentation that says where the prices of every provider are from."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from farebox.prices.importing.gate import ONE_SOURCE
from farebox.usage import METERS

_BEGIN, _END = "<!-- table: written by `farebox prices import` -->", "<!-- end of the table -->"
_HEAD = (
    "| provider | price list | read | models | prices | of which one source | left out | through |\n"
    "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |"
)
# Why a price stayed out, of what is on the review list.
_LEFT_OUT = frozenset({"disagree", "thousandfold", "implausible", "decimals"})
_BY_HAND = "by hand"


def set_table(document: str, cards: Iterable[str], review: Sequence[Mapping[str, Any]]) -> str:
    """Return a document with its table of providers written anew.

    Args:
        document: markdown with the two marks between which the table stands.
        cards: TOML.
        review: the review list.

    Raises:
        ValueError: where the document lacks the marks.
    """
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the document has no place for the table: it lacks {_BEGIN!r} or {_END!r}")
    left = Counter(one["provider"] for one in review if one["why"] in _LEFT_OUT)
    rows = [_row(tomllib.loads(card), left) for card in cards]
    return f"{before}{begin}\n\n{_HEAD}\n" + "\n".join(sorted(rows)) + f"\n\n{end}{after}"


def _row(card: Mapping[str, Any], left: Counter[str]) -> str:
    sources = card["sources"]
    rows = [(model, row) for model in card["models"] for row in model["prices"]]
    prices = [(row, meter) for _, row in rows for meter in METERS if meter in row]
    single = sum(1 for row, meter in prices if _is_single(row, meter))
    used = [sources[row.get("source", model.get("source", "list"))] for model, row in rows]
    through = Counter(label for source in used for label in (source.get("via") or _BY_HAND).split(", "))
    days = sorted({source["retrieved"] for source in used})
    read = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    url = sources["list"]["url"]
    cells = [f"`{card['provider']}`", f"[{card['name']}]({url})", read, str(len(card["models"])), str(len(prices))]
    cells += [str(single), str(left[card["provider"]]), ", ".join(sorted({_plain(label) for label in through}))]
    return f"| {' | '.join(cells)} |"


def _is_single(row: Mapping[str, Any], meter: str) -> bool:
    note = row.get("note", "")
    return note == ONE_SOURCE or (note.startswith(f"{ONE_SOURCE}: ") and meter in re.split(r"[:, ]+", note))


def _plain(label: str) -> str:
    """Return a package's name without its version and what stands beside it."""
    return label if label == _BY_HAND else label.split(" ", maxsplit=1)[0]
