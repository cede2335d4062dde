"""``farebox config check``: 0 where all is well, 1 where a look is needed, 2 where it cannot be used."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farebox.cli.config import config
from farebox.errors import ConfigError

GOOD = """
providers = [{ name = "openai", kind = "openai", api_key = "sk-1" }]
keys = [{ name = "ci", key = "fb-0123456789abcdef0123456789abcdef" }]
[[models]]
name = "smart"
strategy = "cheapest"
targets = [{ provider = "openai", model = "gpt-4o" }, { provider = "openai", model = "gpt-4o-mini" }]
[[budgets]]
account = "org"
amount = "50"
[[policies]]
name = "thrift"
when = { budget_percent = 80 }
then = "refuse"
"""


def check(tmp_path: Path, text: str, *options: str) -> Result:
    path = tmp_path / "farebox.toml"
    path.write_text(text)
    return CliRunner().invoke(config, ["check", "--config", str(path), "--data-dir", str(tmp_path / "data"), *options])


def test_a_good_file(tmp_path) -> None:
    result = check(tmp_path, GOOD, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["models"] == [
        {"name": "smart", "strategy": "cheapest", "targets": ["openai/gpt-4o", "openai/gpt-4o-mini"], "unpriced": []}
    ]
    assert found["providers"][0]["keys"] == "1"
    assert found["budgets"] == ["org: 50 USD a month"]
    assert found["policies"] == ["thrift: refuse"]
    assert found["findings"] == []
    assert "sk-1" not in result.output
    assert not (tmp_path / "data").exists(), "it only looks"


def test_a_table_fits_a_narrow_terminal(tmp_path) -> None:
    result = check(tmp_path, GOOD)
    assert result.exit_code == 0
    assert "It can be used." in result.output
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80


def test_a_model_without_a_price_is_a_finding(tmp_path) -> None:
    result = check(tmp_path, GOOD.replace('model = "gpt-4o-mini"', 'model = "made-up"'))
    assert result.exit_code == 1
    assert "model smart: openai/made-up has no price" in result.output


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('strategy = "cheapest"', 'strategy = "cheap"', "strategy"),
        ('provider = "openai", model = "gpt-4o" ', 'provider = "other", model = "gpt-4o" ', "other"),
        ("budget_percent = 80", "budget_percent = 800", "budget_percent"),
        ('amount = "50"', 'amount = "-1"', "amount"),
        ('api_key = "sk-1"', 'api_key = "env:NOT_THERE_AT_ALL"', "NOT_THERE_AT_ALL"),
        ("keys =", "keyz =", "keyz"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, old: str, new: str, word: str) -> None:
    assert old in GOOD
    result = check(tmp_path, GOOD.replace(old, new))
    assert isinstance(result.exception, ConfigError), result.output
    assert word in str(result.exception)


def test_an_empty_file_means_simulated_providers(tmp_path) -> None:
    result = check(tmp_path, "")
    assert result.exit_code == 0
    assert "simulated ones would answer" in result.output
