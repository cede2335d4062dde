"""Recorded traffic of OpenAI: what it really sends and takes, through both translations."""

import json
from pathlib import Path
from typing import Any

import anthropic.types
import pytest

from farebox.errors import Untranslatable
from farebox.translate import anthropic_openai, openai_anthropic
from farebox.wire.sse import SseDecoder

Json = dict[str, Any]
RECORDED = Path(__file__).parents[3] / "shared/data/translation/openai_recorded.jsonl"
# Requests that ask for what Anthropic does not have, and the field that is refused.
REFUSED = {
    "chat-audio-to-text-0": "messages.0.content.1",
    "chat-detailed-usage-0": "messages",
    "chat-streaming-detailed-usage-0": "messages",
    "chat-json-mode-0": "response_format.type",
    "chat-text-to-audio-0": "audio",
    "chat-web-search-0": "web_search_options",
    "chat-streaming-web-search-0": "web_search_options",
}


def load(*kinds: str) -> list[Any]:
    if not RECORDED.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="../shared/data/translation is absent"))]
    rows = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    chats = [row for row in rows if row["path"] == "/v1/chat/completions" and row["kind"] in kinds]
    return [pytest.param(row, id=row["id"]) for row in chats if str(row["status"]) == "200"]


@pytest.mark.parametrize("row", load("response", "stream"))
def test_a_recorded_request_is_translated_or_refused_by_name(row: Json, validator: Any) -> None:
    try:
        there = openai_anthropic.translate_request(row["input"], "claude-opus-5")
    except Untranslatable as error:
        assert error.param == REFUSED.get(row["id"])  # noqa: PT017 - most are translated
        return
    assert row["id"] not in REFUSED
    back = anthropic_openai.translate_request(there, row["input"]["model"])
    found = validator.body("createChatCompletion", back, request=True, extra=True)
    assert [error for error in found if error["kind"] != "published"] == []


@pytest.mark.parametrize("row", load("response"))
def test_a_recorded_answer_becomes_a_message_and_an_answer_again(row: Json, validator: Any) -> None:
    message = anthropic_openai.translate_response(row["expected"], "asked")
    anthropic.types.Message.model_validate(message)
    back = openai_anthropic.translate_response(message, "asked", now_s=row["expected"]["created"])
    found = validator.body("createChatCompletion", back, extra=True)
    assert [error for error in found if error["kind"] != "published"] == []
    given = row["expected"]["choices"][0]
    assert back["choices"][0]["finish_reason"] == given["finish_reason"]
    assert (back["choices"][0]["message"]["content"] or None) == (given["message"]["content"] or None)
    for name in ("prompt_tokens", "completion_tokens"):
        assert back["usage"][name] == row["expected"]["usage"][name]


@pytest.mark.parametrize("row", load("stream"))
def test_a_recorded_stream_becomes_a_message(row: Json) -> None:
    decoder, translator = SseDecoder(), anthropic_openai.start_stream("asked")
    text = ""
    pieces = [piece for event in decoder.feed(row["expected"].encode()) for piece in translator.feed(event)]
    events = SseDecoder().feed(b"".join(pieces + translator.finish()))
    for event in events:
        delta = json.loads(event.data).get("delta", {})
        text += delta.get("text", "")
    said = [json.loads(event.data) for event in SseDecoder().feed(row["expected"].encode()) if event.data != b"[DONE]"]
    assert translator.complete
    assert events[-1].name == b"message_stop"
    assert text == "".join(choice["delta"].get("content") or "" for one in said for choice in one["choices"])
