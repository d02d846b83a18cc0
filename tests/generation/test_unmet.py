"""What is not as requested is said with what was asked, what came, and why it may be so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.fixed_notes import fix_voice
from bicinium.generation.rerank import DEFAULT_SELECTION
from bicinium.generation.unmet import explain_unmet
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.codec import encode

_C_MAJOR = Key.parse("C major")


def _voice(*pitches: int) -> Voice:
    return Voice(tuple(Note(24 * index, pitch, 24, 79) for index, pitch in enumerate(pitches)))


_UPPER = _voice(72, 74, 76, 77, 79, 77, 74, 72)
_LOWER = _voice(60, 59, 60, 57, 52, 53, 55, 48)
_IN_C = Score((_UPPER, _LOWER), 2, key=_C_MAJOR, tempo_qpm=120)


def _explain(score: Score, imitates: bool = False, **asked: object) -> dict[str, str]:
    wanted: dict[str, object] = {"key": _C_MAJOR, "meter": score.meter, "bars": score.bars}
    conditions = Conditions(**(wanted | asked))  # type: ignore[arg-type]
    tokens = encode(score)
    result = MusicalGrammarValidator().validate_sequence(tokens, score.meter, score.bars)
    piece = Composition(conditions, seed=0, tokens=tokens, result=result, score=score, draws=1)
    sheet = DEFAULT_SELECTION.sheet(DEFAULT_SELECTION.candidate(piece))
    return explain_unmet(replace(piece, sheet=sheet), imitates)


def test_nothing_is_said_of_a_piece_that_is_as_requested() -> None:
    assert _explain(_IN_C) == {}


@pytest.mark.parametrize(
    ("asked", "name", "words"),
    [
        ({"bars": 3}, "bars", "was to have 3 bars, but its last note is in bar 2."),
        ({"meter": Meter(2, 4)}, "meter", "was to be in 2/4, but it is in 4/4."),
        ({"tempo_qpm": 90.0}, "tempo", "was to be quarter = 90, but it is quarter = 120."),
        ({"key": Key.parse("B major")}, "key", "in B major, but its notes fit C major better."),
    ],
)
def test_what_was_asked_and_what_came(asked: dict[str, object], name: str, words: str) -> None:
    assert words in _explain(_IN_C, **asked)[name]


def test_a_wrong_end_is_described() -> None:
    score = replace(_IN_C, voices=(_voice(72, 74, 76, 77, 79, 77, 74, 70), Voice()))
    close = _explain(score)["close"]
    assert "on the chord of C major" in close
    assert "the upper voice ends on B♭ and the lower voice has no notes" in close


def test_given_notes_are_named_as_the_reason() -> None:
    away = _voice(66, 68, 70, 71, 73, 75, 76, 78)
    score = replace(_IN_C, voices=(away, _voice(54, 52, 49, 51, 46, 51, 54, 54)))
    given = fix_voice(away, 0, replace(_IN_C, voices=(away, Voice())))
    unmet = _explain(score, fixed_notes=given)
    assert "iven notes" in unmet["key"]
    assert unmet["close"].endswith("The given notes end there.")


def test_imitation_is_named_as_the_reason() -> None:
    score = replace(_IN_C, voices=(_voice(66, 68, 70, 71, 73, 75, 76, 78), Voice()))
    unmet = _explain(score, imitates=True)
    assert "imitates the first" in unmet["key"]
    assert "imitates the first" in unmet["close"]
