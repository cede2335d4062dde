"""Which ledger an installation uses: a ledger that was emptied or exchanged must not pass for one without budgets.

Every ledger has a random number of its own, which its copies have, too. The data directory remembers it. Where another
ledger is found in its place, nothing is granted until a copy of the old one is put back, or somebody says that a new
one shall begin by removing the mark. Neither needs a restart.
"""

import os
import secrets
from pathlib import Path

from farebox.budgets.authority import StoreUnavailable


class Mark:
    """A file with the number of a ledger.

    Args:
        path: of the file; it is made when a ledger is first used.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = path

    def is_made(self) -> bool:
        """Return whether there was a ledger before, so that a missing one is lost and not new."""
        return self.path.exists()

    def confirm(self, number: int) -> None:
        """Check that a ledger is the one that is remembered, and remember the first.

        Raises:
            StoreUnavailable: where it is another.
        """
        text = f"{number}\n"
        if not self.path.exists() and self.path.parent.is_dir():
            own = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
            own.write_text(text, encoding="ascii")
            try:
                os.link(own, self.path)
            except FileExistsError:
                pass  # somebody else was first, with the same ledger or with another one
            finally:
                own.unlink()
        if self.path.exists() and self.path.read_text(encoding="ascii") != text:
            raise self.lost("another ledger is in its place")

    def lost(self, what: str) -> StoreUnavailable:
        """Return the error for a ledger that is not there any more."""
        return StoreUnavailable(
            f"the ledger of budgets is not the one that was used before: {what}. "
            f"Put a copy of it back, or remove {self.path} to begin with the ledger that is found there"
        )
