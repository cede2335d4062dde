"""Which column of an unknown file means what, by the names that APIs and programs commonly give.

The rules of counting go with the names: ``prompt_tokens`` includes cached tokens wherever it is used;
``input_tokens`` includes them in OpenAI's responses and leaves them out in Anthropic's messages, which is told by
the names of the cached tokens beside it.
"""

from collections.abc import Mapping
from typing import Any

from farebox.usage import METERS

_NAMES: dict[str, tuple[str, ...]] = {
    "at": (
        *("at", "timestamp", "time", "datetime", "created_at", "createdAt", "created", "start_time", "startTime"),
        *("request_time", "requested_at", "started_at", "date", "ts"),
    ),
    "end": ("end_time", "endTime", "ended_at", "finished_at", "completed_at"),
    "provider": ("provider", "vendor", "custom_llm_provider", "provider_name"),
    "model": ("model", "model_name", "model_id", "modelId"),
    "source_id": ("id", "request_id", "requestId", "generation_id", "source_id"),
    "user": ("user", "user_id", "userId", "end_user"),
    "key_name": ("key_name", "api_key_name", "key", "api_key_id"),
    "team": ("team", "team_id", "team_name"),
    "project": ("project", "project_id", "project_name"),
    "session": ("session", "session_id", "sessionId", "conversation_id", "thread_id"),
    "status": ("status_code", "http_status"),
    "outcome": ("outcome", "status"),
    "error": ("error", "error_message"),
    "finish": ("finish_reason", "stop_reason"),
    "service_tier": ("service_tier", "usage.service_tier"),
    "region": ("region",),
    "stream": ("stream", "streamed", "is_stream"),
    "requests": ("requests", "num_requests", "num_model_requests", "request_count"),
    "recorded_usd": ("cost_usd", "costUSD", "cost", "spend", "total_cost", "amount_usd"),
    "total_ms": ("latency_ms", "duration_ms", "total_ms"),
    "first_token_ms": ("time_to_first_token_ms", "ttft_ms", "first_token_ms"),
    "cache_read": (
        *("cache_read", "cached_tokens", "cache_read_tokens", "cached_input_tokens", "input_cached_tokens"),
        *("prompt_cached_tokens", "usage.prompt_tokens_details.cached_tokens"),
        "usage.input_tokens_details.cached_tokens",
    ),
    "cache_written": ("cache_written", "cache_write_tokens", "cache_creation_tokens"),
    "cache_write_30m": (
        "usage.prompt_tokens_details.cache_write_tokens",
        "usage.input_tokens_details.cache_write_tokens",
    ),
    "reasoning": (
        *("reasoning", "reasoning_tokens", "thinking_tokens", "usage.completion_tokens_details.reasoning_tokens"),
        "usage.output_tokens_details.reasoning_tokens",
    ),
    "input_tokens": ("prompt_tokens", "input_tokens", "tokens_in", "usage.prompt_tokens", "usage.input_tokens"),
    "output_tokens": (
        *("completion_tokens", "output_tokens", "tokens_out", "generated_tokens", "usage.completion_tokens"),
        "usage.output_tokens",
    ),
}
# Anthropic's own: where one of them is there, `input_tokens` leaves all of them out.
_ANTHROPIC = {
    "cache_read": "cache_read_input_tokens",
    "cache_written": "cache_creation_input_tokens",
}
_WRITES = {
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
}


def guess_columns(is_json: bool, members: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that a file's names stand for, with the file's name or path of each.

    Args:
        is_json: whether there may be objects in the records.
        members: of the records; of JSON with a value of each.
    """
    found = {}
    for column, names in _NAMES.items():
        for name in names:
            if _has(is_json, members, name):
                found[column] = name
                break
    found |= {name: name for name in METERS if name in members}
    for total, rest in (("input_tokens", "input"), ("output_tokens", "output")):
        if rest in found:
            found.pop(total, None)
    for prefix in ("", "usage."):
        if any(_has(is_json, members, prefix + name) for name in _ANTHROPIC.values()):
            _take_anthropic(is_json, members, prefix, found)
    return found


def _take_anthropic(is_json: bool, members: Mapping[str, Any], prefix: str, found: dict[str, str]) -> None:
    for column, name in (*_ANTHROPIC.items(), *_WRITES.items()):
        if _has(is_json, members, prefix + name):
            found[column] = prefix + name
    if found.get("input_tokens") == f"{prefix}input_tokens":
        found["input"] = found.pop("input_tokens")


def _has(is_json: bool, members: Mapping[str, Any], name: str) -> bool:
    if name in members:
        return not isinstance(members[name], dict | list)
    first, *rest = name.split(".")
    inside = members.get(first)
    if not rest or not is_json:
        return False
    for step in rest:
        if not isinstance(inside, dict) or step not in inside:
            return False
        inside = inside[step]
    return True
