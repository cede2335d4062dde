"""A second opinion on usage: the extractors of genai-prices, wherever they know the shape.

Theirs count totals and parts of them, ours are disjoint, so ours are added up to compare. Where the two differ on
purpose, the case says why.
"""

from typing import Any

import pytest

from farebox.normalise.table import normaliser
from farebox.usage import METERS, Usage

providers = pytest.importorskip("genai_prices.data").providers

CHAT = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920},
    "completion_tokens_details": {"reasoning_tokens": 100},
}
RESPONSE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 400},
    "output_tokens": 500,
    "output_tokens_details": {"reasoning_tokens": 300},
    "total_tokens": 1500,
}
ANTHROPIC = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 12304,
    "cache_creation": {"ephemeral_5m_input_tokens": 304, "ephemeral_1h_input_tokens": 12000},
    "cache_read_input_tokens": 50,
    "output_tokens": 550,
    "output_tokens_details": {"thinking_tokens": 150},
    "server_tool_use": {"web_search_requests": 2},
}
GEMINI = {
    "promptTokenCount": 11500,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11000}, {"modality": "AUDIO", "tokenCount": 500}],
    "cachedContentTokenCount": 10000,
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 9700}, {"modality": "AUDIO", "tokenCount": 300}],
    "candidatesTokenCount": 1120,
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
    "thoughtsTokenCount": 10000,
    "toolUsePromptTokenCount": 70,
    "totalTokenCount": 22690,
}
CONVERSE = {
    "inputTokens": 10000,
    "cacheReadInputTokens": 5000,
    "cacheWriteInputTokens": 2000,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 2000}],
    "outputTokens": 1000,
}
REALTIME = {
    "input_tokens": 1200,
    "input_token_details": {
        "text_tokens": 200,
        "audio_tokens": 1000,
        "cached_tokens": 400,
        "cached_tokens_details": {"text_tokens": 100, "audio_tokens": 300},
    },
    "output_tokens": 850,
    "output_token_details": {"text_tokens": 50, "audio_tokens": 800},
}
IMAGE = {
    "input_tokens": 1050,
    "input_tokens_details": {"text_tokens": 50, "image_tokens": 1000},
    "output_tokens": 4160,
    "output_tokens_details": {"image_tokens": 4160, "text_tokens": 0},
}
SONAR = {
    "prompt_tokens": 33,
    "completion_tokens": 7163,
    "citation_tokens": 19612,
    "num_search_queries": 21,
    "reasoning_tokens": 78000,
}

# The package's provider, its flavour, a model it knows, the raw usage, our API, and what differs on purpose.
CASES = [
    ("openai", "chat", "gpt-4o", CHAT, "openai-chat", {}),
    ("openai", "responses", "gpt-5", RESPONSE, "openai-responses", {}),
    ("openai", "realtime", "gpt-realtime", REALTIME, "openai-realtime", {}),
    ("openai", "images", "gpt-image-1.5", IMAGE, "openai-images", {}),
    ("openai", "embeddings", "text-embedding-3-small", {"prompt_tokens": 9}, "openai-embeddings", {}),
    ("azure", "chat", "gpt-4o", CHAT, "openai-chat", {}),
    ("anthropic", "default", "claude-opus-4-5", ANTHROPIC, "anthropic-messages", {}),
    ("google", "default", "gemini-2.5-pro", GEMINI, "google-gemini", {}),
    ("aws", "default", "amazon.nova-pro-v1:0", CONVERSE, "bedrock-converse", {}),
    ("x-ai", "chat", "grok-4.3", {**CHAT, "total_tokens": 2406}, "xai-chat", {}),
    ("x-ai", "responses", "grok-4.3", RESPONSE, "xai-responses", {}),
    ("mistral", "default", "mistral-large-latest", CHAT, "mistral", {}),
    ("groq", "default", "llama-3.3-70b-versatile", CHAT, "openai-chat", {}),
    ("fireworks", "chat", "accounts/fireworks/models/deepseek-v3p1", CHAT, "openai-chat", {}),
    ("openrouter", "chat", "openai/gpt-4o", CHAT, "openrouter-chat", {}),
    ("deepseek", "chat", "deepseek-chat", CHAT, "openai-chat", {}),
    (
        "deepseek",
        "chat",
        "deepseek-chat",
        {"prompt_tokens": 10, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2, "completion_tokens": 1},
        "openai-chat",
        {"cache_read_tokens": (0, 8)},  # the package does not know DeepSeek's own name for cached tokens
    ),
    (
        "perplexity",
        "default",
        "sonar-deep-research",
        SONAR,
        "perplexity",
        {"output_tokens": (104775, 85163)},  # citations are in the package's output, and a meter of their own here
    ),
    ("cohere", "default", "command-a", {"billed_units": {"input_tokens": 11, "output_tokens": 22}}, "cohere", {}),
]
# The package's names, and our meters that add up to them.
TOTALS = {
    "input_tokens": [name for name, meter in METERS.items() if meter.family == "input"],
    "output_tokens": [name for name, meter in METERS.items() if meter.family == "output"],
    "cache_read_tokens": ["cache_read", "cache_read_audio", "cache_read_image", "cache_read_video"],
    "cache_write_tokens": [name for name in METERS if name.startswith("cache_write_")],
    "cache_write_5m_tokens": ["cache_write_5m"],
    "cache_write_1h_tokens": ["cache_write_1h"],
    "cache_audio_read_tokens": ["cache_read_audio"],
    "input_audio_tokens": ["input_audio", "cache_read_audio"],
    "input_image_tokens": ["input_image", "cache_read_image"],
    "output_audio_tokens": ["output_audio"],
    "output_image_tokens": ["output_image"],
    "output_reasoning_tokens": ["reasoning"],
    "web_searches": ["web_search"],
}


def ours(usage: Usage, name: str) -> int:
    return sum(usage.meters.get(meter, 0) for meter in TOTALS[name])


@pytest.mark.parametrize(
    ("provider", "flavour", "model", "raw", "api", "differences"), CASES, ids=[f"{c[0]}-{c[4]}" for c in CASES]
)
def test_the_package_counts_the_same(
    provider: str, flavour: str, model: str, raw: dict[str, Any], api: str, differences: dict[str, Any]
) -> None:
    inside = {"usage": raw, "model": model}
    answer = {
        **inside,
        "usageMetadata": raw,
        "modelVersion": model,
        "response": inside,
    }
    package = next(one for one in providers if one.id == provider)
    _, theirs = package.extract_usage(answer, api_flavor=flavour)
    usage = normaliser(api)(raw)
    compared = 0
    for name in TOTALS:
        said = getattr(theirs, name, None)
        if name in differences:
            assert (said, ours(usage, name)) == differences[name]
        elif said is not None:
            assert ours(usage, name) == said, name
            compared += 1
    assert compared
