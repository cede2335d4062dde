"""Reads Langfuse's observations: exports of its tables (CSV, JSON), of blob storage, and pages of its API.

Only generations and embeddings are requests to a model; other observations are left out. Langfuse keeps counts that
are disjoint: on the way in it takes the details of an OpenAI usage object out of ``input`` and ``output``. Where a
program gave it counts that include their details, their ``total`` shows it. Costs are Langfuse's estimate or what the
program gave. It does not keep which provider was called: see `names.maker_of`. Fields: Langfuse's "Blob storage
export field reference", its API reference (``ObservationsView``), and "Model usage and cost tracking".
"""

from farebox.imports.layout import Layout
from farebox.imports.names import bedrock_model, maker_of, model_of, provider_of
from farebox.imports.options import Options
from farebox.imports.phrases import added, first_of, quoted, told
from farebox.imports.records import Records, Shape, kind_of, members_of, read_documents, read_records
from farebox.imports.tags import LISTED_TAGS, list_steps

# The names under which SDKs and integrations put a count into the usage details.
_KEYS: dict[str, tuple[str, ...]] = {
    "input": ("input", "prompt_tokens", "promptTokens", "input_tokens"),
    "output": ("output", "completion_tokens", "completionTokens", "output_tokens"),
    "total": ("total", "total_tokens", "totalTokens"),
    "text_in": ("input_text_tokens", "input_text"),
    "text_out": ("output_text_tokens", "output_text"),
    "cached": ("input_cached_tokens", "input_cache_read", "input_cached", "input_cached_content_tokens"),
    "read": ("cache_read_input_tokens", "cache_read"),
    "written_5m": ("input_cache_creation_5m", "input_cache_creation_ephemeral_5m"),
    "written_1h": ("input_cache_creation_1h", "input_cache_creation_ephemeral_1h"),
    "created": ("input_cache_creation", "input_cache_creation_tokens"),
    "written": ("cache_creation_input_tokens", "cache_write_input_tokens", "cache_creation"),
    "written_30m": ("input_cache_write_tokens",),
    "audio_in": ("input_audio_tokens", "input_audio"),
    "image_in": ("input_image_tokens", "input_image"),
    "reasoning": ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens", "reasoning"),
    "audio_out": ("output_audio_tokens", "output_audio"),
    "image_out": ("output_image_tokens", "output_image"),
    "accepted": ("output_accepted_prediction_tokens",),
    "rejected": ("output_rejected_prediction_tokens",),
}
_IN = ("text_in", "cached", "written_5m", "written_1h", "created", "written_30m", "audio_in", "image_in")
_OUT = ("text_out", "reasoning", "audio_out", "image_out", "accepted", "rejected")
# Anthropic's own names, beside which `input` never includes them.
_APART = ("read", "written")
_WHOLE = "coalesce(n_input, 0) + coalesce(n_output, 0)"
# By value, its names in tables and the API, and in blob storage.
_TOP: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "id": (("id",), ("id",)),
    "type": (("type",), ("type",)),
    "at": (("startTime",), ("start_time",)),
    "end": (("endTime",), ("end_time",)),
    "first": (("completionStartTime",), ("completion_start_time",)),
    "model": (("providedModelName", "model"), ("provided_model_name", "model")),
    "level": (("level",), ("level",)),
    "error": (("statusMessage",), ("status_message",)),
    "user": (("userId",), ("user_id",)),
    "session": (("sessionId",), ("session_id",)),
    "project": (("projectId",), ("project_id",)),
    "tags": (("traceTags", "tags"), ("tags",)),
    "cost": (("totalCost", "calculatedTotalCost"), ("total_cost",)),
}
_USAGE = ("usageDetails", "usage_details")
_COST = ("costDetails", "cost_details")
_WHAT = "an export of Langfuse's observations"


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of an export.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    kind = kind_of(path)
    members = {} if kind == "document" else members_of(path)[1]
    style = 1 if "start_time" in members else 0
    names = {value: both[style] for value, both in _TOP.items()}
    shape = {
        **{name: "VARCHAR" for each in names.values() for name in each},
        _USAGE[style]: {key: "VARCHAR" for keys in _KEYS.values() for key in keys},
        _COST[style]: {"total": "VARCHAR"},
    }
    values = {value: first_of(*(f'r."{name}"' for name in each)) for value, each in names.items()}
    values["cost"] = f'coalesce({values["cost"]}, r."{_COST[style]}".total)'
    for value, keys in _KEYS.items():
        values[value] = first_of(*(f'r."{_USAGE[style]}"."{key}"' for key in keys))
    if kind == "document" or "data" in members:
        return _layout(_read_pages(path, shape), values, options).select(options)
    return _layout(read_records(path, shape, names["at"], _WHAT), values, options).select(options)


def _read_pages(path: str, shape: Shape) -> Records:
    """Return the observations of pages of the API."""
    pages = read_documents(path, {"data": [shape]}, "data", _WHAT)
    query = (
        "SELECT row_number() OVER () AS row, r AS whole, r, broken FROM (SELECT broken, "  # noqa: S608 - the path is quoted
        f"unnest(CASE WHEN broken IS NULL THEN r.data ELSE [NULL] END) AS r FROM ({pages.query}))"
    )
    return Records(query, "to_json(r)::VARCHAR")


def _layout(records: Records, values: dict[str, str], options: Options) -> Layout:
    return Layout(
        records=records,
        values=values,
        counts={name: f"usage {keys[0]}" for name, keys in _KEYS.items()},
        moments={"at": "startTime", "end": "endTime", "first": "completionStartTime"},
        amounts={"cost": "totalCost"},
        columns={
            "source_id": "v_id",
            "provider": "x_provider",
            "model": f"CASE WHEN x_provider = 'aws' THEN {bedrock_model('x_model')} ELSE x_model END",
            "operation": "CASE WHEN v_type = 'EMBEDDING' THEN 'embeddings' ELSE 'chat' END",
            "user": "v_user",
            "session": "v_session",
            "project": "v_project",
            "tags": LISTED_TAGS,
            "outcome": "CASE WHEN v_level = 'ERROR' THEN 'error' ELSE 'ok' END",
            "error": "CASE WHEN v_level = 'ERROR' THEN v_error END",
            "stream": "us_first < us_end",
            **_meters(),
            "recorded_usd": "usd_cost",
            "first_token_ns": "CASE WHEN us_first BETWEEN us_at AND us_end - 1 THEN (us_first - us_at) * 1000 END",
            "total_ns": "CASE WHEN us_end >= us_at THEN (us_end - us_at) * 1000 END",
        },
        rules=_rules(),
        steps=(
            *list_steps("v_tags"),
            {
                "x_inside": added(f"n_{name}" for name in _IN),
                "x_outside": added(f"n_{name}" for name in _OUT),
                "x_provider": provider_of("NULL::VARCHAR", options, maker_of("v_model")),
                "x_model": model_of("v_model", options),
            },
            {"x_inclusive": f"coalesce(n_total = {_WHOLE} AND x_inside + x_outside > 0, false)"},
        ),
        kept="v_type IN ('GENERATION', 'EMBEDDING')",
    )


def _meters() -> dict[str, str]:
    more = added(("n_text_out", "n_accepted", "n_rejected"))
    return {
        "input": "CASE WHEN x_inclusive THEN n_input - x_inside ELSE n_input END + coalesce(n_text_in, 0)",
        "cache_read": "coalesce(n_cached, n_read)",
        "cache_write_5m": "coalesce(n_written_5m, n_created, n_written - coalesce(n_written_1h, 0))",
        "cache_write_1h": "n_written_1h",
        "cache_write_30m": "n_written_30m",
        "input_audio": "n_audio_in",
        "input_image": "n_image_in",
        "output": f"CASE WHEN x_inclusive THEN n_output - x_outside ELSE n_output END + {more}",
        "reasoning": "n_reasoning",
        "output_audio": "n_audio_out",
        "output_image": "n_image_out",
    }


def _rules() -> tuple[tuple[str, str], ...]:
    apart = added(f"n_{name}" for name in _APART)
    details = f"{_WHOLE} + x_inside + x_outside"
    return (
        ("v_model IS NULL AND model IS NULL", quoted("model is missing: give --model")),
        (
            "x_inclusive AND (x_inside > n_input OR x_outside > n_output)",
            "'usage: details are more than the input or output that includes them'",
        ),
        (
            f"n_total NOT IN ({_WHOLE}, {_WHOLE} + {apart}, {details}, {details} + {apart})",
            told(
                "usage total: ", "{n_total}", " is not the sum of the known usage types, ", f"{{{details} + {apart}}}"
            ),
        ),
    )
