"""Downloads from a server that stalls, truncates, redirects, lies and changes its mind."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bicinium.data.download import CatalogueEntry, Download, catalogue, download
from bicinium.data.sources import find_sources
from bicinium.errors import CorpusError
from bicinium.formats.midi import write_midi
from bicinium.music.score import Score

MakeScore = Callable[..., Score]
Refuses = Callable[..., AbstractContextManager[None]]


class Server:
    """A server of one MIDI file under many names. The name decides how the server behaves.

    ``asked`` counts the requests for each name.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}/"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.strip("/").removesuffix(".mid")
        self.asked[name] += 1
        getattr(self, f"_{name.replace('-', '_')}", self._good)(request)

    def _send(
        self, request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: object
    ) -> None:
        request.send_response(status)
        headers = {"Content_Length": len(body)} | headers
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), str(value))
        request.end_headers()
        request.wfile.write(body)

    def _good(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, self.data)

    def _truncates(self, request: BaseHTTPRequestHandler) -> None:
        """Half a file at first, then all of it."""
        sent = self.data[: len(self.data) // 2] if self.asked["truncates"] == 1 else self.data
        self._send(request, sent, Content_Length=len(self.data))

    def _stalls(self, request: BaseHTTPRequestHandler) -> None:
        if self.asked["stalls"] == 1:
            request.send_response(200)
            request.send_header("Content-Length", str(len(self.data)))
            request.end_headers()
            request.wfile.write(self.data[:20])
            request.wfile.flush()
            time.sleep(1.5)
        else:
            self._send(request, self.data)

    def _redirects(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, b"", 302, Location="/good.mid")

    def _circle(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, b"", 302, Location="/circle.mid")

    def _elsewhere(self, request: BaseHTTPRequestHandler) -> None:
        """To the same server by another name."""
        port = self.http.server_address[1]
        self._send(request, b"", 302, Location=f"http://localhost:{port}/good.mid")

    def _ftp(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, b"", 302, Location="ftp://127.0.0.1/good.mid")

    def _drips(self, request: BaseHTTPRequestHandler) -> None:
        """A byte now and then, so that no read ever times out."""
        request.send_response(200)
        request.end_headers()
        try:
            for byte in self.data * 1000:
                request.wfile.write(bytes([byte]))
                time.sleep(0.005)
        except OSError:
            pass

    def _drips_headers(self, request: BaseHTTPRequestHandler) -> None:
        """A byte of a header now and then, so that the answer never begins."""
        try:
            request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            for _ in range(2_000):
                request.wfile.write(b"x")
                request.wfile.flush()
                time.sleep(0.005)
        except OSError:
            pass

    def _says_less(self, request: BaseHTTPRequestHandler) -> None:
        """All of the file, but a header that says it is shorter."""
        self._send(request, self.data, Content_Length=len(self.data) - 40)

    def _says_more(self, request: BaseHTTPRequestHandler) -> None:
        """All of the file, but a header that says there is more."""
        self._send(request, self.data, Content_Length=len(self.data) + 40)

    def _endless(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(bytes(1 << 16))
        except OSError:
            pass

    def _page(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, b"<html>Sorry, we have moved.</html>")

    def _absent(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, b"", 404)

    def _busy(self, request: BaseHTTPRequestHandler) -> None:
        if self.asked["busy"] < 3:
            self._send(request, b"", 503)
        else:
            self._send(request, self.data)

    def _always_busy(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, b"", 503)


@pytest.fixture
def server(made_up_score: MakeScore, tmp_path: Path) -> Iterator[Server]:
    path = tmp_path / "served.mid"
    write_midi(made_up_score(0, 8), path)
    serving = Server(path.read_bytes())
    yield serving
    serving.http.shutdown()
    serving.http.server_close()


def _work(name: str) -> CatalogueEntry:
    return CatalogueEntry(
        "inventions", f"{name}.mid", "J. S. Bach", f"Piece {name}", "BWV 1", "CC BY 4.0", "Ada",
        "BWV1",
    )  # fmt: skip


def _fetch(
    server: Server, out: Path, *names: str, max_seconds: float = 60.0, replace: bool = False
) -> dict[str, Download]:
    works = [_work(name) for name in names]
    done = download(
        works,
        out,
        server.address,
        pause_seconds=0.01,
        timeout_seconds=0.5,
        max_seconds=max_seconds,
        replace=replace,
    )
    return dict(zip(names, done, strict=True))


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("good", 1), ("truncates", 2), ("stalls", 2), ("redirects", 1), ("busy", 3),
    ],
)  # fmt: skip
def test_a_server_in_trouble_is_asked_again_and_the_file_comes_whole(
    server: Server, tmp_path: Path, name: str, requests: int
) -> None:
    done = _fetch(server, tmp_path / "out", name)[name]
    assert (done.outcome, done.reason) == ("fetched", "")
    assert (tmp_path / "out" / f"{name}.mid").read_bytes() == server.data
    assert server.asked[name] == requests
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}.mid", "fetched.json", "manifest.csv",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reason", "requests"),
    [
        ("absent", "answers 404", 1),
        ("always-busy", "answers 503 .*; gave up after 4 attempts", 4),
        ("page", "is not a MIDI file", 1),
        ("circle", "redirect", None),
        ("says-more", "failed", 4),
        ("says-less", "damaged", 1),
        ("endless", "sends over", 1),
        ("elsewhere", "redirects to http://localhost:.* another host", 1),
        ("ftp", "redirects to ftp://", 1),
    ],
)
def test_what_cannot_be_had_is_said_with_the_reason_and_leaves_nothing(
    server: Server, tmp_path: Path, name: str, reason: str, requests: int | None
) -> None:
    done = _fetch(server, tmp_path / "out", name, "good")
    assert done["good"].outcome == "fetched"  # one failure does not end the run
    assert done[name].outcome == "failed"
    assert re.search(reason, done[name].reason), done[name].reason
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "good.mid", "fetched.json", "manifest.csv",
    }  # fmt: skip
    if requests:
        assert server.asked[name] == requests


def test_what_is_there_is_not_asked_for_again_and_what_is_damaged_is(
    server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _fetch(server, out, "one", "two")
    (out / "two.mid").write_bytes(server.data[:-9])
    done = _fetch(server, out, "one", "two")
    assert [done[name].outcome for name in ("one", "two")] == ["had already", "fetched"]
    assert server.asked == {"one": 1, "two": 2}
    assert (out / "two.mid").read_bytes() == server.data


def test_a_server_that_changes_its_mind_is_not_believed(
    server: Server, made_up_score: MakeScore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _fetch(server, out, "one")
    (out / "one.mid").unlink()
    write_midi(made_up_score(5, 8), tmp_path / "other.mid")
    server.data = (tmp_path / "other.mid").read_bytes()
    done = _fetch(server, out, "one")["one"]
    assert done.outcome == "failed"
    assert "sends another file than before" in done.reason
    assert not (out / "one.mid").exists()
    assert _fetch(server, out, "one", replace=True)["one"].outcome == "fetched"
    (out / "fetched.json").unlink()
    done = _fetch(server, out, "one")["one"]
    assert (done.outcome, "exists already" in done.reason) == ("failed", True)
    assert (out / "one.mid").read_bytes() == server.data


def test_the_folder_is_a_source_with_licence_and_credit(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _fetch(server, out, "one", "absent")
    (source,) = find_sources([out])
    assert (source.composer, source.title, source.opus) == ("J. S. Bach", "Piece one", "BWV 1")
    assert (source.licence, source.credit, source.cluster) == ("CC BY 4.0", "Ada", "out/BWV1")
    with (out / "manifest.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["sha256"] == json.loads((out / "fetched.json").read_text())["one.mid"]


def test_no_server_at_all_is_a_failure_of_each_work(tmp_path: Path) -> None:
    (done,) = download([_work("one")], tmp_path, "http://127.0.0.1:9/", pause_seconds=0.01)
    assert done.outcome == "failed"
    assert "gave up after 4 attempts" in done.reason


def test_what_is_no_address_and_no_group_is_one_sentence(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CorpusError, "--server must begin with"):
        download([], tmp_path, "file:///etc")
    with refuses(CorpusError, "'fugues' is not a group of the catalogue. The groups are inv"):
        catalogue(["fugues"])


@pytest.mark.parametrize("text", ["{", "[1]", '["ab"]', "5", "null"])
def test_a_damaged_record_is_one_sentence(tmp_path: Path, refuses: Refuses, text: str) -> None:
    (tmp_path / "fetched.json").write_text(text)
    with refuses(CorpusError, "fetched.json is damaged. Delete it, and download everything again"):
        download([], tmp_path)


def test_the_catalogue_holds_the_works_that_were_asked_for() -> None:
    works = catalogue()
    assert len({work.path for work in works}) == len(works) > 150
    assert all(work.licence and work.maintainer and work.composer for work in works)
    inventions = catalogue(["inventions"])
    assert sorted(work.opus for work in inventions) == [f"BWV {n}" for n in range(772, 787)]
    assert any("Arabesque" in work.title for work in catalogue(["arabesque"]))
    assert {work.composer for work in catalogue(["mozart-sonatas"])} == {"W. A. Mozart"}
    assert {work.composer for work in catalogue(["chopin-etudes"])} == {"F. F. Chopin"}


def test_a_pinned_file_is_the_one_of_the_catalogue(server: Server, tmp_path: Path) -> None:
    right = hashlib.sha256(server.data).hexdigest()
    for pinned, outcome in ((right, "fetched"), ("0" * 64, "failed")):
        work = replace(_work("good"), sha256=pinned)
        out = tmp_path / outcome
        (done,) = download([work], out, server.address, pause_seconds=0.01, replace=True)
        assert done.outcome == outcome
        assert (out / "good.mid").exists() == (outcome == "fetched")
    assert "another file than the one that the catalogue pins" in done.reason


@pytest.mark.parametrize("name", ["drips", "drips_headers"])
def test_a_server_that_sends_byte_by_byte_is_left_in_the_end(
    server: Server, tmp_path: Path, name: str
) -> None:
    done = _fetch(server, tmp_path / "out", name, max_seconds=1.0)[name]
    assert (done.outcome, server.asked[name]) == ("failed", 1)
    assert "took over 1 seconds" in done.reason
