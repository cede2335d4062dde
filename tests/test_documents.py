"""The documents say what is so: every configuration key, every command, every link."""

import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from farebox.cli.main import COMMANDS, cli
from farebox.config import models, policies, providers, tables
from farebox.config.parse import parse
from farebox.providers.profile import PROFILES

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PAGE = (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize(
    "table",
    [
        tables.Config,
        tables.Key,
        tables.Limits,
        tables.Alerts,
        tables.BudgetTable,
        tables.Spending,
        providers.Provider,
        providers.ProviderKey,
        models.Model,
        models.Target,
        models.When,
        models.Balance,
        models.Auto,
        models.Hedge,
        policies.Retries,
        policies.Breaker,
        policies.Shedding,
        policies.Policy,
        policies.PolicyWhen,
    ],
    ids=lambda t: t.__name__,
)
def test_every_key_is_documented(table: type[msgspec.Struct]) -> None:
    for field in table.__struct_fields__:
        assert (
            f"`{field}`" in PAGE
            or f"[[{field}]]" in PAGE
            or f"[{field}]" in PAGE
            or f"{field}" in PAGE.split("targets")[1]
        ), field


@pytest.mark.parametrize("table", [tables.Limits, policies.Retries, policies.Breaker], ids=lambda t: t.__name__)
def test_defaults_are_true(table: type[msgspec.Struct]) -> None:
    for name, value in msgspec.structs.asdict(table()).items():
        assert f"| `{name}` | `{value}` |" in PAGE


def test_every_kind_is_documented() -> None:
    assert all(f"`{kind}`" in PAGE for kind in PROFILES)


def test_readme_config_is_valid() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    parsed = parse(block, "README.md", lambda _: "secret", frozenset(PROFILES))
    assert len(parsed.providers) == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    for command in re.findall(r"(?:^    |`)farebox ([a-z]+)", document.read_text(), re.MULTILINE):
        assert command in COMMANDS, f"{document.name} names farebox {command}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"], prog_name="farebox")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: farebox {command}")


@pytest.mark.parametrize("target", re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))
def test_make_targets_exist(target: str) -> None:
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()
