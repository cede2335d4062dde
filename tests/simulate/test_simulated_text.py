"""Tokens, text and schemas that follow from the request alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.simulate.schema import write_instance
from farebox.simulate.text import count_tokens, cut_to_tokens, pace_text, split_text, write_text


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 2, 1), ("😀a", 2)])
def test_a_token_is_four_bytes_begun(text, tokens):
    assert count_tokens(text) == tokens


@given(st.integers(0, 2**64 - 1), st.integers(0, 9000))
def test_written_text_has_exactly_its_tokens(seed, tokens):
    text = write_text(seed, tokens)
    assert count_tokens(text) == tokens
    assert len(text) == 4 * tokens
    assert text == write_text(seed, tokens)


@given(st.text(), st.integers(1, 9))
def test_parts_join_to_the_text_and_count_up_to_its_tokens(text, tokens):
    assert "".join(split_text(text, tokens)) == text
    made = [m for _, m in pace_text(text, 0, tokens)]
    assert made == sorted(made)
    assert not text or made[-1] == count_tokens(text)


@given(st.text(), st.integers(0, 50))
def test_a_cut_text_is_a_prefix_that_fits(text, tokens):
    cut = cut_to_tokens(text, tokens)
    assert text.startswith(cut)
    assert count_tokens(cut) <= tokens


TREE = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": 5, "maximum": 9},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    },
}
SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}}, "required": ["a", "b"]},
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 2.5}, "minItems": 3},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": {"const": "x"}, "minItems": 4},
    {"enum": ["red", "green", None]},
    {"const": {"fixed": [1, 2]}},
    {"type": ["string", "null"], "minLength": 30, "maxLength": 31},
    {"type": "integer", "multipleOf": 7, "minimum": 20},
    {"type": "integer", "exclusiveMaximum": -3},
    {"type": "number", "minimum": 0.25, "maximum": 0.75},
    {"type": "string", "format": "date-time"},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"$ref": "#/$defs/A"}, {"type": "object", "properties": {"b": {"type": "null"}}, "required": ["b"]}],
     "$defs": {"A": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}},
    TREE,
    {},
    True,
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: json.dumps(s)[:40])
@given(seed=st.integers(0, 2**64 - 1))
def test_instances_fit_their_schema(schema, seed):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema judges the instances")
    jsonschema.Draft202012Validator(schema).validate(write_instance(schema, seed))
