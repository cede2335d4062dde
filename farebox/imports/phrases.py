"""Phrases of SQL that every reader of a foreign log is made of: how a text becomes a count, an amount, a moment.

All of them work on columns and never fail: what cannot be read is NULL, and a phrase beside it says why.
"""

from collections.abc import Iterable

# No request is larger (see `normalise.counts`); a total of many requests is kept far from the end of 64 bits.
MAX_COUNT = 2**31 - 1
MAX_TOTAL = 10**15
# Between which a time can be meant: microseconds of 1 January 1970 and 2100, UTC.
FIRST_US = 0
LAST_US = 4_102_444_800_000_000
LONGEST_NS = 10**17
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
_ZONE = "(Z|[+-][0-9]{2}(:?[0-9]{2})?| ?UTC| ?GMT| [A-Za-z_]+/[A-Za-z_/]+)"
# Clocks are put back by an hour, by half an hour on Lord Howe Island, by two on Troll station.
_PUT_BACK = ("30 MINUTES", "1 HOUR", "2 HOURS")
_SHOWN = 60


def quoted(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def shown(text: str) -> str:
    """Return the phrase that shows the value of a text column in a message."""
    return f"'\"' || {text}[:{_SHOWN}] || '\"'"


def told(*parts: str) -> str:
    """Return the phrase for a sentence: what is in braces is a number's phrase, shown in quotes, the rest is as it is.

    Sentences that differ in what is in quotes alone are one reason, so that they can be counted together.
    """
    phrases = (f"'\"' || ({part[1:-1]}) || '\"'" if part.startswith("{") else quoted(part) for part in parts)
    return " || ".join(phrases)


def first_of(*phrases: str) -> str:
    """Return the phrase for the first value that is there; an empty text is none."""
    parts = [f"nullif({phrase}, '')" for phrase in phrases]
    return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"


def or_zero(phrase: str) -> str:
    """Return the phrase with 0 for what is not there."""
    return f"coalesce({phrase}, 0)"


def added(phrases: Iterable[str]) -> str:
    """Return the phrase for a sum in which what is not there counts as 0."""
    parts = [or_zero(phrase) for phrase in phrases]
    return f"({' + '.join(parts)})" if parts else "0"


def identity(*phrases: str) -> str:
    """Return the phrase for what tells a record from all others, where it has no id: some of its values in order."""
    parts = (f"coalesce({phrase}::VARCHAR, '')" for phrase in phrases)
    return f"concat_ws('/', {', '.join(parts)})"


def length_of(text: str, factor_ns: int) -> str:
    """Return the phrase for a length of time in nanoseconds; NULL where it is none, or longer than three years.

    Args:
        text: phrase of a VARCHAR, in a unit of so many nanoseconds.
        factor_ns: nanoseconds of the unit.
    """
    length = f"TRY_CAST({text} AS DOUBLE) * {factor_ns}"
    return f"CASE WHEN {length} BETWEEN 0 AND {LONGEST_NS} THEN ({length})::BIGINT END"


def count_of(number: str, limit: int) -> str:
    """Return the phrase for a whole number from 0 to a limit, given the phrase of a DOUBLE; else NULL.

    A number that was written with a decimal point, such as ``11.0``, is a count where it is whole.
    """
    return f"CASE WHEN {number} >= 0 AND {number} <= {limit} AND floor({number}) = {number} THEN {number}::BIGINT END"


def money_of(text: str) -> str:
    """Return the phrase for an amount of USD, exact to 1e-15; NULL where it is none or negative."""
    # Amounts below 1,000 USD are read in 64 bits, which is three times as fast.
    amount = f"coalesce(TRY_CAST({text} AS DECIMAL(18,15)), TRY_CAST({text} AS DECIMAL(38,15)))"
    return f"CASE WHEN {amount} >= 0 THEN {amount} END"


def moment_of(text: str, zone: str) -> str:
    """Return the phrase for microseconds since the epoch, UTC; NULL where the text is no time.

    Args:
        text: phrase of a VARCHAR: an epoch in seconds, milliseconds, microseconds or nanoseconds, told apart by its
            size, or a date, with or without a clock time, and that with or without an offset, as in RFC 3339.
        zone: IANA name of the zone of times that name none.
    """
    whole, number = f"TRY_CAST({text} AS BIGINT)", f"TRY_CAST({text} AS DECIMAL(28,9))"
    epoch = (
        f"CASE WHEN length({text}) <= 11 THEN {whole} * 1000000 WHEN length({text}) <= 14 THEN {whole} * 1000 "
        f"WHEN length({text}) <= 17 THEN {whole} ELSE {whole} // 1000 END"
    )
    # Slower, so that it is left to times with a decimal point, such as seconds with milliseconds behind it.
    broken = f"({number} * (CASE WHEN {number} < 1e11 THEN 1000000 WHEN {number} < 1e14 THEN 1000 ELSE 1 END))::BIGINT"
    local = f"TRY_CAST({text} AS TIMESTAMP)"
    if zone != "UTC":
        local = f"timezone({quoted(zone)}, {local})"
    # UTC goes first, as the most frequent. A time with an offset is read as TIMESTAMPTZ, as TIMESTAMP passes over the
    # offset; a time without one is never read so, because it would be taken for one of the session's zone.
    return (
        f"CASE WHEN ends_with({text}, 'Z') THEN epoch_us(TRY_CAST({text} AS TIMESTAMP)) "
        f"WHEN regexp_full_match({text}, '[0-9]{{1,19}}') THEN {epoch} "
        f"WHEN regexp_full_match({text}, '[0-9]{{1,17}}[.][0-9]+') THEN {broken} "
        f"WHEN {is_local(text)} THEN epoch_us({local}) "
        f"WHEN regexp_full_match({text}, '{_DATE}{_CLOCK}{_ZONE}') THEN epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)) END"
    )


def is_local(text: str) -> str:
    """Return the phrase that is true of a time that names neither an offset nor a zone."""
    return f"regexp_full_match({text}, '{_DATE}({_CLOCK})?')"


def doubt_of(text: str, zone: str) -> str:
    """Return the phrase for why a time without an offset names no moment or two, in a zone with summer time; or NULL.

    Args:
        text: phrase of a VARCHAR.
        zone: IANA name of the zone, not UTC.
    """
    local = f"TRY_CAST({text} AS TIMESTAMP)"
    place = quoted(zone)
    moment = f"timezone({place}, {local})"
    again = " OR ".join(
        f"timezone({place}, {moment} {sign} INTERVAL {step}) = {local}" for step in _PUT_BACK for sign in "+-"
    )
    return (
        f"CASE WHEN NOT {is_local(text)} THEN NULL "
        f"WHEN timezone({place}, {moment}) <> {local} THEN 'is skipped when the clock is put forward' "
        f"WHEN {again} THEN 'comes twice when the clock is put back' END"
    )
