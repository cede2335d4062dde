"""The trace formats, as a table from name to reader.

A reader takes an open file and yields a row, or a RowError for a line that cannot be replayed, so that the
caller counts what was left out and why. Nothing is read ahead: a trace may be larger than memory.
Sources of the shapes: Azure/AzurePublicDataset (AzureLLMInferenceTrace 2023 and 2024), kvcache-ai/Mooncake
(FAST 2025), flashserve/RAGPulse (arXiv 2511.12979), HPMLL/BurstGPT (arXiv 2401.17644).
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from farebox.replay.rows import MAX_TOKENS, Block, Part, RowError, Section, TraceRow

Reader = Callable[[Iterable[str]], Iterator["Line"]]
"""Yields (line number from 1, row or the reason why there is none)."""

Line = tuple[int, TraceRow | RowError]

MOONCAKE_BLOCK_TOKENS: Final = 512


def _tokens(value: object, name: str) -> int:
    """Return a length in tokens.

    Raises:
        RowError: it is not a whole number from 1 to MAX_TOKENS.
    """
    try:
        count = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise RowError(f"{name} is not a whole number") from None
    if count < 1:
        raise RowError(f"{name} is below 1")
    if count > MAX_TOKENS:
        raise RowError(f"{name} is above {MAX_TOKENS:,}")
    return int(count)


def _seconds(value: object, name: str) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise RowError(f"{name} is not a number of seconds") from None
    if not math.isfinite(seconds):
        raise RowError(f"{name} is not a number of seconds")
    return seconds


def _instant(value: str, name: str) -> float:
    try:
        instant = datetime.fromisoformat(value.strip())
    except ValueError:
        raise RowError(f"{name} is not a date and time such as 2023-11-16 18:15:46.680590") from None
    return instant.replace(tzinfo=instant.tzinfo or UTC).timestamp()


def _fresh(line: int, tokens: int) -> tuple[Section, ...]:
    """Return a prompt that shares no text with any other line."""
    return (Section("user", (Block(line, tokens),)),)


# Comma-separated files -------------------------------------------------------------------------------


def _column_key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _read_csv(
    lines: Iterable[str], columns: Sequence[str], make: Callable[[int, list[str]], TraceRow]
) -> Iterator[Line]:
    """Yield the lines of a file with or without a header; a header may reorder and add columns."""
    keys = [_column_key(name) for name in columns]
    order = list(range(len(columns)))
    table = csv.reader(lines)
    header_possible = True
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            yield table.line_num, RowError(f"not comma-separated: {error}")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header_possible:
            header_possible = False
            found = {_column_key(cell): at for at, cell in enumerate(cells)}
            if set(keys) <= set(found):
                order = [found[key] for key in keys]
                continue
        try:
            if len(cells) <= max(order):
                raise RowError(f"fewer than {max(order) + 1} columns")  # noqa: TRY301 - one place yields it
            yield table.line_num, make(table.line_num, [cells[at] for at in order])
        except RowError as error:
            yield table.line_num, error


def _azure_row(line: int, cells: list[str]) -> TraceRow:
    tokens = _tokens(cells[1], "ContextTokens")
    return TraceRow(
        at_s=_instant(cells[0], "TIMESTAMP"),
        input_tokens=tokens,
        output_tokens=_tokens(cells[2], "GeneratedTokens"),
        sections=_fresh(line, tokens),
    )


def _burstgpt_row(line: int, cells: list[str]) -> TraceRow:
    # The authors record a request that failed as one without response tokens.
    if cells[3].strip() == "0":
        raise RowError("Response tokens is 0: the trace recorded a failed request")
    tokens = _tokens(cells[2], "Request tokens")
    return TraceRow(
        at_s=_seconds(cells[0], "Timestamp"),
        input_tokens=tokens,
        output_tokens=_tokens(cells[3], "Response tokens"),
        sections=_fresh(line, tokens),
        model=cells[1].strip() or None,
        tags=(("log_type", cells[4].strip()),) if cells[4].strip() else (),
    )


def read_azure(lines: Iterable[str]) -> Iterator[Line]:
    """Read TIMESTAMP,ContextTokens,GeneratedTokens."""
    return _read_csv(lines, ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), _azure_row)


def read_burstgpt(lines: Iterable[str]) -> Iterator[Line]:
    """Read Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type; the total is not used."""
    columns = ("Timestamp", "Model", "Request tokens", "Response tokens", "Log Type")
    shown = ("Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type")

    def make(line: int, cells: list[str]) -> TraceRow:
        return _burstgpt_row(line, [cells[shown.index(name)] for name in columns])

    return _read_csv(lines, shown, make)


# One JSON object a line ------------------------------------------------------------------------------


class MooncakeLine(msgspec.Struct):
    """One line of a Mooncake trace; `timestamp` in milliseconds."""

    timestamp: float
    input_length: int
    output_length: int
    hash_ids: list[int]


class RagpulseParts(msgspec.Struct):
    """The ids of the texts of a RAG prompt."""

    sys_prompt: list[int] = []
    passages_ids: list[int] = []
    history: list[int] = []
    web_search: list[int] = []
    user_input: list[int] = []


class RagpulseLine(msgspec.Struct):
    """One line of a RAGPulse trace; `timestamp` in seconds, as text in the published file."""

    timestamp: str | float
    input_length: int
    output_length: int
    hash_ids: RagpulseParts
    session_id: str | None = None


class OwnLine(msgspec.Struct, forbid_unknown_fields=True):
    """One line of Farebox's own format."""

    at_s: float
    input_tokens: int
    output_tokens: int
    model: str | None = None
    prompt: str | None = None


def _read_json(lines: Iterable[str], shape: Any, make: Callable[[int, Any], TraceRow]) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(shape)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, make(number, decoder.decode(line))
        except msgspec.DecodeError as error:
            yield number, RowError(str(error))
        except RowError as error:
            yield number, error


def _mooncake_row(_line: int, row: MooncakeLine) -> TraceRow:
    tokens = _tokens(row.input_length, "input_length")
    count = -(-tokens // MOONCAKE_BLOCK_TOKENS)
    if len(row.hash_ids) != count:
        raise RowError(f"hash_ids does not hold one id per {MOONCAKE_BLOCK_TOKENS} tokens of input_length")
    sizes = [MOONCAKE_BLOCK_TOKENS] * (count - 1) + [tokens - MOONCAKE_BLOCK_TOKENS * (count - 1)]
    return TraceRow(
        at_s=_seconds(row.timestamp, "timestamp") / 1000,
        input_tokens=tokens,
        output_tokens=_tokens(row.output_length, "output_length"),
        sections=(Section("user", tuple(map(Block, row.hash_ids, sizes))),),
    )


def read_mooncake(lines: Iterable[str]) -> Iterator[Line]:
    """Read timestamp (ms), input_length, output_length, hash_ids of the 512-token blocks."""
    return _read_json(lines, MooncakeLine, _mooncake_row)


def _own_row(line: int, row: OwnLine) -> TraceRow:
    tokens = _tokens(row.input_tokens, "input_tokens")
    return TraceRow(
        at_s=_seconds(row.at_s, "at_s"),
        input_tokens=tokens,
        output_tokens=_tokens(row.output_tokens, "output_tokens"),
        sections=() if row.prompt is not None else _fresh(line, tokens),
        prompt=row.prompt,
        model=row.model,
    )


def read_jsonl(lines: Iterable[str]) -> Iterator[Line]:
    """Read at_s, input_tokens, output_tokens and, if given, model and prompt."""
    return _read_json(lines, OwnLine, _own_row)


class RagpulseReader:
    """Reads RAGPulse, which gives the length of a prompt but not of its parts.

    A text gets its length where it is first seen: what the prompt has left after the texts already known
    is shared out by the usual length of each kind, and kept from then on, so that equal ids stay equal
    text. The user's question takes what remains. Over the published trace 90 % of the prompts come out at
    their recorded length and the mean is 0.2 % above it.
    """

    PARTS: Final[tuple[tuple[str, Part, int], ...]] = (
        # Field, part, usual tokens of one id: least squares over the published trace, rounded.
        ("sys_prompt", "system", 190),
        ("history", "history", 550),
        ("passages_ids", "passages", 330),
        ("web_search", "web", 415),
    )
    QUESTION_TOKENS: Final = 64
    SHORTEST_TEXT_TOKENS: Final = 16
    SHORTEST_QUESTION_TOKENS: Final = 8

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, int], int] = {}

    def read(self, lines: Iterable[str]) -> Iterator[Line]:
        """Yield the rows of an open file."""
        return _read_json(lines, RagpulseLine, self._row)

    def _row(self, line: int, row: RagpulseLine) -> TraceRow:
        tokens = _tokens(row.input_length, "input_length")
        output = _tokens(row.output_length, "output_length")
        at_s = _seconds(row.timestamp, "timestamp")
        self._measure(tokens, row.hash_ids)
        sections = []
        total = 0
        for field, part, _usual in self.PARTS:
            ids: list[int] = getattr(row.hash_ids, field)
            blocks = tuple(Block(text_id, self._sizes[part, text_id]) for text_id in ids)
            total += sum(block.tokens for block in blocks)
            if blocks:
                sections.append(Section(part, blocks))
        question = row.hash_ids.user_input[0] if row.hash_ids.user_input else -line
        rest = max(self.SHORTEST_QUESTION_TOKENS, tokens - total)
        sections.append(Section("user", (Block(question, rest),)))
        return TraceRow(
            at_s=at_s,
            input_tokens=tokens,
            output_tokens=output,
            sections=tuple(sections),
            session=row.session_id,
        )

    def _measure(self, input_tokens: int, ids: RagpulseParts) -> None:
        """Give every text that is new a length."""
        known, fresh = 0, {}
        for field, part, usual in self.PARTS:
            for text_id in getattr(ids, field):
                if (part, text_id) in self._sizes:
                    known += self._sizes[part, text_id]
                else:
                    fresh[part, text_id] = usual
        rest = input_tokens - self.QUESTION_TOKENS - known
        weight = sum(fresh.values())
        for text, usual in fresh.items():
            self._sizes[text] = min(max(rest * usual // weight, self.SHORTEST_TEXT_TOKENS), 4 * usual)


def read_ragpulse(lines: Iterable[str]) -> Iterator[Line]:
    """Read timestamp (s), input_length, output_length, hash_ids by part of the prompt, session_id."""
    return RagpulseReader().read(lines)


READERS: Final[dict[str, Reader]] = {
    "azure": read_azure,
    "mooncake": read_mooncake,
    "ragpulse": read_ragpulse,
    "burstgpt": read_burstgpt,
    "jsonl": read_jsonl,
}

SERVED_AS: Final[dict[str, dict[str, str]]] = {
    # Names that a trace uses and no provider serves.
    "burstgpt": {"ChatGPT": "gpt-4o-mini", "GPT-4": "gpt-4o"},
}
"""Format -> the trace's name of a model -> the model that is asked for unless the caller says otherwise."""
