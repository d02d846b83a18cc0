"""Spell the notes of a mode without an analysis of the whole piece."""

from __future__ import annotations

from bicinium.formats.spelling import Spelling, signature_alterations
from bicinium.music.key import STEP_SEMITONES
from bicinium.music.score import Score


class ModalSpeller:
    """Spells the notes of a mode by its signature, and its raised leading note.

    fifths: the sharps of the signature, negative for flats. final: the pitch on which the cantus
        firmus ends.
    """

    def __init__(self, fifths: int, final: int) -> None:
        signature = signature_alterations(fifths)
        self._of_class = {
            (STEP_SEMITONES[step] + alter) % 12: (step, alter) for step, alter in signature.items()
        }
        self._spellings: dict[int, Spelling] = {}
        self.mode = self.with_leading_note = frozenset(self._of_class)
        leading, phrygian = (final - 1) % 12, (final + 1) % 12 in self.mode
        if leading not in self.mode and not phrygian:
            step, alter = self._of_class[(final - 2) % 12]
            self._of_class[leading] = step, alter + 1
            self.with_leading_note = self.mode | {leading}

    def __call__(self, score: Score) -> list[list[Spelling]]:
        return [[self._spelled(note.pitch) for note in voice.notes] for voice in score.voices]

    def _spelled(self, pitch: int) -> Spelling:
        if pitch not in self._spellings:
            step, alter = self._of_class[pitch % 12]
            octave = (pitch - alter - STEP_SEMITONES[step]) // 12 - 1
            self._spellings[pitch] = Spelling(step, alter, octave)
        return self._spellings[pitch]
