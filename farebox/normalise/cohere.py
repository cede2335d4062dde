"""Usage of Cohere: chat, embed, classify and rerank.

The shape: ``billed_units`` is the bill; ``tokens`` counts what the model saw and is not. Counts are written as
decimal numbers (``11.0``). A search unit is one query over up to 100 documents. Rules: Cohere's API reference
(``ApiMetaBilledUnits``) and the questions on its pricing page.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.amounts import parts_of, read_amount
from farebox.normalise.counts import read_details
from farebox.usage import METERS, Usage

_UNITS = {
    "input_tokens": "input",
    "image_tokens": "input_image",
    "output_tokens": "output",
    "search_units": "search_unit",
    "classifications": "classification",
    "images": "image_read",
}
_DOCUMENTS_PER_UNIT = 100


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the billed units, of a ``usage`` or ``meta`` object, of the units themselves, or of a rerank.

    Args:
        raw: has ``billed_units`` or is what they are; or counts ``documents`` and ``queries`` (1 unless it says).

    Raises:
        UsageViolation: where there is nothing that is billed, or a count is none.
    """
    meta = read_details(raw, "meta")
    units = read_details(raw if meta is None else meta, "billed_units")
    units = raw if units is None else units
    meters = {}
    for key, meter in _UNITS.items():
        amount = read_amount(units, key)
        if amount is not None:
            meters[meter] = parts_of(meter, amount, key)
    documents = _read_either(units, "documents", "num_documents")
    if documents is not None and "search_unit" not in meters:
        queries = _read_either(units, "queries", "num_queries")
        per_query = -(-parts_of("search_unit", documents, "documents") // _DOCUMENTS_PER_UNIT)
        meters["search_unit"] = per_query * (1 if queries is None else parts_of("search_unit", queries, "queries"))
    if not meters:
        known = ", ".join((*_UNITS, "documents"))
        raise UsageViolation("billed_units say what is billed", f"none of {known} is there")
    total = sum(count for meter, count in meters.items() if METERS[meter].family == "input")
    return Usage(meters, total)


def _read_either(units: Mapping[str, Any], name: str, other: str) -> Fraction | None:
    amount = read_amount(units, name)
    return read_amount(units, other) if amount is None else amount
