import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.replay import TraceError, TraceRow, parse
from farebox.replay.formats import READERS
from farebox.replay.rows import RowError

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
"""
REORDERED = """GeneratedTokens,x,timestamp,context tokens
44,x,2023-11-16 18:15:46.68059,374
109,y,2023-11-16 18:15:50.995,396
"""
SECOND_AT_S = pytest.approx(4.314579, abs=0.001)


def lengths(rows):
    return [(row.at_s, row.input_tokens, row.output_tokens) for row in rows]


def test_azure_times_count_from_the_first_row(trace_file):
    assert lengths(parse(trace_file(AZURE), "azure")) == [
        (0.0, 374, 44),
        (SECOND_AT_S, 396, 109),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + AZURE,
        AZURE.replace("\n", "\r\n"),
        AZURE.split("\n", 1)[1],
        "\n" + AZURE + "\n\n",
        REORDERED,
        # The trace of 2024 gives the offset from UTC.
        AZURE.replace("6805900", "680590+00:00").replace("9951690", "995169+00:00"),
    ],
    ids=["bom", "crlf", "no header", "blank lines", "other order", "utc offset"],
)
def test_azure_as_people_save_it(trace_file, text):
    assert lengths(parse(trace_file(text), "azure")) == [(0.0, 374, 44), (SECOND_AT_S, 396, 109)]


def test_rejected_rows_are_counted_and_explained(trace_file):
    trace = parse(
        trace_file(AZURE + "yesterday,1,1\n2023-11-16 19:00:00,0,1\n2023-11-16 19:00:00,-3,1\n2023-11-16,5\n"), "azure"
    )
    assert len(list(trace)) == 2
    assert {reason: (seen.rows, seen.first_line) for reason, seen in trace.rejected.items()} == {
        "TIMESTAMP is not a date and time such as 2023-11-16 18:15:46.680590": (1, 4),
        "ContextTokens is below 1": (2, 5),
        "fewer than 3 columns": (1, 7),
    }
    # Reading again counts again, from zero.
    assert len(list(trace)) == 2
    assert sum(seen.rows for seen in trace.rejected.values()) == 4


def test_a_row_dated_before_the_first_comes_at_once(trace_file):
    rows = parse(trace_file("2023-11-16 18:00:10,5,5\n2023-11-16 18:00:00,6,6\n"), "azure")
    assert [row.at_s for row in rows] == [0.0, 0.0]


def test_burstgpt(trace_file):
    text = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,GPT-4,1087,230,1317,API log
118,ChatGPT,417,0,417,Conversation log
"""
    trace = parse(trace_file(text), "burstgpt")
    first, second = trace
    assert (second.at_s, second.input_tokens, second.output_tokens, second.model) == (40.0, 1087, 230, "GPT-4")
    assert first.tags == (("log_type", "Conversation log"),)
    assert list(trace.rejected) == ["Response tokens is 0: the trace recorded a failed request"]


def test_mooncake_blocks_cover_the_prompt(trace_file):
    row = {"timestamp": 500, "input_length": 1030, "output_length": 7, "hash_ids": [0, 4, 9]}
    later = row | {"timestamp": 3500, "hash_ids": [0, 4, 9]}
    short = row | {"hash_ids": [0, 4]}
    text = "\n".join(map(json.dumps, (row, later, short)))
    trace = parse(trace_file(text), "mooncake")
    first, second = trace
    assert second.at_s == 3.0
    assert [(block.id, block.tokens) for block in first.sections[0].blocks] == [(0, 512), (4, 512), (9, 6)]
    assert first.sections == second.sections
    assert list(trace.rejected) == ["hash_ids does not hold one id per 512 tokens of input_length"]


def test_ragpulse_parts_keep_their_lengths(trace_file):
    first = {
        "timestamp": "82", "input_length": 3112, "output_length": 192, "session_id": "s",
        "hash_ids": {"sys_prompt": [1, 2, 3], "passages_ids": [7, 8], "history": [5], "user_input": [9]},
    }  # fmt: skip
    second = {
        "timestamp": "92", "input_length": 2000, "output_length": 3, "session_id": "s",
        "hash_ids": {"sys_prompt": [1, 2, 4], "passages_ids": [8], "web_search": [6], "user_input": [10]},
    }  # fmt: skip
    one, two = parse(trace_file(json.dumps(first) + "\n\n" + json.dumps(second)), "ragpulse")
    assert two.at_s == 10.0
    assert [section.part for section in one.sections] == ["system", "history", "passages", "user"]
    assert [section.part for section in two.sections] == ["system", "passages", "web", "user"]
    assert sum(block.tokens for section in one.sections for block in section.blocks) == one.input_tokens == 3112
    assert one.sections[0].blocks[:2] == two.sections[0].blocks[:2]
    assert one.sections[2].blocks[1] == two.sections[1].blocks[0]


def test_jsonl(trace_file):
    text = """{"at_s": 1.5, "input_tokens": 10, "output_tokens": 2}
{"at_s": 2, "input_tokens": 10, "output_tokens": 2, "model": "m", "prompt": "hello"}
{"at_s": 2, "input_tokens": 10, "output_tokens": 2, "promt": "hello"}
{"at_s": 2, "input_tokens": 10}
{"at_s": 2, "input_tokens": 2.5, "output_tokens": 2}
nonsense
"""
    trace = parse(trace_file(text), "jsonl")
    fresh, literal = trace
    assert (literal.at_s, literal.model, literal.prompt, literal.sections) == (0.5, "m", "hello", ())
    assert fresh.sections[0].blocks[0].tokens == 10
    reasons = list(trace.rejected)
    assert len(reasons) == 4
    assert "promt" in reasons[0]
    assert "output_tokens" in reasons[1]
    assert "$.input_tokens" in reasons[2]


@pytest.mark.parametrize("name", list(READERS))
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_no_text_breaks_a_reader(name, text):
    for number, row in READERS[name](text.splitlines(keepends=True)):
        assert number >= 1
        assert isinstance(row, TraceRow | RowError)


def test_a_field_of_any_size_is_a_row_or_a_reason(trace_file):
    trace = parse(trace_file(AZURE + "x" * 200_000 + ",1,1\n2023-11-16 19:00:00,99999999999,1\n"), "azure")
    assert len(list(trace)) == 2
    assert sum(seen.rows for seen in trace.rejected.values()) == 2


def test_unknown_format_names_the_known_ones():
    with pytest.raises(TraceError, match="azure, mooncake, ragpulse, burstgpt, jsonl"):
        parse("x", "csv")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TraceError, match="No such file"):
        list(parse(tmp_path / "none", "azure"))


@pytest.mark.parametrize(
    ("name", "trace_format", "rows", "input_tokens", "output_tokens"),
    [
        ("azure_2023_code.csv", "azure", 8819, 18_059_974, 245_896),
        ("azure_2023_conv.csv", "azure", 19366, 22_361_870, 4_088_665),
        ("mooncake_conversation_trace.jsonl", "mooncake", 12031, 144_793_823, 4_122_048),
        ("ragpulse_trace.jsonl", "ragpulse", 7106, 20_917_099, 2_012_676),
    ],
)
def test_published_traces_are_read_whole(published, name, trace_format, rows, input_tokens, output_tokens):
    trace = parse(published(name), trace_format)
    found = list(trace)
    assert not trace.rejected
    assert len(found) == rows
    assert sum(row.input_tokens for row in found) == input_tokens
    assert sum(row.output_tokens for row in found) == output_tokens
    written = sum(block.tokens for row in found for section in row.sections for block in section.blocks)
    assert written == pytest.approx(input_tokens, rel=0.005)
