"""Counts of server-side tools are found under whatever name they go by."""

from typing import Any

import pytest

from farebox.errors import UsageViolation
from farebox.normalise.server_tools import TOOLS, meter_of, read_tools, tool_of
from farebox.usage import METERS


@pytest.mark.parametrize(
    "name",
    [
        "web_search",
        "WEB_SEARCH",
        "web-search",
        "webSearch",
        "SERVER_SIDE_TOOL_WEB_SEARCH",
        "web_search_calls",
        "web_search_requests",
        "num_web_searches",
        "webSearchQueries",
        "web_search_count",
    ],
)
def test_a_search_of_the_web_has_many_names(name: str) -> None:
    assert tool_of(name) == "web_search"


@pytest.mark.parametrize(
    "name", ["total_tokens", "search_context_size", "num_sources_used", "queue_time", "web_searches_used", ""]
)
def test_other_names_are_no_tools(name: str) -> None:
    assert tool_of(name) not in TOOLS


def test_every_tool_has_a_meter_of_fees_or_is_free() -> None:
    assert {METERS[meter].family for meter in TOOLS.values() if meter} == {"fee"}


def test_code_is_billed_by_the_session_at_some_providers() -> None:
    assert meter_of("code_interpreter", "openai") == meter_of("code_interpreter", "azure") == "code_session"
    assert meter_of("code_interpreter", "x-ai") == "code_execution"


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (None, {}),
        ([], {}),
        (["web_search", {"type": "x_search"}, {"name": "web_search"}], {"web_search": 2, "x_search": 1}),
        ({"web_search": {"num_requests": 2}, "file_search": [1, 2, 3]}, {"web_search": 2, "file_search": 3}),
        ({"web_search": None, "mcp": 7, "unheard_of": 0}, {"web_search": 0}),
        ({"web_search": "2", "search_web": 1}, {"web_search": 3}),
        ({"grounding": {"webSearchQueries": ["a", "b"]}}, {"web_search": 2}),
        ({"shell_of_tomorrow": {"num_runs": 0}, "web_search": 1}, {"web_search": 1}),
    ],
)
def test_counts_are_read_from_lists_and_objects(value: Any, counts: dict[str, int]) -> None:
    assert read_tools(value, "tools", "x-ai") == counts


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("web_search", "a list of tools or an object"),
        ([5], "a list of names"),
        ({"web_search": 1.5}, "not whole"),
        ({"web_search": True}, "not a number"),
        ({"web_search": {"depth": 1}}, "has a count"),
        ({"unheard_of": 1}, "none of attachment_search"),
        ({"unheard_of": {"num_runs": 1}}, "none of attachment_search"),
    ],
)
def test_what_is_no_count_is_refused(value: Any, said: str) -> None:
    with pytest.raises(UsageViolation, match=said):
        read_tools(value, "tools", "x-ai")
