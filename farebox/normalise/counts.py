"""How a count is read from a provider's usage object: the only door for a quantity.

A count is a JSON integer, never a bool, a float or a string. `null` means absent; 0 does not.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation

# No request is larger; it also keeps every line of a charge inside 64 bits (see prices/engine.py).
MAX_COUNT = 2**31 - 1


def read_count(raw: Mapping[str, Any], key: str) -> int | None:
    """Return the count under ``key``, or None where it is absent or null.

    Raises:
        UsageViolation: where it is anything else than an integer from 0 to `MAX_COUNT`.
    """
    value = raw.get(key)
    if value is None:
        return None
    # `type` instead of `isinstance`: True is an int.
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    raise UsageViolation(f"{key} is a count", f"{value!r:.60} is not an integer from 0 to {MAX_COUNT}")


def need_count(raw: Mapping[str, Any], key: str) -> int:
    """Return the count under ``key``.

    Raises:
        UsageViolation: where it is absent, null or not a count.
    """
    value = read_count(raw, key)
    if value is None:
        raise UsageViolation(f"{key} is a count", "it is missing")
    return value


def read_details(raw: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    """Return the object under ``key``, or None where it is absent or null.

    Raises:
        UsageViolation: where it is not an object.
    """
    value = raw.get(key)
    if value is None or type(value) is dict or isinstance(value, Mapping):  # the ABC's check is slow
        return value
    raise UsageViolation(f"{key} is an object", f"{value!r:.60}")
