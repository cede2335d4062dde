"""The tables against the published requests, and the page against the tables.

To rewrite the tables of the page: FAREBOX_WRITE_DOCS=1 pytest tests/translate/test_matrix.py
"""

import json
import os
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic.types
import pytest
from anthropic.types import message_create_params

from farebox.translate import anthropic_openai_fields, openai_anthropic_fields
from farebox.translate.matrix import markdown
from farebox.translate.openai_anthropic_response import FINISH_REASONS
from farebox.translate.table import TRANSLATIONS, find

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/translation.md"
OPENAPI = ROOT.parent / "shared/data/openapi/openapi.json"


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    if not OPENAPI.exists():
        pytest.skip("../shared/data/openapi/openapi.json is absent")
    found = json.loads(OPENAPI.read_text())["components"]["schemas"]
    assert isinstance(found, dict)
    return found


def properties(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    yield from schema.get("properties", {})
    for part in schema.get("allOf", ()):
        yield from properties(part, schemas)


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        ("CreateChatCompletionRequest", openai_anthropic_fields.REQUEST),
        ("ChatCompletionRequestSystemMessage", openai_anthropic_fields.SYSTEM),
        ("ChatCompletionRequestDeveloperMessage", openai_anthropic_fields.SYSTEM),
        ("ChatCompletionRequestUserMessage", openai_anthropic_fields.USER),
        ("ChatCompletionRequestAssistantMessage", openai_anthropic_fields.ASSISTANT),
        ("ChatCompletionRequestToolMessage", openai_anthropic_fields.TOOL),
        ("ChatCompletionRequestMessageContentPartText", openai_anthropic_fields.PARTS["text"]),
        ("ChatCompletionRequestMessageContentPartImage", openai_anthropic_fields.PARTS["image_url"]),
        ("ChatCompletionRequestMessageContentPartFile", openai_anthropic_fields.PARTS["file"]),
        ("ChatCompletionTool", openai_anthropic_fields.TOOL_DEFINITION),
        ("FunctionObject", openai_anthropic_fields.FUNCTION),
    ],
)
def test_every_field_that_openai_publishes_is_decided(schema: str, fields: Any, schemas: dict[str, Any]) -> None:
    published = set(properties(schemas[schema], schemas))
    assert published
    assert published - set(fields) == set()


BLOCK_PARAMS = {
    "text": anthropic.types.TextBlockParam,
    "image": anthropic.types.ImageBlockParam,
    "document": anthropic.types.DocumentBlockParam,
    "tool_use": anthropic.types.ToolUseBlockParam,
    "tool_result": anthropic.types.ToolResultBlockParam,
    "thinking": anthropic.types.ThinkingBlockParam,
    "redacted_thinking": anthropic.types.RedactedThinkingBlockParam,
}


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        (message_create_params.MessageCreateParamsStreaming, anthropic_openai_fields.REQUEST),
        (anthropic.types.ToolParam, anthropic_openai_fields.TOOL),
        (anthropic.types.MetadataParam, anthropic_openai_fields.METADATA),
        (anthropic.types.OutputConfigParam, anthropic_openai_fields.OUTPUT_CONFIG),
        (anthropic.types.JSONOutputFormatParam, anthropic_openai_fields.OUTPUT_FORMAT),
        (anthropic.types.ThinkingConfigEnabledParam, anthropic_openai_fields.THINKING),
        (anthropic.types.ThinkingConfigAdaptiveParam, anthropic_openai_fields.THINKING),
        (anthropic.types.ToolChoiceToolParam, anthropic_openai_fields.TOOL_CHOICE),
        (anthropic.types.MessageParam, anthropic_openai_fields.MESSAGE),
        *((params, anthropic_openai_fields.BLOCKS[kind]) for kind, params in BLOCK_PARAMS.items()),
    ],
)
def test_every_field_that_anthropic_publishes_is_decided(params: Any, fields: Any) -> None:
    for one in typing.get_args(params) or (params,):
        published = set(one.__annotations__)
        assert published
        assert published - set(fields) == set()


def test_every_stop_reason_of_anthropic_has_a_counterpart() -> None:
    assert set(typing.get_args(anthropic.types.StopReason)) == set(FINISH_REASONS)


def test_the_table_names_both_directions_and_no_other() -> None:
    assert set(TRANSLATIONS) == {("openai", "anthropic"), ("anthropic", "openai")}
    assert find("openai", "openai") is None
    assert find("anthropic", "anthropic") is None
    with pytest.raises(KeyError):
        find("openai", "gemini")


def test_the_page_has_the_tables_of_the_code() -> None:
    page = PAGE.read_text()
    written = page
    for name, table in markdown().items():
        before, mark, after = written.partition(f"<!-- table: {name} -->\n")
        _, end, rest = after.partition("<!-- end -->")
        assert mark, f"docs/translation.md lacks the table {name}"
        assert end, f"docs/translation.md does not end the table {name}"
        written = before + mark + table + end + rest
    if os.environ.get("FAREBOX_WRITE_DOCS"):
        PAGE.write_text(written)
    assert page == written, "the tables changed: FAREBOX_WRITE_DOCS=1 pytest tests/translate/test_matrix.py"
