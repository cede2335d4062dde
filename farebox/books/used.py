"""What was used by the hour or the minute, by who used what: what the search for anomalies asks of the books.

An attempt counts at the moment its end was known, because only then is it known what it cost.
"""

from typing import Any

import msgspec

from farebox.books.query import Books
from farebox.usage import METERS

HOUR_NS = 3_600_000_000_000
MINUTE_NS = 60_000_000_000
_MOST_VALUES = 50  # a tag with more is an id of something; each would be watched for itself
_CACHED = [name for name, meter in METERS.items() if meter.family == "input" and name.startswith("cache_read")]
_INPUT = [name for name, meter in METERS.items() if meter.family == "input"]
_OUTPUT = [name for name, meter in METERS.items() if meter.family == "output"]


class Used(msgspec.Struct, frozen=True):
    """What a group of attempts used in a span of time; amounts are femtodollars.

    Attributes:
        span: number of the hour or minute since the epoch.
        tags: ``name=value`` of the tags that have few values, in order.
        unpriced: attempts without a price, of which the following is not known.
    """

    span: int
    key: str
    team: str
    model: str
    target: str
    tags: tuple[str, ...]
    calls: int
    attempts: int
    unpriced: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_femto: int
    cached_femto: int
    output_femto: int
    other_femto: int


def used_by(books: Books, span_ns: int, since_ns: int | None = None) -> list[Used]:
    """Return what was used in spans of so many nanoseconds, the first first; only of what ended since a moment."""
    since = "true" if since_ns is None else f"done_at >= make_timestamp_ns({since_ns:d})"
    return [_used(row) for row in books.ask(_question(span_ns, since, _watched_tags(books, since)))]


def _watched_tags(books: Books, since: str) -> list[str]:
    rows = books.ask(
        "SELECT name FROM (SELECT unnest(map_keys(tags)) AS name, unnest(map_values(tags)) AS value "  # noqa: S608 - a bound made of an integer
        f"FROM attempts WHERE {since}) GROUP BY name HAVING count(DISTINCT value) <= {_MOST_VALUES} ORDER BY name"
    )
    return [row[0] for row in rows]


def _question(span_ns: int, since: str, tags: list[str]) -> str:
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in tags)
    watched = (
        f"list_sort([entry.key || '=' || entry.value FOR entry IN map_entries(tags) IF entry.key IN ({listed})])"
        if tags
        else "[]::VARCHAR[]"
    )
    cached_tokens = " + ".join(f"coalesce(meters['{name}'], 0)" for name in _CACHED)
    others = [name for name in METERS if name not in _INPUT + _OUTPUT]
    return f"""
        WITH spent AS (
            SELECT *, coalesce(requests, 1) AS count, {watched} AS watched,
                {_amount(_CACHED)} AS cached_spent, {_amount(_OUTPUT)} AS output_spent,
                {_amount(others)} AS other_spent,
                {cached_tokens} AS cached
            FROM attempts WHERE {since})
        SELECT epoch_ns(coalesce(done_at, sent_at)) // {span_ns:d} AS span, coalesce(key_name, ''), coalesce(team, ''),
            coalesce(nullif(asked_model, ''), model), provider || '/' || model AS target, watched,
            sum(count) FILTER (number = 1 OR number IS NULL), sum(count), sum(count) FILTER (total_femto IS NULL),
            sum(input_tokens) FILTER (total_femto IS NOT NULL), sum(cached) FILTER (total_femto IS NOT NULL),
            sum(output_tokens) FILTER (total_femto IS NOT NULL), sum(total_femto), sum(cached_spent),
            sum(output_spent), sum(other_spent)
        FROM spent GROUP BY ALL ORDER BY span, 2, 3, 4, target, watched
        """  # noqa: S608 - constants of this file, and names of tags quoted


def _amount(meters: list[str]) -> str:
    """Return SQL for the sum of the lines of some meters."""
    listed = ", ".join(f"'{meter}'" for meter in meters)
    return f"list_sum([line.amount_femto FOR line IN lines IF line.meter IN ({listed})])"


def _used(row: tuple[Any, ...]) -> Used:
    span, key, team, model, target, tags, *numbers = row
    return Used(span, key, team, model, target, tuple(tags), *(int(number or 0) for number in numbers))
