"""Reads the copy of Azure's retail price list in the azure-genai-prices package (MIT).

Its meters have names for people: ``5.4 mini Batch cd Inp Gl 1M Tokens``. A name is taken apart word by word; only
meters of global deployments counted in tokens are read, and only where every word is known. The copy is older than
the other data, so it confirms.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from farebox.prices.importing.offers import Cleaner, Finding, Offer, Package

_GLOBAL = {"gl", "glb", "glbl", "global"}
_ELSEWHERE = {"dz", "dzone", "datazone", "rgnl", "regnl", "regional"}
_INPUT = {"inp", "inpt", "input", "in"}
_OUTPUT = {"opt", "outp", "outpt", "output", "out"}
_CACHED = {"cd", "cchd", "cached"}
_WRITTEN = {"wr", "write"}
_TIERS = {"batch": "batch", "pp": "priority", "std": "standard"}
_SIZES = {"shortco": 0, "longco": 272_000}
_NOISE = {"tokens", "token", "1m", "1k", "txt", "text"}
# Tuning, voices and pictures have meters of their own, which are not read.
_OTHERS = {"ft", "rft", "training", "trng", "dev", "aud", "audio", "img", "image", "rt", "realtime", "pro", "unit"}
_FACTOR = {"1K": 1000, "1M": 1}
_NUMBER = re.compile(r"^\d+(?:\.\d+)?$")
_MONTH_AND_DAY = re.compile(r"^(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])$")


class AzureReader:
    """Reads the list."""

    def __init__(self, package: Package) -> None:
        self.package: Package = package
        self.findings: list[Finding] = []

    def read(self, items: Iterable[Mapping[str, Any]]) -> list[Offer]:
        """Return the offers of the list's meters, numbers read as `Decimal`; of several dates the newest counts."""
        cleaner = Cleaner(self.package, "azure")
        rows: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
        for item in sorted(items, key=lambda item: (item["meterName"], item["effectiveStartDate"])):
            factor = _FACTOR.get(item["unitOfMeasure"])
            found = read_meter(item["meterName"]) if factor else None
            if found is None or factor is None:
                continue
            model, meter, tier, size = found
            text = cleaner.price(item["retailPrice"], model, meter, factor)
            if text is not None:
                row = rows.setdefault(model, {}).setdefault((tier, size), {})
                row |= {"tier": tier} if tier != "standard" else {}
                row |= {"over": size} if size else {}
                row[meter] = text
        self.findings = cleaner.findings
        return [
            Offer(self.package, "azure", model, [model], rows=[found[key] for key in sorted(found)], lends=True)
            for model, found in sorted(rows.items())
        ]


def read_meter(name: str) -> tuple[str, str, str, int] | None:
    """Return the model, meter, tier and size that a meter's name says, or None where it is not one that is read."""
    words = re.sub(r"(?<=[a-z0-9])-(?=[a-z0-9])", " ", name.lower()).split()
    said = set(words)
    if not said & _GLOBAL or said & (_ELSEWHERE | _OTHERS) or not said & _NOISE:
        return None
    meter = "output" if said & _OUTPUT else "input"
    if said & _WRITTEN:
        meter = "cache_write_30m"
    elif said & _CACHED:
        meter = "cache_read"
    tier = next((_TIERS[word] for word in words if word in _TIERS), "standard")
    size = next((_SIZES[word] for word in words if word in _SIZES), 0)
    known = _GLOBAL | _INPUT | _OUTPUT | _CACHED | _WRITTEN | set(_TIERS) | set(_SIZES) | _NOISE
    left = [word for word in words if word not in known or (word == "text" and "embedding" in said)]
    if not left or not said & (_INPUT | _OUTPUT | _WRITTEN | {"embedding"}):
        return None
    return model_id(left), meter, tier, size


def model_id(words: list[str]) -> str:
    """Return the id that a model's words mean: ``5.4 mini`` is ``gpt-5.4-mini``; a month and day at the end go."""
    if _MONTH_AND_DAY.match(words[-1]) and len(words) > 1:
        words = words[:-1]
    return "-".join(["gpt", *words] if _NUMBER.match(words[0]) else words)
