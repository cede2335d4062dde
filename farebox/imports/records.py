"""How the records of a file are read: JSON lines, an array of JSON objects, documents of JSON, CSV and Parquet.

Whatever the file, its records come as ``row`` (their number from 1; of JSON lines that of the line), ``whole`` (the
record), ``r`` (a STRUCT of the wanted members, each a VARCHAR or what its shape says) and ``broken`` (why the record
cannot be read, or NULL). Everything is one pass of DuckDB, and a record that cannot be read does not keep the others
from being read.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import msgspec

from farebox.errors import FareboxError
from farebox.imports.phrases import named, quoted

# By member of a record: "VARCHAR", the shape of an object, or a list with the shape of its elements.
Shape = Mapping[str, Any]
Kind = Literal["lines", "array", "document", "csv", "parquet"]

# A line with a whole prompt and its answer in it is read; DuckDB keeps buffers of twice this size.
_MAX_LINE = 32 * 1024 * 1024
_MAX_OBJECT = 256 * 1024 * 1024
_CHUNK = _MAX_LINE // 2
_PEEKED = 1024 * 1024
_LOOKED_AT = 20
_DELIMITERS = ",;\t|"
_NOT_JSON = "the line is not a JSON object in UTF-8: it is cut short or of another format"


class WrongFile(FareboxError):
    """A file cannot be opened, or is not what its format says."""


class Records(msgspec.Struct, frozen=True):
    """Records as they are read.

    Attributes:
        query: SELECT with the columns ``row``, ``whole``, ``r`` and ``broken``.
        raw: phrase of the text of a record over ``whole``.
    """

    query: str
    raw: str = "whole"


def read_records(path: str, shape: Shape, needed: tuple[str, ...], what: str, loose: Collection[str] = ()) -> Records:
    """Return the records of a file of JSON lines, a JSON array, CSV or Parquet.

    Args:
        path: of the file.
        shape: of a record; where a member is an object, the column of CSV or Parquet has its JSON as text.
        needed: members of which a file of the format has at least one.
        what: the format, for the error.
        loose: members that may be something else than the object of their shape, and say nothing then.

    Raises:
        WrongFile: where the file cannot be opened, is empty, or is not of the format.
    """
    kind = kind_of(path)
    if kind in ("lines", "array"):
        seen = _members(path, kind)
        if seen and set(seen).isdisjoint(needed):
            raise WrongFile(_not_of(path, what, needed, sorted(seen)))
        in_text = {name for name in _objects(shape) if isinstance(seen.get(name), str)}
        return Records(shaped(json_texts(path, kind), shape, in_text, loose))
    if kind == "document":
        raise WrongFile(f"{path}: one JSON object over many lines; {what} is JSON lines, a JSON array or CSV")
    columns = parquet_columns(path) if kind == "parquet" else csv_columns(path)
    if set(columns).isdisjoint(needed):
        raise WrongFile(_not_of(path, what, needed, list(columns)))
    read = _read_parquet if kind == "parquet" else _read_csv
    return read(path, shape, columns, loose)


def members_of(path: str) -> tuple[Kind, dict[str, Any]]:
    """Return the kind of a file and the members of its records: of JSON with a value of each, else with a type.

    Raises:
        WrongFile: where the file cannot be opened, is empty, or has no records that can be told apart.
    """
    kind = kind_of(path)
    if kind == "document":
        raise WrongFile(f"{path}: one JSON object over many lines; expected JSON lines, a JSON array, CSV or Parquet")
    if kind == "parquet":
        return kind, dict(parquet_columns(path))
    if kind == "csv":
        return kind, dict(csv_columns(path))
    found = _members(path, kind)
    if not found:
        raise WrongFile(f"{path}: none of the first records is a JSON object")
    return kind, found


def read_documents(path: str, shape: Shape, needed: str, what: str) -> Records:
    """Return the documents of a file, pages of an API as a rule: one, several in a row, or an array of them.

    Raises:
        WrongFile: where the file cannot be opened, is empty, or its first document lacks the member ``needed``.
    """
    kind = kind_of(path)
    if kind in ("csv", "parquet"):
        raise WrongFile(f"{path}: {what} is JSON with the member {needed!r}")
    seen = _members(path, kind)
    if seen and needed not in seen:
        raise WrongFile(_not_of(path, what, (needed,), sorted(seen)))
    return Records(shaped(json_texts(path, kind), shape))


def json_texts(path: str, kind: Kind) -> str:
    """Return the SELECT of the JSON texts in a file, as ``whole`` with their ``row``."""
    if kind == "lines":
        return _json_lines(path)
    form = "array" if kind == "array" else "unstructured"
    return (
        f"SELECT row_number() OVER () AS row, json::VARCHAR AS whole FROM read_json_objects({quoted(path)}, "  # noqa: S608 - quoted
        f"format = '{form}', maximum_object_size = {_MAX_OBJECT})"
    )


def kind_of(path: str) -> Kind:
    """Return what a file is, by its beginning.

    Raises:
        WrongFile: where it cannot be opened, is empty, is not UTF-8, or is none of the kinds.
    """
    head = _peek(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise WrongFile(f"{path}: the file is UTF-16; convert it to UTF-8")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text:
        raise WrongFile(f"{path}: the file is empty")
    if text.startswith(b"["):
        return "array"
    line = text.partition(b"\n")[0].strip()
    if text.startswith(b"{"):
        # A pretty-printed object breaks its line early; a line of a log is an object, even where it is damaged.
        return "document" if len(line) < 3 or (line.endswith((b",", b"[", b"{")) and not _parse(line)) else "lines"
    if b"\0" in line or not any(mark.encode() in line for mark in _DELIMITERS):
        raise WrongFile(f"{path}: neither JSON nor CSV nor Parquet; its first line is {_show(line)}")
    return "csv"


def csv_columns(path: str) -> dict[str, str]:
    """Return the columns of a CSV file, each with the type VARCHAR.

    Raises:
        WrongFile: where two columns have the same name.
    """
    header = _header(path)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise WrongFile(f"{path}: the columns {', '.join(twice)} are there twice; rename one of each in the first line")
    return dict.fromkeys(header, "VARCHAR")


def parquet_columns(path: str) -> dict[str, str]:
    """Return the columns of a Parquet file with their types.

    Raises:
        WrongFile: where it cannot be read.
    """
    import duckdb  # noqa: PLC0415 - loaded only where a file is read

    try:
        with duckdb.connect() as connection:
            rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({quoted(path)})").fetchall()  # noqa: S608 - quoted
    except duckdb.Error as error:
        raise WrongFile(f"{path}: the Parquet file cannot be read: {str(error).partition(chr(10))[0]}") from error
    return {row[0]: row[1] for row in rows}


def shape_text(shape: Any) -> str:
    """Return a shape as the structure that DuckDB's ``json_transform`` takes, as an SQL literal."""
    return quoted(json.dumps(shape))


def parsed(text: str, shape: Any) -> str:
    """Return the phrase that reads JSON of a shape from a text, NULL where it is none."""
    return f"TRY(json_transform({text}, {shape_text(shape)}))"


def shaped(lines: str, shape: Shape, in_text: Collection[str] = (), loose: Collection[str] = ()) -> str:
    """Return the records of a SELECT of ``row`` and ``whole``, of which each is a JSON object.

    Args:
        lines: the SELECT.
        shape: of a record.
        in_text: the members that are objects in the shape and texts with their JSON in the file.
        loose: as in `read_records`.
    """
    flat = {name: "VARCHAR" if name in in_text else inner for name, inner in shape.items()}
    objects = f"SELECT *, {parsed('whole', flat)} AS j FROM ({lines})"  # noqa: S608 - the path is quoted
    broken = f"CASE WHEN j IS NULL THEN {quoted(_NOT_JSON)}"
    for name, inner in flat.items():
        if isinstance(inner, Mapping) and name not in loose:
            # A member that is a text in this record alone would be passed over with all that it says.
            empty = " AND ".join(f"j.{named(name)}.{named(below)} IS NULL" for below in inner)
            other = quoted(f'"{re.escape(name)}"\\s*:\\s*[^{{n\\s]')
            said = quoted(f"{name} is not a JSON object, as it is in the first records of the file")
            seen = f"contains(whole, {quoted(json.dumps(name))}) AND regexp_matches(whole, {other})"
            broken += f" WHEN {empty} AND {seen} THEN {said}"
    broken += " END"
    if not in_text:
        return f"SELECT row, whole, j AS r, {broken} AS broken FROM ({objects})"  # noqa: S608 - as above
    texts = {name: below for name, below in shape.items() if name in in_text}
    return _nested(objects, {name: f"j.{named(name)}" for name in shape}, texts, broken, loose)


def _nested(query: str, members: Mapping[str, str], inner: Shape, broken: str, loose: Collection[str]) -> str:
    """Return records of which the members ``inner`` are read from their texts."""
    texts = ", ".join(f"nullif(nullif({members[name]}, ''), 'null') AS {named('t_' + name)}" for name in inner)
    read = ", ".join(f"{parsed(named('t_' + name), below)} AS {named('o_' + name)}" for name, below in inner.items())
    packed = ", ".join(
        f"{named(name)} := {named('o_' + name) if name in inner else member}" for name, member in members.items()
    )
    faults = "".join(
        f" WHEN {named('t_' + name)} IS NOT NULL AND {named('o_' + name)} IS NULL THEN {quoted(name + ' is not JSON')}"
        for name in inner
        if name not in loose
    )
    if inner:
        query = f"SELECT *, {read} FROM (SELECT *, {texts} FROM ({query}))"  # noqa: S608 - names of the shape, quoted
        broken = f"CASE WHEN {broken} IS NOT NULL THEN {broken}{faults} END"
    return f"SELECT row, whole, struct_pack({packed}) AS r, {broken} AS broken FROM ({query})"  # noqa: S608 - as above


def _json_lines(path: str) -> str:
    if not _is_sound(path):
        # Slower, and without the text of a bad line; but it bears bytes that are no text, and longer lines.
        return (
            f"SELECT row_number() OVER () AS row, json::VARCHAR AS whole FROM read_json_objects({quoted(path)}, "  # noqa: S608 - quoted
            f"format = 'newline_delimited', ignore_errors = true, maximum_object_size = {_MAX_OBJECT})"
        )
    return (
        "SELECT row, whole FROM (SELECT row_number() OVER () AS row, whole FROM "  # noqa: S608 - quoted
        f"read_csv({quoted(path)}, columns = {{'whole': 'VARCHAR'}}, header = false, auto_detect = false, "
        "delim = '\x01', quote = '', escape = '', strict_mode = false, null_padding = true, "
        f"max_line_size = {_MAX_LINE}, buffer_size = {2 * _MAX_LINE})) WHERE whole <> ''"
    )


def _read_csv(path: str, shape: Shape, header: Mapping[str, str], loose: Collection[str]) -> Records:
    """Return the records of a CSV file; bytes that are not UTF-8 are taken for Latin-1."""
    places = {name: f"c{index}" for index, name in enumerate(header)}
    columns = ", ".join(f"'{place}': 'VARCHAR'" for place in places.values())
    whole = ", ".join(f"{named(name)} := {place}" for name, place in places.items())
    encoding = "utf-8" if _is_sound(path, lines=False) else "latin-1"
    query = (
        f"SELECT *, row_number() OVER () AS row, struct_pack({whole}) AS whole FROM read_csv({quoted(path)}, "  # noqa: S608 - quoted
        f"columns = {{{columns}}}, header = true, auto_detect = false, delim = {quoted(_delimiter(path))}, "
        f"quote = '\"', escape = '\"', strict_mode = false, null_padding = true, parallel = false, "
        f"encoding = '{encoding}', max_line_size = {_MAX_LINE}, buffer_size = {2 * _MAX_LINE})"
    )
    members = {name: places.get(name, "NULL::VARCHAR") for name in shape}
    return Records(_nested(query, members, _objects(shape), "NULL::VARCHAR", loose), "to_json(whole)::VARCHAR")


def _read_parquet(path: str, shape: Shape, columns: Mapping[str, str], loose: Collection[str]) -> Records:
    found = {name: _as_text(name, columns.get(name)) for name in shape}
    picked = ", ".join(f"{phrase} AS {named(f'p{index}')}" for index, phrase in enumerate(found.values()))
    query = (
        f"SELECT {picked}, file_row_number + 1 AS row, NULL AS whole "  # noqa: S608 - names are quoted
        f"FROM read_parquet({quoted(path)}, file_row_number = true)"
    )
    members = {name: named(f"p{index}") for index, name in enumerate(shape)}
    return Records(_nested(query, members, _objects(shape), "NULL::VARCHAR", loose), "to_json(r)::VARCHAR")


def _as_text(name: str, kind: str | None) -> str:
    if kind is None:
        return "NULL::VARCHAR"
    is_nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    return f"to_json({named(name)})::VARCHAR" if is_nested else f"{named(name)}::VARCHAR"


def _open(path: str) -> BinaryIO:
    try:
        if path.endswith(".gz"):
            return cast("BinaryIO", gzip.open(path, "rb"))
        return Path(path).open("rb")
    except OSError as error:
        raise WrongFile(f"{path}: the file cannot be opened: {error.strerror or error}") from error


def _peek(path: str) -> bytes:
    with _open(path) as file:
        return next(_chunks(path, file, _PEEKED), b"")


def _is_sound(path: str, *, lines: bool = True) -> bool:
    """Return whether a file is UTF-8 and, where asked, has no line that is too long for the fast way."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _open(path) as file:
        try:
            for chunk in _chunks(path, file, _CHUNK):
                if lines and len(chunk) == _CHUNK and b"\n" not in chunk:
                    return False
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _chunks(path: str, file: BinaryIO, size: int) -> Iterator[bytes]:
    try:
        while chunk := file.read(size):
            yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise WrongFile(f"{path}: the file cannot be read, it may be cut short: {error}") from error


def _members(path: str, kind: Kind) -> dict[str, Any]:
    """Return the members of the first records with a value of each; none where no record can be read."""
    text = _peek(path).decode("utf-8-sig", "replace").lstrip()
    seen: dict[str, Any] = {}
    if kind == "lines":
        for line in text.split("\n")[:_LOOKED_AT]:
            for name, value in (_parse(line.encode()) or {}).items():
                seen[name] = value if seen.get(name) is None else seen[name]
        return seen or _members_of_first(path, kind)
    try:
        found, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    except ValueError:
        return _members_of_first(path, kind)
    return found if isinstance(found, dict) else {}


def _members_of_first(path: str, kind: Kind) -> dict[str, Any]:
    """Return the members of the first record where it is longer than what was peeked at."""
    import duckdb  # noqa: PLC0415 - loaded only where a file is read

    try:
        with duckdb.connect() as connection:
            row = connection.execute(f"SELECT whole FROM ({json_texts(path, kind)}) LIMIT 1").fetchone()  # noqa: S608 - the path is quoted
    except duckdb.Error:  # damaged, which the reading will say
        return {}
    return (_parse(row[0].encode()) or {}) if row and row[0] else {}


def _objects(shape: Shape) -> dict[str, Any]:
    return {name: inner for name, inner in shape.items() if inner != "VARCHAR"}


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _header(path: str) -> list[str]:
    text = _peek(path).decode("utf-8-sig", "replace")
    rows = csv.reader(io.StringIO(text), delimiter=_delimiter(path))
    return [name.strip() for name in next(rows, [])]


def _delimiter(path: str) -> str:
    line = _peek(path).decode("utf-8-sig", "replace").partition("\n")[0]
    return max(_DELIMITERS, key=line.count)


def _not_of(path: str, what: str, needed: tuple[str, ...], seen: list[str]) -> str:
    found = ", ".join(seen[:12]) or "nothing"
    return f"{path}: this is not {what}, which has {' or '.join(needed)}; found {found}"


def _show(line: bytes) -> str:
    return ascii(line[:40].decode("utf-8", "replace"))
