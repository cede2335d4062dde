"""How answers go wrong, byte for byte.

close_before_headers  the request is taken, then the connection closes
reset_before_headers  the same with a reset
hang_before_headers   nothing comes, for ``stall_ms`` or until the caller leaves; then the answer follows
stall                 a stream (or half a body) stops for ``stall_ms`` or until the caller leaves, then goes on
cut_mid_stream        a stream (or half a body) ends: ``reset``, ``inside_chunk``, ``clean`` (a well-formed end that
                      is too early) or ``close_delimited`` (no framing at all, so the end looks natural)
garbage               200 with a body that is no answer
malformed_sse         a stream has an event whose data is broken JSON, and goes on
error_event           a stream ends with an error event
missing_usage, null_usage, zero_usage   the answer reports none, null or zeros; the bill is the true one
status                an error status, which is not billed
"""

from farebox.simulate.connection import Exchange, Headers
from farebox.simulate.control import Controls

BEFORE_HEADERS = frozenset({"close_before_headers", "reset_before_headers", "hang_before_headers"})
IN_BODY = frozenset({"stall", "cut_mid_stream", "malformed_sse", "error_event"})

BROKEN_EVENT = b'data: {"id":"broken","choices":[{"delta":{"content":\n\n'

_GARBAGE = {
    "html": b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>",
    "truncated_json": b'{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"mess',
    "invalid_utf8": b'{"id":"\xff\xfe\xc3\x28","object":"chat.completion"}',
    "empty": b"",
    "not_an_object": b'["not", "an", "answer"]',
}


async def send_garbage(exchange: Exchange, controls: Controls, headers: Headers, *, stream: bool) -> None:
    """A successful answer that holds none."""
    kind = "text/event-stream" if stream else "application/json"
    if controls.garbage == "html":
        kind = "text/html"
    await exchange.answer(200, [("content-type", kind), *headers], _GARBAGE[controls.garbage])


async def strike_before_headers(exchange: Exchange, controls: Controls) -> bool:
    """Commits the fault; true if the answer follows all the same.

    Raises:
        ClientLeft: the caller left during the silence.
    """
    if controls.fault == "hang_before_headers":
        await exchange.pause(controls.stall_ms / 1000 if controls.stall_ms else None)
        return True
    if controls.fault == "reset_before_headers":
        await exchange.reset()
    else:
        await exchange.close()
    return False


async def cut(exchange: Exchange, controls: Controls) -> None:
    """Ends the answer in progress the way that the controls name."""
    if controls.cut == "reset":
        await exchange.reset()
    elif controls.cut == "inside_chunk":
        await exchange.break_chunk()
    elif controls.cut == "clean":
        await exchange.end()
    else:
        await exchange.close()
