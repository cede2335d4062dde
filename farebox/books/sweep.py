"""Returns the slices of dead writers to the ledger of budgets, once their journals are wholly in the books.

What a dead writer spent is what its journal says, attempts whose end nobody saw included; the rest of its slices is
free again, and whatever it should still say is refused. Where it was not dead after all and the end of an attempt comes
late, the ledger gets the difference as a correction. Telling the ledger twice changes nothing, so a pass may be killed
anywhere and repeated, and a ledger that cannot be reached is told by the next one.
"""

from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec

from farebox.books.manifest import Finding, Manifest
from farebox.budgets.authority import Authority, Reported, Total
from farebox.errors import ConfigError
from farebox.journal.record import Done, Sent
from farebox.journal.recover import is_dead, readable
from farebox.journal.segment import instances_of, segments_of
from farebox.spend import spent_of

_decode_done = msgspec.msgpack.Decoder(Done).decode
_LATE = "the end of an attempt came after its worker was taken for dead"


def sweep(data_dir: Path, authority: Authority) -> list[Reported]:
    """Tell the ledger of every dead writer that it does not know to be dead, and of late ends; return its answers.

    Raises:
        StoreUnavailable: where the ledger cannot be reached; those that were told are done.
    """
    path = data_dir / "books" / "manifest.db"
    if not path.exists():
        return []
    answers = []
    with closing(Manifest(path)) as manifest:
        for writer in manifest.unswept_writers():
            answers.append(_close(manifest, authority, writer))
            with manifest.transaction():
                manifest.mark_swept(writer)
        for late in manifest.uncorrected_ends():
            for (budget, span), amount in _difference(data_dir / "journal" / late.writer, late).items():
                try:
                    answers.append(authority.correct(budget, span, amount, _LATE, late.attempt))
                except ConfigError:  # a window so old that the ledger has dropped it
                    continue
            with manifest.transaction():
                manifest.mark_corrected(late.attempt)
    return answers


def sweep_again(data_dir: Path, authority: Authority) -> list[Reported]:
    """Tell a ledger of dead writers anew that knew of them before: an old copy was put in its place.

    Raises:
        StoreUnavailable: where the ledger cannot be reached; those that were told are done.
    """
    path = data_dir / "books" / "manifest.db"
    if not path.exists():
        return []
    with closing(Manifest(path)) as manifest:
        dead = sorted(manifest.closed_writers().keys() - set(manifest.unswept_writers()))
        return [_close(manifest, authority, writer) for writer in authority.not_closed(dead)]


def _close(manifest: Manifest, authority: Authority, writer: str) -> Reported:
    totals = [Total(budget, span, amount, over=over) for budget, span, amount, over in manifest.spent_by(writer)]
    return authority.close_writer(writer, totals)


def _difference(instance: Path, late: Finding) -> dict[tuple[str, str], int]:
    """Return by how much a late end differs from the first one, which was posted, by budget and window."""
    second = _decode_done(late.done)
    sent: Sent | None = None
    ends: list[Done] = []
    for path in segments_of(instance):
        for record in readable(path):
            if record.attempt != late.attempt:
                continue
            if isinstance(record, Sent):
                sent = record
            elif record != second:
                ends.append(record)
    differences: Counter[tuple[str, str]] = Counter()
    if sent is not None and ends:
        for sign, done in ((1, second), (-1, ends[0])):
            for claim, amount, _ in spent_of(sent, done):
                differences[claim.budget, claim.span_id] += sign * amount
    return {pair: amount for pair, amount in differences.items() if amount}


class DeathWatch:
    """Sees at little cost that a writer has died since the last pass.

    Args:
        data_dir: whose journal is watched.
    """

    def __init__(self, data_dir: Path) -> None:
        self._journal = data_dir / "journal"
        self._known: set[str] = set()

    def has_new_dead(self) -> bool:
        """Return whether a writer is dead that was not the last time."""
        found = False
        for instance in instances_of(self._journal):
            if instance.name not in self._known and _is_dead(instance):
                self._known.add(instance.name)
                found = True
        return found


def _is_dead(instance: Path) -> bool:
    try:
        return is_dead(instance)
    except OSError:  # being removed at this moment
        return False
