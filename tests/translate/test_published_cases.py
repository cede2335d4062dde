"""Cases taken from the public test suites of two other gateways, compared by meaning.

Where the outcome differs on purpose, DIFFERS says why; a case that stops differing fails, so the table stays true.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from farebox.errors import CallError
from farebox.translate.openai_anthropic_messages import translate_messages
from farebox.translate.openai_anthropic_request import translate_request as to_anthropic
from farebox.translate.table import find
from farebox.wire.sse import SseDecoder, encode

CASES = Path(__file__).parents[3] / "shared/data/translation/from_tests.jsonl"
DIALECTS = {"openai_chat": "openai", "anthropic": "anthropic"}
DIFFERS = {
    "6451d319a8b6": "without reasoning_effort nothing is said about thinking; the model's default holds",
    "cf32ae667eed": "a timeout is no field of the body",
    "5e6da4d11cd7": "custom tools take free text, which Anthropic's do not: refused",
    "a26dac692190": "a class of a Python SDK is no JSON: refused",
    "3db38f393626": "as a26dac692190",
    "ea35b0b75336": "unknown fields are refused, not dropped",
    "01da7955f66a": "several system messages stay several blocks, so that their bounds are kept",
    "0426b9cc8849": "the name of a file is kept as the title of the document",
    "f9cabd6e4e4b": "as 0426b9cc8849",
    "3dbdabf0c4de": "the usage comes in a chunk of its own, as OpenAI sends it",
    "ab593616480b": "as 3dbdabf0c4de",
    "b3ac3991c96e": "the signature goes with its whole block, when the block ends",
}


def load() -> list[Any]:
    if not CASES.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="../shared/data/translation is absent"))]
    rows = [json.loads(line) for line in CASES.read_text().splitlines()]
    wanted = {"openai_chat->anthropic", "anthropic->openai_chat"}
    return [pytest.param(row, id=f"{row['kind']}-{row['id']}") for row in rows if row["direction"] in wanted]


def meaning(value: Any) -> Any:
    """Take away what means nothing: null and empty fields, defaults, ids made up, the dress of JSON texts."""
    if isinstance(value, list):
        return [meaning(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: meaning(item) for key, item in value.items()}
    if out.get("type") == "text" and set(out) == {"type", "text"}:
        return out["text"]
    if isinstance(out.get("arguments"), str):
        out["arguments"] = json.loads(out["arguments"] or "{}")
    for name, default in (
        ("disable_parallel_tool_use", False),
        ("tool_choice", {"type": "auto"}),
        ("required", []),
        ("properties", {}),
        ("service_tier", "auto"),
        ("logprobs", None),
        ("index", 0),
        ("created", 0),
        ("cache_creation_input_tokens", 0),
        ("cache_read_input_tokens", 0),
        ("request_id", ""),
    ):
        if name in out and out[name] == default:
            del out[name]
    return {key: item for key, item in out.items() if item is not None and item not in ("", [])}


def ours_of(row: dict[str, Any]) -> Any:
    client, provider = (DIALECTS[name] for name in row["direction"].split("->"))
    given = row["input"]
    if row["kind"] == "request":
        translation = find(client, provider)
        assert translation is not None
        if given.get("reasoning_effort") == "auto":  # their word for saying nothing
            given = {key: item for key, item in given.items() if key != "reasoning_effort"}
        if client == "openai":
            return to_anthropic(given, given["model"], default_max_tokens=8192)
        return translation.translate_request(given, given["model"])
    if row["kind"] == "messages":
        system, turns = translate_messages([renamed(message) for message in given] + [ASK], "claude-sonnet-4-5")
        assert turns.pop() == ASK
        return [system or None, turns]
    if row["kind"] == "tools":
        return to_anthropic({"messages": [ASK], "tools": given}, "claude-sonnet-4-5")["tools"]
    return answer(row, provider)  # of an answer, the direction is the one that the bytes take


ASK = {"role": "user", "content": "Go on."}


def renamed(message: dict[str, Any]) -> dict[str, Any]:
    """Their extension fields for thinking, under the names that are used here."""
    signature = message.get("extra_content", {}).get("anthropic", {}).get("signature")
    if not signature:
        return message
    thinking = message["reasoning"]
    if isinstance(thinking, dict):
        thinking = thinking["content"]
    kept = {key: item for key, item in message.items() if key not in {"reasoning", "extra_content"}}
    return {**kept, "thinking_blocks": [{"type": "thinking", "thinking": thinking, "signature": signature}]}


def answer(row: dict[str, Any], client: str) -> Any:
    translation = find(client, "openai" if client == "anthropic" else "anthropic")
    assert translation is not None
    given = row["input"]
    if row["kind"] == "response":
        return translation.translate_response(given, "foo")
    if row["kind"] == "error":
        return translation.translate_error(400, json.dumps(given).encode())[1]
    stream = translation.start_stream("claude-3-haiku")
    if row["kind"] == "stream":
        events = SseDecoder().feed(b"".join(encode(line.encode()) for line in given.splitlines()))
        return b"".join(piece for event in events for piece in stream.feed(event)).decode()
    before = []
    if given.get("index") == 1 and given["type"] == "content_block_delta":
        before = [START] * 2
    elif given.get("index") == 1:
        before = [START]
    for opened in [*before, given]:
        (event,) = SseDecoder().feed(encode(json.dumps(opened).encode()))
        out = stream.feed(event)
    data = out[0].removeprefix(b"data: ").strip() if out else b"[DONE]"
    return {"choices": []} if data == b"[DONE]" else json.loads(data)


START = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "tool_use", "id": "toolu_0", "name": "f", "input": {}},
}


def comparable(row: dict[str, Any], value: Any) -> Any:
    if row["kind"] == "stream":
        return [meaning(json.loads(event.data)) for event in SseDecoder().feed(value.strip().encode() + b"\n\n")]
    if row["kind"] == "stream_chunk":
        value = {key: item for key, item in value.items() if key != "id"}
        for choice in value["choices"]:
            if "reasoning" in choice["delta"]:
                choice["delta"]["reasoning_content"] = choice["delta"].pop("reasoning")
    if row["kind"] == "response":
        value = json.loads(json.dumps(value))
        value.pop("created", None)
        for choice in value.get("choices", ()):
            message = choice["message"]
            blocks = message.pop("thinking_blocks", None)
            signature = message.pop("extra_content", {}).get("anthropic", {}).get("signature")
            if "reasoning" in message:
                message["reasoning_content"] = message.pop("reasoning")
            if signature is None and blocks and blocks[0].get("signature"):
                signature = blocks[0]["signature"]
            message["signature"] = signature
    if row["kind"] == "error":
        value["error"].pop("details", None)
    return meaning(value)


@pytest.mark.parametrize("row", load())
def test_case(row: dict[str, Any]) -> None:
    expected = comparable(row, row["expected"])
    if row["id"] not in DIFFERS:
        assert comparable(row, ours_of(row)) == expected
        return
    try:
        ours = comparable(row, ours_of(row))
    except CallError:
        return
    assert ours != expected, f"it does not differ any more: {DIFFERS[row['id']]}"
