"""The formats that can be imported, and the reader of each."""

from collections.abc import Callable

import msgspec

from farebox.imports import (
    anthropic_usage,
    bedrock,
    columns,
    helicone,
    langfuse,
    litellm,
    openai_usage,
    openrouter,
    otel,
    traces,
)
from farebox.imports.options import Options


class Format(msgspec.Struct, frozen=True):
    """A format.

    Attributes:
        select: reads a file: see `intake.COLUMNS_READ` for what comes of it.
        meaning: for people.
        counts_from_start: whether its times count from the beginning of the file.
    """

    select: Callable[[str, Options], str]
    meaning: str
    counts_from_start: bool = False


FORMATS: dict[str, Format] = {
    "azure": Format(traces.select_azure, "Azure LLM inference traces (CSV)"),
    "mooncake": Format(traces.select_mooncake, "Mooncake traces (JSON lines)", counts_from_start=True),
    "ragpulse": Format(traces.select_ragpulse, "RAGPulse trace (JSON lines)", counts_from_start=True),
    "burstgpt": Format(traces.select_burstgpt, "BurstGPT traces (CSV)", counts_from_start=True),
    "jsonl": Format(columns.select, "JSON lines of any program, by column"),
    "csv": Format(columns.select, "CSV of any program, by column"),
    "parquet": Format(columns.select, "Parquet of any program, by column"),
    "litellm": Format(litellm.select, "LiteLLM's spend logs"),
    "langfuse": Format(langfuse.select, "Langfuse's export of observations"),
    "helicone": Format(helicone.select, "Helicone's export of requests"),
    "otel": Format(otel.select, "OpenTelemetry spans of generative AI (OTLP JSON)"),
    "openai-usage": Format(openai_usage.select, "OpenAI's usage reports"),
    "anthropic-usage": Format(anthropic_usage.select, "Anthropic's usage reports"),
    "openrouter": Format(openrouter.select, "OpenRouter's activity"),
    "bedrock": Format(bedrock.select, "Amazon Bedrock's model invocation log"),
}
