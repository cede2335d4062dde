"""Closer looks at the books, for what could be saved: named questions with frozen rows for answers."""

from typing import Any

import msgspec

from farebox.books.query import Books
from farebox.books.rows import CostRow

_WEEK = 7 * 86_400_000_000_000
_MOVED_BY = {
    "model": "model",
    "key": "key_name",
    "team": "nullif(team, '')",
    "user": '"user"',
    "provider": "provider",
}


class WasteRow(msgspec.Struct, frozen=True):
    """Attempts that ended in one way and cost something, though no client got a whole answer."""

    outcome: str
    attempts: int
    amount_femto: int
    example: str


class TailRow(msgspec.Struct, frozen=True, array_like=True):
    """How long a model's answers are.

    Attributes:
        provider, model: which.
        attempts: answered ones.
        p50, p99: output tokens.
        beyond_tokens: output tokens beyond the 99th percentile, added up over the answers that are longer.
        beyond: answers that are longer.
        example: the longest.
        longest: its tokens.
    """

    provider: str
    model: str
    attempts: int
    p50: int
    p99: int
    beyond_tokens: int
    beyond: int
    example: str
    longest: int


class RepeatRow(msgspec.Struct, frozen=True):
    """How much of a model's prompts came again within five minutes, and how much of it was read from a cache.

    Attributes:
        provider, model: which.
        prompts: with known blocks.
        tokens: of them.
        again_tokens: of prefixes of 1,024 tokens and more that the same model was sent within the five minutes before.
        read_tokens: read from a cache.
    """

    provider: str
    model: str
    prompts: int
    tokens: int
    again_tokens: int
    read_tokens: int


class MoverRow(msgspec.Struct, frozen=True):
    """What somebody or something cost in the last week of the window, and in the week before; femtodollars."""

    kind: str
    name: str
    before_femto: int
    after_femto: int


class Looks(msgspec.Struct, frozen=True):
    """Everything that findings are made of."""

    costs: tuple[CostRow, ...]
    waste: tuple[WasteRow, ...]
    tails: tuple[TailRow, ...]
    repeats: tuple[RepeatRow, ...]
    movers: tuple[MoverRow, ...]
    last_ns: int


def look(books: Books) -> Looks | None:
    """Return everything that findings are made of, or None where the books are empty."""
    (first, last) = books.ask("SELECT epoch_ns(min(sent_at)), epoch_ns(max(sent_at)) FROM attempts")[0]
    if last is None:
        return None
    return Looks(
        costs=books.costs(),
        waste=_waste(books),
        tails=_tails(books),
        repeats=_repeats(books),
        movers=_movers(books, first, last),
        last_ns=last,
    )


def _waste(books: Books) -> tuple[WasteRow, ...]:
    rows = books.ask(
        """
        SELECT outcome, count(*), sum(total_femto), arg_max(attempt, total_femto) FROM attempts
        WHERE outcome <> 'ok' AND total_femto > 0 GROUP BY outcome ORDER BY 3 DESC, 1
        """
    )
    return tuple(WasteRow(outcome, count, int(total), example) for outcome, count, total, example in rows)


def _tails(books: Books) -> tuple[TailRow, ...]:
    rows = books.ask(
        """
        WITH answered AS (
            SELECT rate_provider AS provider, model, output_tokens AS tokens, attempt FROM attempts
            WHERE outcome = 'ok' AND output_tokens IS NOT NULL AND coalesce(requests, 1) = 1),
        sizes AS (
            SELECT provider, model, count(*) AS attempts, quantile_disc(tokens, [0.5, 0.99]) AS marks
            FROM answered GROUP BY provider, model)
        SELECT provider, model, any_value(attempts), any_value(marks[1]), any_value(marks[2]),
            sum(greatest(tokens - marks[2], 0)), count(*) FILTER (tokens > marks[2]), arg_max(attempt, tokens),
            max(tokens)
        FROM answered JOIN sizes USING (provider, model) GROUP BY provider, model ORDER BY 6 DESC, 1, 2
        """
    )
    return tuple(msgspec.convert(list(row), TailRow, strict=False) for row in rows)


def _repeats(books: Books) -> tuple[RepeatRow, ...]:
    rows = books.ask(
        """
        WITH prompts AS (
            SELECT rate_provider AS provider, model, attempt, sent_at, blocks, block_tokens, input_tokens AS tokens,
                coalesce(meters['cache_read'], 0) AS read
            FROM attempts WHERE blocks IS NOT NULL AND input_tokens > 1),
        prefixes AS (
            SELECT provider, model, attempt, sent_at, place, least(place * block_tokens, tokens - 1) AS size,
                hash(blocks[1:place]) AS prefix
            FROM (SELECT *, unnest(range(1, len(blocks) + 1)) AS place FROM prompts)),
        known AS (
            SELECT provider, model, attempt, size, sent_at - lag(sent_at) OVER (
                PARTITION BY provider, model, prefix ORDER BY sent_at, attempt) <= INTERVAL 5 MINUTE AS again
            FROM prefixes),
        again AS (SELECT attempt, max(size) AS size FROM known WHERE again AND size >= 1024 GROUP BY attempt)
        SELECT provider, model, count(*), sum(tokens), coalesce(sum(size), 0), sum(read)
        FROM prompts LEFT JOIN again USING (attempt) GROUP BY provider, model ORDER BY 5 DESC, 1, 2
        """
    )
    return tuple(
        RepeatRow(provider, model, prompts, int(tokens), int(again), int(read))
        for provider, model, prompts, tokens, again, read in rows
    )


def _movers(books: Books, first_ns: int, last_ns: int) -> tuple[MoverRow, ...]:
    """Return what moved most between the last two weeks, where there are two."""
    if last_ns - first_ns < 2 * _WEEK:
        return ()
    middle = last_ns - _WEEK
    found: list[tuple[Any, ...]] = []
    for kind, phrase in _MOVED_BY.items():
        found += books.ask(
            f"""
            SELECT '{kind}', coalesce({phrase}, '') AS name,
                coalesce(sum(total_femto) FILTER (sent_at <= make_timestamp_ns({middle})), 0),
                coalesce(sum(total_femto) FILTER (sent_at > make_timestamp_ns({middle})), 0)
            FROM attempts WHERE sent_at > make_timestamp_ns({middle - _WEEK}) GROUP BY name
            """  # noqa: S608 - constants of this file and integers
        )
    rows = [MoverRow(kind, name, int(before), int(after)) for kind, name, before, after in found if name]
    return tuple(sorted(rows, key=lambda row: (-abs(row.after_femto - row.before_femto), row.kind, row.name)))
