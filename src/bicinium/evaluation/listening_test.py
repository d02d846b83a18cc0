"""A blind listening test as one self-contained HTML page.

Each pair has a real and a composed piece with the same metre, mode, key, tempo and number of bars,
played by the same piano with the same dynamics. The listener says which is by a human, and the page
evaluates the pairs at the end. The solution is hidden from the eye, but not from somebody who
reads the source of the page.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from bicinium.errors import RequestError
from bicinium.evaluation.audio_clips import audio_data_uri
from bicinium.evaluation.evaluate import Evaluation
from bicinium.evaluation.paired_pieces import PairedPieces
from bicinium.evaluation.reference_music import repertoire
from bicinium.music.score import NoteSequence, Score, Voice, note_array
from bicinium.reports.html_report import PAGE_STYLE
from bicinium.reports.templates import render_template

PAIRS = 10
_VELOCITY = 80  # of every note; the performance adds the phrasing


def render_listening_test(
    evaluation: Evaluation,
    count: int = PAIRS,
    encode_audio: Callable[[Score], str] | None = None,
) -> str:
    """Return the page with ``count`` pairs, keyboard music first.

    encode_audio: returns the data URI of a score (default: with phrasing).

    Raises RequestError if nothing was composed.
    """
    pairs = evaluation.pairs
    if pairs is None or not pairs.scores:
        raise RequestError("A listening test needs one composed piece or more (got none).")
    rng = np.random.default_rng([evaluation.seed, 1])
    chosen = _choose_pairs(pairs, count, rng)
    human_places = rng.integers(0, 2, len(chosen)).tolist()  # 0: first, 1: second
    encode_audio = encode_audio or partial(audio_data_uri, perform=True)
    test = {
        "model": evaluation.model,
        "seed": evaluation.seed,
        "pairs": [
            _pair_json(pairs, index, human, encode_audio)
            for index, human in zip(chosen, human_places, strict=True)
        ],
    }
    packed = base64.b64encode(json.dumps(test).encode()).decode()
    return render_template(
        "bicinium.evaluation",
        "listening_test.html.j2",
        style=PAGE_STYLE,
        count=len(chosen),
        test=packed,
    )


def equal_loudness(score: Score) -> Score:
    """Return the score with the same velocity for every note."""
    return replace(score, voices=tuple(_equal_loudness(voice) for voice in score.voices))


def _equal_loudness(voice: Voice) -> Voice:
    columns = note_array(voice.notes).copy()
    columns[3] = _VELOCITY
    return Voice(NoteSequence(columns))


def _choose_pairs(pairs: PairedPieces, count: int, rng: np.random.Generator) -> list[int]:
    """Choose pairs in random order: keyboard music that ends with the piece is preferred."""
    shuffled = rng.permutation(len(pairs.scores)).tolist()
    shuffled.sort(key=lambda index: _rank(pairs, index))
    chosen = shuffled[:count]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _rank(pairs: PairedPieces, index: int) -> tuple[bool, bool]:
    excerpt = pairs.excerpts[index]
    is_end_of_piece = excerpt.first_bar + excerpt.score.bars == excerpt.piece.bars
    return repertoire(excerpt.piece) == "other", not is_end_of_piece


def _pair_json(
    pairs: PairedPieces, index: int, human: int, encode_audio: Callable[[Score], str]
) -> dict[str, object]:
    excerpt = pairs.excerpts[index]
    sounds = [encode_audio(equal_loudness(pairs.scores[index]))] * 2
    sounds[human] = encode_audio(equal_loudness(excerpt.score))
    about = {
        "real": excerpt.description,
        "composed": pairs.compositions[index].seed,
    }
    return {"sound": sounds, "human": human, "about": about}
