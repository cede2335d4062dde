"""Virtual keys: made, listed and revoked in state.db; read by the gateway as a snapshot.

A key is ``fbx_<public id>_<secret>``, 256 random bits in the secret. It is shown once; stored are its public id
and the HMAC-SHA256 of the whole key under the pepper, a file beside the database and not in it (or
``FAREBOX_PEPPER``), so that the database alone does not let a guess be checked.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from farebox.auth import Caller, KeyRing, digest
from farebox.config.tables import Key as ConfiguredKey
from farebox.errors import ConfigError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created_ns INTEGER NOT NULL,
    revoked_ns INTEGER,
    team TEXT NOT NULL DEFAULT '',
    project TEXT NOT NULL DEFAULT ''
) STRICT
"""
_ADDED = ("team", "project")  # columns that older databases lack
_MIN_PEPPER_BYTES = 16


class KeyRow(msgspec.Struct, frozen=True):
    """A key without its secret; times are nanoseconds since the epoch, UTC."""

    id: str
    name: str
    created_ns: int
    revoked_ns: int | None
    team: str = ""
    project: str = ""


class KeyStore:
    """The keys of one data directory. Connections are short-lived, so any process may use it at any time."""

    def __init__(self, data_dir: Path, pepper: bytes) -> None:
        self.path: Path = data_dir / "state.db"
        self._pepper = pepper
        with closing(self._connect()) as database, database:
            database.execute(_SCHEMA)
            there = {row[1] for row in database.execute("PRAGMA table_info(keys)")}
            for column in _ADDED:
                if column not in there:
                    with suppress(sqlite3.OperationalError):  # another process was first
                        database.execute(f"ALTER TABLE keys ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")

    def create(self, name: str, now_ns: int, team: str = "", project: str = "") -> tuple[KeyRow, str]:
        """Make a key; return its row and the key itself, which cannot be had again."""
        public = secrets.token_hex(6)
        key = f"fbx_{public}_{secrets.token_urlsafe(32)}"
        with closing(self._connect()) as database, database:
            database.execute(
                "INSERT INTO keys (id, name, digest, created_ns, team, project) VALUES (?, ?, ?, ?, ?, ?)",
                (public, name, digest(self._pepper, key), now_ns, team, project),
            )
        return KeyRow(public, name, now_ns, None, team, project), key

    def list(self) -> list[KeyRow]:
        """Return all keys, revoked ones included, oldest first."""
        with closing(self._connect()) as database:
            rows = database.execute(
                "SELECT id, name, created_ns, revoked_ns, team, project FROM keys ORDER BY created_ns, id"
            )
            return [KeyRow(*row) for row in rows]

    def revoke(self, key: str, now_ns: int) -> KeyRow | None:
        """Revoke a key by id or name; return its row, or None where there is no valid key of that name.

        Raises:
            ConfigError: where several valid keys have the name.
        """
        with closing(self._connect()) as database, database:
            found = database.execute(
                "SELECT id, name, created_ns, team, project FROM keys "
                "WHERE revoked_ns IS NULL AND (id = ? OR name = ?)",
                (key, key),
            ).fetchall()
            if len(found) > 1:
                raise ConfigError(
                    f"{len(found)} keys are named {key!r}; revoke by id: {', '.join(r[0] for r in found)}"
                )
            if not found:
                return None
            identity, name, created_ns, team, project = found[0]
            database.execute("UPDATE keys SET revoked_ns = ? WHERE id = ?", (now_ns, identity))
        return KeyRow(identity, name, created_ns, now_ns, team, project)

    def snapshot(self, configured: Iterable[ConfiguredKey]) -> KeyRing:
        """Return the valid keys: those of the database and those of the configuration."""
        callers = {
            digest(self._pepper, key.key): Caller(f"config:{key.name}", key.name, key.team, key.project)
            for key in configured
        }
        with closing(self._connect()) as database:
            created = database.execute("SELECT id, name, digest, revoked_ns, team, project FROM keys").fetchall()
        is_open = not callers and not created
        callers |= {bytes(row[2]): Caller(row[0], row[1], row[4], row[5]) for row in created if row[3] is None}
        return KeyRing(self._pepper, callers, is_open)

    def version(self) -> int:
        """Return a number that changes with every change by any process."""
        with closing(self._connect()) as database:
            row = database.execute("SELECT count(*) + coalesce(sum(revoked_ns IS NOT NULL), 0) * 1000000 FROM keys")
            return int(row.fetchone()[0])

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=10)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        return database


def load_pepper(data_dir: Path, environment: str | None) -> bytes:
    """Return the pepper: of ``FAREBOX_PEPPER`` where it is set, else of the file, made on first use.

    Raises:
        ConfigError: where it is too short to be one.
    """
    if environment is not None:
        pepper = environment.encode()
        if len(pepper) < _MIN_PEPPER_BYTES:
            raise ConfigError(f"FAREBOX_PEPPER is shorter than {_MIN_PEPPER_BYTES} characters; use a random one")
        return pepper
    path = data_dir / "pepper"
    draft = data_dir / f".pepper-{secrets.token_hex(4)}"
    if not path.exists():
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails where another process was first; its pepper holds
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    pepper = path.read_bytes()
    if len(pepper) < _MIN_PEPPER_BYTES:
        raise ConfigError(f"{path} is damaged; restore it, or delete it and create all keys anew")
    return pepper
