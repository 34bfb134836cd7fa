"""The API described for machines (OpenAPI 3.1, spec.openapis.org): /docs draws it, schemathesis attacks it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final, get_args

from kopal.attribution import Method
from kopal.serve.inference import VERSION
from kopal.serve.service import Service

ERRORS = {
    400: "malformed: Host, query, headers or body",
    401: "a token is needed",
    403: "the page of another site asks",
    404: "no such path",
    405: "this path answers another method",
    413: "the body, or the number of photos, is too large",
    415: "a Content-Type that is not taken",
    421: "the Host header names another machine",
    422: "the body is no readable photo",
    500: "something went wrong here",
    503: "not ready, or too many wait already: ask again after Retry-After seconds",
    504: "no answer within the deadline",
}
ALWAYS = (400, 403, 404, 405, 421, 500)
TENSORS = (413, 415, 503, 504)

_PHOTO: Final = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in ("image/jpeg", "image/png", "application/octet-stream")
}

_MAP: Final = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "minItems": 1, "items": {"type": "number"}},
    "description": "Rows of places, from above; above 0 a place speaks for the class explained, below against it.",
}
_SEEN: Final = {
    "type": "object",
    "required": ["width", "height", "crop"],
    "properties": {
        "width": {"type": "integer", "minimum": 1},
        "height": {"type": "integer", "minimum": 1},
        "crop": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "additionalProperties": False,
    "description": "What the map covers: the largest centred box of this shape, times crop, of the upright photo.",
}


def document(service: Service) -> dict[str, Any]:
    """The whole document for one server."""
    name, token = service.settings.name, bool(service.settings.token)
    model = f"/v2/models/{name}"
    paths: dict[str, Any] = {
        "/v1/predict": {"post": _predict(service, token)},
        "/v1/explain": {"post": _explain(service, token)},
        "/v2": _get("Who serves.", "Server", token),
        "/v2/health/live": _get("Whether the process answers.", "Health", token=False),
        "/v2/health/ready": _get("Whether work may be sent here.", "Health", token=False, unready=True),
        "/metrics": {"get": _operation("Counts and times for Prometheus.", {"text/plain": {"type": "string"}}, token)},
        "/openapi.json": {"get": _operation("This document.", {"application/json": {"type": "object"}}, token)},
    }
    for path in (model, f"{model}/versions/{VERSION}"):
        paths[path] = _get("The model's inputs and outputs.", "Model", token)
        paths[f"{path}/ready"] = _get("Whether the model answers.", "Health", token=False, unready=True)
        paths[f"{path}/infer"] = {"post": _infer(token)}
    components: dict[str, Any] = {"schemas": _schemas(service)}
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"kopal: {name}",
            "version": version("kopal"),
            "description": f"{len(service.classifier.classes)} classes; model digest sha256 {service.digest}. "
            "Paths under /v2 speak the Open Inference Protocol, version 2, on finished pixels.",
        },
        "paths": paths,
        "components": components,
    }


def _predict(service: Service, token: bool) -> dict[str, Any]:
    answers = {"application/json": {"oneOf": [_ref("Answer"), _ref("Answers")]}}
    operation = _operation("What is on a photo, or on several.", answers, token, 413, 415, 422, 503, 504)
    form = {
        "type": "object",
        "required": ["photo"],
        "properties": {
            "photo": {
                "type": "array",
                "minItems": 1,
                "maxItems": min(service.settings.max_photos, service.settings.queue),
                "items": {"type": "string", "format": "binary"},
            }
        },
    }
    return operation | {
        "parameters": [
            _query(
                "top",
                "How many classes to show.",
                {"type": "integer", "minimum": 1, "maximum": 999_999_999, "default": 5},
            )
        ],
        "requestBody": {
            "required": True,
            "description": f"A photo of at most {service.settings.max_body} bytes, or several as the files of a form.",
            "content": _PHOTO | {"multipart/form-data": {"schema": form}},
        },
    }


def _explain(service: Service, token: bool) -> dict[str, Any]:
    summary = "Where on a photo the answer comes from."
    operation = _operation(summary, {"application/json": _ref("Explanation")}, token, 413, 415, 422, 503, 504)
    label = {"type": "string", "enum": list(service.classifier.classes)}
    body = {
        "required": True,
        "description": f"A photo of at most {service.settings.max_body} bytes.",
        "content": _PHOTO,
    }
    named = _query("class", "The class that the map speaks of; without it the one that wins.", label)
    return operation | {"parameters": [named], "requestBody": body}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _infer(token: bool) -> dict[str, Any]:
    answers = {
        "application/json": _ref("InferResponse"),
        "application/octet-stream": {"type": "string", "format": "binary"},
    }
    operation = _operation(
        "The graph's outputs for finished pixels; tensors as JSON or bytes.", answers, token, *TENSORS
    )
    body = {"required": True, "content": {"application/json": {"schema": _ref("InferRequest")}}}
    return operation | {"requestBody": body}


def _get(summary: str, schema: str, token: bool, unready: bool = False) -> dict[str, Any]:
    operation = _operation(summary, {"application/json": _ref(schema)}, token)
    if unready:
        content = {"application/json": {"schema": _ref(schema)}}
        operation["responses"]["503"] = {"description": "not ready", "content": content}
    return {"get": operation}


def _operation(summary: str, answers: dict[str, Any], token: bool, *errors: int) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind, schema in answers.items()}
    responses: dict[str, Any] = {"200": {"description": "the answer", "content": content}}
    for status in sorted({*ALWAYS, *errors, *([401] if token else [])}):
        error = {"application/json": {"schema": _ref("Error")}}
        responses[str(status)] = {"description": ERRORS[status], "content": error}
    secured: dict[str, Any] = {"security": [{"token": []}]} if token else {}
    return {"summary": summary, "responses": responses, **secured}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas(service: Service) -> dict[str, Any]:
    label = {"type": "string", "enum": list(service.classifier.classes)}
    share = {"type": "number", "minimum": 0, "maximum": 1.000001}
    text, whole = {"type": "string"}, {"type": "integer"}
    prediction = {
        "label": label,
        "probability": share,
        "top": {"type": "array", "minItems": 1, "items": _object(label=label, probability=share)},
        "unsure": {"type": "boolean", "description": "Nothing should be made of the answer."},
        "why_unsure": {"type": "string", "description": "Why it is unsure; empty where it is not."},
        "candidates": {
            "type": ["array", "null"],
            "items": label,
            "description": "The classes that the promised coverage leaves, best first; null where none was promised.",
        },
        "unknown": {
            "type": ["boolean", "null"],
            "description": "The photo is likely of none of the classes; null where the model cannot tell.",
        },
        "unknown_score": {
            "type": ["number", "null"],
            "description": "How unlike all that was learned; unknown is what is above the model's threshold.",
        },
    }
    row = {"oneOf": [_object(name=text, **prediction), _object(name=text, unreadable=text)]}
    texts, sides = {"type": "array", "items": text}, {"type": "array", "items": whole}
    described = {"type": "array", "items": _object(name=text, datatype=text, shape=sides)}
    pixels = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": "pixels"},
            "datatype": {"const": "UINT8"},
            "shape": sides,
            "data": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
        },
    }
    return {
        "Error": _object(error=text),
        "Answer": _object(**prediction, model=text, digest=text),
        "Explanation": _object(
            label=label,
            probability=share,
            explained=label,
            method={"type": "string", "enum": list(get_args(Method))},
            map=_MAP,
            in_words=text,
            seen=_SEEN,
            model=text,
            digest=text,
        ),
        "Answers": _object(photos={"type": "array", "items": row}, model=text, digest=text),
        "Server": _object(name=text, version=text, extensions=texts),
        "Health": {"type": "object", "properties": {name: {"type": "boolean"} for name in ("live", "ready")}},
        "Model": _object(name=text, versions=texts, platform=text, inputs=described, outputs=described),
        "InferRequest": {
            "type": "object",
            "required": ["inputs"],
            "properties": {"id": text, "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": pixels}},
        },
        "InferResponse": {
            "type": "object",
            "required": ["model_name", "model_version", "outputs"],
            "properties": {"model_name": text, "model_version": text, "id": text, "outputs": {"type": "array"}},
        },
    }


def _object(**properties: Any) -> dict[str, Any]:
    """An object with just these properties, all of them there."""
    return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}
