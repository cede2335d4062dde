"""Recorded attempts, priced again: with the book of their time nothing differs, with another one what changed does."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from farebox.call import Answered
from farebox.cli.main import cli
from farebox.journal.record import Record
from farebox.meter import UNBILLED, Ended, assume, end, estimate, price_answer
from farebox.state.archive import use_book
from tests.books.traffic import START_NS, sent, write_calls

OWN = """
[[prices]]
provider = "local"
model = "m*"
input = "{price}"
output = "2"
source = "power bill"

[[contracts]]
id = "deal"
provider = "openai"
percent = "{percent}"
source = "contract 1"
"""
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}


def own_prices(folder: Path, price="1", percent="10") -> Path:
    path = folder / "mine.toml"
    path.write_text(OWN.format(price=price, percent=percent))
    return path


def ended(book, of, priced, answered, outcome="ok"):
    return end(of, priced, answered, Ended(outcome=outcome, at_ns=of.at_ns + 10**9, book=book.hash, status=200))


def traffic(book, first=1):
    """Attempts of every kind, as the gateway itself prices and ends them."""
    records: list[Record] = []

    def add(answered, price=price_answer, outcome="ok", **changes):
        of = sent(f"call_{first + len(records)}", at_ns=START_NS + len(records) * 10**9, **changes)
        priced = price(book, of, answered)
        records.extend([of, ended(book, of, priced, answered, outcome)])

    local = {"rate_provider": "local", "provider": "local", "model": "m1"}
    add(Answered(model="gpt-4o-mini-2024-07-18", service_tier="default", usage=USAGE))
    add(Answered(model="gpt-5", service_tier="flex", usage=USAGE), model="gpt-5")
    add(Answered(usage={"prompt_tokens": 10, "completion_tokens": 5}), **local)
    add(Answered(usage={"prompt_tokens": 10, "completion_tokens": 5}), rate_provider="nobody")
    add(Answered(usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 99}), **local)
    add(Answered(content_bytes=400, content_events=3), price=estimate, outcome="client_gone", **local)
    add(Answered(usage=None, content_bytes=40), **local)
    add(Answered(), price=lambda one, two, _: assume(one, two), outcome="lost", **local)
    add(Answered(), price=lambda *_: UNBILLED, outcome="error", **local)
    anthropic = {"rate_provider": "anthropic", "model": "claude-opus-5", "provider_operation": "messages"}
    add(Answered(usage={"input_tokens": 10, "output_tokens": 20, "speed": "fast", "inference_geo": "us"}), **anthropic)
    return records


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "data"
    write_calls(folder, traffic(use_book(folder, [own_prices(tmp_path)])))
    return folder


def run(data_dir, *options, code=0):
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli, ["prices", "rerate", "--data", str(data_dir), *options])
    assert result.exit_code == code, result.output
    return result.output


def test_the_book_of_its_time_gives_every_charge_again(data_dir, tmp_path):
    said = json.loads(run(data_dir, "--json"))
    assert (said["attempts"], said["equal"], said["different"]) == (10, 10, 0)
    assert said["was_usd"] == said["now_usd"] != "0"
    # Prices of the user that change later change nothing.
    own_prices(tmp_path, "7", "50")
    assert json.loads(run(data_dir, "--json", "--prices", str(tmp_path / "mine.toml"))) == said


def test_another_book_shows_the_difference_by_model(data_dir, tmp_path):
    newer = own_prices(tmp_path, "3", "10")
    said = json.loads(run(data_dir, "--book", "current", "--prices", str(newer), "--json"))
    models = {(model["provider"], model["model"]): model for model in said["models"]}
    changed = models["local", "m1"]
    assert models["openai", "gpt-5"]["different"] == 0
    # Every priced attempt that had input: the complete one, the two estimates and the worst case.
    assert changed["different"] == 4
    assert said["different"] == 4
    assert {example["why"] for example in said["examples"]} == {"input by local/m*/standard#input"}
    shown = run(data_dir, "--book", "current", "--prices", str(newer))
    assert "4 of 6" in shown
    assert max(map(len, shown.splitlines())) <= 80
    # The book that was used is archived, and can be named from then on.
    current = json.loads(run(data_dir, "--book", said["by"].removeprefix("book "), "--json"))
    assert current["different"] == 4


def test_a_charge_on_record_that_is_wrong_is_found(tmp_path):
    folder = tmp_path / "data"
    book = use_book(folder, [own_prices(tmp_path)])
    records = traffic(book)
    wrong = records[1]
    line = msgspec.structs.replace(wrong.lines[0], amount_femto=wrong.lines[0].amount_femto + 1)
    records[1] = msgspec.structs.replace(wrong, lines=(line, *wrong.lines[1:]), total_femto=wrong.total_femto + 1)
    write_calls(folder, records)
    said = json.loads(run(folder, "--json", code=1))
    assert (said["equal"], said["different"]) == (9, 1)
    assert said["difference_usd"] == "-0.000000000000001"
    assert said["examples"][0]["attempt"] == "call_1.1"


def test_a_book_that_is_gone_is_a_finding(data_dir):
    shutil.rmtree(data_dir / "pricebooks")
    shown = run(data_dir, code=1)
    assert "10 attempts cannot" in " ".join(shown.split())


def test_a_window_and_bad_options(data_dir):
    assert "No attempt is on record" in run(data_dir, "--since", "..2020-01-01")
    assert "no range of time" in run(data_dir, "--since", "soon", code=2)
    assert "not in the archive" in run(data_dir, "--book", "deadbeef", code=2)
