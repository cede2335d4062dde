"""Checks of single fields that fail with Anthropic's own words."""

from typing import Any

from farebox.simulate.asked import Problem


def invalid(message: str) -> Problem:
    """A 400 in Anthropic's form."""
    return Problem(400, message)


def required(body: dict[str, Any], name: str, at: str = "") -> Any:
    """The field's value, which may not be absent or null."""
    if body.get(name) is None:
        raise invalid(f"{at or name}: Field required")
    return body[name]


def integer(body: dict[str, Any], name: str, low: int, at: str = "") -> int:
    """An integer from ``low`` up."""
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"{at or name}: Input should be a valid integer")
    if value < low:
        raise invalid(f"{at or name}: Input should be greater than or equal to {low}")
    return value


def number(body: dict[str, Any], name: str, low: float, high: float) -> None:
    """A number within its bounds, absent or null."""
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"{name}: Input should be a valid number")
    if not low <= value <= high:
        raise invalid(f"{name}: range: {low}..{high}")


def known_only(body: dict[str, Any], names: frozenset[str]) -> None:
    """Refuses fields that the API does not have."""
    for name in body:
        if name not in names:
            raise invalid(f"{name}: Extra inputs are not permitted")
