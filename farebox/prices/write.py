"""Writes a rate card as TOML: the same table gives the same bytes, one line per row of prices."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from farebox.prices.card import FORMAT
from farebox.usage import METERS

_HEAD = ("provider", "name", "note", "no_region", "regions", "reported")
_TABLES = ("tiers", "inherit", "facts")
_LISTS = ("schedules", "pools", "uplifts")
_MODEL = ("id", "names", "patterns", "source", "inherit", "note", "about")
_CONDITIONS = ("tier", "when", "schedule", "over", "at_least", "from", "until", "currency", "rest")
_TERMS = ("least", "step", "least_usd", "marginal", "pool", "source", "note")
_ROW_ORDER = (*_CONDITIONS, *METERS, *_TERMS)
_LINE = 110
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def write_card(head: Mapping[str, Any], models: Sequence[Mapping[str, Any]], *, comment: str) -> str:
    """Return the text of a card.

    Args:
        head: everything of a card but its models, as in a card.
        models: tables as in a card.
        comment: the lines at the top, without their ``#``.
    """
    parts = ["\n".join(f"# {line}".rstrip() for line in comment.splitlines())] if comment else []
    lines = [f"format = {FORMAT}", *(f"{key} = {_value(head[key])}" for key in _HEAD if key in head)]
    parts.append("\n".join(lines))
    parts += [_table(f"[{key}]", head[key]) for key in _TABLES if head.get(key)]
    parts += [_table(f"[sources.{_key(key)}]", source) for key, source in head.get("sources", {}).items()]
    parts += [_table(f"[[{kind}]]", entry) for kind in _LISTS for entry in head.get(kind, [])]
    parts += [_model(model) for model in models]
    return "\n\n".join(parts) + "\n"


def _model(model: Mapping[str, Any]) -> str:
    lines = ["[[models]]", *(f"{key} = {_value(model[key])}" for key in _MODEL if model.get(key)), "prices = ["]
    for row in model["prices"]:
        cells = [f"{key} = {_value(row[key], flat=True)}" for key in _ROW_ORDER if key in row]
        lines.append(f"  {{ {', '.join(cells)} }},")
    lines.append("]")
    return "\n".join(lines)


def _table(title: str, table: Mapping[str, Any]) -> str:
    return "\n".join([title, *(f"{_key(key)} = {_value(value)}" for key, value in table.items())])


def _key(key: str) -> str:
    return key if key and set(key) <= _BARE else _value(key)


def _value(value: Any, *, flat: bool = False) -> str:
    """Return a value as TOML; lists that do not fit on a line get one item per line, unless ``flat``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return _text(value.isoformat())
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item, flat=True)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        items = [_value(item, flat=flat) for item in value]
        line = f"[{', '.join(items)}]"
        if flat or len(line) <= _LINE:
            return line
        return "[\n" + "".join(f"  {item},\n" for item in items) + "]"
    return str(value)


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
