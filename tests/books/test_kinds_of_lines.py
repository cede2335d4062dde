"""Lines of every kind in the books, and books written before these kinds existed."""

from pathlib import Path

import duckdb
import pytest

from farebox.analyse.audit import Asked, audit
from farebox.books.ingest import IngestPlan, ingest_once
from farebox.books.query import Books
from farebox.books.schema import COLUMNS
from farebox.charge import Line
from tests.books.traffic import START_NS, assumed, done, sent, unpriced, write_calls

AT_ONCE = IngestPlan(keep_journal_days=0, keep_replaced_s=0)
NEW = ("region", "deployment", "reported_femto", "team", "project", "hold_femto", "charged_femto")
# A published price, what a contract takes off it, a price by the minute, a least amount, and free searches.
LINES = (
    Line("input", 1000, 2_000_000_000, 2_000_000_000_000, "acme/m/standard#input"),
    Line("input", 1000, -250_000_000, -250_000_000_000, "contract/acme-2026#input"),
    Line("output", 10, 8_000_000_000, 80_000_000_000, "acme/m/standard#output"),
    Line("audio_time", 10_000, 100_000_000_000, 333_333_333_000, "acme/m/standard#audio_time", 3000),
    Line("audio_time", 1, 666_667_000, 666_667_000, "acme/m/standard#audio_time!least"),
    Line("web_search", 3, 0, 0, "pool/search#web_search"),
    Line("web_search", 1, 10_000_000_000_000, 10_000_000_000_000, "acme/m/any#web_search"),
)
METERS = {"input": 1000, "output": 10, "audio_time": 7_001, "web_search": 4}


def special(call="call_1", **changes):
    begun = sent(call, region="eu", deployment="data_zone")
    return [begun, done(begun, *LINES, **{"meters": METERS, "reported_femto": 12_000_000_000_001, **changes})]


def make_old(data_dir: Path) -> None:
    """Rewrite every file of the books as it would have been written before the new columns."""
    for path in sorted((data_dir / "books" / "attempts").rglob("*.parquet")):
        line = "{meter: x.meter, quantity: x.quantity, unit_price_femto: x.unit_price_femto, "
        line += "amount_femto: x.amount_femto, rate: x.rate}"
        rows = f"SELECT * EXCLUDE ({', '.join(NEW)}) REPLACE (list_transform(lines, lambda x: {line}) AS lines)"
        old = path.with_suffix(".old")
        source = f"{rows} FROM read_parquet('{path}', hive_partitioning = false)"
        duckdb.execute(f"COPY ({source}) TO '{old}' (FORMAT parquet)")
        old.rename(path)


def audit_of(data_dir):
    with Books(data_dir) as books:
        return audit(books.audit_rows("model"), Asked())


def test_every_field_of_a_line_and_the_new_columns_come_back(tmp_path):
    write_calls(tmp_path, special())
    ingest_once(tmp_path, assumed)
    with Books(tmp_path) as books:
        (row,) = books.attempts_of("call_1")
        (recorded,) = books.recorded()
    fields = ("meter", "quantity", "unit_price_femto", "amount_femto", "rate", "per")
    for lines in (row.lines, recorded.lines):
        assert [tuple(getattr(each, name) for name in fields) for each in lines] == [
            tuple(getattr(each, name) for name in fields) for each in LINES
        ]
    assert (row.region, row.deployment, row.reported_femto) == ("eu", "data_zone", 12_000_000_000_001)
    assert (recorded.region, recorded.deployment) == ("eu", "data_zone")
    assert row.total_femto == sum(each.amount_femto for each in LINES)


def test_no_quantity_counts_twice_and_contracts_stand_beside_the_list_price(tmp_path):
    begun = sent("call_2")
    write_calls(tmp_path, [*special(), begun, unpriced(begun, meters={"input": 7, "audio_time": 500})])
    ingest_once(tmp_path, assumed)
    report = audit_of(tmp_path)
    meters = {row.meter: row for row in report.meters}
    assert {name: row.quantity for name, row in meters.items()} == {**METERS, "input": 1007, "audio_time": 7_501}
    assert {name: row.unpriced_quantity for name, row in meters.items() if row.unpriced_quantity} == {
        "input": 7,
        "audio_time": 500,
    }
    price = meters["input"]
    assert (price.list_femto, price.contract_femto, price.amount_femto) == (
        2_000_000_000_000,
        -250_000_000_000,
        1_750_000_000_000,
    )
    assert meters["audio_time"].list_femto == 334_000_000_000
    assert meters["web_search"].contract_femto == 0
    assert sum(row.amount_femto for row in report.meters) == report.total_femto
    assert sum(row.share for row in report.meters) == pytest.approx(1)
    assert [alarm.name for alarm in report.alarms] == ["unpriced"]


def test_a_charge_that_the_provider_reported_leaves_its_meters_priced(tmp_path):
    begun = sent()
    line = Line("reported_cost", 5, 1, 5, "openrouter/reported#reported_cost")
    write_calls(tmp_path, [begun, done(begun, line, meters={"input": 100}, reported_femto=5)])
    ingest_once(tmp_path, assumed)
    meters = {row.meter: row for row in audit_of(tmp_path).meters}
    assert (meters["input"].quantity, meters["input"].unpriced_quantity, meters["input"].amount_femto) == (100, 0, 0)
    assert (meters["reported_cost"].quantity, meters["reported_cost"].amount_femto) == (5, 5)


def test_reported_costs_are_compared_by_provider_and_differences_are_an_alarm(tmp_path):
    total = sum(each.amount_femto for each in LINES)
    other, silent, missing = sent("call_4", provider="anthropic"), sent("call_5"), sent("call_6")
    records = [
        *special("call_1", reported_femto=total),
        *special("call_2", reported_femto=total + 1),
        *special("call_3", reported_femto=total + 10**9, flags=("reported_differs",)),
        *(other, done(other, reported_femto=0)),
        *(silent, done(silent)),
        *(missing, unpriced(missing, reported_femto=7)),
    ]
    write_calls(tmp_path, records)
    ingest_once(tmp_path, assumed)
    report = audit_of(tmp_path)
    own = {row.provider: row for row in report.reported}
    assert set(own) == {"openai", "anthropic"}
    row = own["openai"]
    assert (row.attempts, row.differing, row.example) == (3, 1, "call_3.1")
    assert (row.reported_femto - row.charged_femto, row.charged_femto) == (10**9 + 1, 3 * total)
    assert own["anthropic"].differing == 0
    (alarm,) = [alarm for alarm in report.alarms if alarm.name == "reported_differs"]
    assert (alarm.count, alarm.amount_femto) == (1, 0)
    assert "call_3.1" in alarm.message


def test_books_from_before_these_columns_are_read_and_grow_on(tmp_path):
    begun = [sent(f"call_{number}", at_ns=START_NS + number) for number in range(4)]
    write_calls(tmp_path, [record for each in begun for record in (each, done(each))])
    ingest_once(tmp_path, assumed)
    with Books(tmp_path) as books:
        new = (books.audit_rows("model"), books.calls(9), books.attempts_of("call_1"), list(books.recorded()))
    make_old(tmp_path)
    with Books(tmp_path) as books:
        old = (books.audit_rows("model"), books.calls(9), books.attempts_of("call_1"), list(books.recorded()))
    assert old == new
    assert {line.per for line in old[2][0].lines} == {1}
    write_calls(tmp_path, special("call_9"), instance="bb")
    ingest_once(tmp_path, assumed)
    with Books(tmp_path) as books:
        assert books.total().attempts == 5
        (row,) = books.attempts_of("call_9")
        (first, *_) = books.attempts_of("call_0")
    assert [line.per for line in row.lines] == [each.per for each in LINES]
    assert (first.region, first.reported_femto) == ("", None)


def test_old_and_new_files_are_merged_and_no_digit_changes(tmp_path):
    for number in range(4):
        begun = sent(f"old_{number}", at_ns=START_NS + number)
        write_calls(tmp_path, [begun, done(begun)], instance=f"a{number}")
        ingest_once(tmp_path, assumed)
    make_old(tmp_path)
    with Books(tmp_path) as books:
        before_femto = books.total().total_femto
    for number in range(4):
        write_calls(tmp_path, special(f"new_{number}"), instance=f"b{number}")
        report = ingest_once(tmp_path, assumed, AT_ONCE)
    assert report.merged == 8
    with Books(tmp_path) as books:
        total = books.total()
        (row,) = books.attempts_of("new_1")
        (old,) = books.attempts_of("old_1")
    assert total.total_femto == before_femto + 4 * sum(each.amount_femto for each in LINES)
    assert [line.per for line in row.lines] == [each.per for each in LINES]
    assert ({line.per for line in old.lines}, old.region) == ({1}, "")


def test_the_view_for_everybody_has_every_column_whatever_the_files_age(tmp_path):
    write_calls(tmp_path, special())
    ingest_once(tmp_path, assumed)
    make_old(tmp_path)
    with duckdb.connect() as connection:
        connection.execute((tmp_path / "books" / "attempts.sql").read_text())
        found = connection.execute("SELECT * FROM attempts")
        assert [column[0] for column in found.description or ()] == [column.name for column in COLUMNS]
        assert connection.execute("SELECT lines[1].per, reported_femto FROM attempts").fetchall() == [(None, None)]
