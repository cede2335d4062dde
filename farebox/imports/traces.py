"""Public traces: arrivals, lengths and, where published, which blocks of the prompts are equal.

azure      Azure LLM inference traces of 2023 and 2024 (CSV): TIMESTAMP, ContextTokens, GeneratedTokens
mooncake   Mooncake traces (JSON lines): milliseconds from the start, lengths, an id for each 512 tokens of the prompt
ragpulse   RAGPulse trace (JSON lines): seconds from the start, lengths, session, ids by part of the prompt
burstgpt   BurstGPT traces (CSV): seconds from the start, model, lengths, and kind of log

A trace says when and how much, not what was billed, so all input is taken as not cached. Where ids of blocks come
without their lengths, as in RAGPulse, blocks are taken to be of equal length.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from farebox.imports.options import Options
from farebox.imports.phrases import MAX_COUNT, count_of, shown
from farebox.imports.records import WrongFile
from farebox.reprice.sql import named, quoted

MOONCAKE_BLOCK_TOKENS = 512
# The order in which the parts stand in a prompt, and what the books call each.
_RAG_PARTS = {
    "sys_prompt": "system",
    "passages_ids": "context",
    "history": "history",
    "web_search": "context",
    "user_input": "user",
}
# The parts of prompts are kept in bytes, of which only the shares count.
_BYTES_PER_TOKEN = 4
_LENGTHS = ("timestamp", "input_length", "output_length")
# BurstGPT's names of what was called; both were OpenAI's.
_BURST_MODELS = {"ChatGPT": "gpt-3.5-turbo", "GPT-4": "gpt-4"}


def select_azure(path: str, options: Options) -> str:
    """Return the rows of an Azure LLM inference trace.

    Raises:
        WrongFile: where the file is none.
    """
    columns = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
    moment = named("TIMESTAMP")
    has_zone = f"{moment} LIKE '%+__:__' OR {moment} LIKE '%Z'"
    trace = _Trace(
        records=_csv(path, columns, "an Azure LLM inference trace"),
        shown=columns,
        at_ns=f"CASE WHEN {has_zone} THEN epoch_us(TRY_CAST({moment} AS TIMESTAMPTZ)) * 1000 "
        f"ELSE epoch_ns(TRY_CAST({moment} AS TIMESTAMP_NS)) END",
        input=_count("ContextTokens"),
        output=_count("GeneratedTokens"),
    )
    return trace.rows(options)


def select_burstgpt(path: str, options: Options) -> str:
    """Return the rows of a BurstGPT trace; a request without an answer is one that failed, and cost nothing.

    Raises:
        WrongFile: where the file is none.
    """
    columns = ("Timestamp", "Model", "Request tokens", "Response tokens")
    output = _count("Response tokens")
    known = " ".join(f"WHEN {quoted(name)} THEN {quoted(model)}" for name, model in _BURST_MODELS.items())
    names = ", ".join(map(quoted, _BURST_MODELS))
    trace = _Trace(
        records=_csv(path, columns, "a BurstGPT trace"),
        shown=("Timestamp", "Request tokens", "Response tokens"),
        at_ns=_moment("Timestamp", 1_000_000_000, options),
        input=f"CASE WHEN {output} = 0 THEN 0 ELSE {_count('Request tokens')} END",
        output=output,
        more={"asked_model": named("Model"), "outcome": f"CASE WHEN {output} = 0 THEN 'error' ELSE 'ok' END"},
        model=f"CASE {named('Model')} {known} END",
        provider=f"CASE WHEN {named('Model')} IN ({names}) THEN 'openai' END",
    )
    return trace.rows(options)


def select_mooncake(path: str, options: Options) -> str:
    """Return the rows of a Mooncake trace.

    Raises:
        WrongFile: where the file is none.
    """
    columns = {
        "timestamp": "VARCHAR",
        "input_length": "VARCHAR",
        "output_length": "VARCHAR",
        "hash_ids": "BIGINT[]",
    }
    trace = _Trace(
        records=_json(path, columns, "a Mooncake trace"),
        shown=_LENGTHS,
        at_ns=_moment("timestamp", 1_000_000, options),
        input=_count("input_length"),
        output=_count("output_length"),
        more={"blocks": "hash_ids", "block_tokens": str(MOONCAKE_BLOCK_TOKENS)},
    )
    return trace.rows(options)


def select_ragpulse(path: str, options: Options) -> str:
    """Return the rows of a RAGPulse trace.

    Raises:
        WrongFile: where the file is none.
    """
    parts = ", ".join(f"{part} BIGINT[]" for part in _RAG_PARTS)
    columns = {
        "timestamp": "VARCHAR",
        "input_length": "VARCHAR",
        "output_length": "VARCHAR",
        "hash_ids": f"STRUCT({parts})",
        "session_id": "VARCHAR",
    }
    lists = {part: f"coalesce(hash_ids.{part}, [])" for part in _RAG_PARTS}
    blocks = " || ".join(lists.values())
    size = f"greatest(len({blocks}), 1)"
    total = _count("input_length")
    sizes: dict[str, list[str]] = {}
    for part, name in _RAG_PARTS.items():
        sizes.setdefault(name, []).append(f"len({lists[part]})")
    shares = {
        f"part_{name}": f"({' + '.join(found)}) * {total} * {_BYTES_PER_TOKEN} // {size}"
        for name, found in sizes.items()
    }
    trace = _Trace(
        records=_json(path, columns, "a RAGPulse trace"),
        shown=_LENGTHS,
        at_ns=_moment("timestamp", 1_000_000_000, options),
        input=total,
        output=_count("output_length"),
        more={"blocks": blocks, "block_tokens": f"-(-{total} // {size})", "session": "session_id", **shares},
    )
    return trace.rows(options)


def _count(column: str) -> str:
    return count_of(f"TRY_CAST({named(column)} AS DOUBLE)", MAX_COUNT)


def _moment(column: str, unit_ns: int, options: Options) -> str:
    """Return the phrase of an instant that a trace counts from its beginning."""
    return f"{options.start_ns} + CAST(TRY_CAST({named(column)} AS DECIMAL(27,9)) * {unit_ns} AS BIGINT)"


def _csv(path: str, columns: Sequence[str], what: str) -> str:
    """Return the records of a CSV file with a head, all text, numbered."""
    with _open(path) as file:
        head = [name.strip().strip('"') for name in file.readline().lstrip("\ufeff").rstrip("\r\n").split(",")]
    missing = [name for name in columns if name not in head]
    if missing:
        raise WrongFile(
            f"{path}: this is not {what}: no column {', '.join(missing)}; its first line is {','.join(head)[:80]!r}"
        )
    kinds = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in head)
    whole = ", ".join(f"coalesce({named(name)}, '')" for name in head)
    return (
        f"SELECT row_number() OVER () AS row, *, concat_ws(',', {whole}) AS whole FROM read_csv({quoted(path)}, "  # noqa: S608 - quoted
        f"columns = {{{kinds}}}, header = true, delim = ',', quote = '\"', auto_detect = false, null_padding = true, "
        "strict_mode = false)"
    )


def _json(path: str, columns: Mapping[str, str], what: str) -> str:
    """Return the records of a file of JSON lines, numbered; a line that is none has only NULLs."""
    with _open(path) as file:
        head = next((line for line in file if line.strip()), "")
    missing = [name for name in columns if f'"{name}"' not in head]
    if missing:
        raise WrongFile(
            f"{path}: this is not {what}: its first record has no {', '.join(missing)}; it is {head.strip()[:80]!r}"
        )
    kinds = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in columns.items())
    return (
        f"SELECT row_number() OVER () AS row, *, NULL::VARCHAR AS whole FROM read_json({quoted(path)}, "  # noqa: S608 - quoted
        f"format = 'newline_delimited', columns = {{{kinds}}}, ignore_errors = true)"
    )


def _open(path: str) -> TextIO:
    try:
        if Path(path).stat().st_size == 0:
            raise WrongFile(f"{path}: the file is empty")
        return Path(path).open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise WrongFile(f"{path}: the file cannot be opened: {error.strerror or error}") from error


class _Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace's records and what they say.

    Attributes:
        records: SELECT of ``row``, ``whole`` (the record's text) and the columns.
        shown: what the file calls the time and the tokens of input and output.
        at_ns, input, output: phrases of these.
        more: phrases of further columns.
        model, provider: phrases of what was called, where the file says so.
    """

    records: str
    shown: tuple[str, str, str]
    at_ns: str
    input: str
    output: str
    more: Mapping[str, str] = {}
    model: str = "NULL::VARCHAR"
    provider: str = "NULL::VARCHAR"

    def rows(self, options: Options) -> str:
        """Return the rows, each with the reason why it cannot be taken."""
        phrases = {
            "at_ns": self.at_ns,
            "input": self.input,
            "output": self.output,
            "provider": self.provider if options.provider is None else quoted(options.provider),
            "model": self.model if options.model is None else quoted(options.model),
            **self.more,
        }
        listed = ", ".join(f"{phrase} AS {name}" for name, phrase in phrases.items())
        values = ", ".join(f"CAST({named(label)} AS VARCHAR) AS {named('v_' + label)}" for label in self.shown)
        read = f"SELECT row, whole, {values}, {listed} FROM ({self.records})"  # noqa: S608 - names are ours or quoted
        faulty = f"SELECT *, CASE {' '.join(self._cases())} END AS fault FROM ({read})"  # noqa: S608 - as above
        raw = "CASE WHEN fault IS NOT NULL THEN whole END AS raw"
        return f"SELECT row, fault, {raw}, {', '.join(phrases)} FROM ({faulty})"  # noqa: S608 - as above

    def _cases(self) -> Iterator[str]:
        for name, label in zip(("at_ns", "input", "output"), self.shown, strict=True):
            said = "is no time" if name == "at_ns" else f"is not a whole number from 0 to {MAX_COUNT}"
            value = f"{shown(named('v_' + label))} || {quoted(' ' + said)}"
            yield f"WHEN {name} IS NULL THEN {quoted(label + ': ')} || coalesce({value}, 'it is missing')"
        for name in ("provider", "model"):
            said = f"the record does not say which {name} was called: give --{name}"
            yield f"WHEN {name} IS NULL THEN {quoted(said)}"
