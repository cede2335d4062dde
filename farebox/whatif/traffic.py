"""The recorded traffic as a table of columns, and what a scheme makes of its quantities."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import msgspec

from farebox.books.query import Books
from farebox.reprice.scheme import Rule, Shape
from farebox.reprice.sql import named, quoted
from farebox.reprice.traffic import DuckEngine
from farebox.usage import METERS
from farebox.whatif.caching import Prompt, replay
from farebox.whatif.schemes import Assumption, CacheTable, LimitsTable
from farebox.whatif.tokens import ratio_of

BASE = "base"
BUCKETS = 1000
_SHAPE = ("provider", "asked", "answered", "service_tier", "processing", "speed", "region", "facts")
_TEXT_INPUT = ("input", "cache_read", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")
_FETCHED = 10_000


class Changed(msgspec.Struct, frozen=True):
    """A table with changed quantities, and what is to be said about it: how sure, and in words."""

    table: str
    notes: tuple[Assumption, ...]


def make_base(engine: DuckEngine, books: Books, *, buckets: bool, blocks: bool, shift_ns: int = 0) -> tuple[str, ...]:
    """Make the table `BASE` of all attempts that were billed; return the meters it has columns for.

    Args:
        engine: to hold it.
        books: where they are.
        buckets: whether rows are drawn into `BUCKETS` by their id, for schemes that concern a share of them.
        blocks: whether the blocks of prompts are needed.
        shift_ns: how much later the traffic is taken to have been sent.
    """
    source = f"({books.select}) WHERE NOT (cardinality(meters) = 0 AND coalesce(total_femto = 0, false))"
    found = {row[0] for row in engine.rows(f"SELECT DISTINCT unnest(map_keys(meters)) FROM {source}")}  # noqa: S608 - the books' own
    meters = tuple(name for name in METERS if name in found)
    columns = {
        "at_ns": f"epoch_ns(sent_at) + {shift_ns}",
        "provider": "rate_provider",
        "asked": "model",
        "answered": "coalesce(answered_model, '')",
        "service_tier": "coalesce(service_tier, '')",
        "processing": "coalesce(processing, '')",
        "speed": "coalesce(speed, '')",
        "region": "coalesce(region, '')",
        "facts": "CASE WHEN coalesce(cardinality(facts), 0) = 0 THEN '' ELSE CAST(to_json(facts) AS VARCHAR) END",
        "input_total": "input_tokens // greatest(coalesce(requests, 1), 1)",
        "reported_femto": "reported_femto",
        **{name: f"meters[{quoted(name)}]" for name in meters},
    }
    if buckets:
        columns["bucket"] = f"CAST(md5_number_lower(attempt) % {BUCKETS} AS INTEGER)"
    if blocks:
        columns |= {"blocks": "blocks", "block_tokens": "block_tokens"}
    listed = ", ".join(f"{phrase} AS {named(name)}" for name, phrase in columns.items())
    engine.rows(f"CREATE TABLE {BASE} AS SELECT {listed} FROM {source}")  # noqa: S608 - as above
    return meters


def columns_of(meters: Sequence[str], *, buckets: bool) -> str:
    """Return the columns of the base, or of a table made from it, that are priced."""
    return ", ".join([*_SHAPE, "at_ns", "input_total", "reported_femto", *meters, *(["bucket"] if buckets else [])])


def shapes_of(engine: DuckEngine) -> list[Shape]:
    """Return the distinct shapes of the base."""
    words = ", ".join(_SHAPE[:-1])
    return [Shape(*row) for row in engine.rows(f"SELECT DISTINCT {words} FROM {BASE}")]  # noqa: S608 - names are ours


def apply_cache(engine: DuckEngine, table: str, meters: Sequence[str], policy: CacheTable) -> Changed | None:
    """Make a table in which recorded prompts met a cache; None where no prompt's blocks are known.

    Rows whose blocks are not known stay as they are.
    """
    (rows, known) = engine.rows("SELECT count(*), count(blocks) FROM base")[0]
    if not known:
        return None
    text = [name for name in _TEXT_INPUT if name in meters]
    tokens = " + ".join(f"coalesce({name}, 0)" for name in text) or "0"
    cursor = engine.connection.cursor()
    cursor.execute(
        f"SELECT rowid, at_ns, provider || '/' || asked, {tokens}, blocks, block_tokens FROM {BASE} "  # noqa: S608 - names are ours
        "WHERE blocks IS NOT NULL ORDER BY at_ns, rowid"
    )

    engine.rows("CREATE OR REPLACE TABLE cached (ix BIGINT, read BIGINT, written BIGINT)")
    found = [[one.ix, one.read, one.written] for one in replay((Prompt(*row) for row in cursor.fetchall()), policy)]
    for start in range(0, len(found), _FETCHED):
        batch = found[start : start + _FETCHED]
        values = ", ".join(f"({ix}, {read}, {written})" for ix, read, written in batch)
        engine.rows(f"INSERT INTO cached VALUES {values}")  # noqa: S608 - integers
    write = f"cache_write_{policy.ttl}"
    replaced = {
        "input": f"({tokens}) - c.read - c.written",
        "cache_read": "c.read",
        **{name: "0" for name in text if name.startswith("cache_write")},
        write: "c.written",
    }
    kept = [name for name in _columns(engine) if name not in replaced]
    made = ", ".join(
        f"CASE WHEN c.ix IS NULL THEN {f'b.{name}' if name in meters else 'NULL'} ELSE {phrase} END AS {name}"
        for name, phrase in replaced.items()
    )
    engine.rows(
        f"CREATE TABLE {table} AS SELECT {', '.join(f'b.{named(name)}' for name in kept)}, {made} "  # noqa: S608 - as above
        f"FROM {BASE} AS b LEFT JOIN cached AS c ON c.ix = b.rowid"
    )
    engine.rows("DROP TABLE cached")
    kept_words = "all of them" if policy.write == "all" else "what was seen before"
    said = (
        f"{known:,} of {rows:,} prompts were replayed against a cache that keeps prefixes of {policy.min_tokens:,} "
        f"tokens and more for {policy.ttl} after their last use and writes {kept_words}"
    )
    notes = [Assumption("high", said)]
    if known < rows:
        notes.append(Assumption("low", f"{rows - known:,} prompts have no recorded blocks and stay as they were"))
    return Changed(table, tuple(notes))


def _columns(engine: DuckEngine) -> list[str]:
    return [row[0] for row in engine.rows(f"DESCRIBE {BASE}")]


def adjust_tokens(
    engine: DuckEngine, source: str, table: str, meters: Sequence[str], map_shape: Callable[[Shape], Shape]
) -> Changed:
    """Make a table in which counts are those of the tokenizer of the model that would have been called.

    Args:
        engine: holds the tables.
        source: the table to begin with.
        table: the one to make.
        meters: the meters of the source.
        map_shape: what a recorded shape would have been.
    """
    notes: list[Assumption] = []
    ratios: dict[tuple[str, str, str], Fraction] = {}
    for shape in shapes_of(engine):
        mapped = map_shape(shape)
        ratio = ratio_of(shape.model, mapped.model)
        if ratio is None:
            text = f"how many tokens of {mapped.model} one of {shape.model} is, is not known: taken as 1"
            notes.append(Assumption("low", text))
        elif ratio != 1:
            text = f"a token of {shape.model} is {float(ratio):.4f} of {mapped.model}, measured on text and code"
            notes.append(Assumption("high", text))
            ratios[shape.provider, shape.asked, shape.answered] = ratio
    scaled = [name for name in meters if METERS[name].family in {"input", "output"}]
    cases = "".join(
        f" WHEN provider = {quoted(provider)} AND asked = {quoted(asked)} AND answered = {quoted(answered)} "
        f"THEN {{'n': {ratio.numerator}::HUGEINT, 'd': {ratio.denominator}::HUGEINT}}"
        for (provider, asked, answered), ratio in ratios.items()
    )
    one = "{'n': 1::HUGEINT, 'd': 1::HUGEINT}"
    ratio_phrase = f"CASE{cases} ELSE {one} END" if cases else one
    made = ", ".join(
        f"CAST(({name}::HUGEINT * r.n * 2 + r.d) // (2 * r.d) AS BIGINT) AS {name}" for name in ("input_total", *scaled)
    )
    engine.rows(
        f"CREATE TABLE {table} AS SELECT * EXCLUDE (r) REPLACE ({made}) FROM "  # noqa: S608 - names are ours or quoted
        f"(SELECT *, {ratio_phrase} AS r FROM {source})"
    )
    return Changed(table, tuple(dict.fromkeys(notes)))


def count_throttled(books: Books, limits: LimitsTable) -> tuple[int, int] | None:
    """Return how many minutes with traffic were over limits, and how many there were; None without limits."""
    over = []
    if limits.requests_per_minute is not None:
        over.append(f"requests > {limits.requests_per_minute}")
    if limits.tokens_per_minute is not None:
        over.append(f"tokens > {limits.tokens_per_minute}")
    if not over:
        return None
    minutes = (
        "SELECT sum(coalesce(requests, 1)) AS requests, sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS "
        "tokens FROM attempts GROUP BY time_bucket(INTERVAL 1 MINUTE, sent_at)"
    )
    throttled, all_minutes = books.ask(f"SELECT count(*) FILTER ({' OR '.join(over)}), count(*) FROM ({minutes})")[0]  # noqa: S608 - integers
    return throttled, all_minutes


def describes(rules: Sequence[Rule]) -> bool:
    """Return whether rules change who is called."""
    return any("model" in rule.to or "provider" in rule.to for rule in rules)
