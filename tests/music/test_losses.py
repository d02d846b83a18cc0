"""What reading left out is said in sentences, one for each kind."""

from __future__ import annotations

import pytest

from bicinium.music.losses import Loss, LossKind


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (Loss(LossKind.GRACE), "1 grace note left out."),
        (Loss(LossKind.GRACE, 3), "3 grace notes left out."),
        (Loss(LossKind.LONG_BARS, 1, "bar 3"),
         "1 bar longer than the metre, read in a metre of its own: bar 3."),
        (Loss(LossKind.OTHER_PIECES, 1, "2"), "1 later piece of 2 in the file left out."),
    ],
)  # fmt: skip
def test_a_loss_is_a_sentence(loss: Loss, sentence: str) -> None:
    assert str(loss) == sentence


@pytest.mark.parametrize("kind", LossKind)
def test_a_label_has_no_gaps(kind: LossKind) -> None:
    assert kind.label
    assert not set(kind.label) & set("{}[]|")
    assert kind.label == kind.label.strip(" .:")


def test_labels_stand_for_any_number() -> None:
    assert LossKind.SNAPPED.label == "notes moved to the grid of 24 ticks a quarter note"
    assert LossKind.OTHER_PIECES.label == "later pieces in the file left out"
