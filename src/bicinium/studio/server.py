"""The studio's web application and server."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bicinium.errors import BiciniumError, RequestError
from bicinium.model.checkpoint import DEFAULT_MODEL
from bicinium.studio.access_control import ALL_INTERFACES, AccessGuard, AccessPolicy
from bicinium.studio.connections import MAX_CONNECTIONS, LimitedConnection
from bicinium.studio.errors import StudioError
from bicinium.studio.operations import OPERATIONS, UNVERSIONED, VERSIONED
from bicinium.studio.routes import NOT_FOUND, StudioRoutes


@dataclass(frozen=True, slots=True)
class StudioSettings:
    """Settings of a studio server."""

    model: Path = DEFAULT_MODEL
    runs: Path | None = None  # folder of training runs to watch
    policy: AccessPolicy = field(default_factory=lambda: AccessPolicy.for_host("127.0.0.1"))
    composers: int = 1  # processes
    max_waiting: int = 8  # requests waiting for a composer


def create_app(settings: StudioSettings) -> Starlette:
    """Return the ASGI application. ``app.state.studio`` is its ``StudioRoutes``."""
    studio = StudioRoutes(settings.model, settings.runs, settings.composers, settings.max_waiting)
    app = Starlette(
        routes=[
            Route("/", studio.static_file),
            Route("/static/{name:path}", studio.static_file),
            Route(f"{VERSIONED}/openapi.json", studio.openapi),
            *(
                Route(f"{prefix}/{one.path}", getattr(studio, one.handler), methods=[one.method])
                for prefix in (VERSIONED, UNVERSIONED)
                for one in OPERATIONS
            ),
        ],
        middleware=[Middleware(AccessGuard, policy=settings.policy)],
        exception_handlers={BiciniumError: _error_response, 404: _not_found, 405: _not_allowed},
        lifespan=studio.lifespan,
    )
    app.state.studio = studio
    return app


async def _error_response(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, StudioError) else 400
    headers = {"Retry-After": "2"} if status == 503 else {}
    return JSONResponse({"error": str(error)}, status, headers)


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": NOT_FOUND}, 404)


async def _not_allowed(request: Request, error: Exception) -> Response:
    message = f"this address does not take {request.method} requests"
    headers = error.headers if isinstance(error, HTTPException) else None  # Allow
    return JSONResponse({"error": message}, 405, headers)


def serve(settings: StudioSettings, host: str, port: int, on_start: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. ``on_start`` is called with the address of the page.

    Raises RequestError if the server cannot listen at this address and port.
    """
    server = studio_server(settings)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise RequestError(
            f"the studio cannot listen at {host}, port {port}: {error.strerror or error}. "
            "Choose another --host or --port."
        ) from error
    shown = socket.gethostname() if host in ALL_INTERFACES else f"[{host}]" if ":" in host else host
    token = f"?token={settings.policy.token}" if settings.policy.token else ""
    with listener:
        on_start(f"http://{shown}:{listener.getsockname()[1]}/{token}")
        server.run([listener])


class _Server(uvicorn.Server):
    """A server that ends its event streams when it shuts down."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        asyncio.get_running_loop().set_exception_handler(_report_error)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down."""
        app: Any = self.config.app
        app.state.studio.run_events.close()
        await super().shutdown(sockets)


def _report_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Print one sentence if no further file can be opened. The loop listens again in a second."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        print(
            "bicinium: a connection was not taken, because too many files are open.",
            file=sys.stderr,
            flush=True,
        )
    else:
        loop.default_exception_handler(context)


def studio_server(settings: StudioSettings) -> uvicorn.Server:
    """Return the server. ``config.app`` is the application."""
    return _Server(
        uvicorn.Config(
            create_app(settings),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            http=LimitedConnection,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )
