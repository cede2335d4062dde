"""Reads the journal on from where the books stopped and pairs every `Sent` with its `Done`.

A writer's segments are read in order, and the next one only when nothing can be added to this one: so the
beginning of an attempt is always seen before its end. Nothing is written here; what the next commit must
record is collected in a `Haul`.
"""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

import msgspec

from farebox.books.manifest import Finding, FindingKind, OpenAttempt, Position, SegmentState
from farebox.journal.record import Done, Record, Sent
from farebox.journal.segment import SegmentDamaged, next_frame, read_segment, segments_of

HAUL_ATTEMPTS = 25_000  # per commit: bounds the memory of the office

_encode = msgspec.msgpack.Encoder().encode
_decode_sent = msgspec.msgpack.Decoder(Sent).decode


class Pair(msgspec.Struct, frozen=True, gc=False):
    """An attempt with its end, and the place in the journal where the end stands."""

    sent: Sent
    done: Done
    writer: str
    segment: str
    at_offset: int


class Stray(msgspec.Struct, frozen=True, gc=False):
    """An end without an open beginning, and its place."""

    done: Done
    writer: str
    segment: str
    at_offset: int


class Haul(msgspec.Struct):
    """What was read since the last commit.

    Attributes:
        pairs: attempts that ended.
        strays: ends whose beginning is not open.
        opened: attempts that began and are still open.
        ended: ids of attempts that an earlier commit recorded as open and that ended now.
        moved: positions that changed, by writer and segment.
        findings: torn tails and damage.
    """

    pairs: list[Pair] = msgspec.field(default_factory=list)
    strays: list[Stray] = msgspec.field(default_factory=list)
    opened: dict[str, OpenAttempt] = msgspec.field(default_factory=dict)
    ended: list[str] = msgspec.field(default_factory=list)
    moved: dict[tuple[str, str], Position] = msgspec.field(default_factory=dict)
    findings: list[Finding] = msgspec.field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.pairs or self.strays or self.opened or self.ended or self.moved or self.findings)


class Drain:
    """The state of one pass over the journal.

    Args:
        positions: how far each segment was read, by writer and segment; kept up to date.
        open_attempts: the attempts that are open in the books.
        now_ns: wall clock, for findings.
    """

    def __init__(
        self, positions: dict[tuple[str, str], Position], open_attempts: list[OpenAttempt], now_ns: int
    ) -> None:
        self.positions = positions
        self.haul = Haul()
        self._stored: dict[str, OpenAttempt] = {each.attempt: each for each in open_attempts}
        self._fresh: dict[str, tuple[Sent, str, str]] = {}
        self._now_ns = now_ns

    def take_haul(self) -> Haul:
        """Return what was read and start a new haul; the caller commits it or gives up the pass."""
        haul, self.haul = self.haul, Haul()
        for attempt, (sent, writer, segment) in self._fresh.items():
            haul.opened[attempt] = OpenAttempt(attempt, writer, segment, _encode(sent))
        self._stored.update(haul.opened)
        self._fresh = {}
        return haul

    def read_writer(self, instance: Path, *, dead: bool) -> Iterator[None]:
        """Read everything a writer has written; yields whenever the haul is full.

        Args:
            instance: the writer's directory.
            dead: whether the writer was dead before this began, so that nothing can follow.

        Raises:
            OSError: where a segment cannot be read; what stands before it is in the haul.
        """
        paths = segments_of(instance)
        for path, follower in zip_longest(paths, paths[1:]):  # none, where it died before it made one
            key = (instance.name, path.name)
            position = self.positions.setdefault(key, Position())
            if position.state == "finished":
                continue
            # Asked before reading: once the follower is in use, nothing can be added to this segment.
            followed = follower is not None and _in_use(follower)
            yield from self._read_segment(path, key, followed=followed, dead=dead)
            if followed:
                self._move(key, state="finished")
            elif not dead:
                return

    def end_writer(self, writer: str, assume: Callable[[Sent], Done]) -> None:
        """End what a writer that is dead and read to its end has left open, for want of anybody else."""
        for attempt in [each.attempt for each in self._stored.values() if each.writer == writer]:
            stored = self._stored[attempt]
            sent = _decode_sent(stored.sent)
            self._take_done(assume(sent), writer, stored.segment, 0)
        for attempt in [attempt for attempt, (_, owner, _) in self._fresh.items() if owner == writer]:
            sent, _, segment = self._fresh[attempt]
            self._take_done(assume(sent), writer, segment, 0)

    def writers_with_open(self) -> set[str]:
        """Return the writers that have attempts without an end."""
        return {each.writer for each in self._stored.values()} | {owner for _, owner, _ in self._fresh.values()}

    def _read_segment(self, path: Path, key: tuple[str, str], *, followed: bool, dead: bool) -> Iterator[None]:
        position = self.positions[key]
        complete = followed or dead
        while True:
            try:
                batch = read_segment(path, position.next_offset)
            except SegmentDamaged as damage:
                # A file that is no segment at all may still become one while its writer lives.
                skippable = complete or damage.offset
                if position.state == "ended" or not skippable or not self._skip(path, key, damage):
                    return
                continue
            for record, next_offset in batch.records:
                self._take(record, key, next_offset)
            if batch.records:
                self._move(key, next_offset=batch.next_offset)
                if len(self.haul.pairs) >= HAUL_ATTEMPTS:
                    yield
                continue
            kind: FindingKind = "damaged" if followed else "torn"
            if not complete or position.state == "ended" or not self._skip_tail(path, key, batch.next_offset, kind):
                return

    def _skip_tail(self, path: Path, key: tuple[str, str], end: int, kind: FindingKind) -> bool:
        """Look behind the end of a segment that nothing can be added to; True where there is more to read."""
        with path.open("rb") as file:
            file.seek(end)
            rest = file.read()
        self._move(key, next_offset=end)
        if not rest.strip(b"\0"):
            self._move(key, state="ended")
            return False
        behind = next_frame(path, end)
        if behind is not None:
            self._find("damaged", key, f"no record can be read from {end} to {behind}")
            self._move(key, next_offset=behind)
            return True
        self._find(kind, key, "an unfinished record at the end")
        self._move(key, state="ended")
        return False

    def _skip(self, path: Path, key: tuple[str, str], damage: SegmentDamaged) -> bool:
        """Set a damaged place aside; True where something can be read behind it."""
        behind = next_frame(path, damage.offset) if damage.offset else None
        if behind is None:
            self._find("damaged", key, f"{damage}; nothing can be read behind it")
            if not damage.offset:
                self._move(key, state="ended")
            return False
        self._find("damaged", key, f"{damage}; read on at {behind}")
        self._move(key, next_offset=behind)
        return True

    def _take(self, record: Record, key: tuple[str, str], next_offset: int) -> None:
        if isinstance(record, Sent):
            self._fresh[record.attempt] = (record, *key)
        else:
            self._take_done(record, *key, next_offset)

    def _take_done(self, done: Done, writer: str, segment: str, at_offset: int) -> None:
        fresh = self._fresh.pop(done.attempt, None)
        if fresh is not None:
            self.haul.pairs.append(Pair(fresh[0], done, writer, segment, at_offset))
            return
        stored = self._stored.pop(done.attempt, None)
        if stored is None:
            self.haul.strays.append(Stray(done, writer, segment, at_offset))
            return
        self.haul.pairs.append(Pair(_decode_sent(stored.sent), done, writer, segment, at_offset))
        self.haul.ended.append(done.attempt)

    def _move(self, key: tuple[str, str], *, next_offset: int | None = None, state: SegmentState | None = None) -> None:
        position = self.positions[key]
        if next_offset is not None:
            position.next_offset = next_offset
        if state is not None:
            position.state = state
            position.finished_ns = self._now_ns
        self.haul.moved[key] = position

    def _find(self, kind: FindingKind, key: tuple[str, str], detail: str) -> None:
        at_offset = self.positions[key].next_offset
        self.haul.findings.append(Finding(kind, *key, at_offset, self._now_ns, detail=detail))


def _in_use(path: Path) -> bool:
    """Whether a segment holds anything behind its header, readable or not."""
    with path.open("rb") as file:
        head = file.read(64)
    return bool(head[16:].strip(b"\0"))
