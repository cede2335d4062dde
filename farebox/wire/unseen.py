"""What a request makes a provider read beyond the bytes it carries: images, files, and tools that it runs itself.

A text has at most as many tokens as bytes. An image or a file may have many more tokens than its address has
bytes, and a tool that the provider runs adds what it finds; what is here lets a bound be put on them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

# Parts of a message's content that are text and no more, in either dialect.
_TEXT = frozenset({"text", "refusal", "thinking", "redacted_thinking", "tool_use", "tool_result"})
IMAGES = frozenset({"image_url", "image"})
# Tools that providers run, by the beginning of their type, and the fee that each use costs.
_HOSTED = {
    "web_search": "web_search",
    "web_fetch": "",
    "code_execution": "code_execution",
    "code_interpreter": "code_session",
    "file_search": "file_search",
    "mcp": "",
    "computer": "",
    "bash": "",
    "text_editor": "",
    "memory": "",
}
# Those that only the client runs, although the provider defines them.
_CLIENTS_OWN = ("computer", "bash", "text_editor", "memory")
# Uses of a hosted tool that names no limit of its own.
MOST_USES = 10


class Unseen(msgspec.Struct, frozen=True):
    """What a request makes a provider read beyond its bytes.

    Attributes:
        images: how many.
        files: documents, audio and video: how many.
        image_bytes: of images that are in the body, which are no text.
        calls: by meter of the fee, how many uses of tools that the provider runs.
        searches: whether such tools add text of their own to the input.
        predicted_bytes: of an output that the client predicts.
    """

    images: int = 0
    files: int = 0
    image_bytes: int = 0
    calls: dict[str, int] = {}
    searches: bool = False
    predicted_bytes: int = 0


NOTHING = Unseen()


def read_unseen(body: Mapping[str, Any]) -> Unseen:
    """Return what is unseen in a chat or messages request; the body's shape has been checked or is harmless."""
    images: list[int] = []
    files = 0
    for message in body.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            files += _count(content, images)
    calls, searches = _read_tools(body)
    predicted_bytes = _read_prediction(body)
    if not images and not files and not searches and not predicted_bytes:
        return NOTHING
    return Unseen(len(images), files, sum(images), calls, searches, predicted_bytes)


def _read_prediction(body: Mapping[str, Any]) -> int:
    """Return the bytes of the text in ``prediction.content``, which is a text or a list of parts."""
    prediction = body.get("prediction")
    content = prediction.get("content") if isinstance(prediction, dict) else None
    if isinstance(content, str):
        return len(content.encode())
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return sum(len(text.encode()) for text in texts if isinstance(text, str))


def _count(content: list[Any], images: list[int]) -> int:
    """Return the files of a content, those inside tool results too; add the size of every image's data."""
    files = 0
    for part in content:
        if not isinstance(part, dict):
            continue
        kind = part.get("type")
        if kind in IMAGES:
            images.append(_data_bytes(part))
        elif kind not in _TEXT:
            files += 1
        inner = part.get("content")
        if isinstance(inner, list):
            files += _count(inner, images)
    return files


def _data_bytes(part: Mapping[str, Any]) -> int:
    """Return how many bytes of an image stand in the body; 0 for one that is named by its address."""
    for holder, field in (("image_url", "url"), ("source", "data")):
        inner = part.get(holder)
        text = inner.get(field) if isinstance(inner, dict) else None
        if isinstance(text, str) and (field == "data" or text.startswith("data:")):
            return len(text)
    return 0


def _read_tools(body: Mapping[str, Any]) -> tuple[dict[str, int], bool]:
    calls: dict[str, int] = {}
    searches = False
    if body.get("web_search_options") is not None:
        calls["web_search"] = 1
        searches = True
    for tool in body.get("tools") or ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(kind, str) or kind in {"function", "custom"} or kind.startswith(_CLIENTS_OWN):
            continue
        searches = True
        meter = next((meter for name, meter in _HOSTED.items() if kind.startswith(name)), "")
        if meter:
            uses = tool.get("max_uses")
            calls[meter] = calls.get(meter, 0) + (uses if type(uses) is int and uses > 0 else MOST_USES)
    return calls, searches
