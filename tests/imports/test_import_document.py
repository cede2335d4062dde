"""What docs/import.md says of formats and columns is so."""

import re
from pathlib import Path

from farebox.imports.columns import COLUMNS
from farebox.imports.formats import FORMATS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "import.md").read_text()


def test_every_format_is_documented() -> None:
    (table,) = re.findall(r"\| `--format` .*?\n\n", PAGE, re.DOTALL)
    named = set(re.findall(r"`([a-z-]+)`", "\n".join(line.split("|")[1] for line in table.strip().split("\n"))))
    assert named - {"--format"} == set(FORMATS)


def test_every_column_is_documented() -> None:
    section = PAGE.partition("### Files of any program")[2]
    derived = re.compile(r"(part_.+|.+_(ns|s))$")  # said to be like others
    missing = [name for name in COLUMNS if f"`{name}`" not in section and not derived.match(name)]
    assert missing == []
