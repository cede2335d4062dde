"""Measures how fast each reader of ``farebox import`` makes rows of records, without pricing and writing them.

Run: ``PYTHONPATH=. .venv/bin/python bench/import_formats.py [--records 100000]``. Prints records a second of CPU time
on one thread of DuckDB, and the size of a record. The records are those of the tests, as each program writes them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
from farebox.imports.formats import FORMATS
from farebox.imports.options import Options
from tests.imports import (
    test_bedrock_log,
    test_helicone,
    test_langfuse,
    test_litellm,
    test_openai_usage,
    test_openrouter_activity,
    test_otel,
)

A_BATCH = 10


def lines_of(make: Callable[[], object], times: int) -> Iterator[str]:
    """Yield a record so many times, as JSON."""
    line = json.dumps(make())
    for _ in range(times):
        yield f"{line}\n"


def write_logs(folder: Path, records: int) -> dict[str, Path]:
    """Write a file of each format and return them by format."""
    batch = test_otel.batch(*(test_otel.span(number=number) for number in range(A_BATCH)))
    page = test_openai_usage.page(*([test_openai_usage.completions()] * A_BATCH))
    logs: dict[str, tuple[Callable[[], object], int]] = {
        "litellm": (test_litellm.record, records),
        "langfuse": (test_langfuse.exported, records),
        "helicone": (test_helicone.record, records),
        "bedrock": (test_bedrock_log.record, records),
        "otel": (lambda: batch, records // A_BATCH),
        "openai-usage": (lambda: page, records // A_BATCH),
    }
    files = {name: folder / f"{name}.jsonl" for name in logs}
    for name, (make, times) in logs.items():
        with files[name].open("w") as file:
            file.writelines(lines_of(make, times))
    activity = ",".join(test_openrouter_activity.FIELDS.values())
    files["openrouter"] = folder / "openrouter.csv"
    files["openrouter"].write_text(f"{test_openrouter_activity.HEADER}\n" + f"{activity}\n" * records)
    return files | write_tables(folder, records * 10)


def write_tables(folder: Path, records: int) -> dict[str, Path]:
    """Write the same plain records as JSON lines, CSV and Parquet."""
    files = {name: folder / f"plain.{name}" for name in ("jsonl", "csv", "parquet")}
    kinds = {"jsonl": "json", "csv": "csv, HEADER", "parquet": "parquet"}
    query = (
        "SELECT strftime(TIMESTAMP '2026-09-14' + INTERVAL (i) SECOND, '%Y-%m-%dT%H:%M:%SZ') AS timestamp, "  # noqa: S608 - a number
        "'openai' AS provider, 'gpt-4o' AS model, 1000 + i % 5000 AS prompt_tokens, i % 900 AS cached_tokens, "
        f"i % 700 AS completion_tokens, 'u' || i % 100 AS user_id, i % 3000 AS latency_ms FROM range({records}) r(i)"
    )
    with duckdb.connect() as connection:
        for name, path in files.items():
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT {kinds[name]})")
    return files


def main() -> None:
    """Write the files, read each once, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        for name, path in write_logs(Path(folder), asked.records).items():
            query = FORMATS[name].select(str(path), Options())
            start = time.process_time()
            connection.execute(f"CREATE OR REPLACE TABLE taken AS {query}")
            spent = time.process_time() - start
            found = connection.execute("SELECT count(*), count(fault) FROM taken").fetchone()
            assert found is not None
            assert found[1] == 0, name
            size = path.stat().st_size / found[0]
            print(f"{name:14} {found[0] / spent:>12,.0f} records/s  {size:>6,.0f} bytes a record")


if __name__ == "__main__":
    main()
