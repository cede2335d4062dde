"""The processes of a proof: simulated providers and `farebox serve`, started, found, killed and always cleaned up.

A gateway runs in a session of its own, so that whatever it has started can be found and is gone at the end, also
when a test fails in the middle.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

_START_S = 30
_STOP_S = 60


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def run_simulated(bill: Path) -> Iterator[str]:
    """Run the simulated providers as a process; yields their URL."""
    with run_announced([sys.executable, "-m", "farebox.simulate", "--bill", str(bill)]) as ready:
        yield str(ready["url"])


@contextlib.contextmanager
def run_announced(command: list[str], errors: Path | None = None) -> Iterator[Mapping[str, object]]:
    """Run a process that prints a line of JSON when it is ready, and ends when its standard input closes."""
    with contextlib.ExitStack() as stack:
        stderr = None if errors is None else stack.enter_context(errors.open("wb"))
        process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        )
        stack.callback(process.kill)
        assert process.stdin is not None
        yield json.loads(_read_line(process))
        process.stdin.close()
        process.wait(_STOP_S)


class Gateway:
    """One `farebox serve`; a context manager. It can be started again in the same place after it ended.

    Args:
        folder: for its data and what it says; one for each gateway.
        config: the configuration's text, or "" for none.
        workers: how many.
        environment: variables of its own, beside ours.
    """

    def __init__(
        self, folder: Path, config: str = "", workers: int = 2, environment: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = folder / "data"
        self.errors = folder / "stderr.txt"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._workers = workers
        self._environment = {**os.environ, **(environment or {})}
        self._config = folder / "farebox.toml"
        self._config.write_text(config)
        self._sessions: list[int] = []
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clean_up()

    def start(self) -> None:
        """Start it and wait until it says that it listens."""
        command = [sys.executable, "-m", "farebox", "serve", "--workers", str(self._workers)]
        command += ["--config", str(self._config), "--data-dir", str(self.data_dir), "--port", str(self.port)]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                start_new_session=True,
            )
        self._sessions.append(self.process.pid)
        line = _read_line(self.process)
        assert line.startswith(b"Farebox listens on"), self.errors.read_text()

    def stop(self) -> int:
        """Stop it in the ordinary way; return its exit code."""
        with self.process:  # closes its pipe
            self.process.send_signal(signal.SIGTERM)
            return self.process.wait(_STOP_S)

    def kill(self) -> None:
        """Kill the supervisor itself with SIGKILL."""
        with self.process:
            self.process.kill()

    def pids(self, module: str) -> list[int]:
        """The living processes that run ``module``, such as ``farebox.worker``, oldest first."""
        found = []
        for pid in _members(self._sessions):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if module.encode() in words:
                    found.append(pid)
        return found

    def children(self) -> list[int]:
        """The living processes that it has started."""
        return [pid for pid in _members(self._sessions) if pid != self.process.pid]

    def _clean_up(self) -> None:
        for pid in _members(self._sessions):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if hasattr(self, "process"):
            with self.process:  # closes its pipe and waits for its end
                self.process.poll()


@contextlib.contextmanager
def all_ended(pids: list[int]) -> Iterator[None]:
    """Wait after the body until all these processes have ended."""
    descriptors = {os.pidfd_open(pid): pid for pid in pids}
    try:
        yield
        waiting = set(descriptors)
        while waiting:
            ended, _, _ = select.select(waiting, [], [], _STOP_S)
            assert ended, f"still there: {[descriptors[each] for each in waiting]}"
            waiting -= set(ended)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _read_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _START_S)
    assert readable, f"not ready after {_START_S} s"
    line: bytes = process.stdout.readline()
    return line


def _members(sessions: list[int]) -> list[int]:
    """The living processes of sessions, oldest first; zombies are dead."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # After the command in brackets, which may hold anything: state, parent, group, session, ...
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) in sessions and fields[0] not in "ZX":
                    found.append((int(fields[19]), int(entry.name)))  # when it started; process ids begin again
    return [pid for _, pid in sorted(found)]
