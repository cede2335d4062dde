"""Points at which a process of Farebox can be killed, without a line of test code in Farebox.

Python imports this file by itself where its directory is on PYTHONPATH. It wraps functions of Farebox when their module
is imported: whoever passes a point whose file lies in the directory FAREBOX_FAILPOINTS takes the file away and is
killed with SIGKILL there and then. FAREBOX_SEGMENT_BYTES makes the journal's segments small, so that they fill quickly.
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

BEFORE, AFTER = "before", "after"
_BOTH = (BEFORE, AFTER)

# A module, a function in it, and on which side of it one can be killed.
_WRAPPED: list[tuple[str, str, Sequence[str]]] = [
    # a worker that answers calls
    ("farebox.admit.admission", "Admission.admit", _BOTH),
    ("farebox.treasury.treasury", "Treasury.take", _BOTH),
    ("farebox.treasury.treasury", "Treasury._grant", _BOTH),
    ("farebox.treasury.purses", "Purses.reserve", (AFTER,)),
    ("farebox.treasury.purses", "Purses.adopt", (AFTER,)),
    ("farebox.attempt", "record_sent", (AFTER,)),
    ("farebox.attempt", "Attempt.put_sent", _BOTH),
    ("farebox.attempt", "Attempt.begin", _BOTH),
    ("farebox.attempt", "Attempt.put_done", _BOTH),
    ("farebox.journal.writer", "JournalWriter.append_sent", _BOTH),
    ("farebox.journal.writer", "JournalWriter.append_done", _BOTH),
    ("farebox.treasury.purses", "Hold.end", _BOTH),
    ("farebox.http1.exchange", "Exchange.respond", _BOTH),
    ("farebox.http1.exchange", "Exchange.start_stream", (AFTER,)),
    # a worker and the ledger; between rows and their commit
    ("farebox.state.ledger_authority", "LedgerAuthority.grant", _BOTH),
    ("farebox.state.ledger_authority", "LedgerAuthority.report", _BOTH),
    ("farebox.state.ledger_authority", "LedgerAuthority.pulse", (AFTER,)),
    ("farebox.state.ledger_rows", "Rows.save_balances", _BOTH),
    ("farebox.state.ledger_rows", "Rows.save_slices", (AFTER,)),
    # a worker that starts or stops
    ("farebox.journal.writer", "JournalWriter.__init__", _BOTH),
    ("farebox.treasury.treasury", "Treasury.refresh", (AFTER,)),
    ("farebox.journal.writer", "JournalWriter.close", _BOTH),
    # the office
    ("farebox.books.parquet", "ParquetWriter.write_rows", _BOTH),
    ("farebox.books.parquet", "ParquetWriter.publish", _BOTH),
    ("farebox.books.manifest", "Manifest.put_position", (AFTER,)),
    ("farebox.books.manifest", "Manifest.add_spent", (AFTER,)),
    ("farebox.books.manifest", "Manifest.close_writer", (AFTER,)),
    ("farebox.books.ingest", "recover_instance", _BOTH),
    ("farebox.journal.recover", "_publish", _BOTH),
    ("farebox.books.ingest", "ingest_once", _BOTH),
    ("farebox.state.ledger_authority", "LedgerAuthority.close_writer", _BOTH),
    ("farebox.books.manifest", "Manifest.mark_swept", _BOTH),
]
POINTS = [f"{when} {name.replace('.__init__', '')}" for _, name, moments in _WRAPPED for when in moments]


def _strike(point: str) -> None:
    try:
        Path(os.environ["FAREBOX_FAILPOINTS"], point).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(function: Callable[..., Any], name: str, moments: Sequence[str]) -> Callable[..., Any]:
    before = f"{BEFORE} {name}" if BEFORE in moments else ""
    after = f"{AFTER} {name}" if AFTER in moments else ""

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        if before:
            _strike(before)
        result = function(*args, **options)
        if after:
            _strike(after)
        return result

    @functools.wraps(function)
    async def run_async(*args: Any, **options: Any) -> Any:
        if before:
            _strike(before)
        result = await function(*args, **options)
        if after:
            _strike(after)
        return result

    return run_async if inspect.iscoroutinefunction(function) else run


def _shrink(module: ModuleType) -> None:
    if module.__name__ == "farebox.journal.writer" and "FAREBOX_SEGMENT_BYTES" in os.environ:
        parameters = inspect.signature(module.JournalWriter.__init__).parameters.values()
        sizes = {"segment_bytes": int(os.environ["FAREBOX_SEGMENT_BYTES"])}
        module.JournalWriter.__init__.__defaults__ = tuple(
            sizes.get(each.name, each.default) for each in parameters if each.default is not each.empty
        )


def _arm(module: ModuleType) -> None:
    for place, path, moments in _WRAPPED:
        if place == module.__name__:
            *owners, last = path.split(".")
            owner = functools.reduce(getattr, owners, module)
            setattr(owner, last, _wrap(getattr(owner, last), path.replace(".__init__", ""), moments))


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the ordinary finders find, and wraps after the module has been run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in {place for place, _, _ in _WRAPPED}:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_arm(module: ModuleType) -> None:
            run(module)
            _shrink(module)
            if "FAREBOX_FAILPOINTS" in os.environ:
                _arm(module)

        spec.loader.exec_module = run_and_arm  # type: ignore[method-assign]
        return spec


if {"FAREBOX_FAILPOINTS", "FAREBOX_SEGMENT_BYTES"} & os.environ.keys():
    sys.meta_path.insert(0, _Finder())
