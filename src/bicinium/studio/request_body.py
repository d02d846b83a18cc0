"""Read and validate request bodies within limits of size and time."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from bicinium.errors import RequestError
from bicinium.studio.errors import StudioError
from bicinium.studio.score_json import StrictSchema, describe_validation_error

MAX_BODY_BYTES = 2_000_000
_TIMEOUT_SECONDS = 15.0

Schema = TypeVar("Schema", bound=StrictSchema)


async def read_body(request: Request) -> bytes:
    """Return the body. Raises StudioError 413 or 408 if it is too large or too slow."""
    too_large = StudioError(413, f"the limit is {MAX_BODY_BYTES // 1_000_000} MB")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise StudioError(408, "the upload was too slow. Try again.") from error
    return bytes(data)


async def parse_body(request: Request, schema: type[Schema]) -> Schema:
    """Return the JSON body as a ``schema``. Raises RequestError if it does not match."""
    try:
        return schema.model_validate_json(await read_body(request))
    except ValidationError as error:
        raise RequestError(describe_validation_error(error)) from error
