"""Where in its period a usage stands: what was used before it, and what of it is free of charge.

Contexts say so under many names: ``free_gb``, ``free_searches_remaining``, ``month_to_date_gb``, ``queries_used``.
The words for free and for used are taken off; what is left names the meter or its unit, and where it does not,
the one meter that can be meant is.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from farebox.normalise.amounts import exact, parts_of
from farebox.normalise.billed import parse_number
from farebox.normalise.quantities import Named, read_name, words_of
from farebox.normalise.server_tools import TOOLS, meter_of, tool_of
from farebox.usage import METERS

_LEFT = frozenset(("remaining", "left"))
_FREE = frozenset(("free", "allowance", "included")) | _LEFT
_USED = frozenset(("used", "mtd", "cumulative", "prior", "previous", "previously", "already", "consumed", "before"))
_BESIDE = frozenset(
    (
        "tier",
        "quota",
        "so",
        "far",
        "this",
        "month",
        "to",
        "date",
        "monthly",
        "daily",
        "day",
        "in",
        "units",
        "usage",
        "pool",
    )
)
_TO_DATE = ({"month", "to", "date"}, {"so", "far"}, {"this", "month"}, {"day", "to", "date"})
_ITSELF = frozenset(("used", "consumed"))
_TOKENS = frozenset(name for name, meter in METERS.items() if meter.family in {"input", "output"})
_DAY_S = 86_400


class Allowances(msgspec.Struct, frozen=True):
    """What a context says about the period.

    Attributes:
        used: by meter, how many of its smallest part were used before.
        free: by meter, how many of them are free of charge still.
        days: over how many days what is stored is stored, 1 where nothing is.
        given: whether the context says anything of all this.
    """

    used: dict[str, int]
    free: dict[str, int]
    days: int
    given: bool


def read_allowances(
    raw: Mapping[str, Any], context: Mapping[str, Any], meters: Mapping[str, int], span_s: Fraction | None
) -> Allowances:
    """Return what a context, or the usage itself, says about the period that a usage is in.

    Args:
        raw: the usage object.
        context: what is known beside it.
        meters: of the usage.
        span_s: over how many seconds it is held, where it is.

    Raises:
        UsageViolation: where an amount is none.
    """
    days = 1 if span_s is None else max(1, -(-span_s // _DAY_S))
    used: dict[str, int] = {}
    free: dict[str, int] = {}
    left: dict[str, int] = {}
    inside = [(key, value) for key, value in raw.items() if is_allowance(key, in_usage=True)]
    for key, value in (*inside, *context.items()):
        said = _split(key)
        if said is None or not parse_number(value):
            continue
        kind, rest = said
        meter, factor = _find_meter(rest, meters)
        if not meter:
            continue
        if meter == "file_storage" and factor is not None and span_s is not None:
            factor *= span_s / _DAY_S  # so many gigabytes on every day
        amount = exact(value, key) * (1 if factor is None else factor)
        {"used": used, "free": free, "left": left}[kind][meter] = parts_of(meter, amount, key)
    free = {meter: max(0, parts - used.get(meter, 0)) for meter, parts in free.items()} | left
    if not (used or free):
        beside = [meter for meter in meters if meter not in _TOKENS]
        if beside and any(_is_month(key, value) for given in (raw, context) for key, value in given.items()):
            used = dict.fromkeys(beside, 0)
    return Allowances(used, free, int(days), bool(used or free))


@lru_cache(maxsize=4096)
def is_allowance(key: str, *, in_usage: bool = False) -> bool:
    """Return whether a key says what is free of charge or what was used before.

    Args:
        key: of a context or of a usage object.
        in_usage: whether it is of a usage object, where "used" is the usage itself.
    """
    if _split(key) is None:
        return False
    words = set(words_of(key))
    return not in_usage or not words.isdisjoint(_FREE | (_USED - _ITSELF)) or any(to <= words for to in _TO_DATE)


def _is_month(key: str, value: Any) -> bool:
    """Return whether a key or its value says that the usage is that of a whole month."""
    words = words_of(key)
    if words in {("period",), ("kind",), ("per",)}:
        return isinstance(value, str) and not {"month", "monthly"}.isdisjoint(words_of(value))
    return words == ("month",) or words[-2:] == ("per", "month") or words[:1] == ("monthly",)


@lru_cache(maxsize=4096)
def _split(key: str) -> tuple[str, str] | None:
    """Return whether a key says what is free, left of it or used, and the rest of its words; None: none of them."""
    words = words_of(key)
    to_date = any(phrase <= set(words) for phrase in _TO_DATE)
    is_used = to_date or not _USED.isdisjoint(words)
    if not is_used and _FREE.isdisjoint(words):
        return None
    rest = [word for word in words if word not in _FREE and word not in _USED and word not in _BESIDE]
    # "Used" of what is free is used; "remaining" is what is free still.
    kind = "left" if not _LEFT.isdisjoint(words) else "used" if is_used else "free"
    return kind, "_".join(rest)


def _find_meter(rest: str, meters: Mapping[str, int]) -> tuple[str, Fraction | None]:
    """Return the meter that is meant and the factor into its unit; None: the amount is in that unit."""
    beside = [meter for meter in meters if meter not in _TOKENS]
    tool = tool_of(rest) if rest else ""
    if tool in TOOLS:
        named = meter_of(tool, "")
        if named is not None and named in meters:
            return named, None
    unit = read_name(rest) if rest else None
    if unit is not None:
        fitting = [(meter, factor) for meter in beside if (factor := _factor(unit, meter)) is not None]
        if len(fitting) == 1:
            return fitting[0]
    return (beside[0], None) if len(beside) == 1 else ("", None)


def _factor(named: Named, meter: str) -> Fraction | None:
    """Return the factor from what a name says into the unit of a meter, or None where they do not fit."""
    unit = METERS[meter].unit
    fits = {
        "size": ("GB", "GB-day"),
        "size_time": ("GB-day",),
        "time": ("second",),
        "token_time": ("token-hour",),
        "unit_time": ("unit-hour",),
        "usd": ("USD",),
    }
    if named.role == "piece":
        return Fraction(1) if named.of == meter else None
    return named.factor if unit in fits.get(named.role, ()) else None
