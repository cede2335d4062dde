"""OpenAI's embeddings: what Farebox needs to know of a request and an answer.

Source: OpenAI's API reference, "Embeddings".
"""

from typing import Any

import msgspec

from farebox.call import Answered, Asked
from farebox.errors import BadRequest
from farebox.wire.openai_chat import read_model, read_text
from farebox.wire.parts import content_bytes


def read_request(body: dict[str, Any]) -> Asked:
    """Return what an embeddings request asks for.

    Raises:
        BadRequest: where ``model`` or ``input`` is missing.
    """
    if body.get("input") is None:
        raise BadRequest("'input' is missing. Send a text, an array of texts or token arrays.", param="input")
    size = _input_bytes(body["input"])
    return Asked(
        dialect="openai",
        operation="embeddings",
        model=read_model(body),
        body=body,
        stream=False,
        include_usage=False,
        user=read_text(body, "user"),
        tags={},
        parts={"user": size} if size else {},
        output_cap=0,
    )


def _input_bytes(value: Any) -> int:
    """Return the bytes of text; a token id counts as the four bytes that a token has on average."""
    if isinstance(value, int):
        return 4
    if isinstance(value, list):
        return sum(map(_input_bytes, value))
    return content_bytes(value)


class _Answer(msgspec.Struct):
    data: msgspec.Raw
    model: str | None = None
    usage: dict[str, Any] | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_answer(data: bytes) -> Answered:
    """Return what an answer says of itself.

    Raises:
        msgspec.DecodeError: where it is not an embeddings answer.
    """
    answer = _decode_answer(data)
    return Answered(model=answer.model or "", usage=answer.usage, complete=True)
