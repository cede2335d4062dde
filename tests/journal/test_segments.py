"""Segments: what is written is read back; torn tails are cut; damage is passed over and never hidden."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.journal.record import Record
from farebox.journal.segment import (
    MAGIC,
    SegmentDamaged,
    frame,
    instances_of,
    next_frame,
    read_segment,
    segments_of,
)
from tests.books.traffic import done, sent, write_calls


def records_of(path, window_bytes=1 << 20):
    found: list[Record] = []
    offset = 0
    while True:
        batch = read_segment(path, offset, window_bytes=window_bytes)
        if not batch.records:
            return found, batch
        found += [record for record, _ in batch.records]
        offset = batch.next_offset


def one_segment(tmp_path, count=5):
    records = []
    for number in range(count):
        begun = sent(f"call_{number}")
        records += [begun, done(begun)]
    writer = write_calls(tmp_path, records)
    return segments_of(writer.directory)[0], records


@pytest.mark.parametrize("window_bytes", [8, 64, 300, 1 << 20])
def test_reads_back_whatever_the_window(tmp_path, window_bytes):
    path, records = one_segment(tmp_path)
    found, last = records_of(path, window_bytes)
    assert found == records
    assert not last.torn


def test_every_cut_of_the_last_record_is_torn_or_absent_and_keeps_the_rest(tmp_path):
    path, records = one_segment(tmp_path, count=2)
    whole = path.read_bytes()
    end = read_segment(path).records[-1][1]
    start = read_segment(path).records[-2][1]
    for cut in range(start, end, 3):
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        found, last = records_of(path)
        assert found == records[:-1], cut
        assert last.next_offset == start
        assert next_frame(path, start) is None


def test_damage_in_the_middle_is_told_from_a_torn_tail_and_passed(tmp_path):
    path, records = one_segment(tmp_path, count=3)
    offsets = [offset for _, offset in read_segment(path).records]
    data = bytearray(path.read_bytes())
    data[offsets[1] + 20] ^= 0xFF
    path.write_bytes(data)
    found, last = records_of(path)
    assert (found, last.torn, last.next_offset) == (records[:2], True, offsets[1])
    assert next_frame(path, offsets[1]) == offsets[2]
    assert [record for record, _ in read_segment(path, offsets[2]).records] == records[3:]


def test_an_unreadable_record_is_raised_only_after_what_stands_before_it(tmp_path):
    path, records = one_segment(tmp_path, count=1)
    end = read_segment(path).next_offset
    data = bytearray(path.read_bytes())
    alien = frame(b"\xa5alien")
    data[end : end + len(alien)] = alien
    path.write_bytes(data)
    first = read_segment(path)
    assert [record for record, _ in first.records] == records
    with pytest.raises(SegmentDamaged) as raised:
        read_segment(path, first.next_offset)
    assert raised.value.offset == end


def test_what_is_no_segment_says_so(tmp_path):
    path = tmp_path / "00000000.seg"
    path.write_bytes(b"not a journal at all")
    with pytest.raises(SegmentDamaged, match="not a journal segment") as raised:
        read_segment(path)
    assert raised.value.offset == 0


def test_a_segment_without_its_header_is_empty(tmp_path):
    path = tmp_path / "00000000.seg"
    path.write_bytes(bytes(4096))
    assert read_segment(path).records == []


def test_instances_are_listed_oldest_first_and_drafts_are_not(tmp_path):
    for name in ("0000000000002-b", "0000000000001-a", ".0000000000003-c"):
        (tmp_path / name).mkdir()
    assert [path.name for path in instances_of(tmp_path)] == ["0000000000001-a", "0000000000002-b"]
    assert instances_of(tmp_path / "nowhere") == []


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_are_read_damaged_or_refused_but_never_crash(data, offset):
    path = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / "farebox-test-any-bytes.seg"
    path.write_bytes(MAGIC + data)
    try:
        batch = read_segment(path, offset)
        assert batch.records == []
        assert next_frame(path, offset) is None
    except SegmentDamaged as damage:
        assert damage.offset >= len(MAGIC)  # noqa: PT017 - damage is allowed, not demanded
    finally:
        path.unlink()
