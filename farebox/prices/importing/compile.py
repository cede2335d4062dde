"""Makes a provider's card out of what packages say of it and of what was written by hand.

Offers of different packages become groups, one per model; the gate judges each group; the published rules are
applied; the card is read back as the gateway would read it, and a model that it refuses is left out by name. The
same input gives the same bytes.
"""

import tomllib
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec

from farebox.errors import ConfigError
from farebox.prices.card import read_card
from farebox.prices.importing.gate import Gate
from farebox.prices.importing.grouping import group_offers
from farebox.prices.importing.offers import Finding, Offer, Package, midnight, unique
from farebox.prices.importing.providers import PROVIDERS
from farebox.prices.importing.published import apply_rules
from farebox.prices.match import Matcher
from farebox.prices.write import write_card

_HEAD = ("provider", "name", "note", "no_region", "regions", "reported", "tiers", "inherit", "facts")
_LISTS = ("schedules", "pools", "uplifts")


class Compiled(msgspec.Struct):
    """A card and what there is to say about it.

    Attributes:
        provider: id in the book.
        text: the card, TOML.
        models: how many have a price.
        agreed: prices on which two packages agree.
        single: prices that one package knows.
        review: prices that were left out.
        findings: for the review list.
        notes: for the maintainer.
    """

    provider: str
    text: str
    models: int
    agreed: int
    single: int
    review: int
    findings: list[Finding]
    notes: list[str]


def compile_card(
    provider: str,
    offers: Sequence[Offer],
    published: bytes | None,
    *,
    day: date,
    schedules: Iterable[dict[str, Any]] = (),
) -> Compiled:
    """Return a provider's card.

    Args:
        provider: id in the book.
        offers: what packages say, the package that leads first.
        published: the TOML of ``data/published/<provider>.toml``, or None.
        day: of the import.
        schedules: that rows of the offers name.

    Raises:
        ConfigError: where what was written by hand has a fault.
    """
    rules = _read_published(provider, published)
    gate = Gate(midnight(day), rules.get("decide", ()))
    findings: list[Finding] = []
    models: dict[str, dict[str, Any]] = {}
    counts = [0, 0, 0]
    for group in group_offers(offers, findings):
        verdict = gate.judge(group)
        findings += verdict.findings
        if verdict.model is not None:
            models[verdict.model["id"]] = verdict.model
        for index, count in enumerate((verdict.agreed, verdict.single, verdict.review)):
            counts[index] += count
    head = _head(provider, rules, offers, day)
    for model in models.values():
        _name_sources(model, head, offers, day)
    notes = apply_rules(rules, models)
    models = {key: model for key, model in models.items() if model["prices"]}
    _complete_head(head, models, schedules)
    notes += _settle_names(models)
    models, broken = _readable(head, models)
    notes += broken
    packages = unique(offer.package.label for offer in offers)
    text = write_card(head, [models[key] for key in sorted(models)], comment=_comment(head["name"], provider, packages))
    return Compiled(provider, text, len(models), counts[0], counts[1], counts[2], findings, notes)


def _read_published(provider: str, published: bytes | None) -> dict[str, Any]:
    try:
        return tomllib.loads(published.decode()) if published is not None else {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"published/{provider}.toml: it is not a TOML file: {error}") from None


def _head(provider: str, rules: dict[str, Any], offers: Sequence[Offer], day: date) -> dict[str, Any]:
    known = PROVIDERS.get(provider)
    head: dict[str, Any] = {"provider": provider, "name": known.name if known else provider}
    head |= {key: rules[key] for key in _HEAD if key in rules}
    sources = {key: dict(source) for key, source in rules.get("sources", {}).items()}
    plain = sources.setdefault("list", {"url": known.url if known else ""})
    if "retrieved" not in plain:
        plain["retrieved"] = day.isoformat()
        labels = unique(offer.package.label for offer in offers)
        if labels:
            plain["via"] = ", ".join(labels)
    head["sources"] = sources
    head |= {key: rules[key] for key in _LISTS if key in rules}
    return head


def _name_sources(model: dict[str, Any], head: dict[str, Any], offers: Sequence[Offer], day: date) -> None:
    """Give every row its source: the vendor's page, by way of the packages that back the row."""
    packages = {offer.package.name: offer.package for offer in offers}
    keys: list[str] = []
    for row in model["prices"]:
        names = row.pop("by")
        backing = [package for name, package in packages.items() if name in names]
        row["source"] = _source_key(row, head["sources"], backing, day)
        keys.append(row["source"])
    usual = max(dict.fromkeys(keys), key=keys.count)
    for row in model["prices"]:
        if row["source"] == usual:
            del row["source"]
    model["source"] = usual


def _source_key(row: dict[str, Any], sources: dict[str, Any], backing: list[Package], day: date) -> str:
    tier = row.get("tier", "standard")
    special = "" if tier == "standard" else "batch" if tier == "batch" else "tiers"
    special = special if special in sources else ""
    key = "_".join([*(package.name for package in backing), *([special] if special else [])])
    if key not in sources:
        page = sources[special or "list"]
        sources[key] = {
            "url": page["url"],
            "retrieved": max((package.day for package in backing), default=day).isoformat(),
            "via": ", ".join(package.label for package in backing),
        }
    return key


def _complete_head(
    head: dict[str, Any], models: dict[str, dict[str, Any]], schedules: Iterable[dict[str, Any]]
) -> None:
    """Add the words for tiers and the schedules that the models need; leave out sources that nothing names."""
    rows = [row for model in models.values() for row in model["prices"]]
    tiers = head.setdefault("tiers", {})
    needed = ["default", "standard", *sorted({row.get("tier", "standard") for row in rows} - {"any", "standard"})]
    for word in needed:
        tiers.setdefault(word, "standard" if word == "default" else word)
    if "inherit" not in head:
        head["inherit"] = {"reasoning": "output"}
    named = {row["schedule"] for row in rows if "schedule" in row}
    there = {schedule["id"] for schedule in head.get("schedules", ())}
    more = [schedule for schedule in schedules if schedule["id"] in named - there]
    if more:
        head["schedules"] = [*head.get("schedules", ()), *more]
    used = {entry.get("source") for kind in _LISTS for entry in head.get(kind, ())}
    used |= {model.get("source") for model in models.values()} | {row.get("source") for row in rows} | {"list"}
    head["sources"] = {key: source for key, source in head["sources"].items() if key in used}


def _settle_names(models: dict[str, dict[str, Any]]) -> list[str]:
    """Give every name and pattern to one model: to that of the same id, else to the first."""
    notes: list[str] = []
    for key in ("names", "patterns"):
        owners: dict[str, str] = {}
        for model in models.values():
            for text in model.get(key, ()):
                if text not in owners or text == model["id"]:
                    owners[text] = model["id"]
        for model in models.values():
            lost = [text for text in model.get(key, ()) if owners[text] != model["id"]]
            if lost:
                model[key] = [text for text in model[key] if owners[text] == model["id"]]
                notes.append(f"{model['id']}: {', '.join(lost)} belong to another model")
    for model in list(models.values()):
        if not model.get("names") and not model.get("patterns"):
            del models[model["id"]]
            notes.append(f"{model['id']}: left out: all its names belong to other models")
    return notes


def _readable(head: dict[str, Any], models: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the models that a card's reader takes, and what it said of the others.

    Raises:
        ConfigError: where the head has a fault.
    """
    file = f"{head['provider']}.toml"
    read_card(file, write_card(head, [], comment="").encode())
    try:
        card = read_card(file, write_card(head, list(models.values()), comment="").encode())
        Matcher(head["provider"], card.models)
    except ConfigError:
        pass
    else:
        return models, []
    kept: dict[str, dict[str, Any]] = {}
    read: list[Any] = []
    notes: list[str] = []
    for key, model in models.items():
        # One that has a fault is tried once more with its plain rows only.
        for form in (model, {**model, "prices": [row for row in model["prices"] if _is_plain(row)]}):
            try:
                card = read_card(file, write_card(head, [form], comment="").encode())
                Matcher(head["provider"], [*read, *card.models])
            except ConfigError as error:
                notes.append(f"{key}: {'reduced to plain rows' if form is model else 'left out'}: {error}")
            else:
                kept[key] = form
                read += card.models
                break
    return kept, notes


def _is_plain(row: dict[str, Any]) -> bool:
    return not set(row) & {"when", "schedule", "tier"}


def _comment(name: str, provider: str, packages: list[str]) -> str:
    via = f"{', '.join(packages)} and " if packages else ""
    return (
        f"Prices of {name}, written by `farebox prices import` from\n{via}data/published/{provider}.toml.\n"
        "docs/prices.md explains the format."
    )
