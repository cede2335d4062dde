"""Reads OpenAI's usage reports: pages of ``GET /v1/organization/usage/...`` as JSON, or their results as CSV.

A row is a total: of a bucket of time (a minute, an hour or a day, UTC) and of what the report was grouped by, with
the number of requests. ``input_tokens`` includes cached and cache-write tokens of all modalities; the counts by
modality leave cached ones out and add up with them. Reports of before that, in which they did not, are read where
there is nothing but text. Rules: OpenAI's API reference, "Usage" (``UsageCompletionsResult`` and the results beside
it). Money is in the costs report, which is for reconciling.
"""

from farebox.imports.layout import Layout
from farebox.imports.names import looked_up, model_of
from farebox.imports.options import Options
from farebox.imports.pages import read_results
from farebox.imports.phrases import MAX_TOTAL, added, identity, or_zero, quoted, shown, told

_BUCKET = {"start_time": "VARCHAR", "end_time": "VARCHAR"}
# By count of a result, how it is called in the phrases here.
_COUNTS = {
    "requests": "num_model_requests",
    "total": "input_tokens",
    "cached": "input_cached_tokens",
    "uncached": "input_uncached_tokens",
    "written": "input_cache_write_tokens",
    "written_30m": "input_cache_write_30m_tokens",
    "written_12h": "input_cache_write_12h_tokens",
    "text": "input_text_tokens",
    "audio": "input_audio_tokens",
    "image": "input_image_tokens",
    "cached_audio": "input_cached_audio_tokens",
    "cached_image": "input_cached_image_tokens",
    "output": "output_tokens",
    "output_text": "output_text_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "images": "images",
    "characters": "characters",
    "seconds": "seconds",
    "sessions": "num_sessions",
    "calls": "num_requests",
    "bytes": "usage_bytes",
}
_TEXTS = ("object", "model", "project_id", "user_id", "api_key_id", "batch", "service_tier", "context_level", "source")
_GROUPED = (
    *("model", "project_id", "user_id", "api_key_id", "batch", "service_tier", "context_level", "source", "store"),
)
_RESULT = dict.fromkeys((*_COUNTS.values(), *_TEXTS, "vector_store_id", "size"), "VARCHAR")
_OPERATIONS = {
    "completions": "chat",
    "embeddings": "embeddings",
    "moderations": "moderations",
    "images": "images",
    "audio_speeches": "speech",
    "audio_transcriptions": "transcription",
    "vector_stores": "storage",
    "code_interpreter_sessions": "container",
    "file_searches": "search",
    "web_searches": "search",
}
# What stands in the price book for a tool that is billed by the use, whatever model used it.
_TOOLS = {
    "code_interpreter_sessions": "code_interpreter",
    "file_searches": "file_search",
    "web_searches": "web_search",
    "vector_stores": "file_search",
}
_GIBIBYTE = 2**30
_DAY_US = 86_400_000_000


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of a usage report.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    values = {name: f"r.{field}" for name, field in _COUNTS.items()}
    values |= {name: f"r.{name}" for name in _TEXTS}
    values |= {
        "at": "r.start_time",
        "end": "r.end_time",
        "kind": "regexp_extract(r.object, '^organization[.]usage[.](.*)[.]result$', 1)",
        "store": "r.vector_store_id",
    }
    return Layout(
        records=read_results(path, _BUCKET, _RESULT, "a usage report of OpenAI"),
        values=values,
        counts=_COUNTS,
        moments={"at": "start_time", "end": "end_time"},
        columns=_columns(options),
        rules=_rules(),
        steps=({"x_write": f"coalesce(n_written_30m, n_written - {or_zero('n_written_12h')})"},),
        most=MAX_TOTAL,
    ).select(options)


def _columns(options: Options) -> dict[str, str]:
    covered = added(("n_cached", "x_write", "n_written_12h", "n_audio", "n_image"))
    days = f"((us_end - us_at)::DECIMAL(38,9) / {_DAY_US})"
    return {
        "provider": quoted(options.provider or "openai"),
        "model": f"coalesce({looked_up(_TOOLS, 'v_kind')}, {model_of('v_model', options)})",
        "asked_model": "v_model",
        "operation": f"coalesce({looked_up(_OPERATIONS, 'v_kind')}, 'chat')",
        "dialect": "'openai'",
        "service_tier": "v_service_tier",
        "processing": "CASE WHEN lower(v_batch) = 'true' THEN 'batch' END",
        "facts": "CASE WHEN v_context_level IS NOT NULL THEN MAP {'search_context_size': lower(v_context_level)} END",
        "user": "v_user_id",
        "key_name": "v_api_key_id",
        "project": "v_project_id",
        "outcome": "'ok'",
        "source_id": identity("v_kind", "us_at", "us_end", *(f"v_{name}" for name in _GROUPED)),
        # Of a tool, the uses: the requests of the model that used it are in another report.
        "requests": "coalesce(n_calls, n_sessions, n_requests)",
        "input": f"n_total - {covered}",
        "cache_read": f"n_cached - {added(('n_cached_audio', 'n_cached_image'))}",
        "cache_write_30m": "x_write",
        "cache_write_12h": "n_written_12h",
        "input_audio": "n_audio",
        "cache_read_audio": "n_cached_audio",
        "input_image": "n_image",
        "cache_read_image": "n_cached_image",
        "output": f"n_output - {added(('n_output_audio', 'n_output_image'))}",
        "output_audio": "n_output_audio",
        "output_image": "n_output_image",
        "image_made": "n_images",
        "character": "n_characters",
        "audio_time": "n_seconds * 1000",
        "code_session": "n_sessions",
        "file_search": "CASE WHEN v_kind = 'file_searches' THEN n_calls END",
        "web_search": "CASE WHEN v_kind = 'web_searches' THEN n_calls END",
        # Millionths of a gigabyte for a day; OpenAI's gigabytes are of 2**30 bytes.
        "file_storage": f"round(n_bytes::DECIMAL(38,0) * 1000000 / {_GIBIBYTE} * {days})::BIGINT",
    }


def _rules() -> tuple[tuple[str, str], ...]:
    written = or_zero("coalesce(n_written, n_written_30m + coalesce(n_written_12h, 0))")
    apart = added(("n_cached", "x_write", "n_written_12h"))
    others, cached_others = added(("n_audio", "n_image")), added(("n_cached_audio", "n_cached_image"))
    made = added(("n_output_audio", "n_output_image"))
    older = "an older report does not say whether {} are among {}: export it again"
    return (
        (
            "v_object IS NOT NULL AND v_kind IS NULL",
            f"'object: ' || {shown('v_object')} || {quoted(' is not a usage result; costs are for farebox reconcile')}",
        ),
        (
            f"{others} > 0 AND coalesce(n_uncached, n_text, n_cached_audio, n_cached_image) IS NULL",
            quoted(older.format("input_audio_tokens", "input_tokens")),
        ),
        (f"{made} > 0 AND n_output_text IS NULL", quoted(older.format("output_audio_tokens", "output_tokens"))),
        (
            f"{apart} + {others} > {or_zero('n_total')}",
            told(
                "cached, cache-write, audio and image tokens are more than input_tokens: ", f"{{{or_zero('n_total')}}}"
            ),
        ),
        (
            f"n_uncached <> n_total - {or_zero('n_cached')} - {written}",
            told("input_uncached_tokens: ", "{n_uncached}", " is not input_tokens without cached and written ones"),
        ),
        (
            f"{cached_others} > {or_zero('n_cached')}",
            "'cached audio and image tokens are more than input_cached_tokens'",
        ),
        (f"{made} > {or_zero('n_output')}", "'audio and image tokens are more than output_tokens'"),
        ("model IS NULL", quoted("model is missing: export the report with group_by=model, or give --model")),
    )
