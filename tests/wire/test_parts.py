"""Which bytes of a conversation count as which part of its input."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.wire.parts import content_bytes, measure, text_bytes


def test_openai_conversation() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Grüße"}]},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
        {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "image_url", "image_url": {}}]},
    ]
    tools = [{"type": "function"}]
    assert measure(messages, None, tools) == {
        "system": 9 + 7,
        "tools": len(msgspec.json.encode(tools)),
        "history": 5 + len(b'[{"id":"1"}]'),
        "context": 5,
        "user": 6,
    }


def test_anthropic_conversation() -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "n", "input": {"a": 1}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "found"}]},
                {"type": "document", "source": {"type": "text", "data": "paper"}},
                {"type": "text", "text": "second"},
                {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
            ],
        },
    ]
    assert measure(messages, [{"type": "text", "text": "Be brief."}], None) == {
        "system": 9,
        "history": 5 + len(b'{"a":1}'),
        "context": 10,
        "user": 6,
    }


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("<context>abc</context> Why?", 22),
        ("Why? <documents>abc</documents>", 26),
        ("<context>abc", 0),
        ("</context>abc<context>", 0),
        ("<context>a</context> and <context>b</context>", 45),
        ("<context>a<documents>b</documents></context>?", 44),
        ("<context>a<documents>b</context></documents>?", 44),
        ("<context>ü</context>", 21),
    ],
)
def test_marked_sections_of_the_newest_turn_are_context(text, context) -> None:
    sizes = measure([{"role": "user", "content": text}], None, None)
    assert sizes.get("context", 0) == context
    assert sizes.get("context", 0) + sizes.get("user", 0) == text_bytes(text)


PIECES = st.lists(st.sampled_from(["<context>", "</context>", "<documents>", "</documents>", "a", "ü ", "\n"])).map(
    "".join
)
CONTENTS = st.one_of(
    PIECES,
    st.none(),
    st.integers(),
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "tool_result", "document", "image", "tool_use"]), "text": PIECES}
        )
    ),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", 7]), "content": CONTENTS},
    )
    | st.sampled_from([None, "text", 3, {}]),
    max_size=6,
)


@given(MESSAGES, PIECES)
def test_every_byte_of_text_is_in_one_part(messages: list[Any], system: str) -> None:
    sizes = measure(messages, system, None)
    assert all(size > 0 for size in sizes.values())
    texts = [message.get("content") for message in messages if isinstance(message, dict)]
    assert sum(sizes.values()) == sum(map(content_bytes, [*texts, system]))
