"""Usage reports of providers: pages of buckets of time, in each of which are results.

OpenAI and Anthropic answer alike: ``{"data": [{start, end, "results": [...]}], "has_more": ..., "next_page": ...}``.
A file may hold one page, several one after another or in an array, or the list of buckets alone; results that were
written flat, one a record with the times of its bucket, are read too, from JSON lines, an array or CSV.
"""

from collections.abc import Mapping
from typing import Any

from farebox.imports.phrases import named
from farebox.imports.records import Records, Shape, kind_of, members_of, read_documents, read_records


def read_results(path: str, bucket: Shape, result: Shape, what: str) -> Records:
    """Return one record per result, its members beside those of its bucket.

    Args:
        path: of the file.
        bucket: shape of a bucket beside its results.
        result: shape of a result.
        what: the report, for errors.

    Raises:
        WrongFile: where the file is no such report.
    """
    kind = kind_of(path)
    if kind in ("csv", "parquet"):
        return _flat(path, bucket, result, what)
    members: Mapping[str, Any] = {} if kind == "document" else members_of(path)[1]
    if "results" in members:
        listed = read_documents(path, {**bucket, "results": [result]}, "results", what)
        return _spread(listed, "[r]", bucket, result)
    if "data" in members or kind == "document":
        pages = read_documents(path, {"data": [{**bucket, "results": [result]}]}, "data", what)
        return _spread(pages, "r.data", bucket, result)
    return _flat(path, bucket, result, what)


def _flat(path: str, bucket: Shape, result: Shape, what: str) -> Records:
    return read_records(path, {**bucket, **result}, tuple(bucket), what)


def _spread(pages: Records, buckets: str, bucket: Shape, result: Shape) -> Records:
    """Return the results of pages; a page that cannot be read stays as one record that says why."""
    members = [*(("b", name) for name in bucket), *(("x", name) for name in result)]
    packed = ", ".join(f"{named(name)} := {place}.{named(name)}" for place, name in members)
    query = f"SELECT broken, unnest(CASE WHEN broken IS NULL THEN {buckets} ELSE [NULL] END) AS b FROM ({pages.query})"  # noqa: S608 - the path is quoted
    query = f"SELECT broken, b, unnest(CASE WHEN broken IS NULL THEN b.results ELSE [NULL] END) AS x FROM ({query})"  # noqa: S608 - as above
    query = f"SELECT row_number() OVER () AS row, x AS whole, struct_pack({packed}) AS r, broken FROM ({query})"  # noqa: S608 - as above
    return Records(query, "to_json(r)::VARCHAR")
