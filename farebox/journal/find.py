"""What the journal of a writer says of one call."""

from pathlib import Path
from typing import Literal

from farebox.journal.record import Sent
from farebox.journal.recover import is_dead, readable
from farebox.journal.segment import SUFFIX, segments_of

# alive: the writer runs. unsent: it is dead and nothing of the call was sent. sent: it is dead and something was, or
# may have been. unknown: its journal is not here.
Fate = Literal["alive", "unsent", "sent", "unknown"]
_FIRST = f"{0:08d}{SUFFIX}"


def fate_of(instance: Path, call: str) -> Fate:
    """Return what became of a call of which nobody knows an end.

    Args:
        instance: the directory of the writer that took the call.
        call: its id.

    Raises:
        OSError: where the journal cannot be read.
    """
    try:
        if not is_dead(instance):
            return "alive"
        segments = segments_of(instance)
        if not segments or segments[0].name != _FIRST:
            return "sent"  # what began the journal is in the books and gone: it proves nothing any more
        for path in segments:
            for record in readable(path):
                if isinstance(record, Sent) and record.call == call:
                    return "sent"
    except FileNotFoundError:  # another host's, or removed
        return "unknown"
    return "unsent"
