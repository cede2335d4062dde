"""The books as a whole: who, why and how much, through the command."""

import json

import pytest
from click.testing import CliRunner

from farebox.anomalies.incident import severity_of
from farebox.anomalies.tally import Tally
from farebox.books.ingest import ingest_once
from farebox.books.query import Books
from farebox.books.used import HOUR_NS, used_by
from farebox.cli.main import cli
from farebox.money import FEMTO_PER_USD
from tests.books.traffic import START_NS, assumed, done, line, sent, write_calls

SPIKE = 3 * 168 + 12  # hour of the books
KEYS = ("web", "ci")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Three and a half weeks: two keys of one team at one model; in one hour key ci makes ten times its calls."""
    path = tmp_path_factory.mktemp("scanned")
    records = []
    for hour in range(SPIKE + 12):
        for key in KEYS:
            count = (6 if key == "web" else 3) * (10 if hour in (SPIKE, SPIKE + 1) and key == "ci" else 1)
            for number in range(count):
                of = sent(
                    call=f"{key}_{hour}_{number}",
                    at_ns=START_NS - 60 * 24 * HOUR_NS + hour * HOUR_NS + number * 10**9,
                    key=f"id_{key}",
                    key_name=key,
                    team="search",
                    tags={"env": "prod", "trace": f"{hour}-{number}"},
                )
                records += [of, done(of, line("input", 80_000, 2_500_000_000), line("output", 5000, 10_000_000_000))]
    write_calls(path, records, segment_bytes=1 << 24)
    assert ingest_once(path, assumed).attempts == len(records) // 2
    return path


def run(data_dir, *options):
    return CliRunner().invoke(cli, ["anomalies", "--data-dir", str(data_dir), *options], catch_exceptions=False)


def test_one_alert_at_the_narrowest_scope(data_dir):
    result = run(data_dir, "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["anomalies"]
    assert (found["scope"], found["cause"]) == ("key:ci", "volume")
    assert found["delay_minutes"] == 60
    assert found["excess_usd"] == found["causes_usd"]["volume"] == "13.5"  # twice 27 calls more, at 25 cents
    assert not found["less_than_two_weeks"]


def test_the_table_fits(data_dir):
    result = run(data_dir)
    assert result.exit_code == 0
    assert "key:ci" in result.stdout
    assert "$13.50" not in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_since_leaves_out_what_is_over(data_dir):
    assert json.loads(run(data_dir, "--since", "1h", "--json").stdout)["anomalies"] == []
    assert json.loads(run(data_dir, "--least", "100", "--json").stdout)["anomalies"] == []


def test_what_makes_no_sense_is_said(data_dir, tmp_path):
    for options in (("--since", "soon"), ("--least", "much")):
        result = CliRunner().invoke(cli, ["anomalies", "--data-dir", str(data_dir), *options])
        assert result.exit_code == 2
        assert options[0] in result.output
    assert "Nothing spent unlike itself" in run(tmp_path / "none").stdout


def test_the_books_are_counted_exactly(data_dir):
    with Books(data_dir) as books:
        spans = used_by(books, HOUR_NS)
        total = books.total()
    assert sum(each.cost_femto for each in spans) == total.total_femto
    assert sum(each.attempts for each in spans) == sum(each.calls for each in spans) == total.attempts
    assert {each.tags for each in spans} == {("env=prod",)}  # a tag with a value of its own for each call is left out
    assert all(each.output_femto == 5000 * 10_000_000_000 * each.attempts for each in spans)
    assert Tally.__struct_fields__ == tuple(spans[0].__struct_fields__[6:])


@pytest.mark.parametrize(
    ("actual", "expected", "severity"),
    [(1, 0, "medium"), (40, 10, "high"), (300, 150, "high"), (300, 290, "low"), (2, 1, "medium"), (0, 1, "low")],
)
def test_severity(actual, expected, severity):
    assert severity_of(actual * FEMTO_PER_USD, expected * FEMTO_PER_USD) == severity
