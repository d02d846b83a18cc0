"""What a validation leaves for TensorBoard."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bicinium.formats.midi import write_midi
from bicinium.music.score import Score
from bicinium.training.monitor import Validation
from bicinium.training.reporting import Reporter
from bicinium.training.run_dir import EVENTS, RunLog, read_records, samples_folder
from bicinium.training.validation import ValidationReport


def _validate(run: Path, step: int) -> None:
    """Report a validation whose pieces are saved."""
    log = RunLog(run, Console(file=io.StringIO()))
    page = samples_folder(run, step) / "index.html"
    report = ValidationReport(
        Validation(step, 1.0, 1.0), {"live/valid": 1.0}, summary="good", samples_page=str(page)
    )
    Reporter(log, log_every_steps=1).after_validation(step, report)
    log.close()


def test_tensorboard_plays_the_first_two_pieces_of_a_validation(
    tmp_path: Path, made_up_score: Callable[..., Score]
) -> None:
    folder = samples_folder(tmp_path, 20)
    folder.mkdir(parents=True)
    for index in range(3):
        write_midi(made_up_score(index, 1), folder / f"{index}.mid")
    _validate(tmp_path, 20)
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert board.Tags()["audio"] == ["live/piece_0", "live/piece_1"]
    for name in board.Tags()["audio"]:
        (event,) = board.Audio(name)
        assert event.step == 20
        with wave.open(io.BytesIO(event.encoded_audio_string)) as file:
            assert (file.getnchannels(), file.getframerate()) == (1, event.sample_rate)
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        # One bar of 4/4 at 96 quarters a minute, and a second for the strings to fade.
        assert len(sound) / event.sample_rate == pytest.approx(4 * 60 / 96 + 1, abs=0.01)
        assert np.abs(sound).max() > 2**13


def test_a_piece_that_cannot_be_played_is_an_alert(tmp_path: Path) -> None:
    folder = samples_folder(tmp_path, 20)
    folder.mkdir(parents=True)
    (folder / "0.mid").write_bytes(b"no music")
    _validate(tmp_path, 20)
    alerts = [one for one in read_records(tmp_path / EVENTS) if one["kind"] == "alert"]
    assert [one["step"] for one in alerts] == [20]
    assert "0.mid cannot be played" in alerts[0]["message"]
