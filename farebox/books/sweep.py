"""Returns the slices of dead writers to the ledger of budgets, once their journals are wholly in the books.

What a dead writer spent is what its journal says, attempts whose end nobody saw included; the rest of its slices is
free again, and whatever it should still say is refused. Telling the ledger twice changes nothing, so a pass may be
killed anywhere and repeated, and a ledger that cannot be reached is told by the next one.
"""

from contextlib import closing
from pathlib import Path

from farebox.books.manifest import Manifest
from farebox.budgets.authority import Authority, Reported, Total
from farebox.journal.recover import is_dead
from farebox.journal.segment import instances_of


def sweep(data_dir: Path, authority: Authority) -> list[Reported]:
    """Tell the ledger of every dead writer that it does not know to be dead; return its answers.

    Raises:
        StoreUnavailable: where the ledger cannot be reached; those that were told are done.
    """
    path = data_dir / "books" / "manifest.db"
    if not path.exists():
        return []
    answers = []
    with closing(Manifest(path)) as manifest:
        for writer in manifest.unswept_writers():
            totals = [
                Total(budget, span, amount, over=over) for budget, span, amount, over in manifest.spent_by(writer)
            ]
            answers.append(authority.close_writer(writer, totals))
            with manifest.transaction():
                manifest.mark_swept(writer)
    return answers


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
