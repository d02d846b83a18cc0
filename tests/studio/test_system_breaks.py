"""Systems of about equal width."""

from __future__ import annotations

from bicinium.studio.system_breaks import balance_systems


def test_systems_are_about_equally_full() -> None:
    bars = [4400, *[2800] * 7]
    assert balance_systems(bars, 21_000, 800) == [4]  # not seven bars and one


def test_bar_that_is_too_wide_has_a_system_of_its_own() -> None:
    assert balance_systems([30_000, 30_000], 21_000, 800) == [1]


def test_score_that_fits_has_one_system() -> None:
    assert balance_systems([100], 21_000, 800) == []
    assert balance_systems([], 21_000, 800) == []
