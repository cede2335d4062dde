"""The watch while the gateway runs, on real books and a clock of the test's."""

from contextlib import closing

import pytest

from farebox.alerts import connect
from farebox.books.ingest import ingest_once
from farebox.books.used import HOUR_NS, MINUTE_NS
from farebox.detect.lookout import Alerting, Lookout, recorded
from farebox.state.flags import Flag, FlagStore
from tests.books.traffic import START_NS, assumed, done, line, sent, write_calls

URLS = ("http://127.0.0.1:1/hook",)
BEGIN_NS = START_NS - START_NS % HOUR_NS
HOURS = 15 * 24  # a little more than the two weeks that a scope is young for


def calls(name, at_ns, count, key="ci"):
    records = []
    for number in range(count):
        of = sent(call=f"{name}_{number}", at_ns=at_ns + number * 10**9, key_name=key, team="search", tags={})
        records += [of, done(of, line("input", 100_000, 2_500_000_000), line("output", 5000, 10_000_000_000))]
    return records


@pytest.fixture
def data_dir(tmp_path):
    quiet = [each for hour in range(HOURS) for each in calls(f"h{hour}", BEGIN_NS + hour * HOUR_NS, 3)]
    web = [each for hour in range(HOURS) for each in calls(f"w{hour}", BEGIN_NS + hour * HOUR_NS, 9, "web")]
    write_calls(tmp_path, quiet + web, segment_bytes=1 << 24)
    ingest_once(tmp_path, assumed)
    return tmp_path


def learn(lookout, now_ns):
    while not lookout.look(now_ns, Alerting(URLS)):
        pass


def notices(data_dir):
    with closing(connect(data_dir / "anomalies.db")) as database:
        return [row[0] for row in database.execute("SELECT id FROM notice ORDER BY made_s, id")]


def test_a_runaway_is_told_flagged_and_cleared(data_dir):
    start = BEGIN_NS + HOURS * HOUR_NS
    lookout = Lookout(data_dir)
    learn(lookout, start + 16 * 10**9)
    assert recorded(data_dir) == []
    write_calls(data_dir, calls("burst", start + MINUTE_NS, 50) + calls("more", start + 2 * MINUTE_NS, 50), "bb")
    ingest_once(data_dir, assumed)
    now = start + 3 * MINUTE_NS + 16 * 10**9  # a minute after the last of it
    lookout.look(now, Alerting(URLS))
    (found,) = recorded(data_dir) or []
    assert (found.scope, found.cause, found.end) == ("key:ci", "volume", None)
    assert found.found - start // MINUTE_NS <= 3
    assert found.actual_femto == 100 * (100_000 * 2_500_000_000 + 5000 * 10_000_000_000)
    assert found.actual_femto - found.expected_femto == sum(found.causes.values())
    (flag,) = FlagStore(data_dir).list(now)
    assert (flag.scope, flag.source) == ("key:ci", "detector")
    assert len(notices(data_dir)) == 1

    lookout.close()
    again = Lookout(data_dir)  # a restart neither repeats nor forgets
    learn(again, now + MINUTE_NS)
    again.look(now + MINUTE_NS, Alerting(URLS))
    assert len(notices(data_dir)) == 1
    for hour in range(1, 7):
        write_calls(data_dir, calls(f"calm{hour}", start + hour * HOUR_NS, 3), f"c{hour}")
        ingest_once(data_dir, assumed)
        again.look(start + (hour + 1) * HOUR_NS + 16 * 10**9, Alerting(URLS))
    (over,) = recorded(data_dir) or []
    assert over.end is not None
    assert FlagStore(data_dir).list(start + 6 * HOUR_NS) == []
    assert [each.split()[-1] for each in notices(data_dir)] == ["opened", "cleared"]
    again.close()


def test_the_operators_flag_stays_and_small_alarms_are_not_told(data_dir):
    start = BEGIN_NS + HOURS * HOUR_NS
    FlagStore(data_dir).set(Flag("key:ci", "mine", start, None, "operator"))
    lookout = Lookout(data_dir)
    learn(lookout, start + 16 * 10**9)
    write_calls(data_dir, calls("burst", start + MINUTE_NS, 50), "bb")
    ingest_once(data_dir, assumed)
    lookout.look(start + 2 * MINUTE_NS + 16 * 10**9, Alerting(URLS, "high"))
    assert [each.scope for each in recorded(data_dir) or []] == ["key:ci"]
    assert FlagStore(data_dir).list(start)[0].reason == "mine"
    lookout.close()


def test_nothing_was_ever_watched(tmp_path):
    assert recorded(tmp_path) is None
