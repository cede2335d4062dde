"""Reads Anthropic's usage report: pages of ``GET /v1/organizations/usage_report/messages`` as JSON, or flat results.

A row is a total: of a bucket of time (a minute, an hour or a day, UTC) and of what the report was grouped by. The
report does not count requests. ``uncached_input_tokens`` is what was neither read from nor written to the cache, so
that its counts are disjoint. Whether requests were so large that they cost more is told by ``context_window``, if the
report was grouped by it. Rules: Anthropic's API reference, "Get Messages Usage Report".
"""

from farebox.imports.layout import Layout
from farebox.imports.names import model_of
from farebox.imports.options import Options
from farebox.imports.pages import read_results
from farebox.imports.phrases import MAX_TOTAL, first_of, identity, quoted

_BUCKET = {"starting_at": "VARCHAR", "ending_at": "VARCHAR"}
_CREATED = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_TOOLS = ("web_search_requests", "code_execution_requests")
_TEXTS = (
    *("model", "workspace_id", "api_key_id", "service_tier", "context_window", "inference_geo", "speed"),
    *("account_id", "service_account_id"),
)
_RESULT = {
    **dict.fromkeys(_TEXTS, "VARCHAR"),
    **dict.fromkeys(("uncached_input_tokens", "cache_read_input_tokens", "output_tokens", *_CREATED), "VARCHAR"),
    **dict.fromkeys(("cache_creation_5m_input_tokens", "cache_creation_1h_input_tokens", *_TOOLS), "VARCHAR"),
    "cache_creation": dict.fromkeys(_CREATED, "VARCHAR"),
    "server_tool_use": dict.fromkeys(_TOOLS, "VARCHAR"),
}
# Context tiers of Anthropic begin above this many input tokens of one request.
_LARGE = 200_000


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of a usage report.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    values = {name: f"r.{name}" for name in _TEXTS}
    values |= {
        "at": "r.starting_at",
        "end": "r.ending_at",
        "input": "r.uncached_input_tokens",
        "cached": "r.cache_read_input_tokens",
        "output": "r.output_tokens",
        "written_5m": first_of(
            f"r.cache_creation.{_CREATED[0]}", f"r.{_CREATED[0]}", "r.cache_creation_5m_input_tokens"
        ),
        "written_1h": first_of(
            f"r.cache_creation.{_CREATED[1]}", f"r.{_CREATED[1]}", "r.cache_creation_1h_input_tokens"
        ),
        "searches": first_of(f"r.server_tool_use.{_TOOLS[0]}", f"r.{_TOOLS[0]}"),
        "runs": first_of(f"r.server_tool_use.{_TOOLS[1]}", f"r.{_TOOLS[1]}"),
    }
    total = "n_input + coalesce(n_cached, 0) + coalesce(n_written_5m, 0) + coalesce(n_written_1h, 0)"
    return Layout(
        records=read_results(path, _BUCKET, _RESULT, "a usage report of Anthropic"),
        values=values,
        counts={
            "input": "uncached_input_tokens",
            "cached": "cache_read_input_tokens",
            "written_5m": "ephemeral_5m_input_tokens",
            "written_1h": "ephemeral_1h_input_tokens",
            "output": "output_tokens",
            "searches": "web_search_requests",
            "runs": "code_execution_requests",
        },
        moments={"at": "starting_at", "end": "ending_at"},
        columns={
            "source_id": identity("us_at", "us_end", *(f"v_{name}" for name in _TEXTS)),
            "provider": quoted(options.provider or "anthropic"),
            "model": model_of("v_model", options),
            "operation": "'messages'",
            "dialect": "'anthropic'",
            "service_tier": "v_service_tier",
            "processing": "CASE WHEN v_service_tier = 'batch' THEN 'batch' END",
            "speed": "v_speed",
            "region": "v_inference_geo",
            "user": "coalesce(v_account_id, v_service_account_id)",
            "key_name": "v_api_key_id",
            "project": "v_workspace_id",
            "outcome": "'ok'",
            "input": "n_input",
            "cache_read": "n_cached",
            "cache_write_5m": "n_written_5m",
            "cache_write_1h": "n_written_1h",
            "output": "n_output",
            "web_search": "n_searches",
            "code_execution": "n_runs",
            # The size of one request, which decides on context tiers; a total says nothing of it.
            "input_total": f"CASE WHEN v_context_window = '200k-1M' THEN {_LARGE + 1} ELSE least({total}, {_LARGE}) "
            "END",
        },
        rules=(("v_model IS NULL AND model IS NULL", quoted(_UNGROUPED)),),
        most=MAX_TOTAL,
    ).select(options)


_UNGROUPED = "model is missing: export the report with group_by[]=model, or give --model"
