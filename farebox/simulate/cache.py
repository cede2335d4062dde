"""Prompt caches of both providers, by prefix, with a time to live.

A prompt is a sequence of segments. Its bytes are cut into tokens segment by segment, as text.py counts them,
so a prefix of k tokens is well defined; labels (role, kind) are part of the prefix but cost no tokens.
The time is an argument: tests move it.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from farebox.simulate.text import TOKEN_BYTES

BLOCK_TOKENS = 128  # OpenAI's published step
_LOOK_BACK = 20  # Anthropic looks at most this many blocks before a breakpoint
_MAX_ENTRIES = 200_000


class Segment(msgspec.Struct, frozen=True):
    """One counted piece of a prompt.

    Attributes:
        label: role and kind; two prompts share a prefix only where their labels agree.
        text: what is counted.
        tokens: how many tokens it is.
        keep: ``5m`` or ``1h`` if a cache breakpoint stands behind this segment, else empty.
    """

    label: str
    text: str
    tokens: int
    keep: str = ""


class CacheHit(msgspec.Struct, frozen=True):
    """Tokens of a prompt by cache state; the rest of the prompt is uncached."""

    read: int = 0
    write_5m: int = 0
    write_1h: int = 0


class PrefixCache:
    """Prefixes seen before, for all keys and models of one simulator."""

    def __init__(self, automatic_ttl_s: float = 300) -> None:
        self._until: dict[bytes, float] = {}
        self._ttl_s = {"auto": automatic_ttl_s, "5m": 300.0, "1h": 3600.0}

    def clear(self) -> None:
        """Forget every prefix."""
        self._until.clear()

    def match_automatic(self, owner: str, segments: Sequence[Segment], minimum: int, now_s: float) -> CacheHit:
        """OpenAI: the longest prefix seen before, in whole blocks, from ``minimum`` tokens; remembers this one."""
        total = sum(s.tokens for s in segments)
        if total < minimum:
            return CacheHit()
        marks = _block_marks(owner, segments)
        shared = 0
        for mark in marks:
            if self._until.get(mark, 0) <= now_s:
                break
            shared += 1
        for mark in marks:
            self._remember(mark, now_s + self._ttl_s["auto"], now_s)
        # The last token is always computed, so a repeated prompt is never served from the cache to its end.
        tokens = min(shared * BLOCK_TOKENS, (total - 1) // BLOCK_TOKENS * BLOCK_TOKENS)
        return CacheHit(read=tokens if tokens >= minimum else 0)

    def match_marked(self, owner: str, segments: Sequence[Segment], minimum: int, now_s: float) -> CacheHit:
        """Anthropic: read up to the longest prefix kept before, write from there to the last breakpoint."""
        stops = [i for i, s in enumerate(segments) if s.keep]
        if not stops:
            return CacheHit()
        marks, totals = _segment_marks(owner, segments)
        if totals[stops[-1]] < minimum:
            return CacheHit()
        found = self._find_kept(marks, totals, stops, minimum, now_s)
        read = totals[found] if found >= 0 else 0
        if found >= 0:
            self._refresh(marks[found], now_s)
        writes = {"5m": 0, "1h": 0}
        done = read
        for stop in stops:
            if totals[stop] < minimum:
                continue
            keep = segments[stop].keep
            self._keep(marks[stop], keep, now_s)
            if totals[stop] > done:
                writes[keep] += totals[stop] - done
                done = totals[stop]
        return CacheHit(read=read, write_5m=writes["5m"], write_1h=writes["1h"])

    def _find_kept(self, marks: list[bytes], totals: list[int], stops: list[int], minimum: int, now_s: float) -> int:
        for stop in reversed(stops):
            for i in range(stop, max(-1, stop - _LOOK_BACK), -1):
                if totals[i] >= minimum and self._life(marks[i], now_s):
                    return i
        return -1

    def _life(self, mark: bytes, now_s: float) -> str:
        """The longer time to live under which a prefix is still kept, or empty."""
        for ttl in ("1h", "5m"):
            if self._until.get(mark + ttl.encode(), 0) > now_s:
                return ttl
        return ""

    def _refresh(self, mark: bytes, now_s: float) -> None:
        self._keep(mark, self._life(mark, now_s), now_s)

    def _keep(self, mark: bytes, ttl: str, now_s: float) -> None:
        self._remember(mark + ttl.encode(), now_s + self._ttl_s[ttl], now_s)

    def _remember(self, mark: bytes, until_s: float, now_s: float) -> None:
        # Re-inserting keeps the dictionary in the order of last use, so the front is what to forget first.
        self._until.pop(mark, None)
        self._until[mark] = until_s
        if len(self._until) > _MAX_ENTRIES:
            alive = [(m, t) for m, t in self._until.items() if t > now_s]
            self._until = dict(alive[-_MAX_ENTRIES // 2 :])


def _padded(segment: Segment) -> bytes:
    """The bytes that stand for a segment: exactly TOKEN_BYTES for each of its tokens."""
    data = segment.text.encode()
    size = segment.tokens * TOKEN_BYTES
    if len(data) > size:  # an image: its content is named by its hash, its length is its token count
        data = hashlib.blake2b(data, digest_size=32).digest()
    return data.ljust(size, b"\x00")


def _block_marks(owner: str, segments: Sequence[Segment]) -> list[bytes]:
    """One digest for each whole block: of everything from the start to the end of that block."""
    size = BLOCK_TOKENS * TOKEN_BYTES
    running = hashlib.blake2b(owner.encode(), digest_size=16)
    marks: list[bytes] = []
    room = size
    for segment in segments:
        running.update(b"\x01" + segment.label.encode() + b"\x02")
        data = memoryview(_padded(segment))
        while len(data) >= room:
            running.update(data[:room])
            data = data[room:]
            room = size
            marks.append(running.digest())
        running.update(data)
        room -= len(data)
    return marks


def _segment_marks(owner: str, segments: Sequence[Segment]) -> tuple[list[bytes], list[int]]:
    """For each segment: the digest of, and the tokens in, everything up to its end."""
    running = hashlib.blake2b(owner.encode(), digest_size=16)
    marks, totals, total = [], [], 0
    for segment in segments:
        running.update(b"\x01" + segment.label.encode() + b"\x02" + _padded(segment))
        total += segment.tokens
        marks.append(running.digest())
        totals.append(total)
    return marks, totals
