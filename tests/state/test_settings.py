"""How a process reads its configuration and its secrets."""

from pathlib import Path

import msgspec
import pytest

from farebox.config.tables import Config
from farebox.errors import ConfigError
from farebox.state.settings import Spec, load_settings, read_config, with_simulated

KEY = '[[keys]]\nname = "k"\nkey = "{}"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "farebox.toml"
    path.write_text(text)
    return path


def test_secrets(tmp_path) -> None:
    (tmp_path / "secret").write_text(" from-file\n")
    for text, secret in {"literal": "literal", "env:NAME": "from-env", "file:secret": "from-file"}.items():
        config = read_config(write(tmp_path, KEY.format(text)), {"NAME": " from-env\n"})
        assert config.keys[0].key == secret


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("env:NONE", "variable NONE is not set"),
        ("env:EMPTY", "variable EMPTY is not set or empty"),
        ("file:none", "No such file"),
        ("file:empty", "the file is empty"),
    ],
)
def test_secrets_that_are_not_there(tmp_path, text, message) -> None:
    (tmp_path / "empty").write_text("\n")
    path = write(tmp_path, KEY.format(text))
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path, {"EMPTY": ""})
    assert str(path) in str(caught.value)
    assert text in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.toml", {})
    path = tmp_path / "farebox.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(path, {})


def test_simulated_providers_serve_under_bare_names() -> None:
    config = with_simulated(Config(), "http://127.0.0.1:9", {"openai": ["gpt-4o"], "anthropic": ["claude-haiku-4-5"]})
    assert [model.name for model in config.models] == ["gpt-4o", "claude-haiku-4-5"]
    assert [provider.base_url for provider in config.providers] == ["http://127.0.0.1:9/v1", "http://127.0.0.1:9"]


def test_a_spec_and_its_file_make_settings(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NAME", "from-env")
    path = write(tmp_path, 'prices = ["own.toml"]\n' + KEY.format("env:NAME"))
    spec = Spec(config_path=str(path), data_dir="data", host="::1", port=1, simulated="http://127.0.0.1:9")
    settings = load_settings(msgspec.json.encode(spec).decode())
    assert settings.config.host == "::1"
    assert settings.config.keys[0].key == "from-env"
    assert settings.price_files == (tmp_path / "own.toml",)
    assert settings.config.providers[0].name == "simulated-openai"
