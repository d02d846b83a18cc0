"""HTTP routes of the studio.

The server stores no pieces and no uploads. Worker processes do what takes time: composers, an
engraver, and one for import, export and sound. If a client disconnects, its task is ended.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bicinium.studio import tasks
from bicinium.studio.capabilities import MEDIA_TYPES, UPLOAD_SUFFIXES, capabilities
from bicinium.studio.errors import StudioError
from bicinium.studio.openapi import openapi_document
from bicinium.studio.request_body import parse_body, read_body
from bicinium.studio.run_events import RunEvents
from bicinium.studio.run_files import RunDirectory
from bicinium.studio.schemas import (
    AnalyseSchema,
    CheckSchema,
    ComposeSchema,
    ComposeSchemaBase,
    EngraveSchema,
    ExportSchema,
    ProposalsSchema,
    RulesFileSchema,
)
from bicinium.studio.workers import WorkerPool

NOT_FOUND = "there is nothing at this address"
_COMPOSE_TIMEOUT_SECONDS, _TIMEOUT_SECONDS = 300.0, 30.0
_HEARTBEAT_SECONDS = 0.25
_MAX_WAITING = 64  # for short tasks
_STATIC = Path(__file__).parent / "static"

Line = dict[str, Any]  # of a streamed response


class StudioRoutes:
    """The handlers, one method for each route."""

    def __init__(self, model: Path, runs: Path | None, composers: int, max_waiting: int) -> None:
        self.model = model
        self.runs = RunDirectory(runs)
        self.run_events = RunEvents(self.runs)
        self.composers = WorkerPool(
            "composer",
            composers,
            max_waiting,
            _COMPOSE_TIMEOUT_SECONDS,
            initializer=(tasks.load_model, (model,)),
            spare=1,
        )
        self.engraver = WorkerPool(
            "engraver",
            max_waiting=_MAX_WAITING,
            timeout_seconds=_TIMEOUT_SECONDS,
            initializer=(tasks.load_engraver, ()),
        )
        self.files_worker = WorkerPool(
            "files", max_waiting=_MAX_WAITING, timeout_seconds=_TIMEOUT_SECONDS
        )
        self.static_files = {
            path.relative_to(_STATIC).as_posix(): path.read_bytes()
            for path in _STATIC.rglob("*")
            if path.is_file()
        }
        self._capabilities = capabilities(model, runs is not None)
        self._openapi = openapi_document()
        self._piano: asyncio.Task[bytes] | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Start the worker processes, and stop them at the end."""
        pools = (self.composers, self.engraver, self.files_worker)
        for pool in pools:
            pool.start()
        try:
            yield
        finally:
            for pool in pools:
                pool.stop()

    async def static_file(self, request: Request) -> Response:
        """Return a file that was in ``static`` when the server started."""
        name = request.path_params.get("name", "index.html")
        content = self.static_files.get(name)
        if content is None:
            raise StudioError(404, NOT_FOUND)
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        media_type = "text/javascript" if name.endswith(".js") else media_type
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    async def capabilities(self, request: Request) -> Response:
        """Return what can be requested."""
        return JSONResponse(self._capabilities)

    async def openapi(self, request: Request) -> Response:
        """Return the description of the interface."""
        return JSONResponse(self._openapi)

    async def compose(self, request: Request) -> Response:
        """Stream lines of JSON: progress, each piece when it is done, and heartbeats."""
        body = await parse_body(request, ComposeSchema)
        lines: asyncio.Queue[Line | None] = asyncio.Queue()
        composing = asyncio.create_task(self._compose(body, lines))
        await asyncio.sleep(0)  # the task enters the queue, or is rejected, at once
        if composing.done():
            composing.result()
        return _Stream(
            self._compose_lines(lines, composing), "application/x-ndjson", composing.cancel
        )

    async def _compose(self, body: ComposeSchemaBase, lines: asyncio.Queue[Line | None]) -> None:
        try:
            async with aclosing(self.composers.stream(tasks.compose, body, self.model)) as items:
                async for item in items:
                    lines.put_nowait(item)
        finally:
            lines.put_nowait(None)

    async def _compose_lines(
        self, lines: asyncio.Queue[Line | None], composing: asyncio.Task[None]
    ) -> AsyncIterator[bytes]:
        """Yield lines with heartbeats, by which the server notices that a client has gone."""
        line: Line | None = {"waiting": self.composers.waiting}
        while line is not None:
            yield json.dumps(line).encode() + b"\n"
            try:
                line = await asyncio.wait_for(lines.get(), _HEARTBEAT_SECONDS)
            except TimeoutError:
                line = {"waiting": self.composers.waiting}
        try:
            await composing
            yield b'{"done": true}\n'
        except StudioError as error:
            yield json.dumps({"error": str(error), "status": error.status}).encode() + b"\n"

    async def engrave(self, request: Request) -> Response:
        """Return the engraved score as SVG pages."""
        body = await parse_body(request, EngraveSchema)
        score = body.score.to_score()
        return JSONResponse(await self.engraver.run(tasks.engrave, score, body.width))

    async def export(self, request: Request) -> Response:
        """Return a file."""
        body = await parse_body(request, ExportSchema)
        content = await self.files_worker.run(
            tasks.export, body.score.to_score(), body.about, body.format, body.perform
        )
        return Response(content, media_type=MEDIA_TYPES[body.format])

    async def import_file(self, request: Request) -> Response:
        """Return the score in an uploaded file and its validation."""
        name = Path(request.query_params.get("name", "").replace("\\", "/")).name[-80:]
        if Path(name).suffix.lower() not in UPLOAD_SUFFIXES:
            raise StudioError(
                415, f"{name or 'the file'} is not music. Use {', '.join(UPLOAD_SUFFIXES)}."
            )
        name = "".join(c if c.isalnum() or c in " ._-()+,&'" else "_" for c in name)
        data = await read_body(request)
        if not data:
            raise StudioError(400, f"{name} is empty")
        reduce = request.query_params.get("reduce") == "yes"
        return JSONResponse(await self.files_worker.run(tasks.import_file, name, data, reduce))

    async def analyse(self, request: Request) -> Response:
        """Return the model's probabilities along a piece, and the checks of the grammar."""
        body = await parse_body(request, AnalyseSchema)
        score = body.score.to_score()
        return JSONResponse(await self.composers.run(tasks.analyse, score, body.style, self.model))

    async def check(self, request: Request) -> Response:
        """Return the faults in the counterpoint of a score, and what is good in it."""
        body = await parse_body(request, CheckSchema)
        return JSONResponse(await self.files_worker.run(tasks.check, body))

    async def rules(self, request: Request) -> Response:
        """Return what a rule set of the user's own is called."""
        body = await parse_body(request, RulesFileSchema)
        return JSONResponse(await self.files_worker.run(tasks.read_rules, body))

    async def proposals(self, request: Request) -> Response:
        """Return repairs of one of these faults."""
        body = await parse_body(request, ProposalsSchema)
        return JSONResponse(await self.composers.run(tasks.propose_repairs, body, self.model))

    async def piano(self, request: Request) -> Response:
        """Return the piano samples, rendered at the first request."""
        if self._piano is None or (self._piano.done() and self._piano.exception()):
            self._piano = asyncio.create_task(self.files_worker.run(tasks.piano_samples))
        recording = await asyncio.shield(self._piano)
        headers = {"Cache-Control": "private, max-age=86400"}
        return Response(recording, media_type="audio/wav", headers=headers)

    async def watch_runs(self, request: Request) -> Response:
        """Stream the training runs as server-sent events; see ``RunEvents``."""
        name = request.query_params.get("name", "")
        all_curves = request.query_params.get("all") == "yes"
        if name:
            await asyncio.to_thread(self.runs.version, name)  # 404 for an unknown run
        self.run_events.add_listener()
        events = self.run_events.stream(name, all_curves)
        return _Stream(events, "text/event-stream", self.run_events.remove_listener)

    async def sample(self, request: Request) -> Response:
        """Return a piece that a model generated during training."""
        name, step, file = (request.query_params.get(key, "") for key in ("name", "step", "file"))
        path = await asyncio.to_thread(self.runs.sample_path, name, step, file)
        return JSONResponse(await self.files_worker.run(tasks.read_sample, path))


class _Stream(StreamingResponse):
    """A streamed response. ``on_close`` is called at its end or if the client disconnects."""

    def __init__(
        self, content: AsyncIterator[bytes], media_type: str, on_close: Callable[[], object]
    ) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store"}, media_type=media_type)
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()
