"""Anomaly flags: what behaves unlike itself, so that policies can act on it until it clears. Kept in state.db.

A flag is on a key, a team, a model or a tag: ``key:ci``, ``team:search``, ``model:smart``, ``tag:env=prod``.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from farebox.errors import ConfigError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS flags (
    scope TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    since_ns INTEGER NOT NULL,
    until_ns INTEGER,
    source TEXT NOT NULL
) STRICT
"""
_KINDS = ("key", "team", "model", "tag")


class Flag(msgspec.Struct, frozen=True):
    """A flag; times are nanoseconds since the epoch.

    Attributes:
        scope: what is flagged.
        reason: in words.
        since_ns: when it was set.
        until_ns: when it clears by itself, or None.
        source: who set it: ``operator``, or a detector.
    """

    scope: str
    reason: str
    since_ns: int
    until_ns: int | None
    source: str


class FlagStore:
    """The flags of one data directory. Connections are short-lived, so any process may use it at any time."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "state.db"
        with closing(self._connect()) as database, database:
            database.execute(_SCHEMA)

    def set(self, flag: Flag) -> None:
        """Set a flag, in place of the one on the same scope.

        Raises:
            ConfigError: where the scope is none.
        """
        kind, _, name = flag.scope.partition(":")
        if kind not in _KINDS or not name or (kind == "tag" and "=" not in name):
            raise ConfigError(f"{flag.scope!r} is no scope such as key:ci, team:search, model:smart or tag:env=prod")
        with closing(self._connect()) as database, database:
            database.execute(
                "INSERT OR REPLACE INTO flags (scope, reason, since_ns, until_ns, source) VALUES (?, ?, ?, ?, ?)",
                (flag.scope, flag.reason, flag.since_ns, flag.until_ns, flag.source),
            )

    def clear(self, scope: str) -> bool:
        """Clear a flag; return whether there was one."""
        with closing(self._connect()) as database, database:
            return database.execute("DELETE FROM flags WHERE scope = ?", (scope,)).rowcount > 0

    def list(self, now_ns: int) -> list[Flag]:
        """Return the flags in force, oldest first."""
        with closing(self._connect()) as database:
            rows = database.execute(
                "SELECT scope, reason, since_ns, until_ns, source FROM flags "
                "WHERE until_ns IS NULL OR until_ns > ? ORDER BY since_ns, scope",
                (now_ns,),
            )
            return [Flag(*row) for row in rows]

    def reasons(self, now_ns: int) -> Mapping[str, str]:
        """Return why each scope is flagged that is."""
        return {flag.scope: flag.reason for flag in self.list(now_ns)}

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=10)
        database.execute("PRAGMA journal_mode = WAL")
        return database
