"""The studio's server: routes over the tasks, with limits of size, time and number.

It keeps no piece and no upload. What takes time is done by processes: one that composes, one that
engraves, one at the desk, which reads, saves and plays. A request that goes away ends the work that
was for it.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import uvicorn
from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bicinium import __version__
from bicinium.errors import BiciniumError, RequestError
from bicinium.formats.registry import MUSIC_SUFFIXES
from bicinium.generation.conditions import MAX_BARS, MAX_TEMPO_QPM, MIN_TEMPO_QPM
from bicinium.generation.constraints.config import DESCRIPTIONS, STRENGTHS, Constraints
from bicinium.generation.memorization import quotations_path
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.music.key import ALL_KEYS
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH
from bicinium.render.export import require_libraries
from bicinium.studio import tasks
from bicinium.studio.errors import RefusedError
from bicinium.studio.guard import ANYWHERE, Guard, Policy
from bicinium.studio.piano_samples import PITCHES, SECONDS
from bicinium.studio.run_events import Watching
from bicinium.studio.run_files import Runs
from bicinium.studio.schemas import MAX_PIECES, ComposeMessage, ComposeMessageBase
from bicinium.studio.score_json import Strict, WireScore, explain
from bicinium.studio.workers import Workers

MOST_BYTES = 2_000_000  # of a request
_BODY_S = 15.0  # in which it must have come
_COMPOSING_S, _DESK_S = 300.0, 30.0
_HEARTBEAT_S = 0.25
_MOST_CONNECTIONS = 400
_STATIC = Path(__file__).parent / "static"
_SAVED = {"mid": "audio/midi", "musicxml": "application/vnd.recordare.musicxml+xml",
          "pdf": "application/pdf", "wav": "audio/wav", "svg": "image/svg+xml"}  # fmt: skip
Sent = TypeVar("Sent", bound=Strict)
_UPLOADS = (*MUSIC_SUFFIXES, ".json")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a studio is started with."""

    model: Path = DEFAULT_MODEL
    runs: Path | None = None  # the folder whose training runs are watched
    policy: Policy = field(default_factory=lambda: Policy.of("127.0.0.1"))
    composers: int = 1  # processes
    most_waiting: int = 8  # for a composer


class WireEngraving(Strict):
    """A score to be engraved, ``width`` pixels wide."""

    score: WireScore
    width: int


class WireFile(Strict):
    """A score to be saved in a format. ``about`` is kept in MusicXML."""

    score: WireScore
    format: Literal["mid", "musicxml", "pdf", "wav", "svg"]
    perform: bool = False
    about: dict[str, str] = Field(default_factory=dict, max_length=20)


class WirePiece(Strict):
    """A score for the model to read. ``style``: as which style."""

    score: WireScore
    style: str | None = Field(None, max_length=40)


class Studio:
    """The answers, one method for each route."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.runs = Runs(settings.runs)
        self.watching = Watching(self.runs)
        self.composing = Workers(
            "composer",
            settings.composers,
            settings.most_waiting,
            _COMPOSING_S,
            first=(tasks.load, (settings.model,)),
            spare=1,
        )
        self.engraving = Workers("engraver", 1, 64, _DESK_S, first=(tasks.load_engraver, ()))
        self.desk = Workers("desk", 1, 64, _DESK_S)
        self.files = {
            path.relative_to(_STATIC).as_posix(): path.read_bytes()
            for path in _STATIC.rglob("*")
            if path.is_file()
        }
        self._about = _about(settings)
        self._piano: asyncio.Task[bytes] | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        processes = (self.composing, self.engraving, self.desk)
        for workers in processes:
            workers.start()
        try:
            yield
        finally:
            for workers in processes:
                workers.stop()

    async def page(self, request: Request) -> Response:
        """A file of ``static``, of those that were there at the start, whatever the path says."""
        name = request.path_params.get("name", "index.html")
        content = self.files.get(name)
        if content is None:
            raise RefusedError(404, "there is nothing at this address")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        kind = "text/javascript" if name.endswith(".js") else kind
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    async def about(self, request: Request) -> Response:
        """What can be asked for here."""
        return JSONResponse(self._about)

    async def compose(self, request: Request) -> Response:
        """Lines of JSON: how far the pieces are, each as it is done, and heartbeats until then."""
        wish = await _sent(request, ComposeMessage)
        lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        working = asyncio.create_task(self._compose(wish, lines))
        await asyncio.sleep(0)  # it takes its place in the line, or is refused, at once
        if working.done():
            working.result()
        return _Stream(self._told(lines, working), "application/x-ndjson", working.cancel)

    async def _compose(
        self, wish: ComposeMessageBase, lines: asyncio.Queue[dict[str, Any] | None]
    ) -> None:
        try:
            work = self.composing.run(tasks.compose, wish, self.settings.model)
            async with aclosing(work) as told:
                async for line in told:
                    lines.put_nowait(line)
        finally:
            lines.put_nowait(None)

    async def _told(
        self, lines: asyncio.Queue[dict[str, Any] | None], working: asyncio.Task[None]
    ) -> AsyncIterator[bytes]:
        """By the heartbeats the server learns that nobody listens, the page that it is alive."""
        line: dict[str, Any] | None = {"waiting": self.composing.waiting}
        while line is not None:
            yield json.dumps(line).encode() + b"\n"
            try:
                line = await asyncio.wait_for(lines.get(), _HEARTBEAT_S)
            except TimeoutError:
                line = {"waiting": self.composing.waiting}
        try:
            await working
            yield b'{"done": true}\n'
        except RefusedError as refusal:
            yield json.dumps({"error": str(refusal), "status": refusal.status}).encode() + b"\n"

    async def engrave(self, request: Request) -> Response:
        """The engraved score."""
        asked = await _sent(request, WireEngraving)
        score = asked.score.score()
        return JSONResponse(await self.engraving.ask(tasks.engrave, score, asked.width))

    async def file(self, request: Request) -> Response:
        """The bytes of a file."""
        asked = await _sent(request, WireFile)
        content = await self.desk.ask(
            tasks.save, asked.score.score(), asked.about, asked.format, asked.perform
        )
        return Response(content, media_type=_SAVED[asked.format])

    async def read(self, request: Request) -> Response:
        """What a dropped file holds, and what is wrong with it."""
        name = Path(request.query_params.get("name", "").replace("\\", "/")).name[-80:]
        suffix = Path(name).suffix.lower()
        if suffix not in _UPLOADS:
            raise RefusedError(415, f"{name or 'this'} is not music: drop {', '.join(_UPLOADS)}")
        name = "".join(c if c.isalnum() or c in " ._-()+,&'" else "_" for c in name)
        data = await _body(request)
        if not data:
            raise RefusedError(400, f"{name} is empty")
        reduce = request.query_params.get("reduce") == "yes"
        return JSONResponse(await self.desk.ask(tasks.read, name, data, reduce))

    async def understand(self, request: Request) -> Response:
        """The grammar laid over a piece."""
        asked = await _sent(request, WirePiece)
        score = asked.score.score()
        return JSONResponse(
            await self.composing.ask(tasks.explain, score, asked.style, self.settings.model)
        )

    async def piano(self, request: Request) -> Response:
        """The piano's recording, made when it is first asked for."""
        if self._piano is None or (self._piano.done() and self._piano.exception()):
            self._piano = asyncio.create_task(self.desk.ask(tasks.sound))
        recording = await asyncio.shield(self._piano)
        keep = {"Cache-Control": "private, max-age=86400"}
        return Response(recording, media_type="audio/wav", headers=keep)

    async def watch(self, request: Request) -> Response:
        """The training runs and one of them, as events while they go on; see ``Watching``."""
        name = request.query_params.get("name", "")
        everything = request.query_params.get("all") == "yes"
        if name:
            await asyncio.to_thread(self.runs.tag, name)  # refuses a name that is none
        self.watching.come()
        events = self.watching.events(name, everything)
        return _Stream(events, "text/event-stream", self.watching.leave)

    async def sample(self, request: Request) -> Response:
        """A piece that a model wrote while it was trained."""
        asked = request.query_params
        path = await asyncio.to_thread(
            self.runs.sample, asked.get("name", ""), asked.get("step", ""), asked.get("file", "")
        )
        return JSONResponse(await self.desk.ask(tasks.read_sample, path))


class _Stream(StreamingResponse):
    """An answer that comes bit by bit. ``over`` is called when it ends or nobody listens."""

    def __init__(
        self, content: AsyncIterator[bytes], media_type: str, over: Callable[[], object]
    ) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store"}, media_type=media_type)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()


def studio_app(settings: Settings) -> Starlette:
    """The ASGI application. ``app.state.studio`` is the ``Studio``."""
    studio = Studio(settings)
    app = Starlette(
        routes=[
            Route("/", studio.page),
            Route("/static/{name:path}", studio.page),
            Route("/api/about", studio.about),
            Route("/api/compose", studio.compose, methods=["POST"]),
            Route("/api/engrave", studio.engrave, methods=["POST"]),
            Route("/api/file", studio.file, methods=["POST"]),
            Route("/api/read", studio.read, methods=["POST"]),
            Route("/api/understand", studio.understand, methods=["POST"]),
            Route("/api/piano.wav", studio.piano),
            Route("/api/watch", studio.watch),
            Route("/api/sample", studio.sample),
        ],
        middleware=[Middleware(Guard, policy=settings.policy)],
        exception_handlers={BiciniumError: _refused, 404: _missing, 405: _missing},
        lifespan=studio.lifespan,
    )
    app.state.studio = studio
    return app


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RefusedError) else 400
    headers = {"Retry-After": "2"} if status == 503 else {}
    return JSONResponse({"error": str(error)}, status, headers)


async def _missing(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "there is nothing at this address"}, 404)


async def _body(request: Request) -> bytes:
    """All that was sent. Raises RefusedError where it is too much, or too slow."""
    too_much = RefusedError(
        413, f"this is more than {MOST_BYTES // 1_000_000} MB, which is the limit"
    )
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        raise too_much
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MOST_BYTES:
                    raise too_much
    except TimeoutError as error:
        raise RefusedError(408, "what was sent came too slowly; try again") from error
    return bytes(data)


async def _sent(request: Request, kind: type[Sent]) -> Sent:
    """What the page sent, as a ``kind``. Raises RequestError where it is none."""
    try:
        return kind.model_validate_json(await _body(request))
    except ValidationError as error:
        raise RequestError(explain(error)) from error


def _about(settings: Settings) -> Mapping[str, Any]:
    """What the page offers: read once, with the model's own names for metres and styles."""
    checkpoint = load_checkpoint(settings.model)
    usual = asdict(Constraints())
    return {
        "version": __version__,
        "model": checkpoint.name,
        "meters": checkpoint.config.meters,
        "styles": checkpoint.styles,
        "keys": [{"name": str(key), "printed": key.display_name} for key in ALL_KEYS],
        "most": {"bars": MAX_BARS, "pieces": MAX_PIECES, "bytes": MOST_BYTES},
        "tempo": [MIN_TEMPO_QPM, MAX_TEMPO_QPM],
        "constraints": [
            {"name": name, "says": says, "usual": usual[name], "strength": name in STRENGTHS}
            for name, says in DESCRIPTIONS.items()
        ],
        "formats": [form for form in _SAVED if _can_be_saved(form)],
        "engraving": _can_be_saved("svg"),
        "piano": {"pitches": PITCHES, "seconds": SECONDS} if _can_be_saved("wav") else None,
        "pitches": [LOWEST_PITCH, HIGHEST_PITCH],
        "quotations": quotations_path(settings.model).is_file(),
        "runs": settings.runs is not None,
        "uploads": _UPLOADS,
    }


def _can_be_saved(form: str) -> bool:
    try:
        require_libraries(form)
    except RequestError:
        return False
    return True


def serve(settings: Settings, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. ``started`` is told the address when the page can be opened.

    Raises RequestError where the port is taken or the address is none of this machine.
    """
    server = studio_server(settings)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise RequestError(
            f"the studio cannot listen at {host}, port {port}: {error.strerror or error}; "
            "name another with --host or --port"
        ) from error
    shown = socket.gethostname() if host in ANYWHERE else f"[{host}]" if ":" in host else host
    token = f"?token={settings.policy.token}" if settings.policy.token else ""
    with listening:
        started(f"http://{shown}:{listening.getsockname()[1]}/{token}")
        server.run([listening])


class _Server(uvicorn.Server):
    """A server that does not wait for those who only listen."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        app: Any = self.config.app
        app.state.studio.watching.stop()
        await super().shutdown(sockets)


def studio_server(settings: Settings) -> uvicorn.Server:
    """The server around the application, whose app is ``config.app``."""
    return _Server(
        uvicorn.Config(
            studio_app(settings),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )
