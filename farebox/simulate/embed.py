"""Embeddings in OpenAI's format: read, compute from the text alone, write.

A vector is a sum of two rotations of one fixed noise, chosen by the text's hash and scaled to length 1. Equal texts
have equal vectors, different ones are nearly orthogonal; meaning is not simulated.
"""

import base64
import math
import random
from array import array
from typing import Any

import msgspec

from farebox.simulate.models import Served
from farebox.simulate.openai_fields import integer, invalid, known_only, missing, one_of, wrong_type
from farebox.simulate.openai_read import find_model
from farebox.simulate.text import count_tokens, seed_of

_FIELDS = frozenset({"model", "input", "encoding_format", "dimensions", "user"})
_MAX_INPUTS = 2048
_noise: "array[float]" = array("f")


class Embedding(msgspec.Struct, frozen=True):
    """A checked request: texts or token ids (spelled as text), their token counts, and the wanted form."""

    model: Served
    texts: list[str]
    tokens: list[int]
    dimensions: int
    base64: bool
    user: Any

    @property
    def input_tokens(self) -> int:
        """Billed tokens of all inputs."""
        return sum(self.tokens)


def read_embedding(body: dict[str, Any]) -> Embedding:
    """A checked request.

    Raises:
        Problem: what OpenAI would refuse.
    """
    model = find_model(body, embeds=True)
    known_only(body, _FIELDS)
    given = body.get("input")
    if given is None:
        raise missing("input")
    texts, tokens = _read_inputs(given)
    for count in tokens:
        if count > model.context_tokens:
            message = (
                f"This model's maximum context length is {model.context_tokens} tokens, however you requested "
                f"{count} tokens ({count} in your prompt; 0 for the completion). Please reduce your prompt; "
                "or completion length."
            )
            raise invalid(message)
    encoding = one_of("encoding_format", body.get("encoding_format") or "float", ("float", "base64"))
    size = integer(body, "dimensions", 1, model.dimensions) or model.dimensions
    return Embedding(model, texts, tokens, size, encoding == "base64", body.get("user"))


def _read_inputs(given: Any) -> tuple[list[str], list[int]]:
    """What to embed, and how many tokens each is."""
    if isinstance(given, str) or (isinstance(given, list) and given and all(_is_token(t) for t in given)):
        given = [given]
    if not isinstance(given, list):
        raise wrong_type("input", "one of a string or array", given)
    if not given or any(not one for one in given):
        raise invalid(
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
        )
    if len(given) > _MAX_INPUTS:
        raise invalid(f"'input' may hold at most {_MAX_INPUTS} inputs, but got {len(given)}.", "input")
    texts, tokens = [], []
    for i, one in enumerate(given):
        if isinstance(one, str):
            texts.append(one)
            tokens.append(count_tokens(one))
        elif isinstance(one, list) and all(_is_token(t) for t in one):
            texts.append(",".join(map(str, one)))
            tokens.append(len(one))
        else:
            raise wrong_type(f"input[{i}]", "one of a string or array of integers", one)
    return texts, tokens


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def usage_of(asked: Embedding) -> dict[str, Any]:
    """The true usage object."""
    return {"prompt_tokens": asked.input_tokens, "total_tokens": asked.input_tokens}


def write_body(asked: Embedding) -> dict[str, Any]:
    """The answer without its usage, which a fault may falsify."""
    data = []
    for index, text in enumerate(asked.texts):
        vector = _compute(text, asked.dimensions)
        shown = base64.b64encode(vector.tobytes()).decode() if asked.base64 else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    return {"object": "list", "data": data, "model": asked.model.resolved}


def _compute(text: str, size: int) -> "array[float]":
    noise = _fill_noise()
    seed = seed_of(text)
    half = len(noise) // 2
    first, second = seed % half, (seed >> 32) % half
    raw = [a + b for a, b in zip(noise[first : first + size], noise[second : second + size], strict=True)]
    scale = 1 / (math.sqrt(sum(map(float.__mul__, raw, raw))) or 1.0)
    return array("f", [x * scale for x in raw])


def _fill_noise() -> "array[float]":
    if not _noise:  # made at first use, so that a start without embeddings does not pay for it
        dice = random.Random(3)  # noqa: S311 - fixed noise, no secret
        _noise.extend(dice.gauss(0, 1) for _ in range(3072 * 3))
    return _noise
