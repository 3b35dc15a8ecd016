"""An example of a schema, put together from the examples of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REF = "#/components/schemas/"
_DEEPEST = 12
_TEXTS = {"date-time": "2025-03-01T12:00:00Z", "password": "tulip ferry onyx lantern", "uri": "https://example.org"}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> Any:  # JSON of any shape
    """The schema's own example, or one made of its parts'.

    Args:
        schemas: those that `$ref` names.
    """
    if depth > _DEEPEST:
        return None
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(_REF)], schemas, depth + 1)
    for given in ("examples", "enum"):
        if isinstance(schema.get(given), list) and schema[given]:
            return schema[given][0]
    for given in ("example", "const", "default"):
        if given in schema:
            return schema[given]
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return example_of(schema[several][0], schemas, depth + 1)
    return _of_type(schema, schemas, depth)


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:  # JSON of any shape
    match schema.get("type"):
        case "object":
            named = schema.get("properties", {})
            return {name: example_of(part, schemas, depth + 1) for name, part in named.items()}
        case "array":
            return [example_of(schema["items"], schemas, depth + 1)] if schema.get("items") else []
        case "string":
            return _TEXTS.get(schema.get("format", ""), "text")
        case "integer":
            return max(1, schema.get("minimum", 1))
        case "number":
            return max(1.0, schema.get("minimum", 1.0))
        case "boolean":
            return True
    return None
