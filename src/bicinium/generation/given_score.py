"""Checks of what a request gives: its key, its metre, and whether the grammar allows it."""

from __future__ import annotations

import numpy as np

from bicinium.errors import BiciniumError, RequestError
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.counterpoint import notes_outside_key
from bicinium.music.key import Key, estimate_key
from bicinium.music.score import Meter, Score, Voice, note_array
from bicinium.music.signature import Signature
from bicinium.tokenizer.codec import encode


def check_grammar(score: Score, name: str) -> Score:
    """Return the score. Raises RequestError if the grammar does not allow it."""
    try:
        tokens = encode(score)
    except BiciniumError as error:
        raise RequestError(f"{name} cannot be composed with: {error}") from error
    result = MusicalGrammarValidator().validate_sequence(tokens, score.meter, score.bars)
    if not result.valid:
        first = result.violations[0]
        message = first.message
        if first.rule == "repetition":  # of the longest time shift
            message = f"in bar {first.bar}, nothing changes for longer than the model can count."
        raise RequestError(f"{name} cannot be composed with: {message}")
    return score


def check_meter(score: Score, meter: Meter | None) -> None:
    """Raise RequestError if another metre is requested than that of a given score."""
    if meter is not None and meter != score.meter:
        raise RequestError(
            f"The given score is in {score.meter}, not in {meter}. Leave the metre out."
        )


def key_of(score: Score, requested: Signature | None) -> tuple[Key, Signature | None]:
    """Return the key of a given score and how it is written.

    Raises RequestError if the requested key contradicts it.
    """
    own = score.key or score.estimated_key or Key(0, "major")
    key = requested.key if requested else None
    if key is None:
        return own, score.signature
    if _contradicts(score, key, own):
        raise RequestError(
            f"The given notes are in {score.key_name or own}, not in {requested}. Leave the key "
            "out, or transpose the notes."
        )
    return key, requested


def _contradicts(score: Score, requested: Key, own: Key) -> bool:
    """Return whether a score in its ``own`` key cannot be meant to be in the requested one.

    The relative key has the same notes. Any other key must hold as many of the notes, and the score
    must not state its own.
    """
    if (requested.fifths - own.fifths) % 12 == 0:
        return False
    if score.signature is not None and score.signature.key is not None:
        return requested.tonic != own.tonic
    outside = [len(notes_outside_key(score, key)) for key in (requested, own)]
    return outside[0] > outside[1]


def key_of_line(line: Voice) -> Key:
    """Return the most likely key; a subject usually begins or ends on the tonic."""
    columns = note_array(line.notes)
    first = int(columns[1, 0])
    return estimate_key(np.bincount(columns[1] % 12, weights=columns[2], minlength=12), first)
