"""Tokens and text that anybody can compute with a pencil.

The rule: one token per four bytes of UTF-8, rounded up, for each separate piece of text (a message part, the
compact JSON of a tool, a tool call's name and arguments). An image or a file counts IMAGE_TOKENS whatever its
size. Nothing is added for roles or separators, so a single text of 4 x N bytes is exactly N tokens.
"""

import hashlib
import re
from collections.abc import Iterator

IMAGE_TOKENS = 765  # what OpenAI's guide computes for a 1024 x 1024 image at high detail
TOKEN_BYTES = 4

# Three letters and a blank make one token, so a text of N words is N tokens and cuts at any token.
_WORDS = re.findall(
    "[a-z]{3}",
    "the fox ran far and saw one big red cat sit low its ear was wet but all day sun lit our way "
    "how can you add two and get six ask her why not try new fun now for old men who fly kit too",
)
_LOOP = 4096


def _scroll() -> str:
    words, state = [], 12345
    for _ in range(_LOOP):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        words.append(_WORDS[(state >> 8) % len(_WORDS)])
    return " ".join(words) + " "


_SCROLL = _scroll()


def count_tokens(text: str) -> int:
    """Tokens of one piece of text."""
    size = len(text) if text.isascii() else len(text.encode())
    return -(-size // TOKEN_BYTES)


def seed_of(*parts: str) -> int:
    """A number that depends on the parts only; equal requests get equal answers."""
    return int.from_bytes(hashlib.blake2b("\x00".join(parts).encode(), digest_size=8).digest(), "big")


def write_text(seed: int, tokens: int) -> str:
    """A text of exactly ``tokens`` tokens, the same for the same seed; empty for 0."""
    if tokens <= 0:
        return ""
    start = seed % _LOOP * TOKEN_BYTES
    size = tokens * TOKEN_BYTES
    text = _SCROLL[start : start + size]
    while len(text) < size:
        text += _SCROLL[: size - len(text)]
    return text[:-1] + "."


def cut_to_tokens(text: str, tokens: int) -> str:
    """The longest prefix of at most ``tokens`` tokens that ends between two characters."""
    if count_tokens(text) <= tokens:
        return text
    return text.encode()[: tokens * TOKEN_BYTES].decode(errors="ignore")


def split_text(text: str, tokens: int) -> list[str]:
    """The text in consecutive parts of at most ``tokens`` tokens; every character is whole."""
    if text.isascii():
        size = tokens * TOKEN_BYTES
        return [text[i : i + size] for i in range(0, len(text), size)]
    parts = []
    while text:
        part = cut_to_tokens(text, tokens) or text[0]
        parts.append(part)
        text = text[len(part) :]
    return parts


def pace_text(text: str, before_bytes: int, tokens: int) -> Iterator[tuple[str, int]]:
    """The parts of a text and the tokens made when each is out, counting bytes that came before it."""
    size = before_bytes
    for part in split_text(text, tokens):
        size += len(part.encode())
        yield part, -(-size // TOKEN_BYTES)
