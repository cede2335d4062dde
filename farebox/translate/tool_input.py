"""Arguments of a tool call: a JSON text in OpenAI's dialect, a JSON object in Anthropic's."""

from typing import Any

import msgspec

# Anthropic's documented wrapping of arguments that are not a JSON object, which models do produce.
INVALID = "INVALID_JSON"


def read_arguments(text: str) -> dict[str, Any]:
    """Return the object in an arguments text; one that is not a JSON object is kept under ``INVALID_JSON``."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {INVALID: text}
    return value if isinstance(value, dict) else {INVALID: text}


def write_arguments(value: Any) -> str:
    """Return the arguments text of an input object; the inverse of read_arguments in meaning."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get(INVALID), str):
        return str(value[INVALID])
    return msgspec.json.encode(value).decode()
