"""An audit adds up to the last digit, names what is wrong, and never calls an unknown amount zero."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.analyse.audit import Asked, audit
from farebox.analyse.meanings import FINDINGS, FLAGS, OUTCOMES
from farebox.books.ingest import ingest_once
from farebox.books.query import Books
from farebox.books.rows import FindingRow, Totals, Window
from farebox.journal.record import Flag, Outcome
from tests.books.traffic import START_NS, assumed, done, line, sent, unpriced, write_calls


def mixed():
    """Five calls: plain, cached, failed over, unpriced, quarantined; one more given up by its client."""
    one, two = sent("call_1"), sent("call_2", at_ns=START_NS + 1, user="bob", tags={"team": "ads"})
    first, second = sent("call_3", 1), sent("call_3", 2, provider="anthropic", model="claude-haiku-4-5")
    four, five, six = sent("call_4", model="new"), sent("call_5"), sent("call_6")
    nothing: dict[str, Any] = {"lines": (), "meters": {}, "total_femto": 0, "usage_raw": b""}
    broken: dict[str, Any] = {
        "flags": ("unpriced", "quarantined"),
        "unpriced": "usage: cached_tokens <= prompt_tokens",
        "meters": {},
    }
    return [
        *(one, done(one), two, done(two, line("input", 10, 7), line("web_search", 2, 10**13))),
        *(first, done(first, outcome="error", status=529, final=False, **nothing)),
        *(second, done(second)),
        *(four, unpriced(four)),
        *(five, unpriced(five, **broken)),
        *(six, done(six, outcome="client_gone", flags=("estimated",))),
    ]


@pytest.fixture
def data_dir(tmp_path):
    write_calls(tmp_path, mixed())
    ingest_once(tmp_path, assumed)
    return tmp_path


def audit_of(data_dir, by="model", tag="", window=None):
    with Books(data_dir, window) as books:
        return audit(books.audit_rows(by, tag), Asked(window or Window(), by, tag))


def test_counts_calls_by_how_they_ended(data_dir):
    report = audit_of(data_dir)
    calls = report.calls
    assert (calls.total, calls.answered, calls.hung_up, calls.failed, calls.retried) == (6, 5, 1, 0, 1)
    assert report.attempts == 7


def test_lines_add_up_to_the_total_and_fees_are_not_tokens(data_dir):
    report = audit_of(data_dir)
    wanted = sum(each.total_femto or 0 for each in mixed() if not hasattr(each, "call"))
    assert report.total_femto == wanted == sum(meter.amount_femto for meter in report.meters)
    meters = {meter.meter: meter for meter in report.meters}
    assert meters["web_search"].unit == "call"
    assert meters["web_search"].amount_femto == 2 * 10**13
    assert (meters["input"].quantity, meters["input"].unpriced_quantity) == (80 * 3 + 10 + 10, 10)
    assert sum(group.total_femto for group in report.groups) == wanted


def test_unpriced_models_are_alarms_that_name_them_and_quarantined_usage_is_another(data_dir):
    alarms = {alarm.name: alarm for alarm in audit_of(data_dir).alarms}
    assert set(alarms) == {"unpriced", "quarantined"}
    assert "openai/new" in alarms["unpriced"].message
    assert "[[prices]]" in alarms["unpriced"].remedy
    assert "cached_tokens <= prompt_tokens" in alarms["quarantined"].message
    flags = {row.flag: (row.attempts, row.unpriced) for row in audit_of(data_dir).flags}
    assert flags == {"unpriced": (2, 2), "quarantined": (1, 1), "estimated": (1, 0)}


@pytest.mark.parametrize(
    ("by", "tag", "names"),
    [
        ("model", "", {"gpt-4o-mini", "claude-haiku-4-5", "new"}),
        ("key", "", {"bench"}),
        ("user", "", {"ada", "bob"}),
        ("provider", "", {"openai", "anthropic"}),
        ("tag", "team", {"search", "ads"}),
        ("tag", "nobody's", {""}),
    ],
)
def test_groups_by_every_property_the_dearest_first(data_dir, by, tag, names):
    groups = audit_of(data_dir, by, tag).groups
    assert {group.name for group in groups} == names
    costs = [group.total_femto for group in groups]
    assert costs == sorted(costs, reverse=True)


def test_shares_of_the_input_follow_its_bytes(data_dir):
    report = audit_of(data_dir)
    assert {part.part: part.share for part in report.parts} == pytest.approx(
        {"system": 0.5, "tools": 0, "history": 0.25, "context": 0.125, "user": 0.125}
    )
    assert sum(part.share for part in report.parts) == pytest.approx(1)


def test_latencies_are_of_complete_answers(data_dir):
    latencies = {row.name: row for row in audit_of(data_dir).latencies}
    assert latencies["total"].attempts == 5
    assert (latencies["first token"].p50_ns, latencies["gateway"].p99_ns) == (300_000_000, 90_000)


def test_a_window_leaves_out_the_rest(data_dir):
    assert audit_of(data_dir, window=Window(START_NS + 1, START_NS + 2)).attempts == 1
    empty = audit_of(data_dir, window=Window(START_NS + 2))
    assert (empty.attempts, empty.total_femto, empty.groups, empty.meters) == (0, 0, (), ())
    assert [row.p50_ns for row in empty.latencies] == [None, None, None]


def test_findings_become_alarms_or_notes_and_a_difference_is_never_hidden(data_dir):
    with Books(data_dir) as books:
        rows = books.audit_rows("model")
    findings = (FindingRow("damaged", 2, 0, "x/y"), FindingRow("late", 1, 9, "call_9.1"), FindingRow("torn", 3, 0, "z"))
    totals = msgspec.structs.replace(rows.totals, total_femto=rows.totals.total_femto + 1)
    rows = msgspec.structs.replace(rows, findings=findings, totals=totals)
    report = audit(rows, Asked(unreadable=("a/b: Permission denied",)))
    alarms = {alarm.name: alarm for alarm in report.alarms}
    assert {"damaged", "late", "unreadable", "unbalanced"} <= set(alarms)
    assert alarms["unbalanced"].amount_femto == -1
    assert alarms["late"].amount_femto == 9
    assert [note[:2] for note in report.notes] == ["3:"]


def test_every_outcome_flag_and_finding_has_words():
    assert set(OUTCOMES) == set(Outcome.__args__)  # type: ignore[attr-defined]
    assert set(FLAGS) == set(Flag.__args__)  # type: ignore[attr-defined]
    assert set(FINDINGS) == {"torn", "damaged", "late", "orphan", "refused"}
    assert Totals.__struct_fields__[0] == "calls"


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 10**6), st.integers(0, 10**12), st.sampled_from(["a", "b"])),
        max_size=12,
    )
)
def test_any_traffic_adds_up_exactly(tmp_path_factory, traffic):
    data_dir = tmp_path_factory.mktemp("any")
    records = []
    for number, (attempts, quantity, price, model) in enumerate(traffic):
        for attempt in range(1, attempts + 1):
            begun = sent(f"call_{number}", attempt, model=model)
            records += [begun, done(begun, line("output", quantity, price), final=attempt == attempts)]
    write_calls(data_dir, records)
    ingest_once(data_dir, assumed)
    report = audit_of(data_dir)
    wanted = sum(attempts * quantity * price for attempts, quantity, price, _ in traffic)
    assert report.total_femto == sum(group.total_femto for group in report.groups) == wanted
    assert report.calls.total == report.calls.answered == len(traffic)
    assert report.calls.retried == sum(attempts > 1 for attempts, *_ in traffic)
    assert report.alarms == ()
