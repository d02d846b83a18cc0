"""Foreign hosts, origins and sites are rejected; beyond loopback a token is required."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bicinium.studio.access_control import (
    COOKIE,
    AccessGuard,
    AccessPolicy,
    generate_token,
    is_loopback,
)


class _Client:
    """A client of an application that is not served; it keeps cookies."""

    def __init__(self, app: Starlette, base: str) -> None:
        self.app, self.base, self.cookies = app, base, httpx.Cookies()

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url=self.base, cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, headers=headers)
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers)

    def post(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("POST", path, headers)


def _client(policy: AccessPolicy, base: str = "http://127.0.0.1:8765") -> _Client:
    async def hello(request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    routes = [Route("/", hello, methods=["GET", "POST"]), Route("/api", hello)]
    app = Starlette(routes=routes, middleware=[Middleware(AccessGuard, policy=policy)])
    return _Client(app, base)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:9000", "LOCALHOST"])
def test_loopback_is_allowed(host: str) -> None:
    assert (
        _client(AccessPolicy.for_host("127.0.0.1")).get("/", headers={"Host": host}).text == "hello"
    )


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "192.168.1.5", "evil@127.0.0.1", "localhost/x", "",
     "127.0.0.1:8765 x", "[::1", "localhost.evil.example:8765"],
)  # fmt: skip
def test_foreign_hosts_are_rejected(host: str) -> None:
    answer = _client(AccessPolicy.for_host("127.0.0.1")).get("/", headers={"Host": host})
    assert answer.status_code == 403
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8765.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_foreign_pages_are_rejected(method: str, headers: dict[str, str]) -> None:
    assert (
        _client(AccessPolicy.for_host("127.0.0.1"))
        .request(method, "/", headers=headers)
        .status_code
        == 403
    )


def test_own_page_and_links_are_allowed() -> None:
    client = _client(AccessPolicy.for_host("127.0.0.1"))
    assert client.post("/", headers={"Origin": "http://127.0.0.1:8765"}).status_code == 200
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200


def test_content_security_policy_forbids_foreign_content() -> None:
    headers = _client(AccessPolicy.for_host("127.0.0.1")).get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_token_is_required_beyond_loopback() -> None:
    token = generate_token()
    client = _client(AccessPolicy.for_host("0.0.0.0", token), "http://192.168.1.5:8765")
    assert client.get("/").status_code == 401
    assert client.get("/api").status_code == 401
    assert client.get("/?token=wrong").status_code == 401
    assert client.get("/api", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    opened = client.get(f"/?token={token}")
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    cookie = opened.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api").status_code == 200  # the cookie is kept
    client.cookies.clear()
    assert client.get("/api", headers={"Cookie": f"{COOKIE}=wrong"}).status_code == 401


def test_foreign_hosts_are_rejected_beyond_loopback() -> None:
    token = generate_token()
    client = _client(AccessPolicy.for_host("0.0.0.0", token))
    headers = {"Host": "evil.example", "Authorization": f"Bearer {token}"}
    assert client.get("/", headers=headers).status_code == 403


def test_loopback_hosts() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "example.org")))
