"""One row per attempt: the columns of the books, and the row that a `Sent` and its `Done` make.

Columns are added at the end and never change their meaning; a file written before a column, or a field of a line,
existed reads NULL there. NULL means "not reported", which is not 0. Amounts are whole femtodollars (1e-15 USD).
"""

from collections.abc import Iterable

import msgspec

from farebox.charge import Line
from farebox.journal.record import Done, Sent
from farebox.usage import METERS

NS_PER_DAY = 86_400_000_000_000
PARTS = ("system", "tools", "history", "context", "user")


class Column(msgspec.Struct, frozen=True):
    """A column of the books.

    Attributes:
        name: as in the Parquet files.
        kind: DuckDB's type of it.
        meaning: for the documentation.
    """

    name: str
    kind: str
    meaning: str


LINE_KIND = (
    "STRUCT(meter VARCHAR, quantity BIGINT, unit_price_femto DECIMAL(38,0), amount_femto DECIMAL(38,0), "
    "rate VARCHAR, per BIGINT)[]"
)

COLUMNS: tuple[Column, ...] = (
    Column("attempt", "VARCHAR", "attempt id, `<call>.<number>`"),
    Column("call", "VARCHAR", "call id"),
    Column("number", "BIGINT", "number of the attempt within its call, from 1"),
    Column("sent_at", "TIMESTAMP_NS", "UTC, when the attempt was put on record, before its first byte left"),
    Column("done_at", "TIMESTAMP_NS", "UTC, when its end was known"),
    Column("key", "VARCHAR", "id of the virtual key, empty for open access"),
    Column("key_name", "VARCHAR", "the key's name at that time"),
    Column("user", "VARCHAR", "the end user the client named, or empty"),
    Column("tags", "MAP(VARCHAR, VARCHAR)", "the call's tags"),
    Column("dialect", "VARCHAR", "of the client: `openai` or `anthropic`"),
    Column("operation", "VARCHAR", "`chat`, `embeddings`, `messages` or `count_tokens`"),
    Column("provider_operation", "VARCHAR", "what was asked of the provider in its own dialect, or empty"),
    Column("asked_model", "VARCHAR", "what the client asked for"),
    Column("provider", "VARCHAR", "name of the provider in the configuration"),
    Column("rate_provider", "VARCHAR", "whose rates apply: the provider's id in the price book"),
    Column("model", "VARCHAR", "what was asked of the provider"),
    Column("asked_tier", "VARCHAR", "the service tier that was asked for, or empty"),
    Column("stream", "BOOLEAN", "whether the answer streamed"),
    Column("body_bytes", "BIGINT", "size of the body that was sent"),
    Column("part_system", "BIGINT", "UTF-8 bytes of system and developer prompts in the input"),
    Column("part_tools", "BIGINT", "UTF-8 bytes of tool definitions"),
    Column("part_history", "BIGINT", "UTF-8 bytes of earlier turns"),
    Column("part_context", "BIGINT", "UTF-8 bytes of retrieved context"),
    Column("part_user", "BIGINT", "UTF-8 bytes of new user text"),
    Column("output_cap", "BIGINT", "the output limit sent to the provider in tokens, over all choices"),
    Column("outcome", "VARCHAR", "how it ended, see below"),
    Column("final", "BOOLEAN", "whether the client got this attempt's answer"),
    Column("status", "BIGINT", "HTTP status of the provider, 0 where there was none"),
    Column("finish", "VARCHAR", "the provider's own finish reason, or empty"),
    Column("flags", "VARCHAR[]", "what to know before trusting the amount, see below"),
    Column("error", "VARCHAR", "the provider's or the transport's words, or empty"),
    Column("usage_raw", "VARCHAR", "the provider's usage object, verbatim JSON, or empty"),
    Column("meters", "MAP(VARCHAR, BIGINT)", "disjoint quantities by meter"),
    Column("input_tokens", "BIGINT", "sum of the input meters"),
    Column("output_tokens", "BIGINT", "sum of the output meters"),
    Column("lines", LINE_KIND, "the charge, line by line, see below"),
    Column("total_femto", "DECIMAL(38,0)", "sum of the lines in femtodollars, NULL where unpriced"),
    Column("unpriced", "VARCHAR", "why there is no price, or empty"),
    Column("book", "VARCHAR", "hash of the price book"),
    Column("answered_model", "VARCHAR", "the model the provider says it used, or empty"),
    Column("service_tier", "VARCHAR", "the tier the provider says it used, or empty"),
    Column("provider_request", "VARCHAR", "the provider's request id, or empty"),
    Column("first_token_ns", "BIGINT", "from sending to the first event with content"),
    Column("total_ns", "BIGINT", "from sending to the end"),
    Column("gateway_ns", "BIGINT", "time spent inside Farebox"),
    Column("writer", "VARCHAR", "directory in the journal that the attempt came from"),
    Column("region", "VARCHAR", "of the provider's endpoint as configured, or empty"),
    Column("deployment", "VARCHAR", "kind of deployment behind the endpoint as configured, or empty"),
    Column("reported_femto", "DECIMAL(38,0)", "what the provider says the attempt cost, in femtodollars"),
    Column("team", "VARCHAR", "of the key, or empty"),
    Column("project", "VARCHAR", "of the key, or empty"),
    Column("hold_femto", "DECIMAL(38,0)", "what was reserved in budgets in USD, in femtodollars; 0 where none applied"),
    Column("charged_femto", "DECIMAL(38,0)", "what budgets in USD were charged where that is not the total, or NULL"),
    Column("route", "VARCHAR", "why it was sent to this target, in words, or empty"),
    Column("provider_key", "VARCHAR", "name of the provider's key that was used; empty where it has one"),
    Column("role", "VARCHAR", "what it was made for: `first`, `failover`, `repeat`, `hedge` or `shadow`"),
    Column("source", "VARCHAR", "format of the log that it was imported from; empty where Farebox metered it"),
    Column("requests", "BIGINT", "how many requests the row stands for, where that is not one"),
    Column("processing", "VARCHAR", "`batch` where it went through a batch channel, or empty"),
    Column("speed", "VARCHAR", "the speed the provider says it used, or empty"),
    Column("facts", "MAP(VARCHAR, VARCHAR)", "what else decides its price"),
    Column("recorded_femto", "DECIMAL(38,0)", "what the imported log says it cost, in femtodollars"),
    Column("session", "VARCHAR", "the conversation it belongs to, where the source says so"),
    Column("blocks", "BIGINT[]", "ids of the prompt's blocks in order: the same ids from the start, the same prefix"),
    Column("block_tokens", "BIGINT", "tokens of each block; the last may be shorter"),
)

_MOMENTS = ("sent_at", "done_at")


class LinePart(msgspec.Struct, gc=False):
    """A line of a charge within a `Row`; unlike `charge.Line` it is written with its names."""

    meter: str
    quantity: int
    unit_price_femto: int
    amount_femto: int
    rate: str
    per: int


class Row(msgspec.Struct, gc=False):
    """An attempt as it is handed to DuckDB; the field names are the columns' names, moments are nanoseconds."""

    attempt: str
    call: str
    number: int
    sent_at: int
    done_at: int
    key: str
    key_name: str
    user: str
    tags: dict[str, str]
    dialect: str
    operation: str
    provider_operation: str
    asked_model: str
    provider: str
    rate_provider: str
    model: str
    asked_tier: str
    stream: bool
    body_bytes: int
    part_system: int | None
    part_tools: int | None
    part_history: int | None
    part_context: int | None
    part_user: int | None
    output_cap: int | None
    outcome: str
    final: bool
    status: int
    finish: str
    flags: tuple[str, ...]
    error: str
    usage_raw: str
    meters: dict[str, int]
    input_tokens: int | None
    output_tokens: int | None
    lines: list[LinePart]
    total_femto: int | None
    unpriced: str
    book: str
    answered_model: str
    service_tier: str
    provider_request: str
    first_token_ns: int | None
    total_ns: int
    gateway_ns: int
    writer: str
    region: str
    deployment: str
    reported_femto: int | None
    team: str
    project: str
    hold_femto: int
    charged_femto: int | None
    route: str
    provider_key: str
    role: str
    source: str = ""
    requests: int | None = None
    processing: str = ""
    speed: str = ""
    facts: dict[str, str] = {}
    recorded_femto: int | None = None
    session: str | None = None
    blocks: list[int] | None = None
    block_tokens: int | None = None


def row_of(sent: Sent, done: Done, writer: str) -> Row:
    """Return the row of an attempt, given both its records and the writer's directory name."""
    input_tokens, output_tokens = _family_sums(done.meters)
    return Row(
        attempt=sent.attempt,
        call=sent.call,
        number=sent.number,
        sent_at=sent.at_ns,
        done_at=done.at_ns,
        key=sent.key,
        key_name=sent.key_name,
        user=sent.user,
        tags=sent.tags,
        dialect=sent.dialect,
        operation=sent.operation,
        provider_operation=sent.provider_operation,
        asked_model=sent.asked_model,
        provider=sent.provider,
        rate_provider=sent.rate_provider,
        model=sent.model,
        asked_tier=sent.asked_tier,
        stream=sent.stream,
        body_bytes=sent.body_bytes,
        part_system=sent.parts.get("system"),
        part_tools=sent.parts.get("tools"),
        part_history=sent.parts.get("history"),
        part_context=sent.parts.get("context"),
        part_user=sent.parts.get("user"),
        output_cap=sent.output_cap,
        outcome=done.outcome,
        final=done.final,
        status=done.status,
        finish=done.finish,
        flags=done.flags,
        error=done.error,
        usage_raw=done.usage_raw.decode("utf-8", "replace"),
        meters=done.meters,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        lines=_parts_of(done.lines),
        total_femto=done.total_femto,
        unpriced=done.unpriced,
        book=done.book,
        answered_model=done.answered_model,
        service_tier=done.service_tier,
        provider_request=done.provider_request,
        first_token_ns=done.first_token_ns,
        total_ns=done.total_ns,
        gateway_ns=done.gateway_ns,
        writer=writer,
        region=sent.region,
        deployment=sent.deployment,
        reported_femto=done.reported_femto,
        team=sent.team,
        project=sent.project,
        hold_femto=sent.hold_femto,
        charged_femto=done.charged_femto,
        route=sent.route,
        provider_key=sent.provider_key,
        role=sent.role,
    )


def _parts_of(lines: Iterable[Line]) -> list[LinePart]:
    return [
        LinePart(line.meter, line.quantity, line.unit_price_femto, line.amount_femto, line.rate, line.per)
        for line in lines
    ]


def _family_sums(meters: dict[str, int]) -> tuple[int | None, int | None]:
    """Return the units of the input and of the output meters, None where a family was not reported at all."""
    inputs: int | None = None
    outputs: int | None = None
    for name, quantity in meters.items():
        family = _FAMILY.get(name)
        if family == "input":
            inputs = (inputs or 0) + quantity
        elif family == "output":
            outputs = (outputs or 0) + quantity
    return inputs, outputs


_FAMILY = {meter.name: meter.family for meter in METERS.values()}


def _quoted(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def select_from_json(path: str) -> str:
    """Return SQL that reads rows, one JSON object a line, as the columns of the books."""
    kinds = ", ".join(
        f"{_quoted(column.name)}: {_quoted('BIGINT' if column.name in _MOMENTS else column.kind)}" for column in COLUMNS
    )
    moments = ", ".join(f"make_timestamp_ns({name}) AS {name}" for name in _MOMENTS)
    # A row may carry a usage object of any size the journal holds; the reader's default stops at 16 MiB.
    return (
        f"SELECT * REPLACE ({moments}) FROM read_json({_quoted(path)}, format = 'newline_delimited', "  # noqa: S608 - the path is ours and quoted
        f"columns = {{{kinds}}}, hive_partitioning = false, maximum_object_size = 134217728)"
    )


def select_from_files(paths: list[str]) -> str:
    """Return SQL that reads the books' columns from Parquet files; of no files it makes an empty table.

    Every column is there whatever the age of the files: what they lack is NULL.
    """
    absent = ", ".join(f'NULL::{column.kind} AS "{column.name}"' for column in COLUMNS)
    nothing = f"SELECT {absent} WHERE false"
    if not paths:
        return nothing
    listed = ", ".join(_quoted(path) for path in paths)
    read = f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"
    names = ", ".join(f'"{column.name}"' for column in COLUMNS)
    return f"SELECT {names} FROM ({nothing} UNION ALL BY NAME SELECT * FROM {read})"  # noqa: S608 - as above


def day_of(at_ns: int) -> int:
    """Return the number of the UTC day since the epoch."""
    return at_ns // NS_PER_DAY
