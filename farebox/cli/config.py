"""``farebox config check``: whether a configuration can be used, and what would be in force."""

import os
import time
from pathlib import Path

import click
import msgspec

from farebox.charge import Unpriced
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.config.tables import Config
from farebox.present.tables import make_console, print_facts, print_table
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.route import Routes, Target
from farebox.state.checked import check as check_config
from farebox.state.pricebook import load_book
from farebox.state.pushed import list_pushed
from farebox.state.settings import read_config
from farebox.usage import Usage


class ModelInForce(msgspec.Struct, frozen=True):
    """A model as it would be routed: ``targets`` in the order of the file, ``unpriced`` those without a price."""

    name: str
    strategy: str
    targets: list[str]
    unpriced: list[str]


class InForce(msgspec.Struct, frozen=True):
    """What a configuration comes to."""

    file: str
    host: str
    prices: str
    providers: list[dict[str, str]]
    models: list[ModelInForce]
    keys: list[str]
    budgets: list[str]
    policies: list[str]
    findings: list[str]


@click.group()
def config() -> None:
    """Check a configuration before it is in force."""


@config.command()
@config_option
@data_dir_option
@json_option
@click.pass_context
def check(context: click.Context, config_path: Path | None, data_dir: Path, *, as_json: bool) -> None:
    """Say whether a configuration can be used, and what would be in force. Nothing is changed.

    Exit code 0: it can be used. 1: it can, and something needs a look. 2: it cannot; the message names the key.
    """
    path = find_config(config_path)
    tables = read_config(path, os.environ)
    base = Path() if path is None else path.parent
    book = load_book([*(base / name for name in tables.prices), *list_pushed(data_dir)])
    found = _look(tables, book, "" if path is None else str(path))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        _print(found)
    if found.findings:
        context.exit(1)


def _look(tables: Config, book: PriceBook, path: str) -> InForce:
    checked = check_config(tables, book)
    models = [_model(one.name, one.strategy, checked.routes, book) for one in tables.models]
    findings = [f"model {model.name}: {target} has no price" for model in models for target in model.unpriced]
    return InForce(
        file=path,
        host=tables.host,
        prices=book.hash,
        providers=[
            {
                "name": one.name,
                "kind": one.kind,
                "base_url": one.base_url,
                "keys": str(len(one.keys) or int(bool(one.api_key))),
            }
            for one in tables.providers
        ],
        models=models,
        keys=[one.name for one in tables.keys],
        budgets=[_budget_text(one) for one in tables.budgets],
        policies=[f"{one.name}: {one.then} {one.use}".rstrip() for one in tables.policies],
        findings=findings,
    )


def _budget_text(table: msgspec.Struct) -> str:
    words = msgspec.structs.asdict(table)
    if words["unit"] == "usd":
        return f"{words['account']}: {words['amount']} {words['currency']} a {words['window']}"
    return f"{words['account']}: {words['limit']} {words['unit']} a {words['window']}"


def _model(name: str, strategy: str, routes: Routes, book: PriceBook) -> ModelInForce:
    targets = routes.resolve(name)
    names = [f"{one.provider.name}/{one.model}" for one in targets]
    unpriced = [text for text, one in zip(names, targets, strict=True) if not _is_priced(one, book)]
    return ModelInForce(name, strategy, names, unpriced)


def _is_priced(target: Target, book: PriceBook) -> bool:
    """Return whether a token of input has a price there now."""
    provider = target.provider
    rating = Rating(
        target.rate_provider,
        "",
        target.model,
        Usage({"input": 1}, 1),
        time.time_ns(),
        target.service_tier or None,
        region=provider.region or None,
        facts={"deployment": provider.deployment} if provider.deployment else {},
    )
    return not isinstance(charge(book, rating), Unpriced)


def _print(found: InForce) -> None:
    console = make_console()
    print_facts(
        console,
        [
            ("file", found.file or "none: everything as it comes"),
            ("listens on", found.host),
            ("price book", found.prices[:16]),
            ("keys", ", ".join(found.keys) or "none in the file"),
        ],
    )
    if not found.providers:
        console.print("\nNo provider: simulated ones would answer.")
    else:
        rows = [(one["name"], one["kind"], one["keys"], one["base_url"]) for one in found.providers]
        print_table(console, "Providers", ("name", "kind", ">keys", "base URL"), rows)
    if found.models:
        models = [(one.name, one.strategy, ", ".join(one.targets)) for one in found.models]
        print_table(console, "Models", ("name", "strategy", "targets"), models)
    for title, lines in (("Budgets and limits", found.budgets), ("Policies", found.policies)):
        if lines:
            print_table(console, title, ("",), [(line,) for line in lines])
    console.print()
    for finding in found.findings:
        console.print(f"! {finding}")
    console.print("It can be used." if not found.findings else "It can be used; see above.")
