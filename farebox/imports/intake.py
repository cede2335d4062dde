"""What every reader gives of a row, and how that becomes a row of the books."""

from collections.abc import Collection, Iterable

from farebox.books.schema import COLUMNS
from farebox.errors import FareboxError
from farebox.reprice.sql import named, quoted
from farebox.usage import METERS

# What a reader may say of a row beside its meters: DuckDB's type and what is taken where it says nothing.
COLUMNS_READ: dict[str, tuple[str, str]] = {
    "row": ("BIGINT", "NULL"),
    "fault": ("VARCHAR", "NULL"),
    "raw": ("VARCHAR", "NULL"),
    "source_id": ("VARCHAR", "NULL"),
    "call_id": ("VARCHAR", "NULL"),
    "at_ns": ("BIGINT", "NULL"),
    "provider": ("VARCHAR", "NULL"),
    "model": ("VARCHAR", "NULL"),
    "answered_model": ("VARCHAR", "''"),
    "asked_model": ("VARCHAR", "NULL"),
    "operation": ("VARCHAR", "'chat'"),
    "dialect": ("VARCHAR", "'openai'"),
    "service_tier": ("VARCHAR", "''"),
    "processing": ("VARCHAR", "''"),
    "speed": ("VARCHAR", "''"),
    "region": ("VARCHAR", "''"),
    "facts": ("MAP(VARCHAR, VARCHAR)", "NULL"),
    "user": ("VARCHAR", "''"),
    "key_name": ("VARCHAR", "''"),
    "team": ("VARCHAR", "''"),
    "project": ("VARCHAR", "''"),
    "tags": ("MAP(VARCHAR, VARCHAR)", "NULL"),
    "outcome": ("VARCHAR", "'ok'"),
    "status": ("BIGINT", "0"),
    "error": ("VARCHAR", "''"),
    "finish": ("VARCHAR", "''"),
    "stream": ("BOOLEAN", "false"),
    "requests": ("BIGINT", "NULL"),
    "recorded_usd": ("DECIMAL(38,15)", "NULL"),
    "reported_usd": ("DECIMAL(38,15)", "NULL"),
    "first_token_ns": ("BIGINT", "NULL"),
    "total_ns": ("BIGINT", "NULL"),
    "session": ("VARCHAR", "NULL"),
    "blocks": ("BIGINT[]", "NULL"),
    "block_tokens": ("BIGINT", "NULL"),
    "input_total": ("BIGINT", "NULL"),
    **{f"part_{part}": ("BIGINT", "NULL") for part in ("system", "tools", "history", "context", "user")},
}
_FEMTO = 10**15


class Intake:
    """What one file says, completed.

    Args:
        names: of the columns that the reader gives.

    Attributes:
        meters: those it may report, in the order of `METERS`.
        attempt: phrase of a row's id.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._given = frozenset(names)
        unknown = sorted(self._given - set(COLUMNS_READ) - set(METERS))
        if unknown:
            raise FareboxError(f"A reader gives columns that rows do not have: {', '.join(unknown)}.")
        self.meters: tuple[str, ...] = tuple(name for name in METERS if name in self._given)
        self.attempt: str = "attempt"

    def gives(self, name: str) -> bool:
        """Return whether the reader says anything of a column."""
        return name in self._given

    def create(self, select: str, source: str, file: str) -> str:
        """Return the statement that keeps all rows in the table ``intake``, numbered by ``ix``.

        Args:
            select: what the reader made of the file.
            source: name of the format.
            file: what stands for the file in ids of rows that have none of their own.
        """
        columns = [
            f"coalesce(CAST({named(name)} AS {kind}), {default}) AS {named(name)}"
            if default != "NULL"
            else f"CAST({named(name)} AS {kind}) AS {named(name)}"
            for name, (kind, default) in COLUMNS_READ.items()
            if name in self._given and name != "fault"
        ]
        columns += [f"CAST({name} AS BIGINT) AS {name}" for name in self.meters]
        own = f'{quoted(file + ".")} || "row"'
        if self.gives("source_id"):
            columns.append(f"coalesce({quoted(source + '-')} || source_id, {own}) AS attempt")
        else:
            self.attempt = own  # made of the row's number where it is needed
        missing = " ".join(f"WHEN {name} IS NULL THEN '{name} is missing'" for name in ("at_ns", "provider", "model"))
        fault = f"coalesce({'fault, ' if self.gives('fault') else ''}CASE {missing} END)"
        return (
            f"CREATE TABLE intake AS SELECT row_number() OVER () - 1 AS ix, {fault} AS fault, "  # noqa: S608 - names are ours
            f"{', '.join(columns)} FROM ({select})"
        )

    def traffic(self, where: str) -> str:
        """Return the SELECT of accepted rows as `reprice.traffic.Source` wants them, ``ix`` to find them again."""
        columns = {
            "at_ns": "at_ns",
            "provider": "provider",
            "asked": "model",
            "answered": self.column("answered_model"),
            "input_total": self._input_total(),
            "ix": "ix",
        }
        columns |= {name: name for name in ("service_tier", "processing", "speed", "region") if self.gives(name)}
        if self.gives("facts"):
            columns["facts"] = "CASE WHEN facts IS NULL THEN '' ELSE CAST(to_json(facts) AS VARCHAR) END"
        if self.gives("reported_usd"):
            columns["reported_femto"] = _femto("reported_usd")
        columns |= {name: name for name in self.meters}
        listed = ", ".join(f"{phrase} AS {named(name)}" for name, phrase in columns.items())
        return f"SELECT {listed} FROM intake WHERE {where}"  # noqa: S608 - names are ours

    def column(self, name: str) -> str:
        """Return the phrase of a column of ``intake``, or what is taken where the reader says nothing."""
        kind, default = COLUMNS_READ[name]
        return named(name) if self.gives(name) else f"CAST({default} AS {kind})"

    @property
    def recorded(self) -> str:
        """The phrase of what the log says a row cost, femtodollars."""
        return _femto("recorded_usd") if self.gives("recorded_usd") else "NULL::BIGINT"

    @property
    def requests(self) -> str:
        """The phrase of how many requests a row stands for."""
        return "coalesce(requests, 1)" if self.gives("requests") else "1"

    def _input_total(self) -> str:
        """Return the size of one request's input, which decides on context tiers: of many requests, their mean."""
        total = f"({self.sum_of('input')})"
        if self.gives("requests"):
            total = f"{total} // greatest(coalesce(requests, 1), 1)"
        return f"coalesce(input_total, {total})" if self.gives("input_total") else total

    def sum_of(self, family: str) -> str:
        """Return the sum of the meters of a family, NULL where none was reported."""
        names = [name for name in self.meters if METERS[name].family == family]
        if not names:
            return "NULL::BIGINT"
        missing = " AND ".join(f"{name} IS NULL" for name in names)
        added = " + ".join(f"coalesce({name}, 0)" for name in names)
        return f"CASE WHEN {missing} THEN NULL ELSE {added} END"

    def books(self, source: str, book: str, where: str, partial: Collection[str]) -> str:
        """Return the SELECT of rows of the books over ``intake`` as i and their ``charges`` as c.

        Args:
            source: name of the format.
            book: hash of the price book.
            where: which rows of ``intake`` have charges.
            partial: the meters that some of the rows do not report.
        """
        call = f"coalesce(call_id, {self.attempt})" if self.gives("call_id") else self.attempt
        number = (
            "CASE WHEN call_id IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY call_id ORDER BY at_ns, ix) END"
            if self.gives("call_id")
            else "1"
        )
        final = (
            "call_id IS NULL OR row_number() OVER (PARTITION BY call_id ORDER BY at_ns DESC, ix DESC) = 1"
            if self.gives("call_id")
            else "true"
        )
        made = {
            "attempt": self.attempt,
            "call": call,
            "number": number,
            "sent_at": "make_timestamp_ns(at_ns)",
            "done_at": f"make_timestamp_ns(at_ns + coalesce({self.column('total_ns')}, 0))",
            "key": "''",
            "tags": f"coalesce({self.column('tags')}, MAP {{}})",
            "asked_model": f"coalesce({self.column('asked_model')}, model)",
            "rate_provider": "provider",
            "final": final,
            "flags": "[]::VARCHAR[]",
            "usage_raw": "''",
            "meters": self._meters(partial),
            "input_tokens": self.sum_of("input"),
            "output_tokens": self.sum_of("output"),
            "lines": "c.lines",
            "total_femto": "c.total_femto",
            "unpriced": "c.unpriced",
            "book": quoted(book),
            "writer": quoted(f"import/{source}"),
            "reported_femto": _femto("reported_usd") if self.gives("reported_usd") else "NULL",
            "recorded_femto": self.recorded,
            "hold_femto": "0",
            "role": "'first'",
            "source": quoted(source),
        }
        empty = {"BIGINT": "NULL", "VARCHAR": "''", "BOOLEAN": "false"}
        columns = []
        for column in COLUMNS:
            if column.name in made:
                phrase = made[column.name]
            elif self.gives(column.name):
                phrase = named(column.name)
            elif column.name in COLUMNS_READ:
                phrase = COLUMNS_READ[column.name][1]
            else:
                phrase = empty.get(column.kind, "NULL")
            if phrase != "NULL":  # what no row has need not be written: it reads as NULL
                columns.append(f"CAST({phrase} AS {column.kind}) AS {named(column.name)}")
        rows = f"(SELECT * FROM intake WHERE {where})"  # noqa: S608 - names are ours
        return f"SELECT {', '.join(columns)} FROM {rows} AS i JOIN charges AS c USING (ix)"  # noqa: S608 - as above

    def _meters(self, partial: Collection[str]) -> str:
        """Return the phrase of the map of meters; what all rows report takes no looking."""
        if not self.meters:
            return "MAP {}"
        if not partial:
            return f"MAP {{{', '.join(f'{quoted(name)}: {name}' for name in self.meters)}}}"
        entries = ", ".join(
            f"CASE WHEN {name} IS NULL THEN NULL ELSE {{'k': {quoted(name)}, 'v': {name}}} END" for name in self.meters
        )
        return f"map_from_entries(list_filter([{entries}], lambda x: x IS NOT NULL))"

    def count_missing(self, where: str) -> str:
        """Return the SELECT of how many rows there are, their first and last time, and how many lack each meter."""
        missing = "".join(f", count(*) - count({name})" for name in self.meters)
        return f"SELECT count(*), min(at_ns), max(at_ns){missing} FROM intake WHERE {where}"  # noqa: S608 - names are ours


def _femto(name: str) -> str:
    return f"CAST({name} * {_FEMTO} AS DECIMAL(38,0))"
