"""Measures the books: attempts a second from journal to Parquet, and an audit of a million attempts.

Run: ``.venv/bin/python bench/books.py [--attempts 1000000]``. Prints one line per figure; the books are made of
generated attempts in a temporary directory.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from farebox.analyse.audit import Asked, audit
from farebox.books.ingest import ingest_once
from farebox.books.query import Books
from farebox.charge import Line
from farebox.clock import SystemClock
from farebox.journal.record import Done, Sent
from farebox.journal.writer import JournalWriter

MODELS = {
    "gpt-4o-mini": (150_000_000, 75_000_000, 600_000_000),
    "claude-sonnet-4-6": (3 * 10**9, 3 * 10**8, 15 * 10**9),
}
SPACING_NS = 80_000_000  # a million attempts in 22 hours


def make_attempt(number: int, start_ns: int, chance: random.Random) -> tuple[Sent, Done]:
    """Return one attempt of plausible size."""
    at_ns = start_ns + number * SPACING_NS
    model = chance.choice(list(MODELS))
    call = f"call_{at_ns // 1_000_000:012x}c0ffee1234{number:x}"
    quantities = (chance.randrange(1, 4000), chance.randrange(3000), chance.randrange(1, 900))
    lines = tuple(
        Line(meter, quantity, price, quantity * price, f"card/{model}/standard#{meter}")
        for meter, quantity, price in zip(("input", "cache_read", "output"), quantities, MODELS[model], strict=True)
    )
    total_ns = chance.randrange(200_000_000, 9_000_000_000)
    sent = Sent(
        attempt=f"{call}.1", call=call, number=1, at_ns=at_ns, key=f"key_{number % 20}", key_name=f"team-{number % 20}",
        user=f"user-{chance.randrange(5000)}", tags={"team": f"t{number % 8}"}, dialect="openai", operation="chat",
        asked_model=model, provider="p", rate_provider="p", model=model, stream=number % 2 == 0, body_bytes=9000,
        parts={"system": 2000, "tools": 500, "history": chance.randrange(6000), "context": 300, "user": 200},
        output_cap=None, provider_operation="chat",
    )  # fmt: skip
    done = Done(
        attempt=sent.attempt, at_ns=at_ns + total_ns, outcome="ok", final=True, status=200, finish="stop", flags=(),
        error="", usage_raw=b'{"prompt_tokens":%d,"completion_tokens":%d}' % (sum(quantities[:2]), quantities[2]),
        meters={line.meter: line.quantity for line in lines}, lines=lines,
        total_femto=sum(line.amount_femto for line in lines), unpriced="", book="b" * 64, answered_model=model,
        service_tier="default", provider_request=f"req_{number:x}", first_token_ns=total_ns // 3, total_ns=total_ns,
        gateway_ns=chance.randrange(60_000, 400_000),
    )  # fmt: skip
    return sent, done


def refuse(_sent: Sent) -> Done:
    """Every attempt here has an end."""
    raise AssertionError


def main() -> None:
    """Write a journal, ingest it, audit it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    attempts: int = parser.parse_args().attempts
    chance = random.Random(1)  # noqa: S311 - the same books in every run
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        writer = JournalWriter(data_dir / "journal", "bench", SystemClock())
        start_ns = time.time_ns() // 86_400_000_000_000 * 86_400_000_000_000 - 86_400_000_000_000
        wanted = 0
        for number in range(attempts):
            sent, done = make_attempt(number, start_ns, chance)
            writer.append_sent(sent)
            writer.append_done(done)
            wanted += done.total_femto or 0
        writer.close()
        began = time.perf_counter()
        report = ingest_once(data_dir, refuse)
        took = time.perf_counter() - began
        print(f"ingest: {report.attempts} attempts in {took:.2f} s, {report.attempts / took:.0f} a second")
        for run in range(3):
            began = time.perf_counter()
            with Books(data_dir) as books:
                found = audit(books.audit_rows("model"), Asked())
            took = time.perf_counter() - began
            assert found.total_femto == wanted, "the books do not equal the journal"
            print(f"audit {run + 1}: {found.attempts} attempts in {took:.2f} s")
        files = list((data_dir / "books").rglob("*.parquet"))
        print(
            f"books: {len(files)} files, {sum(file.stat().st_size for file in files) / attempts:.0f} bytes an attempt"
        )


if __name__ == "__main__":
    main()
