"""What a request makes a provider read beyond its bytes."""

from typing import Any

import pytest

from farebox.wire.unseen import NOTHING, Unseen, read_unseen


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


REMOTE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
INLINE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
ANTHROPIC = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAAAAAA"}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, NOTHING),
        ({"messages": [{"role": "user", "content": "hello"}]}, NOTHING),
        (user({"type": "text", "text": "hello"}), NOTHING),
        (user(REMOTE, {"type": "text", "text": "?"}), Unseen(images=1)),
        (user(INLINE, ANTHROPIC), Unseen(images=2, image_bytes=34)),
        (user({"type": "tool_result", "content": [ANTHROPIC]}), Unseen(images=1, image_bytes=8)),
        (user({"type": "file", "file": {"file_id": "f"}}), Unseen(files=1)),
        (user({"type": "document", "source": {"type": "url", "url": "https://e.com"}}), Unseen(files=1)),
        (user({"type": "input_audio", "input_audio": {"data": "AA"}}), Unseen(files=1)),
        (user({"type": "something_new"}), Unseen(files=1)),
        ({"tools": [{"type": "function", "function": {"name": "f"}}, {"name": "g", "input_schema": {}}]}, NOTHING),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, NOTHING),
        ({"tools": [{"type": "web_search_20250305", "max_uses": 3}]}, Unseen(calls={"web_search": 3}, searches=True)),
        ({"tools": [{"type": "web_search_20250305"}]}, Unseen(calls={"web_search": 10}, searches=True)),
        ({"tools": [{"type": "web_fetch_20250910"}]}, Unseen(searches=True)),
        ({"tools": [{"type": "something_hosted"}]}, Unseen(searches=True)),
        ({"web_search_options": {}}, Unseen(calls={"web_search": 1}, searches=True)),
        ({"messages": [3, {"content": [4, {"type": "image"}]}], "tools": [5]}, Unseen(images=1)),
    ],
)
def test_everything_that_is_not_text_is_counted(body: dict[str, Any], expected: Unseen) -> None:
    assert read_unseen(body) == expected
