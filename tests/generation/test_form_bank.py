"""The form bank: forms of real pieces for new ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bicinium
from bicinium.data.piece_record import PieceRecord
from bicinium.errors import CheckpointError, RequestError
from bicinium.generation.composer import Composer
from bicinium.generation.conditions import Conditions
from bicinium.generation.form_bank import FormBank, forms_path
from bicinium.generation.rerank import Selection
from bicinium.model.checkpoint import MODEL_FILE, Checkpoint
from bicinium.model.config import ModelConfig
from bicinium.music.form import RETURNS, BarKind, Close, Form, bar_label
from bicinium.music.form_text import parse_form
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.training.dataset import piece_forms
from bicinium.training.run_dir import write_form_bank

Refuses = Callable[..., AbstractContextManager[None]]


def _form(bars: int, seed: int) -> Form:
    """A form in which bars return to any earlier one."""
    rng = np.random.default_rng(seed)

    def label(bar: int):
        if not bar or rng.random() < 0.5:
            return bar_label(BarKind(int(rng.integers(1, 4))))
        return bar_label(BarKind.LITERAL, int(rng.integers(1, bar + 1)), bool(rng.integers(2)))

    labels = tuple(tuple(label(bar) for bar in range(bars)) for _ in range(2))
    return Form(labels, tuple(Close(int(rng.integers(1, 5))) for _ in range(bars)))


_PIECES = [("bach" if i % 2 else "", "4/4" if i % 3 else "3/4", _form(8 + i, i)) for i in range(40)]
_BANK = FormBank.of(_PIECES, np.random.default_rng(0))


@given(st.integers(1, 256), st.integers(0, 999), st.sampled_from(["bach", "other", None]))
def test_a_form_has_the_bars_that_are_asked_for(bars: int, seed: int, style: str | None) -> None:
    form = _BANK.draw(bars, Meter(4, 4), style, np.random.default_rng(seed))
    assert form.bars == bars == len(form.labels[0]) == len(form.labels[1])
    assert form.closes[-1] == Close.FULL
    for voice in form.labels:
        for bar, label in enumerate(voice):
            assert (0 < label.back <= bar) == (label.kind in RETURNS)


def test_the_form_is_that_of_a_piece_in_the_style_and_metre() -> None:
    of_bach = {form.labels for style, meter, form in _PIECES if (style, meter) == ("bach", "4/4")}
    short = FormBank.of([("bach", "4/4", _form(8, i)) for i in range(9)], np.random.default_rng(0))
    assert len(of_bach) > 8
    drawn = {short.draw(8, Meter(4, 4), "bach", np.random.default_rng(i)).labels for i in range(30)}
    assert drawn <= {_form(8, i).labels for i in range(9)}
    assert len(drawn) > 1


def test_a_voice_is_seldom_silent() -> None:
    new, rests = (bar_label(BarKind.NEW),) * 8, (bar_label(BarKind.SILENT),) * 8
    silent, sounding = (Form((new, lower), (Close.NONE,) * 8) for lower in (rests, new))
    forms = [("", "4/4", form) for form in [silent] * 20 + [sounding] * 2]
    bank = FormBank.of(forms, np.random.default_rng(0))
    for seed in range(10):
        drawn = bank.draw(8, Meter(4, 4), None, np.random.default_rng(seed))
        assert drawn.labels == sounding.labels


def test_a_bank_comes_back_from_its_file(tmp_path: Path) -> None:
    path = forms_path(tmp_path / "model.safetensors")
    assert FormBank.for_model(tmp_path / "model.safetensors") is None
    _BANK.save(path)
    bank = FormBank.for_model(tmp_path / "model.safetensors")
    assert bank is not None
    for seed in range(5):
        drawn = [
            b.draw(20, Meter(3, 4), "bach", np.random.default_rng(seed)) for b in (bank, _BANK)
        ]
        assert drawn[0] == drawn[1]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.forms.npz"
    _BANK.save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"no forms", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is not a bank of forms"):
            FormBank.load(path)
    columns = dict(np.load(_saved(tmp_path), allow_pickle=False))
    for name, values in (
        ("labels", columns["labels"][:-1]),
        ("labels", np.full_like(columns["labels"], 99)),
        ("meters", np.array(["4/5"] * len(columns["bars"]))),
        ("format", np.array(9)),
    ):
        np.savez(path, **(columns | {name: values}))
        with pytest.raises(CheckpointError, match="is not a bank of forms"):
            FormBank.load(path)


# ------------------------------------------------------------------ composing


def test_a_piece_has_a_form_of_the_bank_as_far_as_none_is_asked_for(
    tiny_config: ModelConfig, random_weights: Callable[..., dict[str, np.ndarray]]
) -> None:
    config = tiny_config.model_copy(update={"form_inputs": True})
    composer = Composer(Checkpoint(config, random_weights(config)), forms=_BANK)
    asked = parse_form("A A", 8)
    conditions = [Conditions(Key(0, "major"), Meter(4, 4), 8, form=form) for form in (None, asked)]
    free, planned = composer.compose(conditions, [1, 2], selection=Selection(best_of=1))
    for piece in (free, planned):
        form = piece.conditions.form
        assert form is not None
        assert piece.result.valid
        assert BarKind.UNKNOWN not in {label.kind for voice in form.labels for label in voice}
    assert planned.conditions.form == asked.completed(planned.conditions.form or asked)


def test_a_model_that_has_not_learned_forms_says_so(refuses: Refuses) -> None:
    with refuses(RequestError, "The model has not learned forms."):
        bicinium.compose(form="A B A", bars=6)


def test_a_run_writes_the_forms_of_its_pieces(tmp_path: Path) -> None:
    score = Score((Voice((Note(0, 60, 96),)), Voice((Note(0, 48, 96),))), 1, key=Key(0, "major"))
    piece = PieceRecord("a", style="bach", meter="4/4", tokens=encode(score), bars=1)
    write_form_bank(tmp_path, [piece], piece_forms([piece]), seed=1)
    bank = FormBank.for_model(tmp_path / MODEL_FILE)
    assert bank is not None
    assert bank.styles.tolist() == ["bach"]
    assert bank.draw(1, Meter(4, 4), "bach", np.random.default_rng(0)).bars == 1


def _saved(folder: Path) -> Path:
    path = folder / "whole.forms.npz"
    _BANK.save(path)
    return path
