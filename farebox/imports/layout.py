"""From the values of a foreign record to a row that can be taken, or the reason why it cannot.

A reader says where each value stands (`Layout.values`) and which of them are counts, amounts and times; what follows
is the same for all formats: texts become numbers in one place, every rule between them is checked, and a record that
breaks one keeps its text and says which field is at fault and what helps. In the phrases of a reader a value is
``v_name``, as a count ``n_name``, as an amount of USD ``usd_name`` and as a moment ``us_name`` (microseconds, UTC).
"""

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from farebox.errors import ConfigError
from farebox.imports.options import Options
from farebox.imports.phrases import (
    FIRST_US,
    LAST_US,
    MAX_COUNT,
    count_of,
    doubt_of,
    moment_of,
    money_of,
    named,
    quoted,
    shown,
)
from farebox.imports.records import Records


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How a record of a format becomes a row.

    Attributes:
        records: as they are read.
        values: phrase of a VARCHAR over ``r`` by name; an empty text is no value.
        counts: names of the values that are counts, with what the source calls them.
        moments: names of the values that are times, with what the source calls them; ``at`` is the time of the row.
        amounts: names of the values that are amounts of USD, with what the source calls them.
        columns: phrase by column of the result; ``provider`` and ``model`` are among them.
        rules: conditions that must not hold, each with the phrase of what is said where one does.
        steps: phrases by name that are worked out one step before another, over what is there by then; for what the
            columns need more than once.
        kept: the condition of records that stand for requests to a provider.
        most: the largest count that a record may have.
    """

    records: Records
    values: Mapping[str, str]
    counts: Mapping[str, str]
    moments: Mapping[str, str]
    columns: Mapping[str, str]
    amounts: Mapping[str, str] = {}
    rules: tuple[tuple[str, str], ...] = ()
    steps: tuple[Mapping[str, str], ...] = ()
    kept: str = ""
    most: int = MAX_COUNT

    def select(self, options: Options) -> str:
        """Return the SELECT of the rows: ``row``, ``fault``, ``raw``, ``at_ns`` and the columns.

        Raises:
            ConfigError: where there is no such time zone.
        """
        _check_zone(options.zone)
        values = ", ".join(f"nullif({phrase}, '') AS v_{name}" for name, phrase in self.values.items())
        made = ", ".join(f"{phrase} AS {named(name)}" for name, phrase in self.columns.items())
        listed = ", ".join(map(named, self.columns))
        query = f"SELECT row, whole, r, broken, {values} FROM ({self.records.query})"  # noqa: S608 - phrases of the readers; what comes from outside is quoted
        query = f"SELECT *, {', '.join(self._read(options))} FROM ({query})"  # noqa: S608 - as above
        query = f"SELECT *, {', '.join(self._checked())} FROM ({query})"  # noqa: S608 - as above
        if self.kept:
            # No condition moves before a window: else the records would be read once more for its sake.
            query = f"SELECT *, row_number() OVER () AS place FROM ({query})"  # noqa: S608 - as above
            query = f"SELECT * FROM ({query}) WHERE broken IS NOT NULL OR ({self.kept}) IS NOT FALSE"  # noqa: S608 - as above
        for step in self.steps:
            worked = ", ".join(f"{phrase} AS {name}" for name, phrase in step.items())
            query = f"SELECT *, {worked} FROM ({query})"  # noqa: S608 - as above
        query = f"SELECT *, us_at * 1000 AS at_ns, {made} FROM ({query})"  # noqa: S608 - as above
        query = f"SELECT *, {self._fault(options)} AS fault FROM ({query})"  # noqa: S608 - as above
        raw = f"CASE WHEN fault IS NOT NULL THEN {self.records.raw} END AS raw"
        return f"SELECT row, fault, {raw}, at_ns, {listed} FROM ({query})"  # noqa: S608 - as above

    def _read(self, options: Options) -> Iterator[str]:
        """Yield the phrases that read numbers from texts, before their limits are looked at."""
        for name in self.counts:
            yield f"TRY_CAST(v_{name} AS DOUBLE) AS d_{name}"
        for name in self.moments:
            yield f"{moment_of(f'v_{name}', options.zone)} AS m_{name}"
        for name in self.amounts:
            yield f"{money_of(f'v_{name}')} AS usd_{name}"

    def _checked(self) -> Iterator[str]:
        for name in self.counts:
            yield f"{count_of(f'd_{name}', self.most)} AS n_{name}"
        for name in self.moments:
            yield f"CASE WHEN m_{name} BETWEEN {FIRST_US} AND {LAST_US} THEN m_{name} END AS us_{name}"

    def _fault(self, options: Options) -> str:
        """Return the phrase for why a record cannot be taken, the first reason that holds, or NULL."""
        cases = [("broken IS NOT NULL", "broken"), *self._moment_faults(options)]
        for name, label in self.counts.items():
            cases.append(_unread(name, f"n_{name}", label, f"is not a whole number from 0 to {self.most}"))
        for name, label in self.amounts.items():
            cases.append(_unread(name, f"usd_{name}", label, "is not an amount of USD, such as 0.0125"))
        cases += self.rules
        for column in ("provider", "model"):
            said = f"the record does not say which {column} was called: give --{column}"
            cases.append((f"{column} IS NULL", quoted(said)))
        return "CASE " + " ".join(f"WHEN {condition} THEN {said}" for condition, said in cases) + " END"

    def _moment_faults(self, options: Options) -> Iterator[tuple[str, str]]:
        for name, label in self.moments.items():
            if name == "at":
                yield "v_at IS NULL", quoted(f"{label} is missing: a record needs the time of its request")
            yield _unread(name, f"us_{name}", label, "is not a time from 1970 to 2100, such as 2026-10-25T09:30:00Z")
        if options.zone != "UTC":
            doubt = doubt_of("v_at", options.zone)
            said = quoted(f" in {options.zone}: export times with their offset, or in UTC")
            label = quoted(f"{self.moments['at']}: ")
            yield f"({doubt}) IS NOT NULL", f"{label} || {shown('v_at')} || ' ' || ({doubt}) || {said}"


def _unread(name: str, number: str, label: str, said: str) -> tuple[str, str]:
    return (
        f"v_{name} IS NOT NULL AND {number} IS NULL",
        f"{quoted(label + ': ')} || {shown(f'v_{name}')} || {quoted(' ' + said)}",
    )


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"There is no time zone {zone!r}: write an IANA name such as Europe/Berlin.") from None
