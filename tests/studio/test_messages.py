"""Messages in the words of the page."""

from __future__ import annotations

import re

import pytest

from bicinium.errors import RequestError
from bicinium.generation.acceptance import RejectReason
from bicinium.generation.candidates import Rejected, rejection_message
from bicinium.generation.constraints.config import DESCRIPTIONS, STRENGTHS, Constraints
from bicinium.request import ComposeRequest
from bicinium.studio.messages import CONSTRAINT_LABELS, page_message


@pytest.mark.parametrize("name", STRENGTHS)
def test_a_broken_constraint_is_named_as_on_the_page(name: str) -> None:
    rejected = Rejected(0, 7, RejectReason.BREAKS_CONSTRAINT, f"{name}, leap")
    message = page_message(rejection_message(rejected))
    assert f"breaks “{CONSTRAINT_LABELS[name]}” and “{CONSTRAINT_LABELS['leap']}”." in message


@pytest.mark.parametrize(
    "options",
    [
        {"motif_strength": 99.0},
        {"temperature": -1.0},
        {"max_quote": -1},
        {"best_of": 0},
    ],
)
def test_no_name_of_an_option_is_left(options: dict[str, object]) -> None:
    with pytest.raises(RequestError) as error:
        ComposeRequest.from_options(**options)
    message = page_message(str(error.value))
    assert not re.search("--|_", message)
    assert "“" in message


@pytest.mark.parametrize(("name", "value"), [("max_leap", 0), ("hand_span", 3.0)])
def test_no_name_of_a_constraint_is_left(name: str, value: float) -> None:
    with pytest.raises(RequestError) as error:
        Constraints.from_names({name: value})
    message = page_message(str(error.value))
    assert message.startswith(f"“{CONSTRAINT_LABELS[name]}” ({value}) must be ")


def test_other_sentences_stay() -> None:
    for sentence in ("a C4 -- and a B♭3", "bars must be between 1 and 256 (got 0).", "C major"):
        assert page_message(sentence) == sentence


def test_every_constraint_has_a_label() -> None:
    assert CONSTRAINT_LABELS.keys() == DESCRIPTIONS.keys() - {"ranges"}
