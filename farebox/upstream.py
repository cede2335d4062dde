"""The one place that opens connections to providers: a request goes out, an `Answer` comes back.

Redirects are not followed, proxies of the environment are not used, and answers are asked for uncompressed,
so that what is counted is what is sent. Errors tell apart what provably never reached the provider.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol, Self

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    ConnectError,
    ConnectTimeoutError,
    RequestError,
    RequestTimeoutError,
)
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

_POOL_IDLE = timedelta(seconds=90)


class NeverSent(Exception):
    """No connection came about: the provider cannot have seen, or billed, the request."""


class BrokeOff(Exception):
    """The exchange failed after bytes may have reached the provider.

    Attributes:
        timed_out: whether a time limit ran out.
    """

    def __init__(self, detail: str, *, timed_out: bool = False) -> None:
        super().__init__(detail)
        self.timed_out: bool = timed_out


class AnswerTooLarge(Exception):
    """The answer is larger than the limit."""


class Timeouts(Protocol):
    """The time limits of a provider, in seconds."""

    @property
    def connect_timeout_s(self) -> float: ...  # noqa: D102 - named by the protocol
    @property
    def idle_timeout_s(self) -> float: ...  # noqa: D102 - named by the protocol
    @property
    def total_timeout_s(self) -> float: ...  # noqa: D102 - named by the protocol


class Answer:
    """A provider's answer, its body still to be read.

    Use it as an async context manager; leaving it before the end of the body closes the connection.
    """

    __slots__ = ("_request", "_response", "status")

    def __init__(self, request: StreamRequest) -> None:
        self._request = request
        self.status: int = 0

    async def __aenter__(self) -> Self:
        try:
            self._response: Response = await self._request.__aenter__()
        except (ConnectError, ConnectTimeoutError) as error:
            raise NeverSent(_detail(error)) from error
        except RequestError as error:
            raise _broke_off(error) from error
        self.status = self._response.status
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._request.__aexit__(*exc)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return self._response.get_header(name)

    def headers(self) -> list[tuple[str, str]]:
        """Return all headers, names in lower case."""
        return [(name.lower(), value) for name, value in self._response.headers.items()]

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body.

        Raises:
            AnswerTooLarge: where it is larger than the limit.
            BrokeOff: where it does not arrive whole.
        """
        size = self._response.get_header("content-length")
        if size is not None and size.isdigit() and int(size) <= limit_bytes:
            try:
                return bytes(await self._response.bytes())
            except RequestError as error:
                raise _broke_off(error) from error
        chunks: list[bytes] = []
        total = 0
        while (chunk := await self.next_chunk()) is not None:
            total += len(chunk)
            if total > limit_bytes:
                raise AnswerTooLarge(f"the provider's answer is larger than {limit_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def next_chunk(self) -> bytes | None:
        """Return bytes as they arrive, or None at the end of the body.

        Raises:
            BrokeOff: where the connection fails before the end.
        """
        try:
            chunk = await self._response.body_reader.read_chunk()
        except RequestError as error:
            raise _broke_off(error) from error
        return None if chunk is None else bytes(chunk)


class Upstream:
    """The connections to one provider. One per provider and process."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._client: Client = (
            ClientBuilder()
            .gzip(enable=False)
            .brotli(enable=False)
            .zstd(enable=False)
            .deflate(enable=False)
            .follow_redirects(enable=False)
            .referer(enable=False)
            .no_proxy()
            .user_agent("farebox")
            .connect_timeout(timedelta(seconds=timeouts.connect_timeout_s))
            .read_timeout(timedelta(seconds=timeouts.idle_timeout_s))
            .timeout(timedelta(seconds=timeouts.total_timeout_s))
            .pool_idle_timeout(_POOL_IDLE)
            .build()
        )

    def post(self, url: str, headers: Mapping[str, str], body: bytes, *, stream: bool) -> Answer:
        """Return the answer to a POST; nothing is sent before it is entered."""
        request = self._client.post(url).headers(headers).body_bytes(body)
        if stream:
            # Without this the client holds back the first 64 KiB of a stream until it has them all.
            request = request.streamed_read_buffer_limit(0)
        return Answer(request.build_streamed())

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _broke_off(error: RequestError) -> BrokeOff:
    return BrokeOff(_detail(error), timed_out=isinstance(error, RequestTimeoutError))


def _detail(error: RequestError) -> str:
    """Return the error with its innermost cause, without addresses of the operator's network in full URLs."""
    causes = error.details.get("causes") or []
    innermost = causes[-1]["message"] if causes else ""
    return f"{type(error).__name__}: {innermost}" if innermost else type(error).__name__
