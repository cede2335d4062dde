import json

import pytest

from farebox.replay.answer import Answer, Unreadable, read_fault

OPENAI = (
    b': hello\n\ndata: {"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}\n\n'
    b'data: {"choices":[{"delta":{"content":"\xe2\x80\xa8\xc3\xa9"}}]}\r\n\r\n'
    b'data: {"choices":[],\ndata: "usage":{"prompt_tokens":9,"completion_tokens":4,'
    b'"prompt_tokens_details":{"cached_tokens":3}}}\n\n'
    b"data: [DONE]\n\n"
)
ANTHROPIC = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":2,'
    b'"cache_read_input_tokens":3,"cache_creation_input_tokens":4,"output_tokens":1}}}\n\n'
    b'event: ping\ndata: {"type":"ping"}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":4}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@pytest.mark.parametrize(("dialect", "stream", "cached"), [("openai", OPENAI, 3), ("anthropic", ANTHROPIC, 3)])
def test_stream_cut_anywhere(dialect, stream, cached):
    whole = Answer(dialect)
    whole.feed(stream)
    assert (whole.input_tokens, whole.cached_tokens, whole.output_tokens) == (9, cached, 4)
    assert whole.started
    assert whole.ended
    for cut in range(len(stream) + 1):
        answer = Answer(dialect)
        answer.feed(stream[:cut])
        assert answer.ended == (cut == len(stream))
        answer.feed(stream[cut:])
        assert vars(answer) == vars(whole)


def test_content_starts_with_text_not_with_the_role():
    answer = Answer("openai")
    answer.feed(OPENAI[:90])
    assert answer.events == 1
    assert not answer.started


@pytest.mark.parametrize("error", [{"message": "too much", "type": "overloaded"}, "too much"])
def test_error_in_a_stream(error):
    answer = Answer("openai")
    answer.feed(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
    assert answer.fault == "too much"
    assert not answer.ended


def test_whole_answers():
    answer = Answer("openai")
    answer.read_body(b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":5,"completion_tokens":0}}')
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens, answer.ended) == (5, 0, 0, True)
    answer = Answer("anthropic")
    answer.read_body(b'{"type":"message","content":[]}')
    assert (answer.input_tokens, answer.output_tokens) == (None, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"usage":{"prompt_tokens":"5"}}'])
def test_unreadable(body):
    with pytest.raises(Unreadable):
        Answer("openai").read_body(body)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"error":{"message":"no such model"}}', "no such model"),
        (b'{"error":"Unauthorized"}', "Unauthorized"),
        (b"bad gateway\n", "bad gateway"),
        (b"", "an empty body"),
    ],
)
def test_error_bodies(body, fault):
    assert read_fault(body) == fault
