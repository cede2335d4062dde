"""A connection to Postgres that waits for its server until a deadline: one that was stopped or cut off says nothing."""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

Value = TypeVar("Value")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose user sets, before it asks for something, until when it waits for that."""

    deadline_s: float = 0.0

    def wait(self, gen: PQGen[Value], *args: Any, **options: Any) -> Value:
        """Wait for the server; see `psycopg.Connection.wait`."""
        return super().wait(_until(gen, self.deadline_s), *args, **options)


def _until(gen: PQGen[Value], deadline_s: float) -> Generator[Any, Any, Value]:
    """Drive a conversation with the server, which is looked at now and then, until a deadline."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline_s:
                raise psycopg.OperationalError("the server does not answer in time")
            wanted = gen.send(ready)
    except StopIteration as end:
        value: Value = end.value
        return value
