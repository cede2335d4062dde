"""Forcing the journal to the disk: what was waited for is there after a power failure, and a failing disk ends it."""

import asyncio
import os
from pathlib import Path

import pytest

from farebox.clock import SystemClock
from farebox.errors import Unavailable
from farebox.journal.flush import Flusher, sync
from farebox.journal.probe import measure_sync
from farebox.journal.record import Sent
from farebox.journal.segment import read_segment, segments_of
from farebox.journal.writer import JournalWriter


def sent(number: int) -> Sent:
    return Sent(
        f"c.{number}", "c", number, 1, "", "", "", {}, "openai", "chat", "m", "p", "p", "m", False, 1, {}, None
    )  # fmt: skip


class Disk:
    """Keeps a copy of every file as it was when it was last synced: what a power failure leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.syncs = 0
        self._kept: dict[str, bytes] = {}
        self._names: set[str] = set()

    def sync(self, descriptors: list[int]) -> None:
        self.syncs += 1
        for fd in descriptors:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            if path.is_dir():
                self._names |= {str(each) for each in path.rglob("*") if each.is_file()}
            else:
                self._kept[str(path)] = path.read_bytes()
        sync(descriptors)

    def after_power_failure(self) -> set[int]:
        """The numbers of the records that are on the disk under a name."""
        there = set()
        for name in self._kept.keys() & self._names:
            copy = self.folder / "copy.seg"
            copy.write_bytes(self._kept[name])
            there |= {record.number for record, _ in read_segment(copy, 0).records if isinstance(record, Sent)}
        return there


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def journal(tmp_path: Path):
    writer = JournalWriter(tmp_path / "journal", "w", SystemClock(), segment_bytes=1024)
    yield writer
    writer.close()


def never(error: OSError) -> None:
    raise AssertionError(error)


def test_what_was_flushed_survives_a_power_failure(journal: JournalWriter, disk: Disk) -> None:
    acknowledged: set[int] = set()
    flusher = Flusher(journal, never, disk.sync)

    async def settle(number: int) -> None:
        journal.append_sent(sent(number))
        await flusher.flush()
        acknowledged.add(number)
        assert acknowledged <= disk.after_power_failure()

    async def settle_all() -> None:
        for start in range(0, 60, 20):
            await asyncio.gather(*(settle(number) for number in range(start, start + 20)))

    asyncio.run(settle_all())
    assert acknowledged == disk.after_power_failure() == set(range(60))
    assert len(segments_of(journal.directory)) > 2, "the records fill more than one segment"


def test_what_was_not_flushed_may_be_lost(journal: JournalWriter, disk: Disk) -> None:
    flusher = Flusher(journal, never, disk.sync)
    journal.append_sent(sent(1))
    asyncio.run(flusher.flush())
    journal.append_sent(sent(2))
    assert disk.after_power_failure() == {1}


def test_all_that_wait_share_a_sync(journal: JournalWriter, disk: Disk) -> None:
    flusher = Flusher(journal, never, disk.sync)

    async def settle(number: int) -> None:
        journal.append_sent(sent(number))
        await flusher.flush()

    async def settle_all() -> None:
        await asyncio.gather(*(settle(number) for number in range(16)))
        await flusher.flush()

    asyncio.run(settle_all())
    assert 1 <= disk.syncs <= 2


def test_a_disk_that_fails_ends_the_journal(journal: JournalWriter) -> None:
    failures: list[OSError] = []

    def fail(descriptors: list[int]) -> None:
        for fd in descriptors:
            os.close(fd)
        raise OSError(5, "Input/output error")

    flusher = Flusher(journal, failures.append, fail)

    async def settle(number: int) -> None:
        journal.append_sent(sent(number))
        await flusher.flush()

    async def settle_two() -> list[BaseException | None]:
        return list(await asyncio.gather(settle(1), settle(2), return_exceptions=True))

    refused = asyncio.run(settle_two())
    assert [getattr(error, "code", error) for error in refused] == ["journal_failed"] * 2
    assert len(failures) == 1
    assert not journal.admitting
    with pytest.raises(Unavailable) as error:
        journal.append_sent(sent(3))
    assert (error.value.status, error.value.code) == (503, "journal_failed")


def test_a_sync_is_measured(tmp_path: Path) -> None:
    times = measure_sync(tmp_path)
    assert 0 < times.median_ns <= times.worst_ns
    assert list(tmp_path.iterdir()) == []
