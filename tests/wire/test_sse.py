"""The decoder, cut everywhere, against a parser that is slow and plain enough to be believed."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.wire.sse import Event, EventTooLarge, SseDecoder, encode, encode_comment

CORPUS = {
    "openai": b'data: {"a":1}\n\ndata: {"b":"x"}\n\ndata: [DONE]\n\n',
    "anthropic": b'event: message_start\ndata: {"type":"message_start"}\n\nevent: ping\ndata: {"type": "ping"}\n\n',
    "crlf": b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n",
    "cr": b"data: 1\r\rdata: 2\r\r",
    "mixed_ends": b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\n\r\rdata: 4\n\n",
    "comments": b": open\n\n:\n:ping\n\ndata: 1\n: inside\n\n",
    "multi_line": b"data: a\ndata: b\ndata\ndata:\n\n",
    "no_space": b"data:1\n\ndata:  two spaces\n\nevent:e\ndata:x\n\n",
    "colon_in_value": b"data: a:b: c\n\n",
    "line_separators": 'data: {"t":"a\u2028b\u2029c\u0085d\x0b\x0c\x1c"}\n\n'.encode(),
    "utf8": "data: Grüße, 世界 🌍\n\nevent: ü\ndata: é\n\n".encode(),
    "bom": b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n",
    "bom_twice": b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n",
    "bom_later": b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n",
    "not_a_bom": b"\xef\xbbdata: 1\n\n",
    "empty_data": b"data:\n\ndata: \n\nevent: only\n\n",
    "blank_only": b"\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n\r\n",
    "other_fields": b"id: 7\nretry: 100\nnonsense\ndata: 1\nid\n\n",
    "event_twice": b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n",
    "event_multi": b"event: a\ndata: 1\ndata: 2\n\nevent: b\ndata: 3\n\n",
    "unfinished": b"data: 1\n\ndata: 2\nevent: x",
    "unfinished_line": b"data: 1\n\ndata: 2\n",
    "empty": b"",
}


def reference(stream: bytes) -> list[tuple[bytes, bytes]]:
    """Every empty line of the stream, with the data and the name gathered before it."""
    stream = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events = []
    data: list[bytes] = []
    name = b""
    for line in stream.split(b"\n")[:-1]:
        if not line:
            events.append((b"\n".join(data), name))
            data, name = [], b""
        elif line.startswith((b"data:", b"event:")) or line in {b"data", b"event"}:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            else:
                name = value
    return events


def decode(parts: list[bytes]) -> tuple[list[Event], bytes]:
    decoder = SseDecoder()
    events = [event for part in parts for event in decoder.feed(part)]
    return events, decoder.rest()


def check(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    events, rest = decode(parts)
    assert b"".join(event.raw for event in events) + rest == stream
    assert [(event.data, event.name) for event in events] == reference(stream)


@pytest.mark.parametrize("stream", CORPUS.values(), ids=CORPUS)
def test_whole(stream: bytes) -> None:
    check([stream])


@pytest.mark.parametrize("stream", CORPUS.values(), ids=CORPUS)
def test_byte_by_byte(stream: bytes) -> None:
    check([stream[at : at + 1] for at in range(len(stream))])


@pytest.mark.parametrize("stream", CORPUS.values(), ids=CORPUS)
def test_every_split(stream: bytes) -> None:
    for at in range(len(stream) + 1):
        check([stream[:at], stream[at:]])
        check([b"data: 0\n\n", stream[:at], b"", stream[at:]])


@given(
    st.lists(st.sampled_from(list(CORPUS.values())), max_size=4).map(b"".join),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_random_streams_and_splits(stream: bytes, cuts: list[int]) -> None:
    marks = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    check([stream[a:b] for a, b in pairwise(marks)])


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([b"data: ", b"data:", b"event: ", b":", b"x", b" ", b"\n", b"\r", b"\n\n", b"\xef\xbb\xbf"])
    ),
    st.integers(1, 7),
)
def test_random_pieces(pieces: list[bytes], width: int) -> None:
    stream = b"".join(pieces)
    check([stream[at : at + width] for at in range(0, len(stream), width)])


def test_usual_chunks_share_one_path_with_unusual_ones() -> None:
    plain = b'data: {"a":1}\n\n' * 3 + b"event: e\ndata: 2\n\n"
    fast, slow = SseDecoder(), SseDecoder()
    fast.feed(b"data: 0\n\n")
    slow.feed(b"data: 0\n\n:")  # something is buffered, so the lines are read one by one
    first, *others = slow.feed(b"\n\n" + plain)
    assert first.data == b""
    assert fast.feed(plain) == others


def test_a_chunk_of_the_usual_form_ends_the_wait_for_a_line_feed() -> None:
    check([b"data: 1\r\r", b"data: 2\n\n", b"\ndata: 3\n\n"])


def test_an_event_is_handed_out_when_its_empty_line_ends_with_cr() -> None:
    decoder = SseDecoder()
    assert [event.data for event in decoder.feed(b"data: 1\r\n\r")] == [b"1"]
    (event,) = decoder.feed(b"\ndata: 2\r\n\r\n")
    assert event == Event(b"\ndata: 2\r\n\r\n", b"2", b"")
    assert decoder.rest() == b""


def test_a_large_event_that_has_not_ended_is_refused() -> None:
    decoder = SseDecoder(max_event_bytes=100)
    assert decoder.feed(b"data: " + b"x" * 94) == []
    with pytest.raises(EventTooLarge, match="101 bytes and no end; at most 100") as caught:
        decoder.feed(b"y")
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (101, 100)
    assert isinstance(caught.value, ValueError)


def test_events_before_the_large_one_are_not_lost() -> None:
    decoder = SseDecoder(max_event_bytes=10)
    assert [event.data for event in decoder.feed(b"data: 1\n\n" + b"x" * 11)] == [b"1"]
    with pytest.raises(EventTooLarge):
        decoder.feed(b"")
    assert decoder.rest() == b"x" * 11


def test_the_limit_is_per_event_not_per_stream() -> None:
    decoder = SseDecoder(max_event_bytes=20)
    assert sum(len(decoder.feed(b"data: 12345\n\n:")) for _ in range(100)) == 100


@given(st.binary(), st.sampled_from([b"", b"error", b"content_block_delta"]))
def test_encode_is_read_back(data: bytes, name: bytes) -> None:
    (event,) = SseDecoder().feed(encode(data, name))
    assert event.data == data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert event.name == name


def test_encode_spells_the_usual_forms() -> None:
    assert encode(b"[DONE]") == b"data: [DONE]\n\n"
    assert encode(b"{}", b"ping") == b"event: ping\ndata: {}\n\n"
    assert encode_comment(b"ping") == b": ping\n\n"
