"""Applies what vendors publish beside the tables of models: the rules of ``data/published/<provider>.toml``.

They are written by hand from the vendors' own pages, so they go before whatever packages say.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from farebox.prices.importing.offers import conditions, decimal_text
from farebox.prices.match import fits
from farebox.usage import METERS

Models = dict[str, dict[str, Any]]
_BLANK_MODEL = ("names", "patterns")
_ROW_WORDS = ("models", "prices", "replace", "times", "meters")


def apply_rules(rules: dict[str, Any], models: Models) -> list[str]:
    """Change models as the rules of a provider say; return what a maintainer should look at."""
    notes: list[str] = []
    for kind, apply in _RULES.items():
        for rule in rules.get(kind, []):
            apply(rule, models, notes)
    return notes


def _drop(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    for model in list(_chosen(rule, models, notes, "drop")):
        del models[model["id"]]


def _replace(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    """Put a whole model in the place of what was imported, key by key."""
    model = {**models.get(rule["id"], {}), **rule}
    model.setdefault("prices", [])
    for other in models.values():
        if other["id"] == rule["id"]:
            continue
        for key in _BLANK_MODEL:
            taken = set(rule.get(key, ())) & set(other.get(key, ()))
            if taken:
                other[key] = [text for text in other[key] if text not in taken]
                notes.append(f"{rule['id']}: takes {', '.join(sorted(taken))} from {other['id']}")
    models[rule["id"]] = model


def _patch(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    wanted = {"models": rule.get("models") or [rule["id"]]}
    for model in _chosen(wanted, models, notes, "patch"):
        for key in _BLANK_MODEL:
            model[key] = list(dict.fromkeys([*model.get(key, []), *rule.get(key, [])]))
        for key in ("inherit", "about"):
            if key in rule:
                model[key] = {**model.get(key, {}), **rule[key]}
        if "note" in rule:
            model["note"] = rule["note"]
        cleared = rule.get("clear", ())
        model["prices"] = [
            row for row in model["prices"] if "*" not in cleared and row.get("tier", "standard") not in cleared
        ]
        for row in rule.get("rows", []):
            _merge_row(model["prices"], row)


def _merge_row(rows: list[dict[str, Any]], given: dict[str, Any]) -> None:
    """Set a row's keys in the row with the same conditions and times, or add it."""
    mark = (conditions(given), given.get("from"), given.get("until"))
    for row in rows:
        if (conditions(row), row.get("from"), row.get("until")) == mark:
            row |= {key: value for key, value in given.items() if value != ""}
            for key, value in given.items():
                if value == "":
                    row.pop(key, None)
            if set(given) & set(METERS) and "note" not in given:
                row.pop("note", None)
            return
    rows.append({key: value for key, value in given.items() if value != ""})


def _add_tier(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    """Make rows of a tier that is published as a multiple of the standard one."""
    for model in _chosen(rule, models, notes, "tier_multiples"):
        there = [row for row in model["prices"] if row.get("tier") == rule["tier"] and not row.get("when")]
        if there and not rule.get("replace"):
            notes.append(f"{model['id']}: has rows of the tier {rule['tier']} already; its multiple is left out")
            continue
        for row in there:
            model["prices"].remove(row)
        made = [_multiply_row(row, rule) for row in model["prices"] if _is_plain(row)]
        model["prices"] += [row for row in made if set(row) & set(METERS)]


def _multiply_row(row: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"tier": rule["tier"], "rest": "standard"}
    made |= {key: rule[key] for key in ("from", "until", "when", "source", "note") if key in rule}
    made |= {key: row[key] for key in ("over", "at_least", "schedule", "currency") if key in row}
    for meter in METERS:
        wanted = rule["meters"] if "meters" in rule else [meter] if METERS[meter].unit == "token" else []
        if meter in row and meter in wanted:
            made[meter] = times(row[meter], rule["times"])
    return made


def _add_prices(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    """Add prices that many models share, such as the fees of tools, as a row of its own that holds at every tier."""
    row = {"tier": "any", **{key: value for key, value in rule.items() if key not in _ROW_WORDS}, **rule["prices"]}
    for model in _chosen(rule, models, notes, "adds"):
        for other in model["prices"]:
            if not set(row) & {"when", "from", "until", "schedule"}:
                for meter in rule["prices"]:
                    other.pop(meter, None)
        model["prices"] = [other for other in model["prices"] if set(other) & set(METERS) or "rest" in other]
        _join_row(model["prices"], row)


def _join_row(rows: list[dict[str, Any]], given: dict[str, Any]) -> None:
    """Add a row, or its prices to the row with the same conditions and times."""
    mark = (conditions(given), given.get("from"), given.get("until"))
    for row in rows:
        if (conditions(row), row.get("from"), row.get("until")) == mark:
            for key, value in given.items():
                row[key] = {**row[key], **value} if key in row and isinstance(value, dict) else value
            return
    rows.append(dict(given))


def _add_meter(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    for model in _chosen(rule, models, notes, "multiples"):
        for row in model["prices"]:
            tier = row.get("tier", "standard")
            if (
                rule["of"] in row
                and tier in rule.get("tiers", (tier,))
                and (rule.get("replace") or rule["meter"] not in row)
            ):
                row[rule["meter"]] = times(row[rule["of"]], rule["times"])


def _add_inheritance(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    for model in _chosen(rule, models, notes, "inherits"):
        model["inherit"] = {**model.get("inherit", {}), **rule["inherit"]}


def _end_tier(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    for model in _chosen(rule, models, notes, "ends"):
        for row in model["prices"]:
            if row.get("tier", "standard") == rule["tier"] and "until" not in row:
                row["until"] = rule["until"]


def _start_tier(rule: dict[str, Any], models: Models, notes: list[str]) -> None:
    for model in _chosen(rule, models, notes, "starts"):
        for row in model["prices"]:
            if row.get("tier", "standard") == rule["tier"]:
                row["from"] = max(rule["from"], row.get("from", rule["from"]))


def _chosen(rule: dict[str, Any], models: Models, notes: list[str], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the models that a rule is about."""
    for pattern in rule["models"]:
        found = [model for model in list(models.values()) if fits(pattern, model["id"])]
        if not found:
            notes.append(f"{pattern}: a published rule ({kind}) names it, but there is no such model")
        yield from found


def _is_plain(row: dict[str, Any]) -> bool:
    return row.get("tier", "standard") == "standard" and "until" not in row and not row.get("when")


def times(price: str, factor: str) -> str:
    """Return a price text times a factor, for as much as before."""
    amount, slash, per = price.partition("/")
    return decimal_text(Decimal(amount) * Decimal(factor)) + slash + per


_Rule = Callable[[dict[str, Any], Models, list[str]], None]
_RULES: dict[str, _Rule] = {
    "drop": _drop,
    "models": _replace,
    "patch": _patch,
    "tier_multiples": _add_tier,
    "adds": _add_prices,
    "multiples": _add_meter,
    "inherits": _add_inheritance,
    "ends": _end_tier,
    "starts": _start_tier,
}
