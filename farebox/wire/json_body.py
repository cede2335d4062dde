"""Reads a request body as strict JSON.

What is forwarded is the re-serialised body, so it must mean what was sent: duplicate keys, of which parsers
keep different ones, are rejected, and so is nesting that another parser may refuse.
"""

import json
from typing import Any

import msgspec

from farebox.errors import BadRequest

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def parse_object(raw: bytes, max_depth: int) -> dict[str, Any]:
    """Return the JSON object in ``raw``.

    Raises:
        BadRequest: for anything that is not one JSON object, names the same key twice, or nests too deep.
    """
    try:
        body = _decode(raw)
        rewritten = encode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        detail = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise BadRequest(f"The body is not valid JSON: {detail}. Send one JSON object.", code="invalid_json") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be one JSON object.", code="invalid_json")
    # Every pair has a colon and the encoder neither adds nor escapes one: as many colons in and out means
    # that no pair was dropped, unless an escaped colon came in. Only then is the slow parser asked.
    if raw.count(b":") != rewritten.count(b":") or b"\\u003" in raw:
        _refuse_duplicates(raw)
    if rewritten.count(b"{") + rewritten.count(b"[") > max_depth:
        _refuse_depth(body, max_depth)
    return body


def _refuse_duplicates(raw: bytes) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadRequest(f"The key {key[:100]!r} stands twice in one object.", code="duplicate_key")
            seen.add(key)

    try:
        json.loads(raw, object_pairs_hook=unique)
    except (RecursionError, ValueError):
        raise BadRequest("The body is not valid JSON. Send one JSON object.", code="invalid_json") from None


def _refuse_depth(body: dict[str, Any], max_depth: int) -> None:
    level: list[Any] = [body]
    for _ in range(max_depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise BadRequest(f"The body nests deeper than {max_depth} levels. Flatten it.", code="too_deep")
