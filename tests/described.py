"""Whether a JSON value is what a schema describes: as much of JSON Schema as the server's own document uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,),
    "number": (int, float), "null": (type(None),),
}  # fmt: skip


def fits(value: Any, schema: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    """Whether `value` fits `schema`; `named` are the document's components/schemas."""
    if "$ref" in schema:
        return fits(value, named[schema["$ref"].rpartition("/")[2]], named)
    if "oneOf" in schema:
        return sum(fits(value, one, named) for one in schema["oneOf"]) == 1
    wanted = schema.get("type", [])
    kinds = [wanted] if isinstance(wanted, str) else wanted
    if kinds and not any(isinstance(value, TYPES[kind]) and (type(value) is not bool or kind == "boolean")
                         for kind in kinds):  # fmt: skip
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        extra = schema.get("additionalProperties") is False and not value.keys() <= known.keys()
        missing = not set(schema.get("required", ())) <= value.keys()
        return (
            not extra and not missing and all(fits(value[name], known[name], named) for name in value if name in known)
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            fits(one, schema.get("items", {}), named) for one in value
        )
    if isinstance(value, int | float) and type(value) is not bool:
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True
