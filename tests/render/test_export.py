"""Every format is written completely and correctly. A missing library is named."""

from __future__ import annotations

import sys
import time
import wave
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bicinium.errors import MissingExtraError, RequestError
from bicinium.formats.registry import read_score
from bicinium.render.audio import write_wav
from bicinium.render.export import OUTPUT_FORMATS, output_format, require_libraries, write_score
from bicinium.render.performance import (
    Performance,
    TimedNote,
    expressive_performance,
    strict_performance,
)
from bicinium.render.synthesizer import RATE, render

BEGINNINGS = {
    "mid": b"MThd", "musicxml": b"<?xml", "mxl": b"PK", "svg": b"<svg", "roll.svg": b"<svg",
    "png": b"\x89PNG", "pdf": b"%PDF", "wav": b"RIFF", "ogg": b"OggS",
}  # fmt: skip
NEEDS = {
    "svg": "verovio", "png": "verovio", "pdf": "verovio", "ogg": "soundfile",
}  # fmt: skip


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_every_format_is_written(tmp_path, made_up_score, form):
    if form in NEEDS:
        pytest.importorskip(NEEDS[form])
    path = tmp_path / f"piece.{form}"
    write_score(made_up_score(1, bars=4), path)
    assert path.read_bytes().startswith(BEGINNINGS[form])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("error")  # of a file that is left half open, too
@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_a_folder_that_is_not_there_is_an_os_error(tmp_path, made_up_score, form):
    if form in NEEDS:
        pytest.importorskip(NEEDS[form])
    with pytest.raises(FileNotFoundError):
        write_score(made_up_score(1, bars=2), tmp_path / "none" / f"piece.{form}")


@pytest.mark.parametrize("form", ["mid", "musicxml", "mxl"])
def test_what_can_be_read_again_is_the_same_music(tmp_path, made_up_score, form):
    score = made_up_score(1, meter="3/4", key="D minor")
    write_score(score, tmp_path / f"piece.{form}")
    assert read_score(tmp_path / f"piece.{form}").voices == score.voices


@pytest.mark.parametrize("form", sorted(NEEDS))
def test_what_is_not_installed_is_named_with_its_extra(
    tmp_path, refuses, monkeypatch, made_up_score, form
):
    monkeypatch.setitem(sys.modules, NEEDS[form], None)
    with refuses(
        MissingExtraError, rf"needs {NEEDS[form]}: install it with pip install 'bicinium\["
    ):
        write_score(made_up_score(1, bars=1), tmp_path / f"piece.{form}")
    assert list(tmp_path.iterdir()) == []


def test_names_say_formats(refuses):
    assert output_format(Path("a.b/PIECE.MIDI")) == "mid"
    assert output_format(Path("piece.xml")) == "musicxml"
    assert output_format(Path("piece.roll.svg")) == "roll.svg"
    with refuses(RequestError, "piece.doc names no format that can be written: mid, musicxml"):
        output_format(Path("piece.doc"))


def samples(path: Path) -> tuple[np.ndarray, float]:
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.reshape(-1, 2), file.getnframes() / file.getframerate()


@pytest.fixture(params=["sound font", "built-in"])
def synthesizer(request, monkeypatch):
    """Each of the two synthesisers."""
    if request.param == "built-in":
        monkeypatch.setitem(sys.modules, "midirenderer", None)
    else:
        pytest.importorskip("midirenderer")


@pytest.mark.usefixtures("synthesizer")
@pytest.mark.parametrize("perform", [False, True])
def test_sound_lasts_as_long_as_the_piece_and_does_not_clip(tmp_path, made_up_score, perform):
    score = made_up_score(5, bars=32, meter="3/4")
    started = time.process_time()
    write_wav(score, tmp_path / "a.wav", perform)
    assert time.process_time() - started < 3
    data, seconds = samples(tmp_path / "a.wav")
    piece = (expressive_performance if perform else strict_performance)(score).seconds
    assert seconds == pytest.approx(piece + 1, abs=0.01)
    rate = round(len(data) / seconds)
    loud = [np.abs(data[i : i + rate].astype(int)).max() for i in range(0, len(data) - rate, rate)]
    assert min(loud[:-1]) > 300  # no second of it is silent
    assert 28_000 < max(loud) < 32_000  # 1 dB below full scale
    assert np.abs(data[-10:].astype(int)).max() < 10  # it fades


@pytest.mark.usefixtures("synthesizer")
def test_a_quiet_note_and_a_loud_one_differ_only_in_colour_not_in_level(tmp_path, made_up_score):
    score = made_up_score(5, bars=2)
    quiet = replace(score, voices=tuple(
        replace(v, notes=tuple(replace(n, velocity=30) for n in v.notes)) for v in score.voices
    ))  # fmt: skip
    for name, piece in (("a.wav", score), ("b.wav", quiet)):
        write_wav(piece, tmp_path / name)
    peaks = [np.abs(samples(tmp_path / name)[0].astype(int)).max() for name in ("a.wav", "b.wav")]
    assert peaks[0] == pytest.approx(peaks[1], abs=2)


def test_the_engraved_score_needs_no_font_of_its_own(tmp_path, made_up_score):
    pytest.importorskip("verovio")
    score = replace(made_up_score(1, bars=4, meter="6/8"), title="A <title> & more")
    write_score(score, tmp_path / "piece.svg")
    text = (tmp_path / "piece.svg").read_text()
    root = ElementTree.fromstring(text)
    said = " ".join("".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("text"))
    assert "A <title> & more" in said
    assert "=\N{NO-BREAK SPACE}64" in said
    assert not any("\ue000" <= sign <= "\uf8ff" for sign in said)  # signs of a music font
    assert "font-face" not in text
    heads = [e for e in root.iter() if e.get("class") == "note"]
    assert len(heads) >= score.note_count


def test_the_same_score_engraves_to_the_same_bytes(tmp_path, made_up_score):
    pytest.importorskip("typst")
    for form in ("svg", "png", "pdf"):
        for name in ("a", "b"):
            write_score(made_up_score(1, bars=2), tmp_path / f"{name}.{form}")
        pages = [(tmp_path / f"{name}.{form}").read_bytes() for name in ("a", "b")]
        assert pages[0] == pages[1]


def test_a_long_piece_has_pages_in_pdf_and_one_image_in_svg(tmp_path, made_up_score):
    pytest.importorskip("typst")
    score = made_up_score(1, bars=80)
    for form in ("pdf", "svg"):
        write_score(score, tmp_path / f"piece.{form}")
    assert (tmp_path / "piece.pdf").read_bytes().count(b"/Type/Page/") + (
        tmp_path / "piece.pdf"
    ).read_bytes().count(b"/Type /Page\n") >= 2
    svg = (tmp_path / "piece.svg").read_text()
    assert svg.count('class="measure"') == 80


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_piece_that_no_image_holds_is_refused_with_what_takes_it(
    tmp_path, refuses, made_up_score, form
):
    pytest.importorskip("verovio")
    with refuses(RequestError, rf"piece\.{form} would need 2 pages for 700 bars.*write a PDF"):
        write_score(made_up_score(1, bars=700), tmp_path / f"piece.{form}")
    assert list(tmp_path.iterdir()) == []


def test_the_roll_stands_alone_in_two_colours_with_its_bars(tmp_path, made_up_score):
    score = made_up_score(1, bars=4)
    write_score(score, tmp_path / "piece.roll.svg")
    text = (tmp_path / "piece.roll.svg").read_text()
    root = ElementTree.fromstring(text)
    assert "var(" not in text
    parts = [sum(e.get("class") == f"part{part}" for e in root.iter()) for part in (0, 1)]
    assert parts == [len(voice.notes) for voice in score.voices]
    assert sum(e.get("class") == "bar" for e in root.iter()) >= 4


def test_the_former_keyword_for_metadata_warns_and_works(tmp_path, made_up_score):
    path = tmp_path / "piece.musicxml"
    with pytest.warns(DeprecationWarning, match="metadata="):
        write_score(made_up_score(1, bars=1), path, about={"seed": "7"})
    fields = ElementTree.parse(path).getroot().iter("miscellaneous-field")
    assert {field.get("name"): field.text for field in fields} == {"seed": "7"}


def test_the_built_in_piano_plays_the_written_pitch():
    note = TimedNote(0, 0.0, 1.0, 69, 80)
    sound = render(Performance((note,), 1.0), 2.0)
    assert sound.shape == (2 * RATE, 2)
    spectrum = np.abs(np.fft.rfft(sound[: RATE // 2].sum(axis=1)))
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=3)  # bins of 2 Hz
    assert np.abs(sound[round(1.1 * RATE) :]).max() == 0  # damped


def test_the_libraries_of_several_formats_are_named_at_once(monkeypatch, refuses):
    for module in ("verovio", "soundfile"):
        monkeypatch.setitem(sys.modules, module, None)
    with refuses(MissingExtraError, r"need verovio and soundfile.*bicinium\[engraving,sound\]"):
        require_libraries("pdf", "wav", "ogg")
    require_libraries("wav", "mid")
