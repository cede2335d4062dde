"""Reads spans of OpenTelemetry's GenAI conventions from OTLP in JSON, as the collector's file exporter writes it.

A line (or a document) holds ``resourceSpans`` > ``scopeSpans`` > ``spans``; every span of an inference or an embedding
is a row, whatever instrumentation made it. Spans of agents, workflows and tools are left out: they add up what the
spans below them count. By the conventions ``gen_ai.usage.input_tokens`` includes cached tokens and
``gen_ai.usage.output_tokens`` includes reasoning; spans whose cached tokens are more than their input were not made so
and are refused, unless `Options.columns` names the attribute of the input as ``input``, which leaves them out. Names of
older versions, of OpenLLMetry and of Sentry are read too. Rules: OpenTelemetry's "Semantic conventions for generative
client AI spans" and the OTLP specification, "JSON Protobuf Encoding".
"""

from farebox.imports.inclusive import Split, split_input, split_output
from farebox.imports.layout import Layout
from farebox.imports.names import (
    bedrock_model,
    maker_of,
    model_of,
    prefix_of,
    provider_of,
    region_in,
    without_prefix,
)
from farebox.imports.options import Options
from farebox.imports.phrases import length_of, quoted
from farebox.imports.records import Records, read_documents
from farebox.imports.tags import given_tags

_VALUE = dict.fromkeys(("stringValue", "intValue", "doubleValue", "boolValue", "arrayValue"), "VARCHAR")
_ATTRIBUTES = [{"key": "VARCHAR", "value": _VALUE}]
_SPAN = {
    **dict.fromkeys(("traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano"), "VARCHAR"),
    "attributes": _ATTRIBUTES,
    "status": {"code": "VARCHAR", "message": "VARCHAR"},
}
_SHAPE = {"resourceSpans": [{"resource": {"attributes": _ATTRIBUTES}, "scopeSpans": [{"spans": [_SPAN]}]}]}
# By value of a row the attributes that have it, the newest name first.
_NAMES: dict[str, tuple[str, ...]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "asked": ("gen_ai.request.model",),
    "answered": ("gen_ai.response.model",),
    "operation": ("gen_ai.operation.name", "llm.request.type"),
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
    "read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.cached_tokens",
    ),
    "written": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.reasoning_tokens",
    ),
    "cost": ("gen_ai.usage.cost",),
    "tier": ("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
    "finish": ("gen_ai.response.finish_reasons",),
    "session": ("gen_ai.conversation.id", "session.id"),
    "user": ("enduser.id", "user.id"),
    "address": ("server.address",),
    "region": ("cloud.region", "aws.region"),
    "status": ("http.response.status_code", "http.status_code"),
    "failed": ("error.type",),
    "stream": ("gen_ai.request.stream", "llm.is_streaming"),
    "first": ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
}
_OF_RESOURCE = {"service": "service.name", "env": "deployment.environment.name", "old_env": "deployment.environment"}
_INFERENCE = ("chat", "completion", "text_completion", "generate_content", "embeddings", "embedding")
_LABELS = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "read": "gen_ai.usage.cache_read.input_tokens",
    "written": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of a file of spans.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    given = {"input": (options.columns["input"],)} if "input" in options.columns else {}
    values = {name: _attribute("r.keys", "r.held", names) for name, names in (_NAMES | given).items()}
    values |= {name: _attribute("r.own_keys", "r.own_held", (each,)) for name, each in _OF_RESOURCE.items()}
    values |= {
        "at": 'r.span."startTimeUnixNano"',
        "end": 'r.span."endTimeUnixNano"',
        "trace": 'r.span."traceId"',
        "span": 'r.span."spanId"',
        "code": "r.span.status.code",
        "message": "r.span.status.message",
    }
    return _layout(_read(path), values, options).select(options)


def _read(path: str) -> Records:
    """Return one record per span, its attributes as a list of keys and one of what they hold."""
    lines = read_documents(path, _SHAPE, "resourceSpans", "OTLP in JSON")
    keys, held = _keys("s.attributes"), _held("s.attributes")
    query = (
        'SELECT broken, whole, unnest(CASE WHEN broken IS NULL THEN r."resourceSpans" ELSE [NULL] END) AS g '  # noqa: S608 - the path is quoted
        f"FROM ({lines.query})"
    )
    query = (
        f"SELECT broken, whole, {_keys('g.resource.attributes')} AS own_keys, "  # noqa: S608 - as above
        f"{_held('g.resource.attributes')} AS own_held, "
        f'unnest(CASE WHEN broken IS NULL THEN g."scopeSpans" ELSE [NULL] END) AS c FROM ({query})'
    )
    query = (
        "SELECT broken, whole, own_keys, own_held, "  # noqa: S608 - as above
        f"unnest(CASE WHEN broken IS NULL THEN c.spans ELSE [NULL] END) AS s FROM ({query})"
    )
    packed = f"span := s, keys := {keys}, held := {held}, own_keys := own_keys, own_held := own_held"
    query = f"SELECT row_number() OVER () AS row, whole, s, struct_pack({packed}) AS r, broken FROM ({query})"  # noqa: S608 - as above
    return Records(query, "coalesce(to_json(r.span)::VARCHAR, whole)")


def _keys(attributes: str) -> str:
    return f"list_transform({attributes}, lambda a: a.key)"


def _held(attributes: str) -> str:
    kinds = ", ".join(f'a.value."{kind}"' for kind in _VALUE)
    return f"list_transform({attributes}, lambda a: coalesce({kinds}))"


def _attribute(keys: str, held: str, names: tuple[str, ...]) -> str:
    """Return the phrase for the value of the first of some attributes that is there."""
    found = [f"{held}[list_position({keys}, {quoted(name)})]" for name in names]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def _layout(records: Records, values: dict[str, str], options: Options) -> Layout:
    cached = {"cache_read": "n_read", "cache_write_5m": "n_written"}
    taken = split_input("n_input", _LABELS["input"], cached, {})
    if "input" in options.columns:
        taken = Split({"input": "n_input", **cached}, ())
    made = split_output("n_output", _LABELS["output"], {"reasoning": "n_reasoning"})
    kept = ", ".join(map(quoted, _INFERENCE))
    return Layout(
        records=records,
        values=values,
        counts=_LABELS,
        moments={"at": "startTimeUnixNano", "end": "endTimeUnixNano"},
        amounts={"cost": "gen_ai.usage.cost"},
        columns={
            "source_id": "concat_ws('/', v_trace, v_span)",
            "provider": "x_provider",
            "model": f"CASE WHEN x_provider = 'aws' THEN {bedrock_model('x_model')} "
            f"ELSE {without_prefix('x_model', 'x_provider')} END",
            "asked_model": "v_asked",
            "answered_model": "v_answered",
            "operation": "CASE WHEN starts_with(v_operation, 'embedding') THEN 'embeddings' ELSE 'chat' END",
            "service_tier": "v_tier",
            "region": f"coalesce(CASE WHEN x_provider = 'aws' THEN v_region END, {region_in('v_address')})",
            "user": "v_user",
            "session": "v_session",
            "tags": given_tags({"service": "v_service", "env": "coalesce(v_env, v_old_env)"}),
            "outcome": "CASE WHEN v_failed IS NOT NULL OR v_code IN ('2', 'STATUS_CODE_ERROR') THEN 'error' "
            "ELSE 'ok' END",
            "status": "CASE WHEN TRY_CAST(coalesce(v_status, v_failed) AS BIGINT) BETWEEN 100 AND 599 "
            "THEN coalesce(v_status, v_failed)::BIGINT END",
            "error": "coalesce(v_message, v_failed)",
            "finish": "CASE WHEN starts_with(v_finish, '{') THEN json_extract_string(v_finish, "
            "'$.values[0].stringValue') ELSE v_finish END",
            "stream": "CASE WHEN v_stream IS NOT NULL THEN lower(v_stream) = 'true' END",
            **taken.meters,
            **made.meters,
            "recorded_usd": "usd_cost",
            "first_token_ns": length_of("v_first", 1_000_000_000),
            "total_ns": "CASE WHEN us_end >= us_at THEN (us_end - us_at) * 1000 END",
        },
        rules=(*taken.rules, *made.rules),
        steps=(
            {
                "x_provider": provider_of("v_provider", options, prefix_of("v_asked"), maker_of("v_asked")),
                "x_model": model_of("coalesce(v_asked, v_answered)", options),
            },
        ),
        kept=f"coalesce(v_operation, 'chat') IN ({kept}) AND coalesce(v_provider, v_asked, v_input) IS NOT NULL",
    )
