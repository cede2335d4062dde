"""Strict JSON: what is forwarded must mean what was sent, to every parser."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import BadRequest
from farebox.wire.json_body import encode, parse_object

TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)
# Keys with what the short cut counts and what hides from it.
KEYS = st.sampled_from(["a", "b", ":", "a:b", "::", '"', "\\u003a", "é", "\u2028", "{", "}"])


def refuse(raw: bytes, max_depth: int = 64) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse_object(raw, max_depth)
    return caught.value


@given(OBJECTS, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_any_object_is_read_and_means_the_same_afterwards(body: dict[str, Any], ascii_only, indent) -> None:
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    read = parse_object(raw, 200)
    assert read == body
    assert json.loads(encode(read)) == body
    assert json.dumps(json.loads(encode(read))) == json.dumps(body), "order and kinds of numbers are kept"


class Pairs(list[tuple[str, Any]]):
    """An object as pairs, which may name a key twice."""


def write(value: Any, escape: bool) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{spell(key, escape)}: {write(inner, escape)}" for key, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write(inner, escape) for inner in value) + "]"
    return json.dumps(value)


def spell(key: str, escape: bool) -> str:
    """A key, perhaps with each character escaped, so that equal keys look different."""
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in key) + '"' if escape else json.dumps(key)


def doubles(value: Any) -> bool:
    if isinstance(value, Pairs):
        keys = [key for key, _ in value]
        return len(set(keys)) < len(keys) or any(doubles(inner) for _, inner in value)
    return isinstance(value, list) and any(map(doubles, value))


@given(
    st.recursive(
        st.sampled_from([1, ":", "a:b", None, "{::"]),
        lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(Pairs),
        max_leaves=10,
    ),
    st.booleans(),
)
def test_a_key_that_stands_twice_is_refused_wherever_it_stands(value, escape) -> None:
    raw = write(Pairs([("body", value)]), escape).encode()
    if doubles(value):
        assert refuse(raw, 200).code == "duplicate_key"
    else:
        assert parse_object(raw, 200) == json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1}, "a": 2}',
        b'{"a": 2, "a": {"b": 1}}',
        b'{"a": ":", "a": "x"}',
        b'{"a": "x:y", "b": {"c": 1, "c": 2}}',
        b'{"\\u0061": 1, "a": 2}',
        b'{"a": "\\u003a", "b": 1, "b": 2}',
        b'{"a": "\\u003A", "b": 1, "b": 2}',
        b'[{"a": 1}]'.replace(b"[", b'{"x": [').replace(b"]", b', {"y": 1, "y": 2}]}'),
    ],
)
def test_twice_in_known_disguises(raw) -> None:
    error = refuse(raw)
    assert (error.status, error.code) == (400, "duplicate_key")
    assert "stands twice" in error.message


@pytest.mark.parametrize("number", ["1" + "0" * 30, "-" + "9" * 25, "18446744073709551616", "-9223372036854775809"])
def test_integers_beyond_64_bits_are_kept(number) -> None:
    raw = b'{"seed":' + number.encode() + b"}"
    assert encode(parse_object(raw, 64)) == raw


@pytest.mark.parametrize(
    "raw", [b"", b" ", b"\xef\xbb\xbf{}", b"{}\x00", b'{"a":"\xed\xa0\x80"}', b'{"\xff":1}', b"nul"]
)
def test_what_is_no_json(raw) -> None:
    assert refuse(raw).code == "invalid_json"


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw) -> None:
    try:
        body = parse_object(raw, 8)
    except BadRequest:
        return
    assert json.loads(raw) == body


@given(st.integers(1, 90), st.booleans())
def test_depth(depth, lists) -> None:
    inner = b"[" * (depth - 1) + b"]" * (depth - 1) if lists else b'{"a":' * (depth - 1) + b"1" + b"}" * (depth - 1)
    raw = b'{"x":' + inner + b"}" if depth > 1 or not lists else b'{"x":1}'
    if depth > 64:
        error = refuse(raw)
        assert error.code == "too_deep"
        assert "64" in error.message
    else:
        parse_object(raw, 64)


def test_brackets_in_text_are_not_depth() -> None:
    assert parse_object(json.dumps({"a": "[{" * 500}).encode(), 4)
