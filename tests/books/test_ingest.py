"""The books equal the journal exactly, wherever an ingest is killed, however often it runs."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farebox.books import compact, drain
from farebox.books.ingest import IngestPlan, ingest_once
from farebox.books.manifest import Manifest
from farebox.books.parquet import BooksFailed
from farebox.books.query import Books
from farebox.books.rows import Window
from farebox.journal.recover import RECOVERED
from farebox.journal.segment import frame, read_segment, segments_of
from farebox.journal.writer import JournalWriter
from tests.books.traffic import DAY_NS, START_NS, FakeClock, append, assumed, done, line, sent, unpriced, write_calls

KEEP = IngestPlan()
AT_ONCE = IngestPlan(keep_journal_days=0, keep_replaced_s=0)
STEPS = (
    "draft", "write", "publish", "commit", "committed", "recover", "clear",
    "merge-draft", "merge-write", "merge-publish", "merge-commit", "merge-committed",
    "forget-replaced", "forget-segment", "remove-writer", "forget-writer",
)  # fmt: skip


class Killed(BaseException):
    pass


def in_books(data_dir):
    with Books(data_dir) as books:
        found = [(attempt, total) for attempt, total, _ in books.attempts_by_id()]
    assert len(found) == len({attempt for attempt, _ in found}), "an attempt is in the books twice"
    return dict(found)


def calls(count, start=0, **changes):
    records = []
    for number in range(start, start + count):
        begun = sent(f"call_{number}", at_ns=START_NS + number * 10**9, **changes)
        records += [begun, done(begun, line("input", number + 1, 150_000_000))]
    return records


def totals(records):
    return {each.attempt: each.total_femto for each in records if not hasattr(each, "call")}


def test_every_field_of_both_records_comes_back(tmp_path):
    begun = sent("call_x", 2, user="a\x00b \U0001f600'", tags={"a'b": "c"}, output_cap=7, stream=True)
    ended = done(begun, line("input", 3, 7), flags=("estimated",), first_token_ns=None, at_ns=START_NS + 123_456_789)
    write_calls(tmp_path, [begun, ended])
    assert ingest_once(tmp_path, assumed).attempts == 1
    with Books(tmp_path) as books:
        (row,) = books.attempts_of("call_x")
    assert (row.sent_at_ns, row.done_at_ns) == (begun.at_ns, ended.at_ns)
    assert row.usage_raw == ended.usage_raw.decode()
    assert [msgspec.structs.astuple(each) for each in row.lines] == [
        msgspec.structs.astuple(each) for each in ended.lines
    ]
    same = set(row.__struct_fields__) - {"sent_at_ns", "done_at_ns", "usage_raw", "lines", "writer"}
    for name in same:
        source = begun if hasattr(begun, name) else ended
        assert getattr(row, name) == getattr(source, name), name


def test_a_second_pass_changes_nothing_and_absent_is_not_zero(tmp_path):
    first, second = sent("call_1", parts={}), sent("call_2")
    write_calls(tmp_path, [first, unpriced(first, meters={}, flags=()), second, done(second, line("input", 0, 5))])
    assert ingest_once(tmp_path, assumed).files == 1
    again = ingest_once(tmp_path, assumed)
    assert (again.attempts, again.files) == (0, 0)
    with Books(tmp_path) as books:
        assert {attempt: total for attempt, total, _ in books.attempts_by_id()} == {"call_1.1": None, "call_2.1": 0}
        (row,) = books.attempts_of("call_1")
        assert row.parts == {}


def test_an_amount_beyond_int64_is_exact(tmp_path):
    records = []
    for number in range(3):
        begun = sent(f"call_{number}")
        records += [begun, done(begun, line("request", 1, (1 << 64) - 1))]
    write_calls(tmp_path, records)
    ingest_once(tmp_path, assumed)
    with Books(tmp_path) as books:
        assert books.total().total_femto == 3 * ((1 << 64) - 1)


def test_an_open_attempt_waits_for_its_end_across_passes_and_days(tmp_path):
    late_evening = START_NS + DAY_NS - 1
    begun = sent("call_1", at_ns=late_evening)
    writer = write_calls(tmp_path, [begun], close=False)
    assert ingest_once(tmp_path, assumed).open == 1
    append(writer, done(begun))
    assert ingest_once(tmp_path, assumed).attempts == 1
    writer.close()
    ingest_once(tmp_path, assumed)
    assert in_books(tmp_path) == {"call_1.1": done(begun).total_femto}
    assert [path.name for path in (tmp_path / "books" / "attempts").iterdir()] == ["day=2026-11-23"]


def test_a_dead_writers_open_attempts_are_assumed_once(tmp_path):
    begun = sent("call_1")
    writer = write_calls(tmp_path, [begun])
    report = ingest_once(tmp_path, assumed)
    assert (report.attempts, report.assumed, report.open) == (1, 1, 0)
    assert (writer.directory / RECOVERED).exists()
    assert ingest_once(tmp_path, assumed).attempts == 0
    assert in_books(tmp_path) == {"call_1.1": assumed(begun).total_femto}


def test_a_writer_that_died_before_its_first_segment_blocks_nobody(tmp_path):
    write_calls(tmp_path, calls(1))
    empty = tmp_path / "journal" / "0000000000001-early"
    empty.mkdir()
    (empty / "lock").touch()
    assert ingest_once(tmp_path, assumed).attempts == 1
    with contextlib.closing(Manifest(tmp_path / "books" / "manifest.db")) as manifest:
        assert empty.name in manifest.unswept_writers(), "the ledger of budgets is to be told of it"


def test_the_first_end_counts_and_a_zombies_is_kept_aside(tmp_path):
    begun = sent("call_1")
    writer = write_calls(tmp_path, [begun])
    ingest_once(tmp_path, assumed)
    zombie = JournalWriter(tmp_path / "journal", "zombie", FakeClock())
    append(zombie, done(begun))
    append(zombie, done(sent("call_2")))
    zombie.close()
    report = ingest_once(tmp_path, assumed)
    assert (report.late, report.orphans, report.attempts) == (1, 1, 0)
    assert in_books(tmp_path) == {"call_1.1": assumed(begun).total_femto}
    again = ingest_once(tmp_path, assumed, AT_ONCE)
    assert (again.late, again.orphans) == (0, 0)
    with Books(tmp_path) as books:
        assert {each.kind: each.attempt for each in books.findings()} == {"late": "call_1.1", "orphan": "call_2.1"}
    assert not writer.directory.exists()


def test_a_zombie_that_writes_on_in_its_own_journal_is_read(tmp_path):
    begun = sent("call_1")
    writer = write_calls(tmp_path, [begun])
    ingest_once(tmp_path, assumed)
    (path, *_) = segments_of(writer.directory)
    offset = read_segment(path).next_offset
    more = sent("call_2")
    added = b"".join(frame(msgspec.msgpack.encode(each)) for each in (done(begun), more, done(more)))
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(added)
    report = ingest_once(tmp_path, assumed)
    assert (report.late, report.attempts) == (1, 1)
    assert in_books(tmp_path)["call_2.1"] == done(more).total_femto


def test_a_torn_tail_is_counted_once_and_blocks_nothing(tmp_path):
    records = calls(3)
    writer = write_calls(tmp_path, records)
    (path, *_) = segments_of(writer.directory)
    end = read_segment(path).next_offset
    data = bytearray(path.read_bytes())
    torn = frame(msgspec.msgpack.encode(sent("call_torn")))[:-5]
    data[end : end + len(torn)] = torn
    path.write_bytes(data)
    report = ingest_once(tmp_path, assumed)
    assert (report.torn, report.damaged, report.attempts) == (1, 0, 3)
    assert ingest_once(tmp_path, assumed).torn == 0
    assert in_books(tmp_path) == totals(records)


def test_damage_is_reported_set_aside_and_read_past(tmp_path):
    records = calls(4)
    writer = write_calls(tmp_path, records)
    healthy = calls(2, start=10)
    write_calls(tmp_path, healthy, instance="bb")
    (path, *_) = segments_of(writer.directory)
    offsets = [offset for _, offset in read_segment(path).records]
    data = bytearray(path.read_bytes())
    data[offsets[1] + 15] ^= 0xFF  # the beginning of the second attempt, so its end is an orphan
    path.write_bytes(data)
    report = ingest_once(tmp_path, assumed, AT_ONCE)
    assert (report.damaged, report.orphans, report.attempts) == (1, 1, 5)
    wanted = totals([*records[:2], *records[4:], *healthy])
    assert in_books(tmp_path) == wanted
    assert [each.name for each in (tmp_path / "damaged").iterdir()] == [f"{writer.directory.name}-{path.name}"]
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_file_that_is_no_segment_blocks_nobody(tmp_path):
    records = calls(2)
    write_calls(tmp_path, records)
    other = write_calls(tmp_path, calls(1, start=5), instance="bb")
    segments_of(other.directory)[0].write_bytes(b"rubbish" * 100)
    report = ingest_once(tmp_path, assumed)
    assert (report.damaged, report.attempts) == (1, 2)
    assert ingest_once(tmp_path, assumed).damaged == 0


def test_a_file_that_cannot_be_read_now_is_named_and_read_later(tmp_path):
    records = calls(2)
    writer = write_calls(tmp_path, records)
    healthy = calls(1, start=5)
    write_calls(tmp_path, healthy, instance="bb")
    (path, *_) = segments_of(writer.directory)
    hidden = path.rename(tmp_path / "hidden")
    path.mkdir()
    report = ingest_once(tmp_path, assumed)
    assert report.attempts == 1
    assert str(path) in report.unreadable[0]
    path.rmdir()
    hidden.rename(path)
    assert ingest_once(tmp_path, assumed).attempts == 2
    assert in_books(tmp_path) == totals([*records, *healthy])


def test_a_row_no_column_can_hold_is_kept_aside_and_the_others_pass(tmp_path):
    records = calls(9)
    begun = sent("call_odd")
    odd = done(begun, meters={"input": (1 << 64) - 1})
    write_calls(tmp_path, [*records[:6], begun, odd, *records[6:]])
    report = ingest_once(tmp_path, assumed)
    assert (report.refused, report.attempts) == (1, 9)
    assert in_books(tmp_path) == totals(records)
    assert ingest_once(tmp_path, assumed).refused == 0


def test_a_journal_somebody_removed_leaves_no_attempt_open_for_ever(tmp_path):
    begun = sent("call_1")
    writer = write_calls(tmp_path, [begun], close=False)
    assert ingest_once(tmp_path, assumed).open == 1
    writer.close()
    for path in writer.directory.iterdir():
        path.unlink()
    writer.directory.rmdir()
    assert ingest_once(tmp_path, assumed).assumed == 1
    assert in_books(tmp_path) == {"call_1.1": assumed(begun).total_femto}


def test_a_live_writers_old_segments_go_only_when_nothing_needs_them(tmp_path):
    waiting = sent("call_waiting")
    writer = write_calls(tmp_path, [waiting, *calls(40)], segment_bytes=4096, close=False)
    before = len(segments_of(writer.directory))
    assert ingest_once(tmp_path, assumed, AT_ONCE).removed == 0
    append(writer, done(waiting))
    report = ingest_once(tmp_path, assumed, AT_ONCE)
    assert report.removed >= before - 2
    writer.close()
    ingest_once(tmp_path, assumed, AT_ONCE)
    assert len(in_books(tmp_path)) == 41
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_journal_is_kept_for_as_long_as_one_asks(tmp_path):
    writer = write_calls(tmp_path, calls(1))
    clock = FakeClock()
    ingest_once(tmp_path, assumed, IngestPlan(keep_journal_days=1), clock=clock)
    clock.now += DAY_NS // 2
    ingest_once(tmp_path, assumed, IngestPlan(keep_journal_days=1), clock=clock)
    assert writer.directory.exists()
    clock.now += DAY_NS
    assert ingest_once(tmp_path, assumed, IngestPlan(keep_journal_days=1), clock=clock).removed > 0
    assert not writer.directory.exists()


def test_only_one_process_ingests(tmp_path):
    write_calls(tmp_path, calls(1))
    seen = []

    def second(step):
        if step == "publish":
            seen.append(ingest_once(tmp_path, assumed).busy)

    ingest_once(tmp_path, assumed, fault=second)
    assert seen == [True]


def test_books_that_cannot_be_written_say_so(tmp_path):
    write_calls(tmp_path, calls(1))
    (tmp_path / "books").write_text("in the way")
    with pytest.raises(BooksFailed, match="cannot be written"):
        ingest_once(tmp_path, assumed)


def test_a_broken_manifest_is_an_error_in_words_for_writers_and_readers(tmp_path):
    write_calls(tmp_path, calls(1))
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "manifest.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(BooksFailed, match="not a database"):
        ingest_once(tmp_path, assumed)
    with pytest.raises(BooksFailed, match="cannot be read"):
        Books(tmp_path)


def test_small_files_are_merged_and_readers_of_old_ones_go_on(tmp_path):
    writer = write_calls(tmp_path, [], close=False)
    records = []
    for number in range(compact.MERGE_FILES - 1):
        batch = calls(1, start=number)
        records += batch
        for each in batch:
            append(writer, each)
        ingest_once(tmp_path, assumed)
    with Books(tmp_path) as reader:
        batch = calls(1, start=100)
        records += batch
        for each in batch:
            append(writer, each)
        assert ingest_once(tmp_path, assumed).merged == compact.MERGE_FILES
        assert reader.total().attempts == compact.MERGE_FILES - 1
    writer.close()
    later = FakeClock(2 * START_NS)
    ingest_once(tmp_path, assumed, AT_ONCE, clock=later)
    assert len(list((tmp_path / "books").rglob("*.parquet"))) == 1
    assert in_books(tmp_path) == totals(records)


def test_a_window_is_half_open_and_prunes_files(tmp_path):
    write_calls(tmp_path, calls(5))
    ingest_once(tmp_path, assumed)
    second = 10**9
    with Books(tmp_path, Window(START_NS + second, START_NS + 3 * second)) as books:
        assert [attempt for attempt, _, _ in books.attempts_by_id()] == ["call_1.1", "call_2.1"]
    with Books(tmp_path, Window(until_ns=START_NS)) as books:
        assert books.total().attempts == 0


def scene(data_dir):
    """A journal that makes a pass take every step: a dead writer, a live one, merges, old segments."""
    writer = write_calls(data_dir, [], instance="live", segment_bytes=4096, close=False)
    records = []
    for number in range(compact.MERGE_FILES - 1):
        batch = calls(1, start=number)
        records += batch
        for each in batch:
            append(writer, each)
        ingest_once(data_dir, assumed, IngestPlan(keep_journal_days=9))
    begun = sent("call_open")
    write_calls(data_dir, [begun], instance="dead")
    rest = calls(30, start=50)
    for each in rest:
        append(writer, each)
    wanted = totals([*records, *rest]) | {begun.attempt: assumed(begun).total_femto}
    return writer, wanted


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_next_pass_makes_the_books_equal(tmp_path, step):
    writer, wanted = scene(tmp_path)
    seen = []

    def kill(at):
        seen.append(at)
        if at == step:
            raise Killed

    def passes():
        for _ in range(3):
            ingest_once(tmp_path, assumed, AT_ONCE, fault=kill)
            more = calls(1, start=1000 + len(seen))
            for each in more:
                append(writer, each)
            wanted.update(totals(more))

    with pytest.raises(Killed):
        passes()
    # A committed attempt is visible at once and never changes; one that is not is not half there.
    assert in_books(tmp_path).items() <= wanted.items()
    for _ in range(2):
        ingest_once(tmp_path, assumed, AT_ONCE)
    assert in_books(tmp_path) == wanted
    writer.close()
    ingest_once(tmp_path, assumed, AT_ONCE)
    assert in_books(tmp_path) == wanted
    on_disk = {path.name for path in (tmp_path / "books").rglob("*.parquet*")}
    view = (tmp_path / "books" / "attempts.sql").read_text()
    assert all(name in view for name in on_disk), "a file that does not count was left behind"


KILL_9 = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from tests.books.traffic import assumed
from farebox.books.ingest import IngestPlan, ingest_once
from farebox.books.manifest import Manifest
def kill(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
ingest_once(Path(sys.argv[1]), assumed, IngestPlan(keep_journal_days=0, keep_replaced_s=0), fault=kill)
"""


@pytest.mark.parametrize("step", ["publish", "commit", "committed", "merge-commit", "forget-writer"])
def test_kill_9_of_the_office(tmp_path, step):
    writer, wanted = scene(tmp_path)
    arguments = [sys.executable, "-c", KILL_9, str(tmp_path), step, str(Path(__file__).parents[2])]
    for number in range(3):
        killed = subprocess.run(arguments, check=False)
        if killed.returncode:
            break
        more = calls(1, start=1000 + number)
        wanted |= totals(more)
        for each in more:
            append(writer, each)
    assert killed.returncode == -signal.SIGKILL
    ingest_once(tmp_path, assumed, AT_ONCE)
    writer.close()
    ingest_once(tmp_path, assumed, AT_ONCE)
    assert in_books(tmp_path) == wanted


@settings(max_examples=7, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck))
class Interleavings(RuleBasedStateMachine):
    """Appends, deaths, passes and kills in any order: the books never lie, and in the end hold everything."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.data_dir = Path(self.folder.name)
        self.clock = FakeClock()
        self.writers = {}
        self.open = {}
        self.wanted = {}
        self.made = 0

    @rule(name=st.sampled_from("ab"), day=st.integers(0, 1))
    def begin(self, name, day):
        if name not in self.writers:
            instance = f"{name}{self.made}"
            self.writers[name] = JournalWriter(self.data_dir / "journal", instance, self.clock, 4096)
        begun = sent(f"call_{self.made}", at_ns=START_NS + day * DAY_NS + self.made)
        self.made += 1
        append(self.writers[name], begun)
        self.open[begun.attempt] = (name, begun)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data):
        name, begun = self.open.pop(data.draw(st.sampled_from(sorted(self.open))))
        ended = done(begun, line("output", self.made, 1000))
        append(self.writers[name], ended)
        self.wanted[begun.attempt] = ended.total_femto

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def die(self, data):
        name = data.draw(st.sampled_from(sorted(self.writers)))
        os.close(self.writers.pop(name)._lock)  # what the kernel does to a killed process
        for attempt, (owner, begun) in list(self.open.items()):
            if owner == name:
                del self.open[attempt]
                self.wanted[attempt] = assumed(begun).total_femto

    @rule(keep=st.sampled_from([KEEP, AT_ONCE]))
    def ingest(self, keep):
        ingest_once(self.data_dir, assumed, keep, clock=self.clock)

    @rule(step=st.sampled_from(STEPS), keep=st.sampled_from([KEEP, AT_ONCE]))
    def ingest_and_die(self, step, keep):
        def kill(at):
            if at == step:
                raise Killed

        with contextlib.suppress(Killed):
            ingest_once(self.data_dir, assumed, keep, clock=self.clock, fault=kill)

    @invariant()
    def nothing_is_twice_or_wrong(self):
        if (self.data_dir / "books").exists():
            assert in_books(self.data_dir).items() <= self.wanted.items()

    def teardown(self):
        ingest_once(self.data_dir, assumed, AT_ONCE, clock=self.clock)
        assert in_books(self.data_dir) == self.wanted
        for writer in self.writers.values():
            writer.close()
        self.folder.cleanup()


TestInterleavings = Interleavings.TestCase


def test_hauls_are_bounded_and_add_up(tmp_path, monkeypatch):
    monkeypatch.setattr(drain, "HAUL_ATTEMPTS", 7)
    records = calls(50)
    write_calls(tmp_path, records, segment_bytes=4096)
    report = ingest_once(tmp_path, assumed)
    assert report.attempts == 50
    assert report.files > 3
    assert in_books(tmp_path) == totals(records)
