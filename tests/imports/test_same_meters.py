"""What a log says was used becomes the same meters as the same usage object of a live answer, or neither is taken."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.imports import bedrock, columns, helicone, litellm
from farebox.normalise import anthropic_messages, bedrock_converse, openai_chat, openai_responses
from farebox.usage import Usage
from tests.imports.taken import meters, take, write_lines
from tests.imports.test_bedrock_log import record as bedrock_record
from tests.imports.test_helicone import record as helicone_record
from tests.imports.test_litellm import record as litellm_record

Record = dict[str, Any]
Normalise = Callable[[Mapping[str, Any]], Usage]

few = st.integers(0, 300)
many = st.integers(0, 500)
maybe = st.one_of(st.none(), st.just(0), few)


def without_nulls(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None}


chat = st.builds(
    lambda prompt, completion, cached, audio, reasoning: {
        "prompt_tokens": prompt,
        "completion_tokens": max(completion, reasoning or 0),
        "prompt_tokens_details": without_nulls({"cached_tokens": cached, "audio_tokens": audio}),
        "completion_tokens_details": without_nulls({"reasoning_tokens": reasoning}),
    },
    many,
    many,
    maybe,
    maybe,
    maybe,
)
chat_without_audio = chat.map(
    lambda usage: (
        usage
        | {"prompt_tokens_details": {k: v for k, v in usage["prompt_tokens_details"].items() if k != "audio_tokens"}}
    )
)
responses = chat_without_audio.map(
    lambda usage: {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "input_tokens_details": usage["prompt_tokens_details"],
        "output_tokens_details": usage["completion_tokens_details"],
    }
)
messages = st.builds(
    lambda plain, read, split, written, output: without_nulls(
        {
            "input_tokens": plain,
            "output_tokens": output,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": sum(split) if split else written,
            "cache_creation": split and {"ephemeral_5m_input_tokens": split[0], "ephemeral_1h_input_tokens": split[1]},
        }
    ),
    many,
    maybe,
    st.one_of(st.none(), st.tuples(few, few)),
    maybe,
    many,
)
converse = st.builds(
    lambda plain, read, short, long, output: {
        "inputTokens": plain,
        "outputTokens": output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": short + long,
        "cacheDetails": [{"ttl": "1h", "inputTokens": long}, {"ttl": "5m", "inputTokens": short}]
        if long + short
        else [],
    },
    many,
    few,
    few,
    few,
    many,
)


def in_litellm(usage: Record) -> Record:
    total = usage["prompt_tokens"] + usage["completion_tokens"]
    return litellm_record(metadata={"usage_object": usage | {"total_tokens": total}})


def in_helicone(usage: Record) -> Record:
    return helicone_record(response_body={"usage": usage})


def in_columns(usage: Record) -> Record:
    return {"timestamp": 1_789_380_000, "provider": "openai", "model": "gpt-4o", "usage": usage}


def in_bedrock(usage: Record) -> Record:
    counts = {
        "inputTokenCount": usage["inputTokens"],
        "cacheReadInputTokenCount": usage["cacheReadInputTokens"],
        "cacheWriteInputTokenCount": usage["cacheWriteInputTokens"],
    }
    output = {"outputBodyJson": {"usage": usage}, "outputTokenCount": usage["outputTokens"]}
    return bedrock_record(input=counts, output=output)


# All of a usage object, so that the columns of a file are known whatever Hypothesis writes behind it.
WHOLE_CHAT = {
    "prompt_tokens": 9,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
WHOLE_MESSAGE = {
    "input_tokens": 1,
    "output_tokens": 1,
    "cache_read_input_tokens": 1,
    "cache_creation_input_tokens": 3,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
}


def compare(
    folder: Path, reader: ModuleType, records: list[Record], normalise: Normalise, usages: list[Record]
) -> None:
    rows = take(reader, write_lines(folder / "log.jsonl", records))
    for row, usage in zip(rows[-len(usages) :], usages, strict=True):
        try:
            expected = normalise(usage)
        except UsageViolation:
            assert row["fault"] is not None, usage
            continue
        if expected.unsplit:
            assert "the record does not say how many are both" in row["fault"]
            continue
        assert row["fault"] is None, (row["fault"], usage)
        found = meters(row)
        assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.meters.items() if v}, usage


# The reader, what a record is made of, the record, the live answer's normaliser, and what the first record has.
CASES: dict[str, tuple[ModuleType, st.SearchStrategy[Record], Callable[[Record], Record], Normalise, Record | None]] = {
    "litellm": (litellm, chat, in_litellm, openai_chat.normalise, None),
    "helicone-chat": (helicone, chat_without_audio, in_helicone, openai_chat.normalise, None),
    "helicone-responses": (helicone, responses, in_helicone, openai_responses.normalise, None),
    "helicone-messages": (helicone, messages, in_helicone, anthropic_messages.normalise, None),
    "chat": (columns, chat_without_audio, in_columns, openai_chat.normalise, WHOLE_CHAT),
    "messages": (columns, messages, in_columns, anthropic_messages.normalise, WHOLE_MESSAGE),
    "bedrock": (bedrock, converse, in_bedrock, bedrock_converse.normalise, None),
}


@settings(max_examples=8, deadline=None)
@given(st.data())
@pytest.mark.parametrize("case", CASES)
def test_same_meters(tmp_path_factory: pytest.TempPathFactory, case: str, data: st.DataObject) -> None:
    reader, usages, wrap, normalise, whole = CASES[case]
    drawn = data.draw(st.lists(usages, min_size=1, max_size=40))
    records = [wrap(usage) for usage in ([whole, *drawn] if whole else drawn)]
    compare(tmp_path_factory.mktemp("log"), reader, records, normalise, drawn)
