"""Who may ask: only a page that this server has sent, from the machine it is meant for.

A page of another site cannot reach the studio through the browser of its user: a foreign ``Host``
(DNS rebinding) and a foreign ``Origin`` are refused on every request. Beyond loopback a token is
asked for, which the address that is printed brings, and a cookie keeps.
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
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANYWHERE = ("0.0.0.0", "::")
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
    """Whether only this machine can reach a server at ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """A secret for a server that other machines can reach."""
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a request must bring. ``names`` are the hosts it may be for, ``token`` "" is none."""

    names: frozenset[str]
    any_address: bool = False  # whether an IP address is as good as a name
    token: str = ""

    @classmethod
    def of(cls, host: str, token: str = "") -> Policy:
        """The policy of a server that listens at ``host``."""
        names = {host.lower(), *(_LOOPBACK if is_loopback(host) or host in ANYWHERE else ())}
        if host in ANYWHERE:
            names |= {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
        return cls(frozenset(names), host in ANYWHERE, token)

    def why_not(self, headers: Headers) -> str:
        """Why a request is refused; nothing where it is not."""
        host = headers.get("host", "")
        name = _name(host)
        if not name or not (name in self.names or (self.any_address and _is_address(name))):
            return f"this studio is not at {host[:80] or 'a host without a name'}"
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return f"a page of {origin[:80]} may not use this studio"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
            headers.get("sec-fetch-mode") != "navigate"
        ):
            return "a page of another site may not use this studio"
        return ""

    def knows(self, sent: str) -> bool:
        """Whether this is the token."""
        return not self.token or secrets.compare_digest(sent.encode(), self.token.encode())


class Guard:
    """ASGI middleware that lets nothing through but what the policy allows."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
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

        answer: ASGIApp = self.app
        if why := self.policy.why_not(headers):
            answer = JSONResponse({"error": why}, 403)
        elif self.policy.token and not self.policy.knows(_cookie(headers)):
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            bearer = headers.get("authorization", "").removeprefix("Bearer ")
            if asked and self.policy.knows(asked) and scope["path"] == "/":
                answer = RedirectResponse("/", 303)
                answer.set_cookie(COOKIE, self.policy.token, httponly=True, samesite="strict")
            elif not self.policy.knows(bearer):
                sentence = "open the address, with its token, that the studio printed at its start"
                answer = JSONResponse({"error": sentence}, 401)
        await answer(scope, receive, send_with_headers)


def _name(host: str) -> str:
    """The host of ``Host``, without its port; nothing where it is none."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


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
