"""The server over HTTP: composing, source music, files, hostile and large requests."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import time
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

import bicinium
from bicinium.formats.midi import write_midi
from bicinium.formats.musicxml_writer import write_musicxml
from bicinium.generation.constraints.config import DESCRIPTIONS
from bicinium.music.key import Key
from bicinium.music.score import Note, Score, Voice
from bicinium.studio.request_body import MAX_BODY_BYTES
from bicinium.studio.score_json import ScoreSchema, score_to_json

if TYPE_CHECKING:
    from tests.studio.conftest import Served


def _score(wire: dict[str, Any]) -> Score:
    return ScoreSchema.model_validate_json(json.dumps(wire)).to_score()


# ------------------------------------------------------------------ composing


def test_requested_pieces_are_composed(served: Served) -> None:
    body = {"key": "D minor", "meter": "3/4", "bars": 3, "seed": 5}
    pieces = served.pieces(n=2, **body)
    assert [piece["seed"] for piece in pieces] == [5, 6]
    for piece in pieces:
        score = _score(piece["score"])
        assert (str(score.key), str(score.meter), score.bars) == ("D minor", "3/4", 3)
        assert piece["valid"]
        assert 0 <= piece["sheet"]["total"] <= 1
    (again,) = served.pieces(n=1, **(body | {"seed": 6}))
    assert again["score"] == pieces[1]["score"]  # what a link relies on


def test_progress_is_reported(served: Served) -> None:
    lines = served.compose(n=3, best_of=1, seed=5, key="D minor", meter="3/4", bars=4)
    for seed in (5, 6, 7):
        mine = [line.get("progress", line.get("piece", {})) for line in lines]
        *drafts, piece = [one for one in mine if one.get("seed") == seed]
        last = [draft["bars"] for draft in drafts if draft["draw"] == piece["draws"]]
        assert last == sorted(last)
        assert last[-1] == 4
        assert {draft["all_bars"] for draft in drafts} == {4}
        assert max(draft["draw"] for draft in drafts) == piece["draws"]


def test_piece_is_the_best_of_the_candidates_that_came_before(served: Served) -> None:
    options: dict[str, Any] = {"seed": 5, "key": "D minor", "meter": "3/4", "bars": 4}
    lines = served.compose(**options)
    (piece,) = [line["piece"] for line in lines if "piece" in line]
    candidates = [line["candidate"] for line in lines if "candidate" in line]
    best = [one for one in candidates if one["is_best"]][-1]
    assert piece["score"] == best["score"]
    assert len({str(one["score"]) for one in candidates}) > 2
    chosen = bicinium.compose(**options)
    assert chosen.score is not None
    assert _score(piece["score"]).voices == chosen.score.voices  # as on the command line


def test_voices_stay_within_the_ranges(served: Served) -> None:
    ranges = [[62, 76], [45, 60]]
    body = {"bars": 4, "constraints": {"range": 1, "ranges": ranges}}
    for piece in served.pieces(n=2, seed=3, **body):
        for voice, (low, high) in zip(_score(piece["score"]).voices, ranges, strict=True):
            assert low <= min(note.pitch for note in voice.notes)
            assert max(note.pitch for note in voice.notes) <= high


def test_every_setting_of_a_constraint_is_offered(served: Served) -> None:
    offered = served.get("/api/capabilities").json()["constraints"]
    assert [one["name"] for one in offered] == [name for name in DESCRIPTIONS if name != "ranges"]
    assert all(one["label"] for one in offered)


def test_quotations_are_limited(served: Served) -> None:
    assert served.get("/api/capabilities").json()["quotations"]
    for piece in served.pieces(n=2, seed=3, bars=4, max_quote=1):
        assert piece["sheet"]["quoted_bars"] <= 1


def test_composing_ends_within_the_time_limit(served: Served) -> None:
    lines = served.compose(bars=4, best_of=48, seed=1, time_limit=1e-6)
    assert "within the time limit" in lines[-1]["error"]
    (piece,) = served.pieces(bars=4, best_of=1, seed=1, time_limit=200)
    assert not any("time limit" in remark for remark in piece["remarks"])


def test_fixed_voice_is_unchanged(served: Served, made_up_score: Callable[..., Score]) -> None:
    for use, kept in (("upper", 0), ("lower", 1)):
        given = made_up_score(4, 2, "3/4", "D minor")
        body = {"seed": 1, "source": {"use": use, "score": score_to_json(given)}}
        (piece,) = served.pieces(**body)
        composed = _score(piece["score"])
        assert composed.voices[kept] == given.voices[kept]
        assert composed.voices[1 - kept].notes
        assert composed.voices[1 - kept] != given.voices[1 - kept]


def test_the_manner_of_the_other_voice(served: Served, made_up_score: Callable[..., Score]) -> None:
    assert served.get("/api/capabilities").json()["manners"] == ["simple", "chorale", "invention"]
    given = score_to_json(made_up_score(4, 2, "3/4", "D minor"))
    body = {"seed": 1, "best_of": 1, "source": {"use": "upper", "score": given}}
    (piece,) = served.pieces(**body, manner="chorale")
    assert piece["style"] == "chorale"
    lines = served.compose(bars=2, manner="chorale")  # without a given voice
    assert "anner needs a given voice" in lines[-1]["error"]


def test_what_is_not_as_requested_is_explained(served: Served) -> None:
    upper = Voice(
        tuple(Note(24 * i, pitch, 24, 79) for i, pitch in enumerate([66, 70, 73, 68] * 2))
    )
    given = score_to_json(Score((upper, Voice()), 2, key=Key.parse("C major")))  # far from it
    body = {"best_of": 1, "seed": 1, "source": {"use": "upper", "score": given}}
    (piece,) = served.pieces(**body)
    missed = {name for name, holds in piece["sheet"]["checks"].items() if not holds}
    assert {"key", "close"} <= missed
    assert set(piece["unmet"]) == missed
    assert "was to be in C major" in piece["unmet"]["key"]
    assert "the upper voice ends on" in piece["unmet"]["close"]


def test_other_bars_are_unchanged_when_bars_are_rewritten(
    served: Served, made_up_score: Callable[..., Score]
) -> None:
    given = made_up_score(4, 4, "2/4", "G major")
    wire = {"use": "rewrite", "score": score_to_json(given), "rewrite_bars": [2, 3]}
    (piece,) = served.pieces(seed=2, source=wire)
    composed, bar = _score(piece["score"]), given.meter.bar_ticks
    for before, after in zip(given.voices, composed.voices, strict=True):
        outside = [note for note in before.notes if not bar <= note.onset_tick < 3 * bar]
        assert [n for n in after.notes if not bar <= n.onset_tick < 3 * bar] == outside


def test_score_that_cannot_be_composed_with_is_named_without_its_file(served: Served) -> None:
    held = [[[0, 72, 96 * 40, 80]], [[0, 48, 24, 80]]]
    given = {"meter": "4/4", "key": "C major", "bars": 40, "voices": held}
    wire = {"use": "rewrite", "score": given, "rewrite_bars": [1, 2]}
    last = served.compose(seed=2, source=wire)[-1]
    assert last["error"].startswith("The score cannot be composed with: ")
    assert "musicxml" not in last["error"]


def test_piece_is_continued(served: Served, made_up_score: Callable[..., Score]) -> None:
    given = made_up_score(4, 2, "2/4", "G major")
    wire = {"use": "continue_from", "score": score_to_json(given)}
    (piece,) = served.pieces(seed=2, bars=4, source=wire)
    composed = _score(piece["score"])
    assert composed.bars == 4
    for before, after in zip(given.voices, composed.voices, strict=True):
        assert after.notes[: len(before.notes)] == tuple(before.notes)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"key": "H minor"}, "not a key"),
        ({"meter": "17/4"}, "metre 17/4"),
        ({"style": "polka"}, "style 'polka'"),
        ({"temperature": -1.0}, "“Variety” must be"),
        ({"motif_strength": 11.0}, "“Motif repetition” must be between 0"),
        ({"subject": "nonsense"}, "subject"),
        ({"constraints": {"leep": 1}}, "no constraint 'leep'"),
        ({"constraints": {"leap": 7}}, "must be between 0"),
        ({"constraints": {"leap": "very"}}, "must be between 0"),
        ({"constraints": {"range": 1, "ranges": [[60, 62], [40, 60]]}}, "an octave or more apart"),
    ],
)
def test_invalid_request_is_an_error(served: Served, body: dict[str, Any], sentence: str) -> None:
    last = served.compose(bars=2, **body)[-1]
    assert last["status"] == 400
    assert sentence in last["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"n": 100},
        {"bars": 100_000},
        {"model": "/etc/passwd"},
        {"seed": -1},
        {"source": {"use": "model", "score": {}}},
        {"source": {"use": "upper", "score": "/etc/passwd"}},
        {"use_grammar": False},
        [],
        b"\xff\xfe",
        b"{" * 100_000,
    ],
)
def test_unknown_fields_and_values_are_rejected(served: Served, body: Any) -> None:
    answer = served.post("/api/compose", body)
    assert answer.status_code == 400
    assert answer.json()["error"]


# ------------------------------------------------------------------ many, and those who leave


def test_fifty_requests_at_once(served: Served) -> None:
    async def one(client: httpx.AsyncClient, seed: int) -> tuple[int, str]:
        body = json.dumps({"bars": 1, "meter": "2/4", "key": "C major", "seed": seed})
        answer = await client.post("/api/compose", content=body)
        return answer.status_code, answer.text

    async def everything() -> tuple[list[tuple[int, str]], float]:
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(base_url=served.address, timeout=100, limits=limits) as client:
            clients = [asyncio.create_task(one(client, seed)) for seed in range(50)]
            await asyncio.sleep(0.3)
            started = time.monotonic()
            assert (await client.get("/")).status_code == 200
            page = time.monotonic() - started
            return await asyncio.gather(*clients), page

    answers, page = asyncio.run(everything())
    done = [text for status, text in answers if status == 200]
    busy = [text for status, text in answers if status == 503]
    print(f"{len(done)} of 50 composed, {len(busy)} busy; the page took {page:.3f} s meanwhile")
    assert len(done) + len(busy) == 50
    assert len(done) >= 8
    assert all(json.loads(text.splitlines()[-1]) == {"done": True} for text in done)
    assert all("busy" in json.loads(text)["error"] for text in busy)
    assert page < 5
    assert served.studio.composers.working == served.studio.composers.waiting == 0


def test_disconnected_client_ends_the_work(served: Served) -> None:
    body = json.dumps({"n": 8, "bars": 200, "meter": "4/4"})
    with httpx.stream("POST", f"{served.address}/api/compose", content=body, timeout=60) as answer:
        lines = answer.iter_lines()  # by name: one that is dropped hangs up before we look
        for line in lines:
            if "started" in line:
                break
        assert served.studio.composers.working == 1
    left = time.monotonic()
    while served.studio.composers.working:
        assert time.monotonic() - left < 5
        time.sleep(0.01)
    took = time.monotonic() - left
    print(f"stopped {took:.2f} s after it was cancelled")
    assert took < 1
    assert served.pieces(bars=1, seed=1)  # and the next is served


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("form", ["mid", "musicxml"])
def test_exported_file_has_the_same_score(
    served: Served, made_up_score: Callable[..., Score], tmp_path: Path, form: str
) -> None:
    score = made_up_score(1, 4, "3/4", "D minor")
    body = {"score": score_to_json(score), "format": form, "about": {"seed": "7"}}
    answer = served.post("/api/export", body)
    path = tmp_path / f"piece.{form}"
    path.write_bytes(answer.content)
    assert bicinium.read(path) == score
    assert bicinium.validate(path).valid


def test_pdf_and_sound_export(served: Served, made_up_score: Callable[..., Score]) -> None:
    pytest.importorskip("typst", reason="PDF needs the extra 'engraving'")
    wire = score_to_json(made_up_score(1, 1))
    assert served.post("/api/export", {"score": wire, "format": "pdf"}).content[:5] == b"%PDF-"
    sound = served.post("/api/export", {"score": wire, "format": "wav", "perform": True}).content
    assert _loudest(sound) > 1000


def test_piano_samples_are_audible(served: Served) -> None:
    recording = served.get("/api/piano.wav").content
    assert _loudest(recording) > 10_000
    piano = served.get("/api/capabilities").json()["piano"]
    with wave.open(io.BytesIO(recording)) as file:
        seconds = file.getnframes() / file.getframerate()
    assert seconds == pytest.approx(len(piano["pitches"]) * piano["seconds"], abs=0.01)


def _loudest(recording: bytes) -> int:
    with wave.open(io.BytesIO(recording)) as file:
        return int(np.abs(np.frombuffer(file.readframes(file.getnframes()), "<i2")).max())


def test_uploaded_score_is_read(
    served: Served, made_up_score: Callable[..., Score], tmp_path: Path
) -> None:
    score = made_up_score(1, 4, "3/4", "D minor")
    for form, write in (("mid", write_midi), ("musicxml", write_musicxml), ("mxl", write_musicxml)):
        write(score, tmp_path / f"a.{form}")
        answer = served.post(f"/api/import?name=a.{form}", (tmp_path / f"a.{form}").read_bytes())
        found = answer.json()
        assert _score(found["score"]) == score
        assert found["verdict"]["valid"]
        assert (found["voices"], found["name"]) == (2, f"a.{form}")


@pytest.mark.parametrize(
    ("name", "data", "status", "sentence"),
    [
        ("a.mid", b"not MIDI", 400, "a.mid is not a MIDI file"),
        ("a.mid", b"MThd\0\0\0\6\0\1\0\2\0\x18MTrk\xff\xff\xff\xff", 400, "a.mid"),
        ("a.mid", b"", 400, "is empty"),
        ("a.musicxml", b"<score-partwise>", 400, "not well-formed"),
        ("a.musicxml", b"<html/>", 400, "not a MusicXML score"),
        ("a.mxl", b"PK\3\4 and nothing", 400, "damaged"),
        ("a.json", b"[1, 2", 400, "not a token file"),
        ("a.exe", b"MZ", 415, "not music"),
        ("", b"MThd", 415, "not music"),
        ("../../etc/passwd", b"x", 415, "not music"),
        ("../../../tmp/evil.mid", b"not MIDI", 400, "evil.mid is not"),
        ("..\\..\\evil.mid", b"not MIDI", 400, "evil.mid is not"),
        ("a.mid\0.mid", b"not MIDI", 400, "is not a MIDI"),
        ("." * 300 + ".mid", b"not MIDI", 400, "is not a MIDI"),
    ],
)
def test_broken_file_is_an_error(
    served: Served, name: str, data: bytes, status: int, sentence: str
) -> None:
    answer = httpx.post(f"{served.address}/api/import", params={"name": name}, content=data)
    assert answer.status_code == status
    said = answer.json()["error"]
    assert sentence in said
    assert "/tmp" not in said  # where the server puts it is nobody's business
    assert "Traceback" not in said


def test_hostile_files_are_rejected(served: Served) -> None:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 20}">' for i in range(1, 12))
    laughs = f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><score-partwise>&a11;</score-partwise>'
    file = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><work>&f;</work>'
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        container = '<container><rootfile full-path="a"/></container>'
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("a", bytes(200_000_000))
    climbing = io.BytesIO()
    with zipfile.ZipFile(climbing, "w") as archive:
        archive.writestr(
            "META-INF/container.xml",
            '<container><rootfile full-path="../../../../etc/passwd"/></container>',
        )
    deep = "<a>" * 200_000
    for name, data in (
        ("a.musicxml", laughs.encode()), ("a.musicxml", file.encode()), ("a.mxl", bomb.getvalue()),
        ("a.mxl", climbing.getvalue()), ("a.musicxml", deep.encode()),
        ("a.json", b"[" * 500_000), ("a.json", b"[1" + b"0" * 5000 + b"]"),
        ("a.mid", b"MThd\0\0\0\6\0\1\xff\xff\0\x18" + b"MTrk\x7f\xff\xff\xff" * 9),
    ):  # fmt: skip
        answer = served.post(f"/api/import?name={name}", data)
        said = answer.json()
        assert "error" in said or not said["verdict"]["valid"], (name, data[:60])
        assert "root:" not in answer.text
    assert served.pieces(bars=1)  # it is still there


def test_large_body_is_rejected(served: Served) -> None:
    for path in ("/api/import?name=a.mid", "/api/compose", "/api/engrave", "/api/export"):
        answer = served.post(path, bytes(MAX_BODY_BYTES + 1))
        assert answer.status_code == 413
        assert "2 MB" in answer.json()["error"]


def test_large_body_without_length_is_rejected(served: Served) -> None:
    def chunks() -> Any:
        for _ in range(100):
            yield bytes(100_000)

    try:
        answer = httpx.post(f"{served.address}/api/import?name=a.mid", content=chunks(), timeout=30)
    except (httpx.WriteError, httpx.RemoteProtocolError):
        return  # the connection was closed in the middle
    assert answer.status_code == 413


def test_problem_of_a_reducible_file_names_no_shell_command(served: Served) -> None:
    part = (
        '<part id="P{0}"><measure number="1"><attributes><divisions>1</divisions>'
        "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
        "<note><pitch><step>{1}</step><octave>4</octave></pitch><duration>4</duration></note>"
        "</measure></part>"
    )
    names = "".join(
        f'<score-part id="P{i}"><part-name>{i}</part-name></score-part>' for i in (1, 2, 3)
    )
    parts = "".join(part.format(i, step) for i, step in ((1, "G"), (2, "E"), (3, "C")))
    document = f"<score-partwise><part-list>{names}</part-list>{parts}</score-partwise>"
    file = served.post("/api/import?name=a.musicxml", document.encode()).json()
    assert file["score"] is None
    assert file["problem"] == "a.musicxml has 3 staves, not two voices."
    assert file["reducible"]


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py",
        "/../etc/passwd",
        "/static//etc/passwd", "/static/....//server.py", "/static/index.html%00", "/etc/passwd",
        "/static/..%5cserver.py", "/api/sample?name=first&step=..&file=metrics.jsonl",
        "/api/sample?name=..&step=000200&file=0.mid", "/api/runs?name=../../etc",
        "/api/sample?name=first&step=000200&file=../../metrics.jsonl",
        "/api/sample?name=first&step=000200&file=%2fetc%2fpasswd",
    ],
)  # fmt: skip
def test_paths_outside_the_folders_are_not_found(served: Served, path: str) -> None:
    host, _, port = served.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"400")
    assert b"root:" not in answer
    assert b"import" not in answer


def test_foreign_hosts_and_origins_are_rejected_on_all_routes(served: Served) -> None:
    for path in (
        "/",
        "/static/main.js",
        "/api/capabilities",
        "/api/runs",
        "/api/piano.wav",
        "/nowhere",
    ):
        assert served.get(path, headers={"Host": "evil.example"}).status_code == 403
        assert served.get(path, headers={"Origin": "http://evil.example"}).status_code == 403
    foreign = {"Origin": "http://evil.example"}
    for path in ("/api/compose", "/api/import?name=a.mid", "/api/export", "/api/engrave"):
        assert served.post(path, {}, headers=foreign).status_code == 403


def test_page_uses_no_foreign_resources(served: Served) -> None:
    page = served.get("/").text
    names = [
        name
        for name in served.studio.static_files
        if name.endswith((".js", ".css", ".html", ".svg"))
    ]
    assert len(names) > 10
    for name in names:
        text = served.get(f"/static/{name}").text
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
    assert "<script" in page
    assert "onclick=" not in page


# ------------------------------------------------------------------ counterpoint


def _exercise(upper: list[int], lower: list[int]) -> dict[str, Any]:
    """Return an exercise in whole notes."""
    voices = [
        Voice(tuple(Note(96 * bar, pitch, 96) for bar, pitch in enumerate(line)))
        for line in (upper, lower)
    ]
    return score_to_json(Score((voices[0], voices[1]), len(upper)))


def test_faults_are_found_and_mended(served: Served) -> None:
    body = {"score": _exercise([67, 69, 67, 71, 72], [60, 62, 64, 62, 60]), "rules": "species1"}
    report = served.post("/api/check", body).json()
    (index,) = [
        place
        for place, fault in enumerate(report["faults"])
        if fault["rule"] == "consecutive_perfects"
    ]
    fault = report["faults"][index]
    assert (fault["bar"], fault["beat"], fault["severity"]) == (2, 1, "error")
    assert {note["voice"] for note in fault["notes"]} == {0, 1}
    proposals = served.post("/api/proposals", body | {"fault": index}).json()
    assert 1 <= len(proposals) <= 3
    assert [one["bits"] for one in proposals] == sorted(one["bits"] for one in proposals)
    for proposal in proposals:
        mended = served.post("/api/check", body | {"score": proposal["score"]}).json()
        assert "consecutive_perfects" not in {one["rule"] for one in mended["faults"]}
        changed = {(change["voice"], change["tick"]) for change in proposal["changes"]}
        before, after = body["score"]["voices"], proposal["score"]["voices"]
        for voice, (old, new) in enumerate(zip(before, after, strict=True)):
            kept = [row for row in old if (voice, row[0]) not in changed]
            assert [row for row in new if (voice, row[0]) not in changed] == kept


_OWN_RULES = "base: species1\nname: first term\nrules: {consecutive_perfects: hint}\n"


def test_a_rule_set_of_ones_own(served: Served) -> None:
    own = {"name": "first-term.yaml", "text": _OWN_RULES}
    found = served.post("/api/rules", own).json()
    assert found == {"name": "first term", "description": "first term"}
    body = {"score": _exercise([67, 69, 67, 71, 72], [60, 62, 64, 62, 60]), "rules": own}
    report = served.post("/api/check", body).json()
    severities = [fault["severity"] for fault in report["faults"]]
    rules = [fault["rule"] for fault in report["faults"]]
    index = rules.index("consecutive_perfects")
    assert severities[index] == "hint"
    assert served.post("/api/proposals", body | {"fault": index}).status_code == 200


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.yaml", "base: species9", "a.yaml: There is no rule set 'species9'."),
        ("a.yml", "rules: {climaxes: off}", "a.yml: There is no rule 'climaxes'."),
        ("a.yaml", "rules: [", "a.yaml cannot be read as a rule set: line 1"),
        ("../a.yaml", "base: bach", "name: "),
        ("a.txt", "base: bach", "name: "),
        ("a.yaml", "#" * 200_000, "text: "),
    ],
)
def test_mistakes_in_a_rule_set_are_named(served: Served, name: str, text: str, error: str) -> None:
    answer = served.post("/api/rules", {"name": name, "text": text})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"rules": "/etc/passwd.yaml"}, 400),
        ({"rules": "species1", "cantus": 2}, 400),
        ({"rules": "species1", "fault": 99}, 400),
        ({"rules": "species1", "fault": -1}, 400),
    ],
)
def test_wrong_requests_about_counterpoint_are_errors(
    served: Served, more: dict[str, Any], status: int
) -> None:
    path = "/api/proposals" if "fault" in more else "/api/check"
    answer = served.post(path, {"score": _exercise([67, 69], [60, 62])} | more)
    assert answer.status_code == status
    assert answer.json()["error"]
