"""Every command that docs/prices.md shows runs, and prints what the page says it prints."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from farebox.cli.main import cli
from farebox.cli.price_lines import Failure
from farebox.state.archive import use_book
from tests.books.traffic import write_calls
from tests.prices.test_rerate_command import traffic

DOCS = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()
README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", DOCS, re.DOTALL)
SHOWN = [
    (command, output)
    for block in BLOCKS
    for command, output in re.findall(r"^\$ farebox (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]
BOOK = re.compile(r"^(book +)\S{12}$", re.MULTILINE)
# Two of the commands answer a question whose answer may be that something differs.
MAY_FIND = ("prices diff",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the commands name."""
    place = tmp_path_factory.mktemp("docs")
    (place / "answer.json").write_text('{"usage": {"input_tokens": 10, "output_tokens": 20}}')
    line = {"id": 1, "provider": "openai", "model": "gpt-4o", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    (place / "usage.jsonl").write_text(json.dumps(line) + "\n")
    data = place / "farebox-data"
    book = use_book(data)
    write_calls(data, traffic(book))
    return place


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_shown_command_runs(command: str, output: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli, shlex.split(command))
    assert result.exit_code in ((0, 1) if command.startswith(MAY_FIND) else (0,)), result.output
    if output:
        printed = "\n".join(line.rstrip() for line in result.output.splitlines())
        assert BOOK.sub(r"\1............", printed) == output.rstrip("\n")


@pytest.mark.parametrize(
    "command", re.findall(r"^    farebox ((?:price|compare|models|prices).*)$", README, re.MULTILINE)
)
def test_the_readme_commands_run(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli, shlex.split(command))
    assert result.exit_code == 0, result.output


def test_enough_is_shown() -> None:
    commands = {" ".join(shlex.split(command)[:2]) for command, _ in SHOWN}
    assert {"price --jsonl", "prices history", "prices diff", "prices rerate"} <= commands
    assert sum(bool(output) for _, output in SHOWN) == 1


def test_every_error_code_is_documented() -> None:
    source = (Path(__file__).parents[2] / "farebox" / "cli" / "price_lines.py").read_text()
    codes = set(re.findall(rf'{Failure.__name__}\("(\w+)"', source)) | set(re.findall(r'return "(\w+)"', source))
    assert len(codes) == 7
    for code in codes:
        assert f"`{code}`" in DOCS


def test_every_option_that_is_named_exists() -> None:
    known = ""
    for command in (
        ["price"],
        ["compare"],
        ["models"],
        ["prices", "diff"],
        ["prices", "rerate"],
        ["prices", "history"],
    ):
        known += CliRunner().invoke(cli, [*command, "--help"]).output
    for option in re.findall(r"`(--[a-z-]+)", DOCS):
        assert option in known, option
