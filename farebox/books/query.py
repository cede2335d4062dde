"""Asks the books: named questions with frozen rows for answers. Reads only files that the manifest lists.

The list is taken once, when the books are opened, so that all answers are about the same moment; files whose
attempts lie outside the window are not opened at all.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import msgspec

from farebox.books.manifest import BookFile, Finding, Manifest
from farebox.books.parquet import BooksFailed, connect
from farebox.books.read_rows import attempt_of, recorded_of
from farebox.books.rows import (
    AttemptRow,
    AuditRows,
    BooksTotal,
    CallFilter,
    CallRow,
    CostRow,
    FindingRow,
    FlagRow,
    Grouping,
    GroupRow,
    LatencyRow,
    MeterRow,
    OutcomeRow,
    PartsRow,
    ProviderDay,
    RecordedRow,
    ReportedRow,
    Totals,
    UnpricedRow,
    Window,
)
from farebox.books.schema import PARTS, select_from_files
from farebox.journal.record import Done

_TOTAL = "coalesce(sum(total_femto), 0)"
_UNPRICED = "count(*) FILTER (total_femto IS NULL)"
# Distinct calls, over `_WITH_MANY`: hashing every id would take most of an audit, and few calls have several attempts.
_WITH_MANY = (
    "attempts LEFT JOIN (SELECT DISTINCT call AS repeated FROM attempts WHERE number > 1) AS many ON call = repeated"
)
_CALLS = "count(*) FILTER (repeated IS NULL) + count(DISTINCT repeated)"
# A row of an imported usage report stands for many requests.
_MORE = "coalesce(sum(requests - 1), 0)::BIGINT"
_MORE_OK = "coalesce(sum(requests - 1) FILTER (final AND outcome = 'ok'), 0)::BIGINT"
_GROUPS = {
    "model": "model",
    "key": "key_name",
    "team": "nullif(team, '')",
    "project": "nullif(project, '')",
    "user": '"user"',
    "provider": "provider",
    "tag": "tags[$tag]",
}
_FETCHED = 4096
_LATENCIES = {"first token": "first_token_ns", "total": "total_ns", "gateway": "gateway_ns"}


class Books:
    """The books as they are now, within a window of time. Close it, or use it in a ``with``.

    Args:
        data_dir: the data directory.
        window: over `sent_at`.

    Raises:
        BooksFailed: where they cannot be read.
    """

    def __init__(self, data_dir: Path, window: Window | None = None) -> None:
        window = window or Window()
        files, self._findings = _read_manifest(data_dir / "books")
        paths = [
            str(data_dir / "books" / file.path)
            for file in files
            if (window.since_ns is None or file.last_ns >= window.since_ns)
            and (window.until_ns is None or file.first_ns < window.until_ns)
        ]
        self._connection = connect()
        since, until = (
            f"{'true' if bound is None else f'sent_at {sign} make_timestamp_ns({bound:d})'}"
            for sign, bound in ((">=", window.since_ns), ("<", window.until_ns))
        )
        self._costs: tuple[CostRow, ...] | None = None
        # For another DuckDB: the SELECT of all attempts in the window.
        self.select: str = f"SELECT * FROM ({select_from_files(paths)}) WHERE {since} AND {until}"  # noqa: S608 - paths are ours and quoted, bounds are integers
        self._run(f"CREATE VIEW attempts AS {self.select}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of DuckDB."""
        self._connection.close()

    def ask(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a question to the view ``attempts``, for a room that has questions of its own.

        Raises:
            BooksFailed: where a file cannot be read.
        """
        return self._run(query, parameters)

    def total(self) -> BooksTotal:
        """Return the number of attempts and the exact sum of their charges."""
        (attempts, total, missing) = self._run(f"SELECT count(*), {_TOTAL}, {_UNPRICED} FROM attempts")[0]  # noqa: S608 - constants of this file
        return BooksTotal(attempts, int(total), missing)

    def attempts_by_id(self) -> Iterator[tuple[str, int | None, tuple[str, ...]]]:
        """Yield every attempt's id, total in femtodollars (None where unpriced) and flags, by id."""
        for attempt, total, flags in self._run("SELECT attempt, total_femto, flags FROM attempts ORDER BY attempt"):
            yield attempt, None if total is None else int(total), tuple(flags)

    def findings(self) -> list[Finding]:
        """Return what the ingester found in the journal and did not bring into the books, in any window."""
        return self._findings

    def audit_rows(self, by: Grouping, tag: str = "") -> AuditRows:
        """Return everything an audit is made of, grouped by a property or by the values of one tag."""
        return AuditRows(
            totals=self._totals(),
            outcomes=self._outcomes(),
            meters=self.meters(),
            parts=self._parts(),
            latencies=self._latencies(),
            flags=self._flags(),
            groups=self._groups(by, tag),
            unpriced=self._unpriced(),
            findings=self._finding_rows(),
            reported=self._reported(),
        )

    def days_of_providers(self) -> list[ProviderDay]:
        """Return what each provider was sent on each UTC day that has any traffic, with its busiest minutes."""
        rows = self._run(
            """
            WITH minutes AS (
                SELECT provider, any_value(rate_provider) AS rates, time_bucket(INTERVAL 1 MINUTE, sent_at) AS minute,
                    count(*) AS requests, coalesce(sum(input_tokens), 0) AS inputs,
                    coalesce(sum(output_tokens), 0) AS outputs, coalesce(sum(total_femto), 0) AS spent
                FROM attempts WHERE outcome <> 'unreachable' GROUP BY provider, minute)
            SELECT provider, any_value(rates), minute::DATE AS day, sum(spent)::HUGEINT, max(requests),
                max(inputs)::HUGEINT, max(outputs)::HUGEINT, max(inputs + outputs)::HUGEINT
            FROM minutes GROUP BY provider, day ORDER BY provider, day
            """
        )
        return [ProviderDay(*row) for row in rows]

    def calls(self, limit: int, wanted: CallFilter | None = None) -> list[CallRow]:
        """Return calls, the newest first."""
        wanted = wanted or CallFilter()
        rows = self._run(
            """
            SELECT call, epoch_ns(min(sent_at)), first(key_name), first("user"), first(asked_model),
                arg_max(provider, number), count(*),
                coalesce(any_value(outcome) FILTER (final), arg_max(outcome, number)),
                list_sort(list_distinct(flatten(list(flags)))), sum(input_tokens)::HUGEINT,
                sum(output_tokens)::HUGEINT, coalesce(sum(total_femto), 0)::HUGEINT,
                count(*) FILTER (total_femto IS NULL), arg_max(total_ns, number)
            FROM attempts GROUP BY call
            HAVING ($model = '' OR bool_or($model IN (model, asked_model)))
                AND ($key = '' OR bool_or($key IN (key, key_name)))
                AND ($outcome = '' OR bool_or(outcome = $outcome))
                AND ($flag = '' OR bool_or(list_contains(flags, $flag)))
            ORDER BY min(sent_at) DESC, call DESC LIMIT $limit
            """,
            {**msgspec.structs.asdict(wanted), "limit": limit},
        )
        fields = CallRow.__struct_fields__
        return [msgspec.convert(dict(zip(fields, row, strict=True)), CallRow) for row in rows]

    def attempts_of(self, call_or_attempt: str) -> list[AttemptRow]:
        """Return the attempts of a call, in order; an attempt's id finds its whole call."""
        rows = self._run(
            """
            SELECT * REPLACE (epoch_ns(sent_at) AS sent_at, epoch_ns(done_at) AS done_at) FROM attempts
            WHERE call = $id OR call = (SELECT any_value(call) FROM attempts WHERE attempt = $id) ORDER BY number
            """,
            {"id": call_or_attempt},
        )
        names = [column[0] for column in self._connection.description or ()]
        return [attempt_of(dict(zip(names, row, strict=True))) for row in rows]

    def recorded(self) -> Iterator[RecordedRow]:
        """Yield what every attempt's price follows from, by book and time; only a few are in memory at once."""
        fields = RecordedRow.__struct_fields__
        columns = ", ".join("epoch_ns(sent_at)" if name == "sent_at_ns" else name for name in fields)
        cursor = self._connection.cursor()
        try:
            cursor.execute(f"SELECT {columns} FROM attempts ORDER BY book, sent_at, attempt")  # noqa: S608 - constants of this file
            while rows := cursor.fetchmany(_FETCHED):
                for row in rows:
                    yield recorded_of(dict(zip(fields, row, strict=True)))
        finally:
            cursor.close()

    def _totals(self) -> Totals:
        row = self._run(
            f"""
            SELECT {_CALLS} + {_MORE}, count(*) + {_MORE}, count(DISTINCT repeated),
                count(*) FILTER (final AND outcome = 'ok') + {_MORE_OK},
                count(*) FILTER (final AND outcome = 'client_gone'),
                {_TOTAL}, {_UNPRICED}, epoch_ns(min(sent_at)), epoch_ns(max(sent_at)),
                coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM {_WITH_MANY}
            """  # noqa: S608 - constants of this file
        )[0]
        calls, attempts, retried, answered, hung_up, total, missing, first_ns, last_ns, inputs, outputs = row
        return Totals(
            calls,
            attempts,
            retried,
            answered,
            hung_up,
            int(total),
            missing,
            first_ns,
            last_ns,
            int(inputs),
            int(outputs),
        )

    def _outcomes(self) -> tuple[OutcomeRow, ...]:
        rows = self._run(
            f"SELECT outcome, count(*) + {_MORE}, {_TOTAL}, {_UNPRICED} FROM attempts "  # noqa: S608 - constants of this file
            "GROUP BY outcome ORDER BY count(*) DESC, outcome"
        )
        return tuple(OutcomeRow(outcome, count, int(total), missing) for outcome, count, total, missing in rows)

    def costs(self) -> tuple[CostRow, ...]:
        """Return what every meter of every model cost; asked of the files once."""
        if self._costs is None:
            # The quantity of a contract's step and of a least amount is that of another line, and must not count twice.
            rows = self._run(
                """
                SELECT rate_provider, model, line.meter, count(*) FILTER (own), coalesce(sum(line.quantity)
                    FILTER (own), 0), coalesce(sum(line.amount_femto) FILTER (NOT agreed), 0),
                    coalesce(sum(line.amount_femto) FILTER (agreed), 0)
                FROM (
                    SELECT *, starts_with(line.rate, 'contract/') AS agreed,
                        NOT (agreed OR ends_with(line.rate, '!least')) AS own
                    FROM (SELECT rate_provider, model, unnest(lines) AS line FROM attempts))
                GROUP BY rate_provider, model, line.meter ORDER BY 6 DESC, 1, 2, 3
                """
            )
            self._costs = tuple(
                CostRow(provider, model, meter, attempts, int(quantity), int(listed), int(agreed))
                for provider, model, meter, attempts, quantity, listed, agreed in rows
            )
        return self._costs

    def meters(self) -> tuple[MeterRow, ...]:
        """Return what every meter counted and cost."""
        rows = self._run(
            """
            SELECT meter, sum(quantity), coalesce(sum(quantity) FILTER (missing), 0) FROM (
                SELECT unnest(map_keys(meters)) AS meter, unnest(map_values(meters)) AS quantity,
                    total_femto IS NULL AS missing FROM attempts)
            GROUP BY meter
            """
        )
        counted = {meter: (int(quantity), int(unpriced)) for meter, quantity, unpriced in rows}
        priced: dict[str, list[int]] = {}
        for cost in self.costs():
            sums = priced.setdefault(cost.meter, [0, 0, 0])
            for place, each in enumerate((cost.quantity, cost.list_femto, cost.contract_femto)):
                sums[place] += each
        found = []
        for meter in {**counted, **priced}:
            quantity, listed, agreed = priced.get(meter, (0, 0, 0))
            found.append(MeterRow(meter, *counted.get(meter, (quantity, 0)), listed, agreed))
        return tuple(sorted(found, key=lambda row: (-row.list_femto - row.contract_femto, row.meter)))

    def _reported(self) -> tuple[ReportedRow, ...]:
        rows = self._run(
            """
            WITH compared AS (
                SELECT *, list_contains(flags, 'reported_differs') AS differs FROM attempts
                WHERE reported_femto IS NOT NULL AND total_femto IS NOT NULL)
            SELECT provider, count(*), count(*) FILTER (differs), sum(reported_femto), sum(total_femto),
                coalesce(min(attempt) FILTER (differs), '')
            FROM compared GROUP BY provider ORDER BY provider
            """
        )
        return tuple(
            ReportedRow(provider, attempts, differing, int(reported), int(charged), example)
            for provider, attempts, differing, reported, charged, example in rows
        )

    def _parts(self) -> PartsRow:
        size = " + ".join(f"coalesce(part_{part}, 0)" for part in PARTS)
        sums = ", ".join(
            f"coalesce(sum(part_{part}), 0), coalesce(sum(input_tokens::DOUBLE * coalesce(part_{part}, 0) / size), 0)"
            for part in PARTS
        )
        row = self._run(
            f"SELECT count(*), coalesce(sum(input_tokens), 0), {sums} FROM (SELECT *, {size} AS size FROM attempts) "  # noqa: S608 - constants of this file
            "WHERE size > 0 AND input_tokens IS NOT NULL"
        )[0]
        sizes = dict(zip(PARTS, map(int, row[2::2]), strict=True))
        return PartsRow(row[0], int(row[1]), sizes, dict(zip(PARTS, row[3::2], strict=True)))

    def _latencies(self) -> tuple[LatencyRow, ...]:
        columns = ", ".join(
            f"count({column}), quantile_disc({column}, [0.5, 0.9, 0.99])" for column in _LATENCIES.values()
        )
        row = self._run(f"SELECT {columns} FROM attempts WHERE outcome = 'ok'")[0]  # noqa: S608 - constants of this file
        return tuple(
            LatencyRow(name, count, *(quantiles or (None, None, None)))
            for name, count, quantiles in zip(_LATENCIES, row[0::2], row[1::2], strict=True)
        )

    def _flags(self) -> tuple[FlagRow, ...]:
        rows = self._run(
            f"SELECT flag, count(*), {_TOTAL}, {_UNPRICED} FROM "  # noqa: S608 - constants of this file
            "(SELECT unnest(flags) AS flag, total_femto FROM attempts) "
            "GROUP BY flag ORDER BY count(*) DESC, flag"
        )
        return tuple(FlagRow(flag, count, int(total), missing) for flag, count, total, missing in rows)

    def _groups(self, by: Grouping, tag: str) -> tuple[GroupRow, ...]:
        rows = self._run(
            f"""
            SELECT coalesce({_GROUPS[by]}, '') AS name, {_CALLS} + {_MORE}, count(*) + {_MORE},
                coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), {_TOTAL} AS total, {_UNPRICED},
                quantile_disc(total_ns, 0.5) FILTER (outcome = 'ok')
            FROM {_WITH_MANY} GROUP BY name ORDER BY total DESC, name
            """,  # noqa: S608 - constants of this file; the tag's name is a parameter
            {"tag": tag} if by == "tag" else {},
        )
        return tuple(
            GroupRow(name, calls, attempts, int(tokens_in), int(tokens_out), int(total), missing, p50)
            for name, calls, attempts, tokens_in, tokens_out, total, missing, p50 in rows
        )

    def _unpriced(self) -> tuple[UnpricedRow, ...]:
        rows = self._run(
            "SELECT provider, model, unpriced, count(*) FROM attempts WHERE total_femto IS NULL "
            "GROUP BY ALL ORDER BY count(*) DESC, provider, model, unpriced"
        )
        return tuple(UnpricedRow(*row) for row in rows)

    def _finding_rows(self) -> tuple[FindingRow, ...]:
        rows: dict[str, FindingRow] = {}
        for each in self._findings:
            known = rows.get(each.kind)
            amount = (msgspec.msgpack.decode(each.done, type=Done).total_femto or 0) if each.done else 0
            example = each.attempt or f"{each.writer}/{each.segment}: {each.detail}"
            rows[each.kind] = FindingRow(
                each.kind,
                (known.count if known else 0) + 1,
                (known.total_femto if known else 0) + amount,
                known.example if known else example,
            )
        return tuple(rows.values())

    def _run(self, query: str, parameters: dict[str, Any] | None = None) -> list[Any]:
        import duckdb  # noqa: PLC0415 - see `parquet.connect`

        try:
            return self._connection.execute(query, parameters or None).fetchall()
        except duckdb.IOException as error:
            raise BooksFailed(
                f"The books cannot be read: {error}. Ask again; if it stays, a file is missing."
            ) from error


def _read_manifest(books: Path) -> tuple[list[BookFile], list[Finding]]:
    """Return the files that count and the findings; nothing where there are no books yet."""
    path = books / "manifest.db"
    if not path.exists():
        return [], []
    try:
        with closing(Manifest(path)) as manifest:
            return manifest.files("live"), manifest.findings()
    except sqlite3.Error as error:
        raise BooksFailed(f"The books in {books} cannot be read: {error}") from error
