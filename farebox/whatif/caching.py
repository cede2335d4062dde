"""Replays recorded prompts against a cache of prefixes: what would have been read from it, and written to it.

A prompt is a sequence of blocks; a prefix is known by all its blocks from the start. A prefix that was used within the
time that it is kept is read, and kept for as long again; what follows it is written, if the policy says so. Each
provider and model has a cache of its own. Prompts come in the order in which they were sent.
"""

from collections.abc import Iterable, Iterator

import msgspec

from farebox.whatif.schemes import TTL_S, CacheTable


class Prompt(msgspec.Struct, frozen=True):
    """A recorded prompt.

    Attributes:
        ix: number of its row.
        at_ns: when it was sent.
        scope: whose cache it meets.
        tokens: all of its text, cached or not.
        blocks: their ids, in order.
        block_tokens: of each block.
    """

    ix: int
    at_ns: int
    scope: str
    tokens: int
    blocks: list[int]
    block_tokens: int


class Cached(msgspec.Struct, frozen=True):
    """What of a prompt is read from a cache and what is written to it, in tokens."""

    ix: int
    read: int
    written: int


def replay(prompts: Iterable[Prompt], policy: CacheTable) -> Iterator[Cached]:
    """Yield what a cache does for each prompt.

    At least one token of a prompt is always read anew, as providers have it.
    """
    keep_ns = TTL_S[policy.ttl] * 1_000_000_000
    until: dict[tuple[str, int], int] = {}
    seen: dict[tuple[str, int], int] = {}
    for prompt in prompts:
        keys = list(_prefixes(prompt))
        hits = _count_known(keys, until, prompt.at_ns)
        read = _tokens(hits, prompt, policy)
        whole = _tokens(len(keys), prompt, policy)
        kept = len(keys)
        if policy.write == "seen":
            kept = max(hits, _count_known(keys, seen, prompt.at_ns))
            whole = _tokens(kept, prompt, policy)
            for key in keys:
                seen[key] = prompt.at_ns + keep_ns
        if whole:
            for key in keys[:kept]:
                until[key] = prompt.at_ns + keep_ns
        yield Cached(prompt.ix, read, max(0, whole - read))


def _prefixes(prompt: Prompt) -> Iterator[tuple[str, int]]:
    known = 0
    for block in prompt.blocks:
        known = hash((known, block))
        yield prompt.scope, known


def _count_known(keys: list[tuple[str, int]], until: dict[tuple[str, int], int], at_ns: int) -> int:
    count = 0
    for key in keys:
        if until.get(key, -1) < at_ns:
            break
        count += 1
    return count


def _tokens(blocks: int, prompt: Prompt, policy: CacheTable) -> int:
    """Return the tokens of the first blocks, 0 where they are too few to be cached."""
    tokens = min(blocks * prompt.block_tokens, prompt.tokens - 1)
    return tokens if tokens >= max(policy.min_tokens, 1) else 0
