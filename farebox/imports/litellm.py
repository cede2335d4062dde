"""Reads LiteLLM's spend logs: rows of the table ``LiteLLM_SpendLogs`` as JSON lines, a JSON array, CSV or Parquet.

LiteLLM writes one row per request in OpenAI's terms: ``prompt_tokens`` includes what was read from and written to a
cache, ``completion_tokens`` includes reasoning; ``metadata.usage_object`` has the details, and ``spend`` is LiteLLM's
own estimate in USD. A row that was answered from LiteLLM's cache reached no provider and is left out. Fields: the
table in LiteLLM's ``schema.prisma`` and docs.litellm.ai, "Spend Tracking".
"""

from farebox.imports.inclusive import split_input, split_output
from farebox.imports.layout import Layout
from farebox.imports.names import (
    bedrock_model,
    looked_up,
    maker_of,
    model_of,
    prefix_of,
    provider_of,
    region_in,
    without_prefix,
)
from farebox.imports.options import Options
from farebox.imports.phrases import first_of, told
from farebox.imports.records import Records, read_records
from farebox.imports.tags import LISTED_TAGS, list_steps

_USAGE = {
    "prompt_tokens": "VARCHAR",
    "completion_tokens": "VARCHAR",
    "total_tokens": "VARCHAR",
    "cache_read_input_tokens": "VARCHAR",
    "cache_creation_input_tokens": "VARCHAR",
    "prompt_cache_hit_tokens": "VARCHAR",
    "service_tier": "VARCHAR",
    "input_tokens": "VARCHAR",
    "output_tokens": "VARCHAR",
    "input_tokens_details": {"cached_tokens": "VARCHAR"},
    "output_tokens_details": {"reasoning_tokens": "VARCHAR"},
    "cache_creation": {"ephemeral_5m_input_tokens": "VARCHAR", "ephemeral_1h_input_tokens": "VARCHAR"},
    "server_tool_use": {"web_search_requests": "VARCHAR"},
    "prompt_tokens_details": {
        "cached_tokens": "VARCHAR",
        "audio_tokens": "VARCHAR",
        "image_tokens": "VARCHAR",
        "cache_write_tokens": "VARCHAR",
        "cache_creation_tokens": "VARCHAR",
        "cache_creation_token_details": {
            "ephemeral_5m_input_tokens": "VARCHAR",
            "ephemeral_1h_input_tokens": "VARCHAR",
        },
        "web_search_requests": "VARCHAR",
    },
    "completion_tokens_details": {"reasoning_tokens": "VARCHAR", "audio_tokens": "VARCHAR", "image_tokens": "VARCHAR"},
}
_TOP = (
    *("request_id", "call_type", "api_key", "spend", "total_tokens", "prompt_tokens", "completion_tokens"),
    *("startTime", "endTime", "completionStartTime", "model", "model_group", "api_base", "user", "team_id"),
    *("end_user", "cache_hit", "request_tags", "custom_llm_provider", "session_id", "status"),
)
_SHAPE = {
    **dict.fromkeys(_TOP, "VARCHAR"),
    "metadata": {
        "usage_object": _USAGE,
        "user_api_key_alias": "VARCHAR",
        "user_api_key_team_alias": "VARCHAR",
        "user_api_key_project_alias": "VARCHAR",
        "status": "VARCHAR",
        "error_information": {"error_code": "VARCHAR", "error_class": "VARCHAR", "error_message": "VARCHAR"},
    },
}
_OPERATIONS = {
    **dict.fromkeys(("completion", "acompletion", "text_completion", "atext_completion"), "chat"),
    **dict.fromkeys(("responses", "aresponses"), "responses"),
    **dict.fromkeys(("embedding", "aembedding"), "embeddings"),
    "anthropic_messages": "messages",
}
_COUNTS = {
    "prompt": "prompt_tokens",
    "completion": "completion_tokens",
    "total": "total_tokens",
    "cached": "cached_tokens",
    "written": "cache_creation_tokens",
    "written_30m": "cache_write_tokens",
    "written_5m": "ephemeral_5m_input_tokens",
    "written_1h": "ephemeral_1h_input_tokens",
    "audio_in": "prompt_tokens_details.audio_tokens",
    "image_in": "prompt_tokens_details.image_tokens",
    "reasoning": "reasoning_tokens",
    "audio_out": "completion_tokens_details.audio_tokens",
    "image_out": "completion_tokens_details.image_tokens",
    "searches": "web_search_requests",
}
# Tokens that neither count has would be billed and not be seen.
_TOTAL = (
    "n_total > 0 AND n_total <> coalesce(n_prompt, 0) + coalesce(n_completion, 0)",
    told("total_tokens: ", "{n_total}", " is not prompt_tokens + completion_tokens"),
)


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of a file of spend logs.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    records = read_records(path, _SHAPE, ("custom_llm_provider", "call_type", "spend"), "a file of LiteLLM spend logs")
    usage = "r.metadata.usage_object"
    details, made = f"{usage}.prompt_tokens_details", f"{usage}.completion_tokens_details"
    ttl, own_ttl = f"{details}.cache_creation_token_details", f"{usage}.cache_creation"
    values = {
        **{name: f"r.{name}" for name in ("request_id", "call_type", "api_key", "api_base", "session_id", "cache_hit")},
        "at": 'r."startTime"',
        "end": 'r."endTime"',
        "first": 'r."completionStartTime"',
        "model": "r.model",
        "group": "r.model_group",
        "provider": "r.custom_llm_provider",
        "spend": "r.spend",
        "user": first_of("r.end_user", 'r."user"'),
        "team": first_of("r.metadata.user_api_key_team_alias", "r.team_id"),
        "project": "r.metadata.user_api_key_project_alias",
        "key": first_of("r.metadata.user_api_key_alias", "r.api_key"),
        "tags": "r.request_tags",
        "status": first_of("r.status", "r.metadata.status"),
        "code": "r.metadata.error_information.error_code",
        "error": first_of("r.metadata.error_information.error_message", "r.metadata.error_information.error_class"),
        "tier": f"{usage}.service_tier",
        "prompt": first_of(f"{usage}.prompt_tokens", _foreign_prompt(usage), "r.prompt_tokens"),
        "completion": first_of(f"{usage}.completion_tokens", f"{usage}.output_tokens", "r.completion_tokens"),
        "total": first_of(f"{usage}.total_tokens", f"CASE WHEN {usage}.input_tokens IS NULL THEN r.total_tokens END"),
        "cached": first_of(
            f"{details}.cached_tokens",
            f"{usage}.input_tokens_details.cached_tokens",
            f"{usage}.cache_read_input_tokens",
            f"{usage}.prompt_cache_hit_tokens",
        ),
        "written": first_of(f"{details}.cache_creation_tokens", f"{usage}.cache_creation_input_tokens"),
        "written_30m": f"{details}.cache_write_tokens",
        "written_5m": first_of(f"{ttl}.ephemeral_5m_input_tokens", f"{own_ttl}.ephemeral_5m_input_tokens"),
        "written_1h": first_of(f"{ttl}.ephemeral_1h_input_tokens", f"{own_ttl}.ephemeral_1h_input_tokens"),
        "audio_in": f"{details}.audio_tokens",
        "image_in": f"{details}.image_tokens",
        "reasoning": first_of(f"{made}.reasoning_tokens", f"{usage}.output_tokens_details.reasoning_tokens"),
        "audio_out": f"{made}.audio_tokens",
        "image_out": f"{made}.image_tokens",
        "searches": first_of(f"{usage}.server_tool_use.web_search_requests", f"{details}.web_search_requests"),
    }
    return _layout(records, values, options).select(options)


def _foreign_prompt(usage: str) -> str:
    """Return the phrase for all input tokens of a usage object that LiteLLM passed on as the provider wrote it.

    OpenAI's responses have details and include cached tokens; Anthropic's messages have none and leave them out.
    """
    parts = (f"{usage}.{name}" for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))
    cached = " + ".join(f"coalesce(TRY_CAST({part} AS BIGINT), 0)" for part in parts)
    return (
        f"CASE WHEN {usage}.input_tokens_details IS NOT NULL THEN {usage}.input_tokens "
        f"ELSE (TRY_CAST({usage}.input_tokens AS BIGINT) + {cached})::VARCHAR END"
    )


def _layout(records: Records, values: dict[str, str], options: Options) -> Layout:
    # A local count of the thinking stands in for Anthropic's, and may come out larger than the whole answer.
    reasoning = "CASE WHEN n_reasoning <= n_completion THEN n_reasoning END"
    short = "CASE WHEN n_written_5m IS NULL THEN n_written - coalesce(n_written_1h, 0) ELSE n_written_5m END"
    written = {"cache_write_5m": short, "cache_write_1h": "n_written_1h", "cache_write_30m": "n_written_30m"}
    taken = split_input(
        "n_prompt",
        "prompt_tokens",
        {"cache_read": "n_cached", **written},
        {"input_audio": "n_audio_in", "input_image": "n_image_in"},
    )
    made = split_output(
        "n_completion",
        "completion_tokens",
        {"reasoning": reasoning, "output_audio": "n_audio_out", "output_image": "n_image_out"},
    )
    return Layout(
        records=records,
        values=values,
        counts=_COUNTS,
        moments={"at": "startTime", "end": "endTime", "first": "completionStartTime"},
        amounts={"spend": "spend"},
        columns={
            "source_id": "v_request_id",
            "provider": "x_provider",
            "model": f"CASE WHEN x_provider = 'aws' THEN {bedrock_model('x_model')} "
            f"ELSE {without_prefix('x_model', 'x_provider')} END",
            "asked_model": "v_group",
            "operation": f"coalesce({looked_up(_OPERATIONS, 'v_call_type')}, v_call_type)",
            "dialect": "CASE WHEN v_call_type = 'anthropic_messages' THEN 'anthropic' ELSE 'openai' END",
            "service_tier": "v_tier",
            "region": region_in("v_api_base"),
            "user": "v_user",
            "key_name": "v_key",
            "team": "v_team",
            "project": "v_project",
            "tags": LISTED_TAGS,
            "session": "v_session_id",
            "outcome": "CASE WHEN v_status = 'failure' THEN 'error' ELSE 'ok' END",
            "status": "TRY_CAST(v_code AS BIGINT)",
            "error": "v_error",
            "stream": "us_first < us_end",
            **taken.meters,
            **made.meters,
            "web_search": "n_searches",
            "recorded_usd": "usd_spend",
            "first_token_ns": "CASE WHEN us_first BETWEEN us_at AND us_end - 1 THEN (us_first - us_at) * 1000 END",
            "total_ns": "CASE WHEN us_end >= us_at THEN (us_end - us_at) * 1000 END",
        },
        rules=(*taken.rules, *made.rules, _TOTAL),
        steps=(
            *list_steps("v_tags"),
            {
                "x_provider": provider_of("v_provider", options, prefix_of("v_model"), maker_of("v_model")),
                "x_model": model_of("v_model", options),
            },
        ),
        kept="lower(v_cache_hit) <> 'true'",
    )
