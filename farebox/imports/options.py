"""What whoever imports a file says about it, because the file does not say it itself."""

from collections.abc import Mapping

import msgspec


class Options(msgspec.Struct, frozen=True):
    """What is known beside a file.

    Attributes:
        provider: id in the price book, for rows that name none; None: such rows are rejected.
        model: the model, for rows that name none; None: such rows are rejected.
        columns: for files of no format of their own, the file's name of each column, such as ``{"at": "timestamp"}``.
        zone: IANA name of the time zone of times that have none.
        start_ns: when a trace began whose times count from its beginning, nanoseconds since the epoch.
    """

    provider: str | None = None
    model: str | None = None
    columns: Mapping[str, str] = {}
    zone: str = "UTC"
    start_ns: int = 0
