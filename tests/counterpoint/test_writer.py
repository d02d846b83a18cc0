"""A voice written to a cantus firmus breaks no rule of its species."""

from __future__ import annotations

import pytest

from bicinium.counterpoint import check_score
from bicinium.counterpoint.cantus import CANTUS_FIRMI, load_cantus
from bicinium.counterpoint.rule_sets import RULE_SETS
from bicinium.counterpoint.writer import write_counterpoint
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
@pytest.mark.parametrize("name", CANTUS_FIRMI)
def test_first_species(name, above):
    assert_written(name, 1, above)


@pytest.mark.slow
@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
@pytest.mark.parametrize("species", [2, 3, 4])
@pytest.mark.parametrize("name", CANTUS_FIRMI)
def test_second_to_fourth_species(name, species, above):
    assert_written(name, species, above)


def test_a_seed_gives_the_same_solution_and_another_seed_another():
    cantus = load_cantus("fux-c")
    first, again, other = (write_counterpoint(cantus, 4, seed=seed).score for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_cantus_without_a_solution_is_named_with_its_bar():
    """Under the last note but one that leaps there is no cadence by step."""
    notes = tuple(Note(96 * bar, pitch, 96) for bar, pitch in enumerate([60, 64, 67, 60]))
    cantus = Score((Voice(notes), Voice(())), 4)
    with pytest.raises(RequestError, match=r"did not pass bar \d.*species1-school"):
        write_counterpoint(cantus, 1)


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
