"""The office process: brings the journal into the books, again and again, until it is told to stop.

It may be down while calls flow; what it has not read yet waits in the journal. Started by `supervise` as
``python -m farebox.office SPEC``.
"""

import os
import select
import signal
import sys
import time
from functools import partial

from farebox.books.ingest import ingest_once
from farebox.books.parquet import BooksFailed
from farebox.journal.record import Done, Sent
from farebox.meter import lost
from farebox.prices.book import PriceBook
from farebox.state.archive import use_book
from farebox.state.settings import load_settings

_TICK_S = 5.0  # reports bring the books up to date themselves; larger passes cost half as much a call
_NICE = 10  # calls come first


def assume_lost(book: PriceBook, sent: Sent) -> Done:
    """Return the end of an attempt whose gateway died before it."""
    return lost(book, sent, time.time_ns())


def main() -> None:
    """Ingest until SIGTERM or until the parent is gone; once more at the end."""
    os.nice(_NICE)
    settings = load_settings(sys.argv[1])
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    assume = partial(assume_lost, use_book(settings.data_dir, settings.price_files))
    watched = [wake_read] if settings.life_fd is None else [wake_read, settings.life_fd]
    stopping = False
    while not stopping:
        readable, _, _ = select.select(watched, [], [], _TICK_S)
        stopping = bool(readable)
        try:
            ingest_once(settings.data_dir, assume)
        except BooksFailed as error:  # a full disk, say: the journal keeps everything until the next tick
            print(f"farebox: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
