"""Access control: only the studio's own page may send requests.

A page of another site must not reach the studio through the user's browser. So a foreign ``Host``
(DNS rebinding) or a foreign ``Origin`` is rejected on every request. If the server listens beyond
loopback, a token is required. The printed address contains it, and a cookie keeps it.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "bicinium_studio"
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
ALL_INTERFACES = ("0.0.0.0", "::")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server at ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def generate_token() -> str:
    """Return a random access token."""
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Hosts that a request may name, and the token it must have."""

    host_names: frozenset[str]
    any_address: bool = False  # whether every IP address is allowed as a host
    token: str = ""  # "": no token is required

    @classmethod
    def for_host(cls, host: str, token: str = "") -> AccessPolicy:
        """Return the policy of a server that listens at ``host``."""
        names = {
            host.lower(),
            *(_LOOPBACK_HOSTS if is_loopback(host) or host in ALL_INTERFACES else ()),
        }
        if host in ALL_INTERFACES:
            names |= {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
        return cls(frozenset(names), host in ALL_INTERFACES, token)

    def rejection_reason(self, headers: Headers) -> str:
        """Return why a request is rejected; "" if it is allowed."""
        host = headers.get("host", "")
        name = _host_name(host)
        if not name or not (name in self.host_names or (self.any_address and _is_address(name))):
            return f"this studio does not serve the host {host[:80] or 'without a name'}"
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return f"pages of {origin[:80]} may not use this studio"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
            headers.get("sec-fetch-mode") != "navigate"
        ):
            return "pages of other sites may not use this studio"
        return ""

    def accepts_token(self, token: str) -> bool:
        """Return whether this is the token, or none is required."""
        return not self.token or secrets.compare_digest(token.encode(), self.token.encode())


class AccessGuard:
    """ASGI middleware that rejects requests that the policy does not allow."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self.app, self.policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        response: ASGIApp = self.app
        if reason := self.policy.rejection_reason(headers):
            response = JSONResponse({"error": reason}, 403)
        elif self.policy.token and not self.policy.accepts_token(_cookie(headers)):
            query_token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            bearer = headers.get("authorization", "").removeprefix("Bearer ")
            if query_token and self.policy.accepts_token(query_token) and scope["path"] == "/":
                response = RedirectResponse("/", 303)
                response.set_cookie(COOKIE, self.policy.token, httponly=True, samesite="strict")
            elif not self.policy.accepts_token(bearer):
                message = "open the address with the token that the studio printed when it started"
                response = JSONResponse({"error": message}, 401)
        await response(scope, receive, send_with_headers)


def _host_name(host: str) -> str:
    """Return the ``Host`` header without the port; "" if it is invalid."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
