"""The grammar over MidiTok's ids, tested against MidiTok itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bicinium.adapters.miditok import MidiTokVocabulary
from bicinium.errors import MissingExtraError, RequestError
from bicinium.grammar.events import EventGrammar, EventValidator
from bicinium.music.score import Score, note_array

miditok = pytest.importorskip("miditok")
symusic = pytest.importorskip("symusic")

_EVERYTHING = {
    "use_rests": True,
    "use_time_signatures": True,
    "use_tempos": True,
    "use_programs": True,
    "use_chords": True,
    "use_sustain_pedals": True,
    "use_pitch_bends": True,
}
_OPTIONS = [
    {},
    {"use_programs": True},
    {"use_programs": True, "program_changes": True},
    {"use_programs": True, "use_time_signatures": True, "use_tempos": True},
    {"remove_duplicated_notes": True, "use_velocities": False},
    _EVERYTHING,
]
_PROGRAMS = [-1, 0, 40]  # drums, and one for each voice; with all 129 counting takes long
_LIMITED = {"use_time_signatures": True, "additional_params": {"max_duration": "1.0.8"}}


def tokenizers() -> Iterator[object]:
    for name in ("MIDILike", "TSD", "REMI"):
        for options in _OPTIONS:
            yield getattr(miditok, name)(miditok.TokenizerConfig(programs=_PROGRAMS, **options))
    yield miditok.MIDILike(miditok.TokenizerConfig(programs=_PROGRAMS, **_LIMITED))


TOKENIZERS = list(tokenizers())
SOME = [*TOKENIZERS[3::6], *TOKENIZERS[5::6], TOKENIZERS[-1]]  # two of each class, and the limited


def midi(score: Score) -> symusic.Score:
    """Return a score with a program for each voice."""
    piece = symusic.Score(24)
    piece.time_signatures.append(
        symusic.TimeSignature(0, score.meter.numerator, score.meter.denominator)
    )
    for voice, program in zip(score.voices, (0, 40), strict=True):
        track = symusic.Track(program=program)
        for onset, pitch, duration, velocity in note_array(voice.notes).T.tolist():
            track.notes.append(symusic.Note(onset, duration, pitch, velocity))
        piece.tracks.append(track)
    return piece


def encode(tokenizer, piece: symusic.Score) -> list[int]:
    """Return the ids of a piece, or of its first track if each track is a sequence."""
    sequences = tokenizer.encode(piece)
    return list((sequences[0] if isinstance(sequences, list) else sequences).ids)


def errors(tokenizer, tokens: list[int]) -> int:
    """Return the number that MidiTok counts."""
    return round(tokenizer.tokens_errors(miditok.TokSequence(ids=list(tokens))) * len(tokens))


def places(tokenizer, tokens: list[int]) -> tuple[set[int], int]:
    """Return where MidiTok counts its errors, and how many notes it finds without an end.

    It gives only a number, so this is what each token adds to it. In MIDILike a note adds one until
    it ends.
    """
    types = [tokenizer[token].split("_")[0] for token in tokens]
    on_and_off = type(tokenizer).__name__ == "MIDILike"
    found, before = set(), 0
    for index, name in enumerate(types):
        now = errors(tokenizer, tokens[: index + 1])
        added, before = now - before, now
        usual = {"NoteOn": 1, "DrumOn": 1, "NoteOff": -1, "DrumOff": -1}.get(name, 0)
        follows = index == 0 or name in tokenizer.tokens_types_graph[types[index - 1]]
        if not follows or added > (usual if on_and_off else 0):
            found.add(index)
    return found, before - len(found)


def corrupted(tokens: list[int], size: int, rng: np.random.Generator) -> list[int]:
    """Return a stretch of a piece with some tokens left out, replaced, added or exchanged."""
    begin = int(rng.integers(max(1, len(tokens) - 50)))
    result = tokens[begin : begin + 50]
    for _ in range(rng.integers(1, 6)):
        i, j = (int(n) for n in rng.integers(len(result), size=2))
        other = int(rng.integers(size))
        match rng.integers(5):
            case 0 if len(result) > 5:
                del result[i]
            case 1:
                result[i] = other
            case 2:
                result.insert(i, other)
            case 3:
                result.insert(i, result[i])
            case _:
                result[i], result[j] = result[j], result[i]
    return result


def unnamed(tokenizer, tokens: list[int]) -> list[str]:
    """Return the errors that MidiTok counts in a sequence and the validator does not name.

    Left out are the two that MidiTok counts wrongly (docs/vocabularies.md): a position after a rest
    that passed a barline, and PAD after END.
    """
    names = [tokenizer[token] for token in tokens]
    result = EventValidator(MidiTokVocabulary(tokenizer)).validate_sequence(tokens)
    named = {v.index for v in result.violations}
    theirs, without_end = places(tokenizer, tokens)
    never_end = sum("never ends" in v.message for v in result.violations)
    after_end = sum("comes after END" in v.message for v in result.violations)
    missed = []
    for index in sorted(theirs - named):
        since_bar = names[:index][::-1]
        since_bar = (
            since_bar[: since_bar.index("Bar_None")] if "Bar_None" in since_bar else since_bar
        )
        rest = names[index].startswith("Position") and any(n.startswith("Rest") for n in since_bar)
        if not rest and names[index] != "PAD_None":
            missed.append(f"{index}: {names[index - 1]} {names[index]}")
    if without_end > never_end + after_end:
        missed.append(f"{without_end} notes without an end, {never_end} named")
    return missed


def name(tokenizer) -> str:
    return type(tokenizer).__name__


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=name)
def test_music_is_valid(tokenizer, made_up_score: Callable[..., Score]) -> None:
    validator = EventValidator(MidiTokVocabulary(tokenizer))
    if tokenizer is TOKENIZERS[-1]:
        validator.grammar.vocabulary.max_note_ticks = None  # its notes are longer
    for seed, meter in enumerate(("4/4", "3/4", "6/8")):
        tokens = encode(tokenizer, midi(made_up_score(seed, 6, meter)))
        result = validator.validate_sequence(tokens)
        assert result.violations == ()
        assert result.notes > 20
        framed = [tokenizer["BOS_None"], *tokens, tokenizer["EOS_None"]]
        assert validator.validate_sequence(framed).valid
        assert not validator.validate_sequence(framed[:-1]).valid


@pytest.mark.parametrize("tokenizer", SOME, ids=name)
def test_every_error_that_miditok_counts_is_named(tokenizer, made_up_score) -> None:
    rng = np.random.default_rng(5)
    piece = encode(tokenizer, midi(made_up_score(3, 4, "6/8")))
    sequences = [corrupted(piece, len(tokenizer), rng) for _ in range(3)]
    sequences += [rng.integers(len(tokenizer), size=40).tolist() for _ in range(2)]
    for tokens in sequences:
        assert unnamed(tokenizer, tokens) == []
    assert sum(errors(tokenizer, tokens) for tokens in sequences) > 20


@pytest.mark.slow
def test_every_error_of_a_thousand_sequences_is_named(shared_corpus) -> None:
    """Real ones, real ones with faults, and random ids, in all tokenizers alike."""
    files = sorted((shared_corpus / "midi").rglob("*.mid"))[::40]
    rng = np.random.default_rng(0)
    counted = {"real": 0, "corrupted": 0, "random": 0}
    for number in range(1000):
        tokenizer = TOKENIZERS[number % (len(TOKENIZERS) - 1)]
        kind = list(counted)[number // len(TOKENIZERS) % 3]
        piece = symusic.Score(files[int(rng.integers(len(files)))])
        for program, track in enumerate(piece.tracks):
            track.program = 40 * program
        tokens = encode(tokenizer, piece)
        if kind == "real":
            result = EventValidator(MidiTokVocabulary(tokenizer)).validate_sequence(tokens)
            assert result.valid or errors(tokenizer, tokens), result.violations[:3]
            tokens = tokens[:60]
        elif kind == "corrupted":
            tokens = corrupted(tokens, len(tokenizer), rng)
        else:
            tokens = rng.integers(len(tokenizer), size=50).tolist()
        assert unnamed(tokenizer, tokens) == [], (number, kind)
        counted[kind] += errors(tokenizer, tokens)
    print(counted)
    assert counted["corrupted"] > 500
    assert counted["random"] > 5000


@pytest.mark.parametrize("tokenizer", SOME, ids=name)
@pytest.mark.parametrize("max_polyphony", [None, 1])
def test_what_the_mask_allows_has_no_errors(tokenizer, max_polyphony) -> None:
    """Random walks without dead ends; what they write is right for MidiTok too, and decodes."""
    grammar = EventGrammar(MidiTokVocabulary(tokenizer, max_polyphony))
    ends = ("EOS", "NoteOff", "DrumOff")
    for seed in range(2):
        rng = np.random.default_rng(seed)
        state, tokens = grammar.initial_state(), []
        while not state.ended:
            allowed = np.flatnonzero(grammar.token_mask(state))
            kinds = np.array([tokenizer[int(t)].split("_")[0] for t in allowed])
            if len(tokens) > 60 and np.isin(kinds, ends).any():
                kind = next(k for k in ends if k in kinds)
            else:
                kind = rng.choice(sorted(set(kinds)))
            tokens.append(int(rng.choice(allowed[kinds == kind])))
            state = grammar.advance_state(state, tokens[-1])
            assert len(tokens) < 5000
        assert EventValidator(grammar).validate_sequence(tokens).valid
        music = [t for t in tokens if not tokenizer[t].startswith(("BOS", "EOS"))]
        wrong = places(tokenizer, music)
        if not tokenizer.config.use_rests:
            assert wrong == (set(), 0)
        sequence = miditok.TokSequence(ids=music)
        decoded = tokenizer.decode(sequence if tokenizer.one_token_stream else [sequence])
        assert decoded.note_num() > 0


def test_one_note_at_a_time_in_each_program(made_up_score) -> None:
    tokenizer = miditok.REMI(miditok.TokenizerConfig(use_programs=True))
    tokens = encode(tokenizer, midi(made_up_score(1)))
    validator = EventValidator(MidiTokVocabulary(tokenizer, max_polyphony=1))
    assert validator.validate_sequence(tokens).valid
    pitch = next(i for i, token in enumerate(tokens) if tokenizer[token].startswith("Pitch"))
    program, note = tokens[pitch - 1], tokens[pitch : pitch + 3]
    other = [program, note[0] + 1, *note[1:]]
    chord = tokens[: pitch + 3] + other + tokens[pitch + 3 :]
    violations = validator.validate_sequence(chord).violations
    assert [(v.rule, v.index) for v in violations[:2]] == [
        ("order", pitch + 3),
        ("voices", pitch + 4),
    ]
    assert "is one note too many in this voice" in violations[1].message


def test_what_cannot_be_supported_is_refused(monkeypatch) -> None:
    config = miditok.TokenizerConfig
    with pytest.raises(RequestError, match=r"MIDILike, TSD, REMI \(got Octuple"):
        MidiTokVocabulary(miditok.Octuple(config()))
    with pytest.raises(RequestError, match="set use_pitch_intervals=False"):
        MidiTokVocabulary(miditok.TSD(config(use_pitch_intervals=True)))
    tokenizer = miditok.REMI(config())
    monkeypatch.setattr(miditok.REMI, "is_trained", True)
    with pytest.raises(RequestError, match="an id is several events"):
        MidiTokVocabulary(tokenizer)


def test_without_miditok_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "miditok", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bicinium\[miditok\]'"):
        MidiTokVocabulary(object())
