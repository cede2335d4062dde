"""Models as a table: context window, modalities, life and prices."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from rich.console import Console

from farebox.analyse.find_models import Found, Wanted
from farebox.money import FEMTO_PER_USD
from farebox.present.charges import rate_text, rate_unit
from farebox.present.tables import print_table
from farebox.prices.arithmetic import fraction_text
from farebox.prices.book import PriceBook
from farebox.usage import METERS

_BLEND = "(3 x input + output) / 4"
_LETTERS = {"text": "t", "image": "i", "audio": "a", "video": "v", "document": "d"}


def models_json(book: PriceBook, wanted: Wanted, found: Sequence[Found], total: int) -> dict[str, Any]:
    """Return models for ``--json``; prices are decimal strings of USD."""
    return {
        "book": book.hash,
        "at": wanted.day,
        "cost": f"USD per 1M tokens: {_BLEND}",
        "found": total,
        "models": [_model_json(each) for each in found],
    }


def show_models(book: PriceBook, wanted: Wanted, found: Sequence[Found], total: int, console: Console) -> None:
    """Print models."""
    if not found:
        console.print("No model fits. --all also shows deprecated, retired, announced and unpriced ones.")
        return
    rows = [
        [
            "\n  ".join(filter(None, [f"{each.provider}/{each.model}", _remark(each)])),
            size_text(each.about.context_tokens),
            _modalities(each),
            _price(each.input),
            _price(each.output),
            _rounded(each.blend),
        ]
        for each in found
    ]
    print_table(console, "", ("model", ">context", "reads", ">input", ">output", ">cost"), rows)
    more = f"{len(found)} of {total} models" if len(found) < total else f"{total} models"
    console.print(f"\n{more} on {wanted.day}, book {book.short}")
    console.print(f"input, output, cost: USD per 1M tokens; cost is {_BLEND}")
    console.print("reads: t text, i image, a audio, v video, d document; > what it makes, if other")


def size_text(tokens: int | None) -> str:
    """Return a number of tokens for people: 128k, 1M; "-" where it is not known."""
    if tokens is None:
        return "-"
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if tokens >= size:
            tenths = tokens * 10 // size
            return f"{tenths // 10}{letter}" if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}{letter}"
    return str(tokens)


def _model_json(found: Found) -> dict[str, Any]:
    about = found.about
    return {
        "provider": found.provider,
        "model": found.model,
        "kind": about.kind,
        "context_tokens": about.context_tokens,
        "output_tokens": about.output_tokens,
        "inputs": list(about.inputs),
        "outputs": list(about.outputs),
        "supports": list(found.supports),
        "released": about.released,
        "deprecated": about.deprecated,
        "retires": about.retires,
        "life": found.life,
        "tiers": list(found.tiers),
        "cost_usd": None if found.blend is None else fraction_text(found.blend / FEMTO_PER_USD),
        "prices": {
            meter: {"usd": rate_text(meter, rate), "per": rate_unit(meter, rate)}
            for meter, rate in found.table.items()
            if rate.meter == meter
        },
    }


def _price(femto: Fraction | None) -> str:
    return "-" if femto is None else fraction_text(femto / FEMTO_PER_USD)


def _rounded(femto: Fraction | None) -> str:
    """Return an amount to three digits or to cents, whichever says more."""
    if femto is None:
        return "-"
    usd = femto / FEMTO_PER_USD
    places = 2
    while usd and usd * 10**places < 100 and places < 6:
        places += 1
    cents = round(usd * 10**places)
    return fraction_text(Fraction(cents, 10**places))


def _modalities(found: Found) -> str:
    reads = "".join(_LETTERS.get(name, name[:1].upper()) for name in found.about.inputs) or "-"
    makes = "".join(_LETTERS.get(name, name[:1].upper()) for name in found.about.outputs)
    return reads if makes in {"", "t"} else f"{reads}>{makes}"


def _remark(found: Found) -> str:
    """Return dates that matter, and prices of what has none by the token of text."""
    about = found.about
    parts = []
    if found.life == "unreleased":
        parts.append(f"from {about.released}")
    if about.deprecated:
        parts.append(f"deprecated {about.deprecated}")
    if about.retires:
        parts.append(f"{'retired' if found.life == 'retired' else 'retires'} {about.retires}")
    if found.input is None and found.output is None:
        media = [meter for meter, rate in found.table.items() if rate.meter == meter and METERS[meter].unit != "token"]
        media = media or [meter for meter, rate in found.table.items() if rate.meter == meter]
        for meter in media[:2]:
            rate = found.table[meter]
            parts.append(f"{meter} {rate_text(meter, rate)}/{rate_unit(meter, rate)}")
    return ", ".join(parts)
