"""Starts the processes of a gateway, restarts those that die, and stops them in order.

The supervisor serves no calls and holds no state, so it may die as well: its children hold the end of a pipe and
stop when it closes.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from farebox.errors import ConfigError
from farebox.state.settings import Spec

_START_S = 30.0
_FAST_DEATH_S = 1.0
_BACKOFF_S = 0.5


class Child:
    """One process that is kept alive."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name: str = name
        self.command: Sequence[str] = command
        self.started_s: float = 0.0
        self.process: subprocess.Popen[bytes]

    def start(self, life_fd: int, keep: Sequence[int] = ()) -> None:
        """Start it, or start it again."""
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(self.command, pass_fds=(life_fd, *keep), stdin=subprocess.DEVNULL)  # noqa: S603 - our own modules


class Supervisor:
    """The processes of one ``farebox serve``."""

    def __init__(self, spec: Spec, workers: int) -> None:
        self._life_read, self._life_write = os.pipe()
        os.set_inheritable(self._life_write, False)
        self._spec = msgspec.structs.replace(spec, life_fd=self._life_read, workers=workers)
        self._workers = [self._child(f"worker {number + 1}", "farebox.worker") for number in range(workers)]
        self._office = self._child("office", "farebox.office")
        self._stopping: bool = False

    def start(self) -> None:
        """Start every process and return when all workers listen.

        Raises:
            ConfigError: where a worker does not come up.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)
        signal.signal(signal.SIGHUP, self._reload)
        waiting = [self._start_worker(worker) for worker in self._workers]
        self._office.start(self._life_read)
        deadline_s = time.monotonic() + _START_S
        for fd in waiting:
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline_s - time.monotonic()))
            up = bool(ready) and os.read(fd, 1) == b"+"
            os.close(fd)
            if not up:
                self.stop()
                raise ConfigError("a worker did not start; its own message stands above")

    def watch(self) -> None:
        """Restart what dies until a signal says to stop."""
        while not self._stopping:
            for child in (*self._workers, self._office):
                if child.process.poll() is not None and not self._stopping:
                    self._restart(child)
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the workers, which settle what is under way, then the office, which brings it into the books."""
        for group in (self._workers, [self._office]):
            for child in group:
                if child.process.poll() is None:
                    child.process.terminate()
            for child in group:
                try:
                    child.process.wait(self._spec.grace_s + 5)
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()

    def _child(self, name: str, module: str) -> Child:
        spec = msgspec.json.encode(self._spec).decode()
        return Child(name, [sys.executable, "-m", module, spec])

    def _start_worker(self, worker: Child) -> int:
        """Start a worker; return a descriptor on which it says that it listens."""
        ready_read, ready_write = os.pipe()
        spec = msgspec.json.decode(worker.command[-1], type=Spec)
        worker.command = [*worker.command[:-1], _encoded(msgspec.structs.replace(spec, ready_fd=ready_write))]
        worker.start(self._life_read, [ready_write])
        worker.command = [*worker.command[:-1], _encoded(msgspec.structs.replace(spec, ready_fd=None))]
        os.close(ready_write)
        return ready_read

    def _restart(self, child: Child) -> None:
        code = child.process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        print(f"farebox: {child.name} ended ({how}); starting it again", file=sys.stderr, flush=True)
        if time.monotonic() - child.started_s < _FAST_DEATH_S:
            time.sleep(_BACKOFF_S)
        child.start(self._life_read)

    def _reload(self, *_: object) -> None:
        """Tell the workers to read the configuration again at once."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGHUP)

    def _stop_soon(self, *_: object) -> None:
        self._stopping = True


def _encoded(spec: Spec) -> str:
    return msgspec.json.encode(spec).decode()


def check_address(host: str, port: int) -> None:
    """Make sure that nobody listens on an address yet; workers share it, so they would not notice.

    Raises:
        ConfigError: where it is taken or is none.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from None
