"""Reads typed fields out of a rate file's tables; every error names the file, the entry and the key."""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from farebox.errors import ConfigError
from farebox.prices.rates import Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS = 2**63  # nanoseconds since the epoch are kept in 64 bits


def read_toml(file: str, data: bytes) -> dict[str, Any]:
    """Return a file's table.

    Raises:
        ConfigError: where it is no TOML.
    """
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: it is not a TOML file: {error}") from None


def refuse_unknown(entry: Mapping[str, Any], known: Iterable[str], label: str) -> None:
    """Refuse keys that nobody reads.

    Raises:
        ConfigError: naming the first of them and those there are.
    """
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise ConfigError(f"{label}: unknown key `{unknown[0]}`; there are {', '.join(sorted(known))}")


def text(entry: Mapping[str, Any], key: str, label: str, default: str | None = None) -> str:
    """Return a text that is not empty; the default where the key is absent and there is one."""
    if default is not None and key not in entry:
        return default
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{label}: `{key}` must be a text, not {value!r}")
    return value


def texts(entry: Mapping[str, Any], key: str, label: str) -> tuple[str, ...]:
    """Return a list of texts; none where the key is absent."""
    values = entry.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ConfigError(f"{label}: `{key}` must be a list of texts")
    return tuple(values)


def tables(entry: Mapping[str, Any], key: str, label: str) -> list[dict[str, Any]]:
    """Return a list of tables; none where the key is absent."""
    values = entry.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ConfigError(f"{label}: `{key}` must be a list of tables")
    return values


def words(entry: Mapping[str, Any], key: str, label: str) -> dict[str, str]:
    """Return a table of texts; an empty one where the key is absent."""
    values = entry.get(key, {})
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ConfigError(f"{label}: `{key}` must be a table of texts")
    return dict(values)


def number(entry: Mapping[str, Any], key: str, label: str) -> int | None:
    """Return a whole number that is not negative, or None where the key is absent."""
    value = entry.get(key)
    if value is not None and (type(value) is not int or value < 0):
        raise ConfigError(f"{label}: `{key}` must be a whole number, not {value!r}")
    return value


def instant(entry: Mapping[str, Any], key: str, label: str, default: int) -> int:
    """Return an instant with its zone as nanoseconds since the epoch; the default where the key is absent."""
    value = entry.get(key)
    if value is None:
        return default
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ConfigError(f"{label}: `{key}` must be an instant with a zone such as 2026-07-30T00:00:00Z")
    at_ns = (value - _EPOCH) // timedelta(microseconds=1) * 1000
    if abs(at_ns) >= _LAST_NS:
        raise ConfigError(f"{label}: `{key}` must lie between the years 1678 and 2262; leave it out for ever")
    return at_ns


def short_instant(value: datetime) -> str:
    """Return an instant for an id: the day where it is midnight UTC."""
    moment = value.astimezone(UTC)
    midnight = moment.hour == moment.minute == moment.second == moment.microsecond == 0
    return moment.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M:%SZ")


def source(entry: Any, label: str) -> Source:
    """Return a source from its table."""
    if not isinstance(entry, dict):
        raise ConfigError(f"{label}: it must be a table with `url`, `retrieved` and `via`")
    refuse_unknown(entry, ("url", "retrieved", "via"), label)
    return Source(text(entry, "url", label), str(entry.get("retrieved", "")), str(entry.get("via", "")))
