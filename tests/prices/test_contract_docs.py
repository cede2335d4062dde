"""The examples of docs/contracts.md, computed: their prices, their usage, and every line they show."""

import re
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest

from farebox.charge import Charge
from farebox.money import usd_text
from farebox.prices.arithmetic import parse_units
from farebox.prices.book import PriceBook, compile_book
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.prices.settle.items import Request, items_of, terms_of
from farebox.prices.settle.nouns import Item, Settlement
from farebox.prices.settle.settler import settle
from farebox.usage import Usage
from tests.prices.settle_cases import DECEMBER, NOVEMBER

DOCS = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()
EXAMPLES = DOCS.partition("\n## Examples\n")[2].partition("\n## ")[0]
USAGE = re.compile(r"(2026-\S+)  +(\S+)  +(.*)")
LINE = re.compile(r"^(\S.*?)  +(-?[\d.]+)$", re.MULTILINE)


def blocks(text: str) -> list[str]:
    """The indented blocks of a text; blank lines are part of one."""
    lines = [line for line in text.splitlines() if line]
    found = groupby(lines, key=lambda line: line.startswith("    "))
    return ["\n".join(line[4:] for line in group) for indented, group in found if indented]


PRICES = blocks(EXAMPLES.partition("\n### ")[0])[0]
SECTIONS = {part.partition("\n")[0]: blocks(part.partition("\n")[2]) for part in EXAMPLES.split("\n### ")[1:]}


def read_items(book: PriceBook, text: str) -> list[Item]:
    items: list[Item] = []
    for number, line in enumerate(text.splitlines()):
        found = USAGE.fullmatch(line)
        assert found, line
        at_ns = int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()) * 10**9
        pairs = [pair.split("=") for pair in found[3].split()]
        usage = Usage({meter: parse_units(units, meter) for meter, units in pairs}, 0)
        charged = charge(book, Rating(provider="acme", answered="", asked=found[2], usage=usage, at_ns=at_ns))
        assert isinstance(charged, Charge), charged
        items += items_of(charged, Request(f"r{number}", at_ns, "organisation", "acme", found[2]))
    return sorted(items, key=lambda item: (item.at_ns, item.id, item.meter))


def lines_of(settlement: Settlement) -> list[tuple[str, str]]:
    """What the documentation shows: amounts by line id, several of an id added up."""
    sums = {"charged one by one": settlement.charged_femto}
    for line in settlement.adjustments:
        sums[line.id] = sums.get(line.id, 0) + line.amount_femto
    sums["owed"] = settlement.owed_femto
    return [(name, usd_text(femto)) for name, femto in sums.items()]


@pytest.mark.parametrize("title", SECTIONS)
def test_example(title: str) -> None:
    *agreed, usage, shown = SECTIONS[title]
    assert len(agreed) <= 1
    assert len(LINE.findall(shown)) == len(shown.splitlines())
    book = compile_book({}, [("docs.toml", "\n".join([PRICES, *agreed]).encode())])
    settlement = settle(read_items(book, usage), terms_of(book, NOVEMBER, DECEMBER))
    assert LINE.findall(shown) == lines_of(settlement)


def test_there_are_examples_of_everything() -> None:
    assert len(SECTIONS) == 7
    ids = {line.partition(" ")[0] for section in SECTIONS.values() for line in section[-1].splitlines()}
    kinds = {name.rpartition("/")[2].partition("#")[0] for name in ids if "/" in name}
    assert kinds == {
        "search", "egress", "volume", "percent", "shortfall", "drawn", "purchase", "covered", "used", "unused",
    }  # fmt: skip
