"""Tells the operator, on standard error, what needs a person; each thing once, so that it stays readable.

The books hold every single case (``farebox audit`` lists them); this is the bell, not the record.
"""

import sys

_MOST = 1000  # clients may name models at will; what they name must not fill the memory


class Alarm:
    """The bell of one process."""

    def __init__(self) -> None:
        self._rung: set[str] = set()

    def ring(self, about: str, message: str) -> None:
        """Print a message, the first time there is one about this."""
        if about in self._rung or len(self._rung) >= _MOST:
            return
        self._rung.add(about)
        print(f"farebox: ALARM: {message}", file=sys.stderr, flush=True)

    def note(self, message: str) -> None:
        """Print a message each time: of what comes and goes."""
        print(f"farebox: {message}", file=sys.stderr, flush=True)
