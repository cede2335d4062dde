"""Reads Helicone's requests, as its export tool writes them: JSON lines, a JSON array or CSV.

Helicone's own counts are disjoint: ``prompt_tokens`` leaves out what was read from and written to a cache. They do
not tell reasoning and how long writes are kept. Where the export has the bodies of the answers, the usage object of
the provider in there is taken instead, by the rules of its API. A request that was answered from Helicone's cache
reached no provider and is left out. ``costUSD`` is Helicone's own estimate. Fields: Helicone's API reference, "Get
Requests" (``HeliconeRequest``), and its export tool.
"""

from farebox.imports.layout import Layout
from farebox.imports.names import bedrock_model, maker_of, model_of, prefix_of, provider_of, region_in, without_prefix
from farebox.imports.options import Options
from farebox.imports.phrases import added, first_of, length_of, or_zero, quoted, told
from farebox.imports.records import Records, read_records
from farebox.imports.tags import object_tags

_DETAILS = {"cached_tokens": "VARCHAR", "reasoning_tokens": "VARCHAR"}
_BODY = {
    "usage": {
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"), "VARCHAR"),
        **dict.fromkeys(("cache_read_input_tokens", "cache_creation_input_tokens", "service_tier"), "VARCHAR"),
        **dict.fromkeys(("prompt_tokens_details", "completion_tokens_details"), _DETAILS),
        **dict.fromkeys(("input_tokens_details", "output_tokens_details"), _DETAILS),
        "cache_creation": {"ephemeral_5m_input_tokens": "VARCHAR", "ephemeral_1h_input_tokens": "VARCHAR"},
    },
    "service_tier": "VARCHAR",
}
_TOP = (
    *("response_id", "response_created_at", "response_status", "response_model", "request_id", "request_created_at"),
    *("request_path", "request_user_id", "request_properties", "properties", "request_model", "model_override"),
    *("helicone_user", "provider", "delay_ms", "latency", "time_to_first_token", "prompt_tokens", "completion_tokens"),
    *("prompt_cache_write_tokens", "prompt_cache_read_tokens", "prompt_audio_tokens", "completion_audio_tokens"),
    *("costUSD", "cost", "target_url", "model", "cache_reference_id"),
)
_SHAPE = {**dict.fromkeys(_TOP, "VARCHAR"), "response_body": _BODY}
_NO_CACHE = "00000000-0000-0000-0000-000000000000"
_COUNTS = {
    "prompt": "prompt_tokens",
    "completion": "completion_tokens",
    "written": "prompt_cache_write_tokens",
    "read": "prompt_cache_read_tokens",
    "audio_in": "prompt_audio_tokens",
    "audio_out": "completion_audio_tokens",
    "all_in": "usage.prompt_tokens",
    "plain_in": "usage.input_tokens",
    "all_out": "usage.completion_tokens",
    "cached": "usage.cached_tokens",
    "reasoning": "usage.reasoning_tokens",
    "own_read": "usage.cache_read_input_tokens",
    "own_written": "usage.cache_creation_input_tokens",
    "own_5m": "usage.ephemeral_5m_input_tokens",
    "own_1h": "usage.ephemeral_1h_input_tokens",
}


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of an export.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    needed = ("request_created_at", "response_created_at", "request_path")
    # A body that is no object, such as a stream's text, says nothing of use; Helicone's own counts are taken then.
    records = read_records(path, _SHAPE, needed, "an export of Helicone", loose=("response_body",))
    usage = "r.response_body.usage"
    # With details of the input it is OpenAI's responses, which include cached tokens; without, Anthropic's messages.
    is_response = f"{usage}.input_tokens_details IS NOT NULL"
    values = {
        "id": first_of("r.request_id", "r.response_id"),
        "at": first_of("r.request_created_at", "r.response_created_at"),
        "end": "r.response_created_at",
        "provider": "r.provider",
        "model": first_of("r.model", "r.response_model", "r.model_override", "r.request_model"),
        "asked": "r.request_model",
        "answered": "r.response_model",
        "status": "r.response_status",
        "path": "r.request_path",
        "url": first_of("r.target_url", "r.request_path"),
        "user": first_of("r.request_user_id", "r.helicone_user"),
        "tags": first_of("r.request_properties", "r.properties"),
        "took": first_of("r.delay_ms", "r.latency"),
        "first": "r.time_to_first_token",
        "cost": first_of('r."costUSD"', "r.cost"),
        "hit": "r.cache_reference_id",
        "tier": first_of(f"{usage}.service_tier", "r.response_body.service_tier"),
        "prompt": "r.prompt_tokens",
        "completion": "r.completion_tokens",
        "written": "r.prompt_cache_write_tokens",
        "read": "r.prompt_cache_read_tokens",
        "audio_in": "r.prompt_audio_tokens",
        "audio_out": "r.completion_audio_tokens",
        "all_in": first_of(f"{usage}.prompt_tokens", f"CASE WHEN {is_response} THEN {usage}.input_tokens END"),
        "plain_in": f"CASE WHEN NOT ({is_response}) AND {usage}.prompt_tokens IS NULL THEN {usage}.input_tokens END",
        "all_out": first_of(f"{usage}.completion_tokens", f"{usage}.output_tokens"),
        "cached": first_of(
            f"{usage}.prompt_tokens_details.cached_tokens", f"{usage}.input_tokens_details.cached_tokens"
        ),
        "reasoning": first_of(
            f"{usage}.completion_tokens_details.reasoning_tokens", f"{usage}.output_tokens_details.reasoning_tokens"
        ),
        "own_read": f"{usage}.cache_read_input_tokens",
        "own_written": f"{usage}.cache_creation_input_tokens",
        "own_5m": f"{usage}.cache_creation.ephemeral_5m_input_tokens",
        "own_1h": f"{usage}.cache_creation.ephemeral_1h_input_tokens",
    }
    return _layout(records, values, options).select(options)


def _layout(records: Records, values: dict[str, str], options: Options) -> Layout:
    return Layout(
        records=records,
        values=values,
        counts=_COUNTS,
        moments={"at": "request_created_at", "end": "response_created_at"},
        amounts={"cost": "costUSD"},
        columns={
            "source_id": "v_id",
            "provider": "x_provider",
            "model": f"CASE WHEN x_provider = 'aws' THEN {bedrock_model('x_model')} "
            f"ELSE {without_prefix('x_model', 'x_provider')} END",
            "asked_model": "v_asked",
            "answered_model": "v_answered",
            "operation": "CASE WHEN contains(v_path, 'embeddings') THEN 'embeddings' "
            "WHEN contains(v_path, '/messages') THEN 'messages' ELSE 'chat' END",
            "dialect": "CASE WHEN contains(v_path, '/messages') THEN 'anthropic' ELSE 'openai' END",
            "service_tier": "v_tier",
            "region": region_in("v_url"),
            "user": "v_user",
            "tags": object_tags("v_tags"),
            "session": f"({object_tags('v_tags')})['Helicone-Session-Id']",
            "outcome": "CASE WHEN x_status BETWEEN 200 AND 299 OR x_status IS NULL THEN 'ok' WHEN x_status = -3 "
            "THEN 'client_gone' WHEN x_status < 100 THEN 'unreachable' ELSE 'error' END",
            "status": "CASE WHEN x_status BETWEEN 100 AND 599 THEN x_status END",
            **_meters(),
            "recorded_usd": "usd_cost",
            "first_token_ns": length_of("v_first", 1_000_000),
            "total_ns": f"coalesce({length_of('v_took', 1_000_000)}, "
            "CASE WHEN us_end >= us_at THEN (us_end - us_at) * 1000 END)",
        },
        rules=_rules(),
        steps=(
            {
                "x_provider": provider_of(
                    "CASE WHEN upper(v_provider) <> 'CUSTOM' THEN v_provider END",
                    options,
                    prefix_of("v_model"),
                    maker_of("v_model"),
                ),
                "x_model": model_of("v_model", options),
                "x_status": "TRY_CAST(v_status AS BIGINT)",
            },
        ),
        kept=f"v_hit IS NULL OR v_hit = '{_NO_CACHE}'",
    )


def _meters() -> dict[str, str]:
    """Return the phrases of the meters: of the usage object where there is one, else Helicone's own."""
    short = f"coalesce(n_own_5m, n_own_written - {or_zero('n_own_1h')})"
    return {
        "input": _either(f"n_all_in - {or_zero('n_cached')}", "n_plain_in", "n_prompt"),
        "cache_read": _either("n_cached", "n_own_read", "n_read"),
        "cache_write_5m": _either("NULL", short, "n_written"),
        "cache_write_1h": _either("NULL", "n_own_1h", "NULL"),
        "input_audio": _either("NULL", "NULL", "n_audio_in"),
        "output": f"CASE WHEN n_all_out IS NOT NULL THEN n_all_out - {or_zero('n_reasoning')} ELSE n_completion END",
        "reasoning": "CASE WHEN n_all_out IS NOT NULL THEN n_reasoning END",
        "output_audio": "CASE WHEN n_all_out IS NULL THEN n_audio_out END",
    }


def _either(inclusive: str, disjoint: str, own: str) -> str:
    return (
        f"CASE WHEN n_all_in IS NOT NULL THEN {inclusive} WHEN n_plain_in IS NOT NULL THEN {disjoint} ELSE {own} "
        "END::BIGINT"
    )


def _rules() -> tuple[tuple[str, str], ...]:
    audio = added(("n_audio_in", "n_audio_out"))
    return (
        (
            "n_cached > n_all_in",
            told("usage.cached_tokens: ", "{n_cached}", " are more than the prompt of ", "{n_all_in}"),
        ),
        (
            "n_reasoning > n_all_out",
            told("usage.reasoning_tokens: ", "{n_reasoning}", " are more than the answer of ", "{n_all_out}"),
        ),
        (
            f"n_own_5m IS NOT NULL AND {or_zero('n_own_5m')} + {or_zero('n_own_1h')} <> n_own_written",
            told("usage.cache_creation_input_tokens: ", "{n_own_written}", " is not the sum of its parts"),
        ),
        # Audio is inside the whole of the usage object; the object says too little here to take it out.
        (
            f"coalesce(n_all_in, n_plain_in) IS NOT NULL AND {audio} > 0",
            quoted("audio tokens are not read from a usage object: export without bodies"),
        ),
    )
