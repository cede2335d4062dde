"""Instances of JSON schemas: what a structured answer or a tool call contains.

Walks the schema and makes the smallest honest instance: required and optional properties alike, the first
member of an enum or a union, numbers and lengths within their bounds. Patterns are not generated; a string
with a ``format`` of the common ones gets a value of that format.
"""

from typing import Any

from farebox.simulate.text import write_text

_FORMATS = {
    "date-time": "2026-10-12T08:30:00Z",
    "date": "2026-10-12",
    "time": "08:30:00Z",
    "duration": "PT5M",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000001",
}
_MAX_DEPTH = 12


def write_instance(schema: Any, seed: int = 0) -> Any:
    """A value that the schema accepts.

    Args:
        schema: a JSON schema as decoded JSON; ``True`` or ``{}`` accept anything.
        seed: varies texts and numbers; equal seeds give equal values.
    """
    return _Writer(schema, seed).write(schema, 0)


class _Writer:
    def __init__(self, root: Any, seed: int) -> None:
        self.root = root
        self.seed = seed

    def write(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            return "any"
        if "$ref" in schema:
            return self.write(self.resolve(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self.seed % len(schema["enum"])]
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                return self.write(self.pick(schema[union], depth), depth + 1)
        if schema.get("allOf"):
            return self.write(_merge(schema, [self.follow(s) for s in schema["allOf"]]), depth + 1)
        return self.write_type(schema, depth)

    def pick(self, branches: list[Any], depth: int) -> Any:
        """The first branch; deep inside a recursive schema rather one that can end."""
        if depth < _MAX_DEPTH:
            return branches[0]
        ends = (b for b in branches if isinstance(b, dict) and b.get("type") not in (None, "object", "array"))
        return next(ends, branches[0])

    def write_type(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        if kind == "object" or (kind is None and "properties" in schema):
            return self.write_object(schema, depth)
        if kind == "array" or (kind is None and "items" in schema):
            return self.write_array(schema, depth)
        if kind in ("integer", "number"):
            return _number(schema, self.seed, whole=kind == "integer")
        if kind == "boolean":
            return self.seed % 2 == 0
        if kind == "null":
            return None
        return _string(schema, self.seed)

    def write_object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        wanted = required if depth >= _MAX_DEPTH else [*properties, *(r for r in required if r not in properties)]
        return {name: self.write(properties.get(name, {}), depth + 1) for name in wanted}

    def write_array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        size = schema.get("minItems", 0)
        if depth < _MAX_DEPTH:
            size = max(size, min(1, schema.get("maxItems", 1)))
        prefix = [self.write(s, depth + 1) for s in schema.get("prefixItems", [])]
        return prefix + [self.write(schema.get("items", {}), depth + 1) for _ in range(size - len(prefix))]

    def resolve(self, ref: str) -> Any:
        """The schema at a local reference such as ``#/$defs/Step``; anything goes if it points nowhere."""
        node = self.root
        for part in ref.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            node = node.get(name, {}) if isinstance(node, dict) else {}
        return node

    def follow(self, schema: Any) -> Any:
        while isinstance(schema, dict) and "$ref" in schema:
            schema = self.resolve(schema["$ref"])
        return schema


def _merge(schema: dict[str, Any], parts: list[Any]) -> dict[str, Any]:
    merged = {k: v for k, v in schema.items() if k != "allOf"}
    for part in parts:
        if isinstance(part, dict):
            properties = {**part.get("properties", {}), **merged.get("properties", {})}
            required = [*merged.get("required", []), *part.get("required", [])]
            merged = {**part, **merged}
            if properties:
                merged.update(properties=properties, required=list(dict.fromkeys(required)))
    return merged


def _number(schema: dict[str, Any], seed: int, *, whole: bool) -> int | float:
    low, high = schema.get("minimum"), schema.get("maximum")
    step = schema.get("multipleOf", 1 if whole else 0.5)
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + step
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - step
    if low is None:
        low = 0 if high is None else min(0, high)
    value = -(-low // step) * step  # the first multiple at or above the bound
    ahead = value + seed % 10 * step
    if high is None or ahead <= high:
        value = ahead
    return int(value) if whole else float(value)


def _string(schema: dict[str, Any], seed: int) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = write_text(seed, 3).rstrip(".")
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    while len(text) < low:
        text += " " + text
    return text if high is None else text[:high]
