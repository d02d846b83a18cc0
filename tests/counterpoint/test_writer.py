"""A voice written to a cantus firmus breaks no rule of its species."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bicinium.counterpoint import check_score
from bicinium.counterpoint.cantus import CANTUS_FIRMI, load_cantus
from bicinium.counterpoint.cantus_composer import FINALS, whole_notes
from bicinium.counterpoint.rule_sets import RULE_SETS
from bicinium.counterpoint.writer import NoCounterpointError, write_counterpoint
from bicinium.errors import RequestError
from bicinium.music.score import Note, Score, Voice
from bicinium.render.export import write_score


def assert_written(name, species, above):
    cantus = load_cantus(name)
    report = write_counterpoint(cantus, species, above=above)
    assert report.passed
    given = 1 if above else 0
    assert report.score.voices[given] == cantus.voices[0]
    again = check_score(report.score, RULE_SETS[f"species{species}"], given)
    assert again.faults == report.faults


@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
@pytest.mark.parametrize("species", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["fux-e"])
def test_every_species(name, species, above):
    assert_written(name, species, above)


@pytest.mark.slow
@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
@pytest.mark.parametrize("species", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", [*CANTUS_FIRMI, *(f"new-{final}" for final in FINALS)])
def test_every_species_to_every_cantus(name, species, above):
    assert_written(name, species, above)


def test_a_seed_gives_the_same_solution_and_another_seed_another():
    cantus = load_cantus("fux-c")
    first, again, other = (write_counterpoint(cantus, 4, seed=seed).score for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("species", "bars"),
    [
        (1, (1, 4)),
        (2, (3, 4)),
        pytest.param(3, (3, 4), marks=pytest.mark.slow),
        pytest.param(5, (3, 4), marks=pytest.mark.slow),
    ],
)
def test_a_cantus_without_a_solution_is_proved_to_have_none(species, bars):
    """Over a last note that is reached by leap there is no cadence by step."""
    cantus = whole_notes([60, 64, 67, 60])
    with pytest.raises(NoCounterpointError, match="There is no voice of species") as caught:
        write_counterpoint(cantus, species)
    assert caught.value.is_proved
    assert caught.value.bars == bars


@pytest.mark.parametrize("final", FINALS)
def test_a_new_cantus_keeps_the_rules_of_melody(final):
    cantus = load_cantus(f"new-{final}", seed=3)
    pitches = [note.pitch for note in cantus.voices[0].notes]
    assert pitches[0] == pitches[-1] == FINALS[final]
    assert 0 < pitches[-2] - pitches[-1] <= 2
    assert pitches.count(max(pitches)) == 1
    assert max(abs(b - a) for a, b in pairwise(pitches)) <= 12
    assert load_cantus(f"new-{final}", seed=4) != cantus == load_cantus(f"new-{final}", seed=3)


def test_a_new_cantus_has_the_length_that_was_asked_for():
    assert load_cantus("new-d-8").bars == 8
    with pytest.raises(RequestError, match=r"between 7 and 16 bars \(got 30\)"):
        load_cantus("new-d-30")
    with pytest.raises(RequestError, match=r"ends on d, e, f, g, a, c \(got 'b'\)"):
        load_cantus("new-b")


def test_what_is_not_a_cantus_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"no cantus firmus 'fux-x'.*fux-d"):
        load_cantus("fux-x")
    path = tmp_path / "tune.musicxml"
    notes = tuple(Note(24 * index, 60 + index, 24) for index in range(8))
    write_score(Score((Voice(notes), Voice(())), 2), path)
    with pytest.raises(RequestError, match="is not a cantus firmus"):
        load_cantus(path)


def test_a_species_is_1_to_5():
    with pytest.raises(RequestError, match="species must be 1 to 5"):
        write_counterpoint(load_cantus("fux-c"), 6)
