"""The writer keeps its promises under kill -9 and on a full disk; recovery ends each open attempt once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from farebox.errors import TooLarge, Unavailable
from farebox.journal.flush import sync
from farebox.journal.record import Sent
from farebox.journal.recover import RECOVERED, is_dead, recover_instance
from farebox.journal.segment import next_frame, read_segment, segments_of
from farebox.journal.writer import JournalWriter
from tests.books.traffic import FakeClock, assumed, done, line, sent, write_calls

ROOT = Path(__file__).parents[2]

ENDLESS = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.books.traffic import FakeClock, JournalWriter, done, sent
writer = JournalWriter(Path(sys.argv[1]), "child", FakeClock(), 1 << 16)
number = 0
while True:
    begun = sent(f"call_{number}")
    writer.append_sent(begun)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    writer.append_done(done(begun))
    number += 1
"""


def all_records(instance):
    records = []
    for path in segments_of(instance):
        offset = 0
        while (batch := read_segment(path, offset)).records:
            records += [record for record, _ in batch.records]
            offset = batch.next_offset
    return records


def send_until_refused(writer, begun):
    for number in range(100):
        begun.append(sent(f"call_{number}"))
        writer.append_sent(begun[-1])


def can_admit(writer):
    return writer.admitting


def test_segments_follow_one_another_and_lose_nothing(tmp_path):
    records = []
    for number in range(60):
        begun = sent(f"call_{number}")
        records += [begun, done(begun)]
    writer = write_calls(tmp_path, records, segment_bytes=4096)
    assert len(segments_of(writer.directory)) > 5
    assert all_records(writer.directory) == records


@pytest.mark.parametrize("lines_before_kill", [1, 37, 400])
def test_kill_9_loses_no_attempt_that_was_announced(tmp_path, lines_before_kill):
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        announced = [child.stdout.readline() for _ in range(lines_before_kill)]
        (instance,) = tmp_path.iterdir()
        assert not is_dead(instance)
        os.kill(child.pid, signal.SIGKILL)
        announced += child.stdout.readlines()
    assert is_dead(instance)
    on_record = [record.attempt for record in all_records(instance) if isinstance(record, Sent)]
    wanted = [f"call_{text.strip()}.1" for text in announced if text.endswith("\n")]
    assert on_record[: len(wanted)] == wanted
    assert len(on_record) <= len(wanted) + 1
    ended = recover_instance(instance, assumed)
    assert ended in {0, 1}
    assert recover_instance(instance, assumed) == 0
    records = all_records(instance)
    ends = [record.attempt for record in records if not isinstance(record, Sent)]
    assert sorted(ends) == sorted(on_record)


def test_recovery_reads_past_damage_and_does_not_end_what_has_ended_behind_it(tmp_path):
    first, second = sent("call_1"), sent("call_2")
    writer = write_calls(tmp_path, [first, second, done(first), done(second)])
    (path, *_) = segments_of(writer.directory)
    offsets = [offset for _, offset in read_segment(path).records]
    data = bytearray(path.read_bytes())
    data[offsets[1] + 12] ^= 0xFF  # the end of the first attempt
    path.write_bytes(data)
    assert recover_instance(writer.directory, assumed) == 1
    (end, *rest) = [record for record, _ in read_segment(writer.directory / RECOVERED).records]
    assert (end.attempt, rest) == ("call_1.1", [])


def test_a_kill_during_recovery_leaves_nothing_half_done(tmp_path):
    writer = write_calls(tmp_path, [sent("call_1"), sent("call_2")])

    def dies(begun):
        if begun.call == "call_2":
            raise KeyboardInterrupt
        return assumed(begun)

    with pytest.raises(KeyboardInterrupt):
        recover_instance(writer.directory, dies)
    assert not (writer.directory / RECOVERED).exists()
    assert recover_instance(writer.directory, assumed) == 2


def test_a_full_disk_refuses_beginnings_but_keeps_ends(tmp_path, monkeypatch):
    clock = FakeClock()
    writer = JournalWriter(tmp_path, "full", clock, 4096)

    def no_space(_fd, _offset, _size):
        raise OSError(28, "No space left on device")

    begun = [sent("call_first")]
    writer.append_sent(begun[0])
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", no_space)
        with pytest.raises(Unavailable, match="Free space"):
            send_until_refused(writer, begun)
        refused = begun.pop()
        for each in begun:
            writer.append_done(done(each))
        assert writer.waiting > 0
        assert not can_admit(writer)
    clock.now += 10**9
    assert can_admit(writer)
    assert writer.waiting == 0
    writer.close()
    records = all_records(writer.directory)
    assert [record for record in records if isinstance(record, Sent)] == begun
    assert [record for record in records if not isinstance(record, Sent)] == [done(each) for each in begun]
    assert refused.attempt not in {record.attempt for record in records}


def test_a_beginning_too_large_for_a_segment_is_the_clients_fault_and_costs_no_segment(tmp_path):
    writer = JournalWriter(tmp_path, "large", FakeClock(), 4096)
    before = len(segments_of(writer.directory))
    with pytest.raises(TooLarge, match="user, tags"):
        writer.append_sent(sent(user="u" * 5000))
    assert len(segments_of(writer.directory)) == before
    writer.append_sent(sent())
    writer.close()


@pytest.mark.parametrize("field", ["hold_femto", "hold_input", "hold_output", "output_cap"])
def test_a_beginning_with_a_number_that_no_record_can_hold_is_refused(tmp_path, field):
    writer = JournalWriter(tmp_path, "odd", FakeClock(), 4096)
    largest = sent("call_largest", **{field: (1 << 64) - 1})
    writer.append_sent(largest)
    with pytest.raises(TooLarge, match="max_tokens"):
        writer.append_sent(sent("call_beyond", **{field: 1 << 64}))
    writer.close()
    assert all_records(writer.directory) == [largest]


def test_an_end_that_no_record_can_hold_is_put_on_record_without_what_does_not_fit(tmp_path):
    big, many = sent("call_big"), sent("call_many")
    writer = JournalWriter(tmp_path, "odd", FakeClock(), 4096)
    for each in (big, many):
        writer.append_sent(each)
    writer.append_done(done(big, usage_raw=b"x" * 9000))
    writer.append_done(done(many, line("output", 1 << 40, 1 << 40)))
    assert writer.waiting == 0
    writer.close()
    (_, _, first, second) = all_records(writer.directory)
    assert first.usage_raw == b""
    assert "too large" in first.error
    assert first.total_femto == done(big).total_femto
    assert second.total_femto is None
    assert second.flags == ("unpriced",)
    assert second.meters == {"output": 1 << 40}


def test_sync_closes_every_descriptor_even_where_one_fails(tmp_path):
    writer = JournalWriter(tmp_path, "sync", FakeClock(), 4096)
    descriptors = writer.take_unsynced()
    pipe_read, pipe_write = os.pipe()
    with pytest.raises(OSError):
        sync([pipe_read, *descriptors])
    for fd in (pipe_read, *descriptors):
        with pytest.raises(OSError):
            os.fstat(fd)
    os.close(pipe_write)
    writer.close()


def test_the_books_find_no_frame_behind_a_clean_end(tmp_path):
    writer = write_calls(tmp_path, [sent()])
    (path, *_) = segments_of(writer.directory)
    assert next_frame(path, read_segment(path).next_offset) is None


def test_a_disk_that_fails_at_the_end_keeps_no_lock(tmp_path, monkeypatch):
    writer = JournalWriter(tmp_path, "last", FakeClock(), 4096)
    for number in range(40):
        writer.append_sent(sent(f"call_{number}"))
    forced = []

    def fail_last(fd):
        forced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        if forced[-1] == str(tmp_path):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail_last)
    with pytest.raises(OSError, match="Input/output"):
        writer.close()
    assert {str(path) for path in segments_of(writer.directory)[:-1]} < set(forced), "all but the spare one"
    assert str(writer.directory) in forced, "so that they have their names"
    assert is_dead(writer.directory)
