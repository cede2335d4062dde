"""Checks of single fields that fail with OpenAI's own words."""

from typing import Any

from farebox.simulate.asked import Problem


def kind_of(value: Any) -> str:
    """A JSON type as OpenAI's messages call it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def invalid(message: str, param: str | None = None, code: str | None = None) -> Problem:
    """A 400 in OpenAI's form."""
    return Problem(400, message, param=param, code=code)


def wrong_type(param: str, expected: str, value: Any) -> Problem:
    """The field holds another JSON type."""
    got = kind_of(value)
    text = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return invalid(text, param, "invalid_type")


def missing(param: str) -> Problem:
    """The field is required."""
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def one_of(param: str, value: Any, allowed: tuple[str, ...]) -> str:
    """The value, if it is one of the allowed strings."""
    if value not in allowed:
        names = [f"'{name}'" for name in allowed]
        listed = " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + f", and {names[-1]}"
        text = f"Invalid value: '{value}'. Supported values are: {listed}."
        raise invalid(text, param, "invalid_value")
    return str(value)


def number(
    body: dict[str, Any], param: str, low: float | None, high: float | None, *, whole: bool = False
) -> float | None:
    """A number within its bounds, or None if it is absent or null."""
    value = body.get(param)
    if value is None:
        return None
    fits = isinstance(value, int) if whole else isinstance(value, int | float)
    if isinstance(value, bool) or not fits:
        raise wrong_type(param, "an integer" if whole else "a decimal", value)
    word = "integer" if whole else "decimal"
    if low is not None and value < low:
        text = f"Invalid '{param}': {word} below minimum value. Expected a value >= {low}, but got {value} instead."
        raise invalid(text, param, f"{word}_below_min_value")
    if high is not None and value > high:
        text = f"Invalid '{param}': {word} above maximum value. Expected a value <= {high}, but got {value} instead."
        raise invalid(text, param, f"{word}_above_max_value")
    return float(value) if isinstance(value, float) else int(value)


def integer(body: dict[str, Any], param: str, low: int | None, high: int | None) -> int | None:
    """As ``number``, for integers."""
    value = number(body, param, low, high, whole=True)
    return None if value is None else int(value)


def flag(body: dict[str, Any], param: str) -> bool:
    """A boolean; absent and null are false."""
    value = body.get(param)
    if value is not None and not isinstance(value, bool):
        raise wrong_type(param, "a boolean", value)
    return bool(value)


def text(value: Any, param: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong_type(param, "a string", value)
    return value


def known_only(body: dict[str, Any], names: frozenset[str]) -> None:
    """Refuses fields that the API does not have."""
    unknown = [name for name in body if name not in names]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise invalid(f"Unrecognized request argument{plural} supplied: {', '.join(unknown)}")
