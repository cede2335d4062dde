"""The two wire formats as equals: what the server needs of each, and the table of both.

A family is four modules: how requests are read, how answers are written, the API around them, and what they share
with nobody. The server knows this table and no format.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from farebox.simulate import (
    anthropic_family,
    anthropic_read,
    anthropic_write,
    openai_family,
    openai_read,
    openai_write,
)
from farebox.simulate.asked import Asked, Frame, Plan, Problem
from farebox.simulate.connection import Headers
from farebox.simulate.limits import Allowance
from farebox.simulate.models import Served


class Surface(Protocol):
    """The API around the answers; a module of functions fulfils it."""

    API: str
    ID_HEADER: str

    def read_key(self, headers: dict[str, str]) -> str: ...  # noqa: D102 - see the modules
    def check_headers(self, headers: dict[str, str]) -> None: ...  # noqa: D102
    def key_problem(self, key: str) -> Problem: ...  # noqa: D102
    def json_problem(self) -> Problem: ...  # noqa: D102
    def path_problem(self, method: str, path: str) -> Problem: ...  # noqa: D102
    def trouble(self, status: int) -> Problem: ...  # noqa: D102
    def limit_problem(self, model: Served, allowance: Allowance) -> Problem: ...  # noqa: D102
    def error_body(self, problem: Problem, request_id: str) -> dict[str, Any]: ...  # noqa: D102
    def error_event(self, problem: Problem) -> Frame: ...  # noqa: D102
    def make_headers(  # noqa: D102
        self, request_id: str, allowance: Allowance | None, elapsed_s: float, now_s: float
    ) -> Headers: ...
    def retry_headers(self, problem: Problem) -> Headers: ...  # noqa: D102
    def list_models(self, query: str) -> dict[str, Any]: ...  # noqa: D102
    def show_model(self, name: str) -> dict[str, Any]: ...  # noqa: D102


class Family(msgspec.Struct, frozen=True):
    """One wire format.

    Attributes:
        surface: keys, errors, headers, models.
        read_chat: body to checked request.
        write_body: plan to the answer as one object.
        write_frames: plan to the events of a stream.
        usage_of: the usage object as the answer reports it, None if a fault hides it.
        cache_is_marked: prefixes are cached where the request says so, not by themselves.
    """

    surface: Surface
    read_chat: Callable[[dict[str, Any]], Asked]
    write_body: Callable[[Plan], dict[str, Any]]
    write_frames: Callable[[Plan], Iterator[Frame]]
    usage_of: Callable[[Plan], dict[str, Any] | None]
    cache_is_marked: bool


OPENAI = Family(
    openai_family,
    openai_read.read_chat,
    openai_write.write_body,
    openai_write.write_frames,
    openai_write.reported_usage,
    cache_is_marked=False,
)
ANTHROPIC = Family(
    anthropic_family,
    anthropic_read.read_chat,
    anthropic_write.write_body,
    anthropic_write.write_frames,
    anthropic_write.reported_usage,
    cache_is_marked=True,
)
