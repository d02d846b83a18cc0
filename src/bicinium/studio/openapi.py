"""The description of the HTTP interface as an OpenAPI 3.1 document."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from bicinium import __version__
from bicinium.studio.operations import JSON, NDJSON, OPERATIONS, VERSIONED, Operation
from bicinium.studio.responses import Error

_SCHEMAS = "#/components/schemas/"
_ERRORS = {
    400: "The request is invalid, or cannot be fulfilled.",
    401: "The server needs the token that it printed when it started.",
    403: "The host or the origin of the request is not allowed.",
    404: "There is no such run or sample.",
    408: "The body came too slowly, or the task took too long.",
    413: "The body is too large.",
    415: "The file is not music.",
    500: "The task failed, or needed too much memory.",
    503: "The server is busy. Retry-After says when to try again.",
}
_ERRORS_OF_ALL = (400, 401, 403, 408, 500, 503)
_ERRORS_OF_BODIES = (413,)


def openapi_document() -> dict[str, Any]:
    """Return the document. Its schemas are those that validate the requests."""
    types = {one: one for op in OPERATIONS for one in (op.body, op.response) if one is not None}
    types[Error] = Error
    inputs = [(str(index), "validation", TypeAdapter(one)) for index, one in enumerate(types)]
    references, definitions = TypeAdapter.json_schemas(
        inputs,  # type: ignore[arg-type]
        ref_template=_SCHEMAS + "{model}",
    )
    schemas = {one: references[str(index), "validation"] for index, one in enumerate(types)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bicinium studio",
            "version": __version__,
            "summary": "Compose, engrave, check and convert two-voice keyboard music.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": VERSIONED}],
        "security": [{}, {"token": []}],
        "paths": {
            f"/{operation.path}": {operation.method.lower(): _describe(operation, schemas)}
            for operation in OPERATIONS
        },
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed if the server listens beyond this machine.",
                }
            },
        },
    }


def _describe(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    """Return the operation object. ``schemas`` has the schema of each type."""
    described: dict[str, Any] = {
        "operationId": operation.handler,
        "summary": operation.summary,
        "responses": _responses(operation, schemas),
    }
    if operation.parameters:
        described["parameters"] = [
            {
                "name": one.name,
                "in": "query",
                "description": one.description,
                "required": one.required,
                "schema": {"type": "string"},
            }
            for one in operation.parameters
        ]
    if operation.body:
        content = {JSON: {"schema": schemas[operation.body], "example": operation.example}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.is_upload:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _responses(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    content: dict[str, dict[str, Any]] = {name: {} for name in operation.media_types}
    if JSON in content:
        content[JSON] = {"schema": schemas[operation.response]}
    elif NDJSON in content:  # OpenAPI 3.1 has no word for the schema of a line
        content[NDJSON] = {"schema": {"type": "string"}, "x-line": schemas[operation.response]}
    has_body = operation.body is not None or operation.is_upload
    statuses = (*_ERRORS_OF_ALL, *operation.errors, *(_ERRORS_OF_BODIES if has_body else ()))
    return {"200": {"description": operation.summary, "content": content}} | {
        str(status): {"description": _ERRORS[status], "content": {JSON: {"schema": schemas[Error]}}}
        for status in sorted(statuses)
    }
