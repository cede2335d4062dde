"""Reads the model invocation log of Amazon Bedrock, as it stands in S3 (JSON lines, gzipped or not) or CloudWatch.

From CloudWatch come events with the record as text in their ``message``: one a line, an array, or what
``aws logs filter-log-events`` prints. A record counts in disjoint numbers: ``inputTokenCount`` leaves out what was
read from and written to a cache. How long writes are kept stands in the body of the answer alone, where the log has
it: in Anthropic's words (``cache_creation``) or those of Converse (``cacheDetails``); without it 5 minutes, which is
what is taken by default. Rules: Bedrock's user guide, "Monitor model invocation using CloudWatch Logs and Amazon S3",
and its API reference (``TokenUsage``).
"""

from farebox.imports.layout import Layout
from farebox.imports.names import bedrock_model, looked_up
from farebox.imports.options import Options
from farebox.imports.phrases import first_of, identity, length_of, or_zero, quoted, told
from farebox.imports.records import (
    Records,
    Shape,
    WrongFile,
    json_texts,
    kind_of,
    members_of,
    parsed,
    read_documents,
    shaped,
)
from farebox.imports.tags import object_tags

_INPUT = ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
_TOP = ("schemaType", "timestamp", "accountId", "region", "requestId", "operation", "modelId", "errorCode")
_SHAPE: Shape = {
    **dict.fromkeys((*_TOP, "errorMessage", "requestMetadata"), "VARCHAR"),
    "identity": {"arn": "VARCHAR"},
    "input": dict.fromkeys(_INPUT, "VARCHAR"),
    "output": {"outputTokenCount": "VARCHAR", "outputBodyJson": "VARCHAR"},
}
_CREATED = {"ephemeral_5m_input_tokens": "VARCHAR", "ephemeral_1h_input_tokens": "VARCHAR"}
_USAGE = {"cache_creation": _CREATED, "cacheDetails": [{"ttl": "VARCHAR", "inputTokens": "VARCHAR"}]}
_METRICS = {"invocationLatency": "VARCHAR", "firstByteLatency": "VARCHAR"}
# A body is one answer, or the list of the events of a stream.
_BODY = {
    "usage": _USAGE,
    "message": {"usage": _USAGE},
    "stopReason": "VARCHAR",
    "stop_reason": "VARCHAR",
    "delta": {"stop_reason": "VARCHAR"},
    "metrics": {"latencyMs": "VARCHAR"},
    "serviceTier": {"type": "VARCHAR"},
    "amazon-bedrock-invocationMetrics": _METRICS,
}
_STATUS = {
    "ValidationException": "400",
    "AccessDeniedException": "403",
    "ResourceNotFoundException": "404",
    "ModelTimeoutException": "408",
    "ModelErrorException": "424",
    "ThrottlingException": "429",
    "ModelNotReadyException": "429",
    "ServiceQuotaExceededException": "400",
    "InternalServerException": "500",
    "ServiceUnavailableException": "503",
}
_WHAT = "a log of model invocations of Bedrock"


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of a log.

    Raises:
        WrongFile: where the file cannot be opened or is none.
    """
    metrics = 'x."amazon-bedrock-invocationMetrics"'
    values = {
        "schema": 'r."schemaType"',
        "at": "r.timestamp",
        "account": 'r."accountId"',
        "region": "r.region",
        "id": 'r."requestId"',
        "operation": "r.operation",
        "model": 'r."modelId"',
        "error": first_of('r."errorMessage"', 'r."errorCode"'),
        "code": 'r."errorCode"',
        "tags": 'r."requestMetadata"',
        "arn": "r.identity.arn",
        "input": 'r."input"."inputTokenCount"',
        "read": 'r."input"."cacheReadInputTokenCount"',
        "written": 'r."input"."cacheWriteInputTokenCount"',
        "output": 'r."output"."outputTokenCount"',
        "written_5m": _kept("5m", "ephemeral_5m_input_tokens"),
        "written_1h": _kept("1h", "ephemeral_1h_input_tokens"),
        "finish": first_of(_any('x."stopReason"'), _any("x.stop_reason"), _any("x.delta.stop_reason")),
        "latency": first_of(_any('x.metrics."latencyMs"'), _any(f'{metrics}."invocationLatency"')),
        "first": _any(f'{metrics}."firstByteLatency"'),
        "tier": _any('x."serviceTier".type'),
    }
    return _layout(_read(path), values, options).select(options)


def _read(path: str) -> Records:
    """Return the records with the bodies of their answers as the list ``r.body``."""
    kind = kind_of(path)
    if kind in ("csv", "parquet"):
        raise WrongFile(f"{path}: {_WHAT} is JSON lines")
    if kind == "document":
        events = read_documents(path, {"events": [{"message": "VARCHAR"}]}, "events", _WHAT)
        texts = (
            "SELECT row_number() OVER () AS row, e.message AS whole FROM (SELECT unnest(CASE WHEN broken IS NULL "  # noqa: S608 - the path is quoted
            f"THEN r.events ELSE [NULL] END) AS e FROM ({events.query}))"
        )
    else:
        members, texts = members_of(path)[1], json_texts(path, kind)
        if "modelId" not in members and "message" in members:
            whole = parsed("whole", {"message": "VARCHAR"})
            texts = f"SELECT row, {whole}.message AS whole FROM ({texts})"  # noqa: S608 - the path is quoted
        elif "modelId" not in members and "schemaType" not in members:
            raise WrongFile(f"{path}: this is not {_WHAT}, which has modelId; found {', '.join(list(members)[:12])}")
    body = 'r."output"."outputBodyJson"'
    bodies = f"CASE WHEN starts_with({body}, '[') THEN {parsed(body, [_BODY])} ELSE [{parsed(body, _BODY)}] END"
    query = (
        f"SELECT row, whole, broken, struct_insert(r, body := {bodies}) AS r "  # noqa: S608 - the path is quoted
        f"FROM ({shaped(texts, _SHAPE)})"
    )
    return Records(query)


def _any(member: str) -> str:
    """Return the phrase for the first value of a member in the bodies."""
    return f"list_filter(list_transform(r.body, lambda x: {member}), lambda y: y IS NOT NULL)[1]"


def _kept(ttl: str, name: str) -> str:
    """Return the phrase for the tokens written to a cache that keeps them for a time, as the body says it."""
    said = f'list_filter(u."cacheDetails", lambda d: d.ttl = \'{ttl}\')[1]."inputTokens"'
    found = f"coalesce(u.cache_creation.{name}, {said})"
    usages = "list_transform(r.body, lambda x: coalesce(x.usage, x.message.usage))"
    return f"list_filter(list_transform({usages}, lambda u: {found}), lambda y: y IS NOT NULL)[1]"


def _layout(records: Records, values: dict[str, str], options: Options) -> Layout:
    own = f"coalesce({quoted(options.model)}, v_model)" if options.model else "v_model"
    split = f"{or_zero('n_written_5m')} + {or_zero('n_written_1h')}"
    return Layout(
        records=records,
        values=values,
        counts={
            "input": "inputTokenCount",
            "read": "cacheReadInputTokenCount",
            "written": "cacheWriteInputTokenCount",
            "output": "outputTokenCount",
            "written_5m": "cache writes of 5 minutes",
            "written_1h": "cache writes of an hour",
        },
        moments={"at": "timestamp"},
        columns={
            "source_id": f"coalesce(v_id, {identity('us_at', 'v_model', 'n_input', 'n_output')})",
            "provider": quoted(options.provider or "aws"),
            "model": f"CASE WHEN contains(v_model, 'application-inference-profile/') THEN {own} "
            f"ELSE {bedrock_model('v_model')} END",
            "asked_model": "v_model",
            "operation": "CASE WHEN contains(v_model, 'embed') THEN 'embeddings' ELSE 'chat' END",
            "dialect": "'openai'",
            "service_tier": "v_tier",
            "region": "v_region",
            "user": "CASE WHEN v_arn IS NOT NULL THEN regexp_extract(v_arn, '[^/:]+$') END",
            "key_name": "nullif(regexp_extract(v_arn, 'assumed-role/([^/]+)', 1), '')",
            "project": "v_account",
            "tags": object_tags("v_tags"),
            "outcome": "CASE WHEN v_code IS NOT NULL THEN 'error' ELSE 'ok' END",
            "status": f"TRY_CAST({looked_up(_STATUS, 'v_code')} AS BIGINT)",
            "error": "v_error",
            "finish": "v_finish",
            "stream": "CASE WHEN v_operation IS NOT NULL THEN ends_with(v_operation, 'Stream') END",
            "input": "n_input",
            "cache_read": "n_read",
            "cache_write_5m": f"CASE WHEN {split} > 0 THEN {or_zero('n_written_5m')} ELSE n_written END",
            "cache_write_1h": "n_written_1h",
            "output": "n_output",
            "first_token_ns": length_of("v_first", 1_000_000),
            "total_ns": length_of("v_latency", 1_000_000),
        },
        rules=(
            (
                f"{split} > 0 AND {split} <> n_written",
                told("cacheWriteInputTokenCount: ", "{n_written}", " is not the ", f"{{{split}}}", " of the answer"),
            ),
            (
                "v_code IS NULL AND n_input IS NULL AND n_output IS NULL",
                quoted("inputTokenCount and outputTokenCount are missing: the log says nothing of what was used"),
            ),
        ),
        kept="v_schema = 'ModelInvocationLog'",
    )
