"""Writes a rate card as TOML: the same table gives the same bytes, one line per row of prices."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from farebox.prices.card import FORMAT
from farebox.usage import METERS

_ROW_ORDER = ("tier", "over", "at_least", "from", "until", "rest", *METERS, "source", "note")
_LINE = 110


def write_card(head: Mapping[str, Any], models: Sequence[Mapping[str, Any]], *, comment: str) -> str:
    """Return the text of a card.

    Args:
        head: provider, name, no_region, tiers, inherit, sources and uplifts, as in a card.
        models: tables as in a card.
        comment: the lines at the top, without their ``#``.
    """
    parts = ["\n".join(f"# {line}".rstrip() for line in comment.splitlines())]
    lines = [f"format = {FORMAT}"]
    lines += [f"{key} = {_value(head[key])}" for key in ("provider", "name", "no_region") if key in head]
    parts.append("\n".join(lines))
    parts += [_table(f"[{key}]", head[key]) for key in ("tiers", "inherit") if head.get(key)]
    parts += [_table(f"[sources.{key}]", source) for key, source in head.get("sources", {}).items()]
    parts += [_table("[[uplifts]]", uplift) for uplift in head.get("uplifts", [])]
    parts += [_model(model) for model in models]
    return "\n\n".join(parts) + "\n"


def _model(model: Mapping[str, Any]) -> str:
    keys = ("id", "names", "patterns", "source", "inherit", "note")
    lines = ["[[models]]", *(f"{key} = {_value(model[key])}" for key in keys if model.get(key)), "prices = ["]
    for row in model["prices"]:
        cells = [f"{key} = {_value(row[key])}" for key in _ROW_ORDER if key in row]
        lines.append(f"  {{ {', '.join(cells)} }},")
    lines.append("]")
    return "\n".join(lines)


def _table(title: str, table: Mapping[str, Any]) -> str:
    return "\n".join([title, *(f"{key} = {_value(value)}" for key, value in table.items())])


def _value(value: Any) -> str:
    """Return a value as TOML; lists that do not fit on a line get one item per line."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        items = [_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        if len(line) <= _LINE:
            return line
        return "[\n" + "".join(f"  {item},\n" for item in items) + "]"
    return str(value)
