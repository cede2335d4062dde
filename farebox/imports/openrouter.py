"""Reads OpenRouter's activity: the CSV of the Activity page, and the JSON of ``GET /api/v1/activity``.

The CSV has one row per generation; the API one per day, model and endpoint, with the number of requests. Prompt
tokens include cached ones and completion tokens include reasoning. The cost is what OpenRouter bills, in USD; with a
provider key of one's own that is OpenRouter's fee alone, and the inference is billed by the provider, which
``byok_usage_inference`` estimates. Rules: OpenRouter's API reference, "Get user activity", and its guide to the
export of activity. Days and times are UTC.
"""

from farebox.imports.inclusive import split_input, split_output
from farebox.imports.layout import Layout
from farebox.imports.names import model_of
from farebox.imports.options import Options
from farebox.imports.phrases import MAX_TOTAL, first_of, identity, length_of, quoted
from farebox.imports.records import Records, kind_of, members_of, read_documents, read_records
from farebox.imports.tags import given_tags

_FIELDS = (
    *("generation_id", "id", "created_at", "date", "model", "model_permaslug", "variant", "provider_name"),
    *("endpoint_id", "cost_total", "total_cost", "usage", "byok_usage_inference", "requests", "num_requests"),
    *("tokens_prompt", "prompt_tokens", "native_tokens_prompt", "tokens_completion", "completion_tokens"),
    *("native_tokens_completion", "tokens_reasoning", "reasoning_tokens", "native_tokens_reasoning"),
    *("tokens_cached", "cached_tokens", "native_tokens_cached", "cancelled", "streamed", "user", "external_user"),
    *("finish_reason_normalized", "finish_reason_raw", "finish_reason", "generation_time_ms", "generation_time"),
    *("time_to_first_token_ms", "latency", "api_key_name", "app_name", "service_tier"),
)
_SHAPE = dict.fromkeys(_FIELDS, "VARCHAR")
_NEEDED = ("model_permaslug", "generation_id", "tokens_prompt", "native_tokens_prompt")
_WHAT = "OpenRouter's activity"
_MS_NS = 1_000_000


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of an export of activity.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    values = {
        "id": first_of("r.generation_id", "r.id"),
        "at": first_of("r.created_at", "r.date"),
        "model": first_of("r.model_permaslug", "r.model"),
        "asked": "r.model",
        "variant": "r.variant",
        "endpoint": "r.endpoint_id",
        "maker": "r.provider_name",
        "cost": first_of("r.cost_total", "r.total_cost", "r.usage"),
        "own": "r.byok_usage_inference",
        "requests": first_of("r.requests", "r.num_requests"),
        # What the provider counted goes before what OpenRouter's own tokenizer did.
        "prompt": first_of("r.native_tokens_prompt", "r.tokens_prompt", "r.prompt_tokens"),
        "completion": first_of("r.native_tokens_completion", "r.tokens_completion", "r.completion_tokens"),
        "reasoning": first_of("r.native_tokens_reasoning", "r.tokens_reasoning", "r.reasoning_tokens"),
        "cached": first_of("r.native_tokens_cached", "r.tokens_cached", "r.cached_tokens"),
        "cancelled": "r.cancelled",
        "streamed": "r.streamed",
        "user": first_of("r.external_user", 'r."user"'),
        "finish": first_of("r.finish_reason_normalized", "r.finish_reason", "r.finish_reason_raw"),
        "took": first_of("r.generation_time_ms", "r.generation_time"),
        "first": first_of("r.time_to_first_token_ms", "r.latency"),
        "key": "r.api_key_name",
        "app": "r.app_name",
        "tier": "r.service_tier",
    }
    return _layout(_read(path), values, options).select(options)


def _read(path: str) -> Records:
    kind = kind_of(path)
    if kind == "document" or (kind == "lines" and "data" in members_of(path)[1]):
        pages = read_documents(path, {"data": [_SHAPE]}, "data", _WHAT)
        query = (
            "SELECT row_number() OVER () AS row, r AS whole, r, broken FROM (SELECT broken, "  # noqa: S608 - the path is quoted
            f"unnest(CASE WHEN broken IS NULL THEN r.data ELSE [NULL] END) AS r FROM ({pages.query}))"
        )
        return Records(query, "to_json(r)::VARCHAR")
    return read_records(path, _SHAPE, _NEEDED, _WHAT)


def _layout(records: Records, values: dict[str, str], options: Options) -> Layout:
    taken = split_input("n_prompt", "prompt tokens", {"cache_read": "n_cached"}, {})
    # Reasoning is the provider's count, and the completion may be OpenRouter's own: it can be the smaller.
    reasoning = "CASE WHEN n_reasoning <= n_completion THEN n_reasoning END"
    made = split_output("n_completion", "completion tokens", {"reasoning": reasoning})
    ended = (
        "CASE WHEN v_finish = 'error' THEN 'error' WHEN lower(v_cancelled) = 'true' THEN 'client_gone' ELSE 'ok' END"
    )
    return Layout(
        records=records,
        values=values,
        counts={
            "requests": "requests",
            "prompt": "prompt tokens",
            "completion": "completion tokens",
            "reasoning": "reasoning tokens",
            "cached": "cached tokens",
        },
        moments={"at": "created_at"},
        amounts={"cost": "cost", "own": "byok_usage_inference"},
        columns={
            "source_id": f"coalesce(v_id, {identity('v_at', 'v_model', 'v_endpoint', 'v_maker', 'v_key')})",
            "provider": quoted(options.provider or "openrouter"),
            "model": "x_model",
            "asked_model": "v_asked",
            "operation": "'chat'",
            "dialect": "'openai'",
            "service_tier": "v_tier",
            "user": "v_user",
            "key_name": "v_key",
            "tags": given_tags({"served_by": "v_maker", "app": "v_app"}),
            "outcome": ended,
            "finish": "v_finish",
            "stream": "CASE WHEN v_streamed IS NOT NULL THEN lower(v_streamed) = 'true' END",
            "requests": "n_requests",
            **taken.meters,
            **made.meters,
            "reported_usd": "usd_cost",
            "first_token_ns": length_of("v_first", _MS_NS),
            "total_ns": length_of("v_took", _MS_NS),
        },
        rules=(*taken.rules, *made.rules),
        steps=(
            {
                # A variant such as `:free` has prices of its own.
                "x_model": "CASE WHEN v_variant IN ('standard', '') OR v_variant IS NULL OR contains(v_model, ':') "
                f"THEN {model_of('v_model', options)} ELSE v_model || ':' || v_variant END"
            },
        ),
        most=MAX_TOTAL,
    )
