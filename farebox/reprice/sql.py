"""The SQL of preparing traffic, for DuckDB and for ClickHouse.

The statements keep to what both understand; where they differ, `Dialect` says how. Names within them are ours:
columns of the traffic that a caller may group by are called d0, d1, ..., quantities q0, q1, ... in the order of
the meters. Numbers are integers that were made here; text of a caller is quoted.
"""

from collections.abc import Mapping, Sequence

import msgspec

# Columns of a shape in the order of `scheme.Shape`, and what else decides whether there is a price.
SHAPE = ("provider", "asked", "answered", "service_tier", "processing", "speed", "region", "facts")
SHAPE_KEY = (*SHAPE, "unsplit", "mask")
CELL_KEY = ("shape", "size_ix", "time_ix", "prompts_ix")
# Bits of a mask beyond those that say which meters were used.
NO_METERS, ATTEMPT, LARGE, REPORTED, NEGATIVE = (1 << bit for bit in (62, 61, 60, 59, 58))
MAX_METERS = 58
# Rows with a quantity from this on are cells of their own, so that the others are known to be small.
LARGE_UNITS = 1 << 24


class Dialect(msgspec.Struct, frozen=True):
    """How an engine writes what SQL leaves open.

    Attributes:
        name: of the engine.
        wide_kind: the type of integers of 128 bits.
        divide: integer division of two expressions, cut towards zero.
        total: the sum of an expression of 64 bits, in 128 bits.
        memory: what follows the name of a new table.
        per_prompt: a text of the distinct values, sorted, of an expression over a list whose elements it calls x.
        describe: the names and types of the columns of a SELECT.
        split: a list of the parts between the commas of a text, or its elements.
        lockstep: rows of the elements of several such lists.
        values_most: how many values one statement can have.
        contains: whether a map has a key.
    """

    name: str
    wide_kind: str
    divide: str
    total: str
    memory: str
    per_prompt: str
    describe: str
    split: str
    lockstep: str
    values_most: int
    contains: str

    def wide(self, expression: str) -> str:
        """Return an expression in 128 bits."""
        return f"CAST({expression} AS {self.wide_kind})"

    def quotient(self, above: str, below: str) -> str:
        """Return an integer division of integers that are not negative."""
        return self.divide.format(above, below)


DUCKDB = Dialect(
    name="duckdb",
    wide_kind="HUGEINT",
    divide="({} // {})",
    total="sum({})",
    memory="",
    per_prompt="array_to_string(list_sort(list_distinct(list_transform({list}, lambda x: {each}))), ',')",
    describe="DESCRIBE {}",
    split="unnest(string_split({}, ','))",
    lockstep="(SELECT {}) AS lists",
    values_most=1_000_000,
    contains="map_contains({}, {})",
)
CLICKHOUSE = Dialect(
    name="clickhouse",
    wide_kind="Int128",
    divide="intDiv({}, {})",
    total="sum(CAST({} AS Int128))",
    memory=" ENGINE = Memory",
    per_prompt="arrayStringConcat(arraySort(arrayDistinct(arrayMap(x -> {each}, {list}))), ',')",
    describe="DESCRIBE ({})",
    split="splitByChar(',', {})",
    lockstep="(SELECT 1) ARRAY JOIN {}",
    values_most=5_000,
    contains="mapContains({}, {})",
)


class Marks(msgspec.Struct, frozen=True):
    """Where the prices of some shapes can change.

    Attributes:
        sizes: of inputs in tokens from which on other prices can hold, rising.
        instants: nanoseconds since the epoch, rising.
    """

    sizes: tuple[int, ...] = ()
    instants: tuple[int, ...] = ()


class Layout(msgspec.Struct, frozen=True):
    """What the traffic's own columns are.

    Attributes:
        columns: the type of each, as the engine calls it.
        meters: the meters that the traffic has, in the order of q0, q1, ...
        attempt_meters: those that only a single attempt has.
        groups: columns to group by, in the order of d0, d1, ...
    """

    columns: Mapping[str, str]
    meters: tuple[str, ...]
    attempt_meters: frozenset[str]
    groups: tuple[str, ...]

    @property
    def quantities(self) -> list[str]:
        """The names of the columns of quantities."""
        return [f"q{number}" for number in range(len(self.meters))]

    @property
    def reported(self) -> bool:
        """Whether the traffic has costs that providers reported, in the column ``reported``."""
        return "reported_femto" in self.columns

    @property
    def kept(self) -> list[str]:
        """The columns that every table of the traffic has."""
        extra = ["reported"] if self.reported else []
        return [*self.quantities, *extra, *(f"d{number}" for number in range(len(self.groups)))]

    @property
    def key(self) -> list[str]:
        """The columns of a shape that the traffic has; the others are "" throughout."""
        return [name for name in SHAPE_KEY if name in self.columns or name == "mask"]

    @property
    def in_map(self) -> bool:
        """Whether quantities are in a map ``meters``, not in columns named after the meters."""
        return "meters" in self.columns

    def quantity(self, meter: str) -> str:
        """Return the source's expression for a quantity; NULL or 0 where it was not reported."""
        return f"meters[{quoted(meter)}]" if self.in_map else named(meter)


def quoted(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """Return a column's name, quoted."""
    return '"' + name.replace('"', '""') + '"'


def steps(value: str, marks: Sequence[int], first: int = 0) -> str:
    """Return an expression for how many of the rising marks a value has reached, as a tree of comparisons."""
    if not marks:
        return str(first)
    middle = len(marks) // 2
    above = steps(value, marks[middle + 1 :], first + middle + 1)
    below = steps(value, marks[:middle], first)
    return f"CASE WHEN {value} >= {marks[middle]} THEN {above} ELSE {below} END"


def by_kind(expressions: Sequence[str]) -> str:
    """Return an expression that differs by the kind of shape."""
    wanted = [f"WHEN {kind} THEN {text}" for kind, text in enumerate(expressions) if text != "0"]
    return f"CASE k.kind {' '.join(wanted)} ELSE 0 END" if wanted else "0"


def insert(dialect: Dialect, table: str, kinds: Sequence[str], rows: Sequence[Sequence[int]]) -> list[str]:
    """Return the statements that add rows of integers.

    The columns go as texts that the engine takes apart: that is many times faster to parse than VALUES.

    Args:
        dialect: the engine's.
        table: to add to.
        kinds: the types of the columns.
        rows: what to add.
    """
    size = max(1, dialect.values_most // len(kinds))
    names = [f"c{number}" for number in range(len(kinds))]
    cast = ", ".join(f"CAST({name} AS {kind})" for name, kind in zip(names, kinds, strict=True))
    statements: list[str] = []
    for start in range(0, len(rows), size):
        columns = zip(*rows[start : start + size], strict=True)
        texts = [f"'{','.join(map(str, column))}'" for column in columns]
        lists = ", ".join(f"{dialect.split.format(text)} AS {name}" for text, name in zip(texts, names, strict=True))
        statements.append(f"INSERT INTO {table} SELECT {cast} FROM {dialect.lockstep.format(lists)}")  # noqa: S608 - integers
    return statements


def create_tables(dialect: Dialect) -> list[str]:
    """Return the statements that make the empty tables of shapes and cells."""
    shape = ", ".join(f"{name} {'BIGINT' if name == 'mask' else 'VARCHAR'}" for name in SHAPE_KEY)
    return [
        f"CREATE TABLE shapes (shape INTEGER, {shape}){dialect.memory}",
        f"CREATE TABLE shape_kinds (shape INTEGER, kind INTEGER){dialect.memory}",
        "CREATE TABLE cells (cell INTEGER, shape INTEGER, size_ix INTEGER, time_ix INTEGER, prompts_ix VARCHAR)"
        + dialect.memory,
    ]


def span(piece: str) -> str:
    """Return the number of rows of a piece and the first and last instant of it."""
    return f"SELECT count(*), coalesce(min(at_ns), 0), coalesce(max(at_ns), 0) FROM ({piece}) AS piece"  # noqa: S608 - the caller's own SELECT


def map_keys(dialect: Dialect, piece: str) -> str:
    """Return the meters in the map of a piece."""
    keys = "arrayJoin(mapKeys(meters))" if dialect.name == "clickhouse" else "unnest(map_keys(meters))"
    return f"SELECT DISTINCT {keys} AS meter FROM ({piece}) AS piece"  # noqa: S608 - as above


def read_piece(dialect: Dialect, layout: Layout, piece: str, first_row: int) -> str:
    """Return the statement that brings a piece of the source into our columns, as the table ``chunk``."""
    words = layout.key[:-1]
    texts = [f"CAST(coalesce({name}, '') AS VARCHAR) AS {name}" for name in words]
    quantities = [
        f"CAST(coalesce({layout.quantity(meter)}, 0) AS BIGINT) AS q{number}"
        for number, meter in enumerate(layout.meters)
    ]
    size = "input_total" if "input_total" in layout.columns else "0"
    rest = [f"CAST(coalesce({size}, 0) AS BIGINT) AS input_size"]
    if "prompts" in layout.columns:
        rest.append("prompts AS prompt_sizes")
    if layout.reported:
        rest.append(f"{dialect.wide('coalesce(reported_femto, 0)')} AS reported")
    rest += [f"{named(name)} AS d{number}" for number, name in enumerate(layout.groups)]
    inner = ", ".join(
        ["CAST(at_ns AS BIGINT) AS instant", *texts, *quantities, *rest, f"{_given(dialect, layout)} AS given"]
    )
    columns = ["instant AS at_ns", *words, "input_size", *layout.kept]
    columns += ["prompt_sizes"] if "prompts" in layout.columns else []
    return (
        f"CREATE TABLE chunk{dialect.memory} AS SELECT {first_row} + row_number() OVER () - 1 AS row_ix, "  # noqa: S608 - names are ours or quoted
        f"{', '.join(columns)}, {_mask(layout)} AS mask FROM (SELECT {inner} FROM ({piece}) AS piece) AS read"
    )


def _given(dialect: Dialect, layout: Layout) -> str:
    """Return the bits that depend on what was reported at all, 0 or not."""
    there = {meter: _has(dialect, layout, meter) for meter in layout.meters}
    attempt = [condition for meter, condition in there.items() if meter in layout.attempt_meters]
    bits = [_bit(f"NOT ({' OR '.join(there.values())})", NO_METERS) if there else f"CAST({NO_METERS} AS BIGINT)"]
    if attempt:
        bits.append(_bit(" OR ".join(attempt), ATTEMPT))
    if layout.reported:
        bits.append(_bit("reported_femto IS NOT NULL", REPORTED))
    return " + ".join(bits)


def _has(dialect: Dialect, layout: Layout, meter: str) -> str:
    """Return whether a row says anything of a meter."""
    return dialect.contains.format("meters", quoted(meter)) if layout.in_map else f"{named(meter)} IS NOT NULL"


def _mask(layout: Layout) -> str:
    """Return the bits of what was used, and of quantities that need care."""
    bits = ["given", *(_bit(f"{name} <> 0", 1 << number) for number, name in enumerate(layout.quantities))]
    if layout.quantities:
        bits.append(_bit(" OR ".join(f"{name} >= {LARGE_UNITS}" for name in layout.quantities), LARGE))
        bits.append(_bit(" OR ".join(f"{name} < 0" for name in layout.quantities), NEGATIVE))
    return " + ".join(bits)


def _bit(condition: str, bit: int) -> str:
    return f"CASE WHEN {condition} THEN CAST({bit} AS BIGINT) ELSE CAST(0 AS BIGINT) END"


def add_shapes(layout: Layout, known: int) -> str:
    """Return the statement that numbers the shapes of a chunk that are new."""
    key = ", ".join(layout.key)
    columns = ", ".join(name if name in layout.key else "''" for name in SHAPE_KEY)
    return (
        f"INSERT INTO shapes SELECT {known} + row_number() OVER () - 1, {columns} FROM "  # noqa: S608 - names are ours
        f"(SELECT DISTINCT {key} FROM chunk EXCEPT SELECT {key} FROM shapes) AS fresh"
    )


def new_shapes(known: int) -> str:
    """Return the shapes that were added."""
    return f"SELECT shape, {', '.join(SHAPE_KEY)} FROM shapes WHERE shape >= {known} ORDER BY shape"  # noqa: S608 - as above


def key_chunk(dialect: Dialect, layout: Layout, kinds: Sequence[Marks]) -> str:
    """Return the statement that finds shape, size and time of every row, as the table ``keyed``.

    Args:
        dialect: the engine's.
        layout: of the traffic.
        kinds: where prices can change, by the kind of shape.
    """
    same = " AND ".join(f"c.{name} = s.{name}" for name in layout.key)
    size = by_kind([steps("c.input_size", marks.sizes) for marks in kinds])
    time = by_kind([steps("c.at_ns", marks.instants) for marks in kinds])
    prompts = "''"
    if "prompts" in layout.columns:
        each = by_kind([steps("x", marks.sizes) for marks in kinds])
        several = (
            "length(coalesce(c.prompt_sizes, [])) > 0" if dialect.name == "duckdb" else "length(c.prompt_sizes) > 0"
        )
        prompts = f"CASE WHEN {several} THEN {dialect.per_prompt.format(list='c.prompt_sizes', each=each)} ELSE '' END"
        size = f"CASE WHEN {several} THEN 0 ELSE {size} END"
    columns = ", ".join(f"c.{name} AS {name}" for name in ("row_ix", "at_ns", *layout.kept))
    return (
        f"CREATE TABLE keyed{dialect.memory} AS "  # noqa: S608 - as above
        f"SELECT {columns}, s.shape AS shape, CAST({size} AS INTEGER) AS size_ix, "
        f"CAST({time} AS INTEGER) AS time_ix, {prompts} AS prompts_ix "
        f"FROM chunk AS c JOIN shapes AS s ON {same} JOIN shape_kinds AS k ON k.shape = s.shape"
    )


def add_cells(known: int) -> str:
    """Return the statement that numbers the cells of a chunk that are new."""
    key = ", ".join(CELL_KEY)
    return (
        f"INSERT INTO cells SELECT {known} + row_number() OVER () - 1, {key} FROM "  # noqa: S608 - as above
        f"(SELECT DISTINCT {key} FROM keyed EXCEPT SELECT {key} FROM cells) AS fresh"
    )


def place_rows(dialect: Dialect, layout: Layout, *, first: bool) -> str:
    """Return the statement that adds a chunk's rows to the traffic, each with its cell."""
    same = " AND ".join(f"k.{name} = c.{name}" for name in CELL_KEY)
    columns = ", ".join(f"k.{name} AS {name}" for name in ("row_ix", "at_ns", *layout.kept))
    select = f"SELECT c.cell AS cell, {columns} FROM keyed AS k JOIN cells AS c ON {same}"  # noqa: S608 - as above
    return f"CREATE TABLE traffic{dialect.memory} AS {select}" if first else f"INSERT INTO traffic {select}"


def summarise_cells(dialect: Dialect, layout: Layout, first_row: int) -> str:
    """Return, by cell, the rows of a chunk, and the sum and the largest of each quantity."""
    sums = "".join(f", {dialect.total.format(name)}, max({name})" for name in layout.quantities)
    return f"SELECT cell, count(*){sums} FROM traffic WHERE row_ix >= {first_row} GROUP BY cell"  # noqa: S608 - as above


def examples(layout: Layout, first_row: int, known_cells: int) -> str:
    """Return one row of each new cell of a chunk: its place, instant, size and prompts."""
    prompts = "c.prompt_sizes" if "prompts" in layout.columns else "NULL"
    return (
        f"SELECT f.cell, n.shape, f.first_row, c.at_ns, c.input_size, {prompts} FROM chunk AS c JOIN "  # noqa: S608 - as above
        f"(SELECT cell, min(row_ix) AS first_row FROM traffic WHERE row_ix >= {first_row} AND cell >= {known_cells} "
        "GROUP BY cell) AS f ON c.row_ix = f.first_row JOIN cells AS n ON n.cell = f.cell ORDER BY f.cell"
    )


def name_cells(dialect: Dialect) -> str:
    """Return the statement that gives every cell the words of its shape, as the table ``names``."""
    shape = ", ".join(f"s.{name} AS {name}" for name in SHAPE)
    return (
        f"CREATE TABLE names{dialect.memory} AS SELECT c.cell AS cell, {shape}, "  # noqa: S608 - as above
        "CASE WHEN s.answered <> '' THEN s.answered ELSE s.asked END AS model "
        "FROM cells AS c JOIN shapes AS s ON s.shape = c.shape"
    )
