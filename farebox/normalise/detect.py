"""Whose usage it is and of which API: providers by all their names, and the API by the shape of the usage.

The shape decides first, since names of APIs are used loosely: each provider's words for the totals are its own.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from farebox.normalise.quantities import words_of

# Other names of a provider, without dashes and underscores.
_SYNONYMS = {
    **dict.fromkeys(
        ("gemini", "googlegemini", "googleai", "googleaistudio", "aistudio", "vertex", "vertexai", "googlevertex"),
        "google",
    ),
    **dict.fromkeys(("googlevertexai", "googlegenai", "gcpvertexai"), "google"),
    **dict.fromkeys(
        ("bedrock", "awsbedrock", "amazon", "amazonbedrock", "bedrockconverse", "amazonwebservices"), "aws"
    ),
    **dict.fromkeys(("xai", "grok"), "x-ai"),
    **dict.fromkeys(("qwen", "alibaba", "alibabacloud", "aliyun", "modelstudio", "bailian"), "dashscope"),
    **dict.fromkeys(
        ("azureopenai", "azureai", "azureaifoundry", "azurefoundry", "foundry", "microsoft", "microsoftfoundry"),
        "azure",
    ),
    **dict.fromkeys(("togetherai", "togethercomputer"), "together"),
    "fireworksai": "fireworks",
    "mistralai": "mistral",
    **dict.fromkeys(("pplx", "perplexityai"), "perplexity"),
    **dict.fromkeys(("googlecloud", "gcpegress"), "gcp"),
    "cohereai": "cohere",
    "groqcloud": "groq",
    "claude": "anthropic",
    **dict.fromkeys(("moonshot", "kimi"), "moonshotai"),
    **dict.fromkeys(("zhipu", "bigmodel"), "zhipuai"),
    **dict.fromkeys(("voyage",), "voyageai"),
}
_HINTS = {
    **dict.fromkeys(("chat", "chatcompletion", "chatcompletions", "completion", "completions"), "chat"),
    **dict.fromkeys(("response", "responses"), "responses"),
    **dict.fromkeys(("embedding", "embeddings", "embed"), "embeddings"),
    **dict.fromkeys(("image", "images", "imagegeneration", "imageedit", "imagesgenerations"), "images"),
    **dict.fromkeys(("realtime", "live", "voice"), "realtime"),
    **dict.fromkeys(("audio", "transcription", "transcriptions", "translation", "translations"), "transcription"),
    **dict.fromkeys(("stt", "asr", "audiotranscription", "audiotranscriptions"), "transcription"),
    **dict.fromkeys(("speech", "tts", "audiospeech"), "speech"),
    **dict.fromkeys(("video", "videos", "videogeneration"), "video"),
    **dict.fromkeys(("messages", "message", "anthropic", "anthropicmessages", "invoke", "invokemodel"), "messages"),
    **dict.fromkeys(("moderation", "moderations"), "moderations"),
    **dict.fromkeys(("ocr", "ocrannotated", "document"), "ocr"),
    **dict.fromkeys(("rerank", "classify"), "rerank"),
    **dict.fromkeys(("converse", "bedrockconverse"), "converse"),
    **dict.fromkeys(("gemini", "generatecontent", "generativelanguage"), "gemini"),
}
_CHAT = {
    "x-ai": "xai-chat",
    "dashscope": "dashscope",
    "mistral": "mistral",
    "perplexity": "perplexity",
    "openrouter": "openrouter-chat",
}
_RESPONSES = {
    "x-ai": "xai-responses",
    "dashscope": "dashscope",
    "perplexity": "perplexity-responses",
    "openrouter": "openrouter-responses",
    "cohere": "cohere",
}
# Providers that count Anthropic's way where they say `input_tokens`.
_ANTHROPIC = frozenset({"anthropic", "aws", "google", "minimax"})
_ANTHROPIC_WORDS = frozenset({"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"})


# One key that only one API has.
_TELLING = {
    "generation_token_count": "bedrock-invoke",
    "inputTokenCount": "bedrock-invoke",
    "inputTextTokenCount": "bedrock-invoke",
    "promptTokenCount": "google-gemini",
    "prompt_token_count": "google-gemini",
    "inputTokens": "bedrock-converse",
    "billed_units": "cohere",
    "documents": "cohere",
    "num_documents": "cohere",
    "pages_processed": "mistral-ocr",
}
# What stands in the usage of an embedding that says nothing but a total.
_BARE = frozenset({"total_tokens", "type", "object"})


@lru_cache(maxsize=4096)
def provider_id(text: str) -> str:
    """Return the id in the price book of a provider by any of its usual names, or the name in small letters."""
    name = text.strip().lower()
    return _SYNONYMS.get(name.replace("-", "").replace("_", "").replace(" ", ""), name)


@lru_cache(maxsize=1024)
def read_hint(text: str) -> str:
    """Return what the name of an API means, such as ``chat`` or ``transcription``, or ""."""
    return _HINTS.get("".join(words_of(text.replace(".", "_").replace("/", "_"))), "")


def detect_api(provider: str, hint: str, usage: Mapping[str, Any]) -> str:
    """Return a key of `table.NORMALISERS`, or "" where the usage is not that of one attempt in tokens.

    Args:
        provider: id in the price book.
        hint: what `read_hint` returned, or "".
        usage: the raw usage object.
    """
    if "prompt_tokens" in usage:
        return _detect_by_prompt_tokens(provider, hint, usage)
    if "input_tokens" in usage:
        return _detect_by_input_tokens(provider, hint, usage)
    for key, api in _TELLING.items():
        if key in usage:
            return api
    if provider == "cohere" and "meta" in usage:
        return "cohere"
    if "total_tokens" in usage and _BARE.issuperset(usage):
        return "dashscope" if provider == "dashscope" else "openai-embeddings"
    return ""


def _detect_by_prompt_tokens(provider: str, hint: str, usage: Mapping[str, Any]) -> str:
    if hint == "embeddings" and provider != "dashscope":
        return "openai-embeddings"
    if "completion_tokens" not in usage and provider not in _CHAT and "total_tokens" in usage:
        return "openai-embeddings"
    return _CHAT.get(provider, "openai-chat")


def _detect_by_input_tokens(provider: str, hint: str, usage: Mapping[str, Any]) -> str:
    if "billable_audio_seconds" in usage:
        return ""  # xAI's voice counts tokens and bills seconds
    if "input_token_details" in usage or hint in {"realtime", "transcription", "speech"}:
        return "openai-realtime"
    if hint == "images":
        return "openai-images"
    if provider in _RESPONSES:
        return _RESPONSES[provider]
    if hint == "responses":
        return "openai-responses"
    if provider in _ANTHROPIC or hint == "messages" or not _ANTHROPIC_WORDS.isdisjoint(usage):
        return "anthropic-messages"
    return "openai-responses"
