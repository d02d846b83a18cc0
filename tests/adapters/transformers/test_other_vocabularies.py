"""Loss, live validation and callback with a Llama over the ids of MidiTok's REMI."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from bicinium.errors import GrammarError, TokenError
from bicinium.grammar.events import EventGrammar, EventValidator
from bicinium.music.score import Meter
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.losses import MusicalGrammarLoss
from bicinium.training.monitor import Validation

miditok = pytest.importorskip("miditok")
symusic = pytest.importorskip("symusic")
transformers = pytest.importorskip("transformers", minversion="5.24")
pytest.importorskip("accelerate")

from bicinium.adapters.miditok import MidiTokVocabulary  # noqa: E402
from bicinium.adapters.transformers import (  # noqa: E402
    GrammarLogitsProcessor,
    GrammarTrainerCallback,
    GrammarTrainerLoss,
    validate_live,
)

_IGNORED = -100


def _remi(**options):
    return miditok.REMI(miditok.TokenizerConfig(pitch_range=(48, 84), num_velocities=4, **options))


@pytest.fixture(scope="module")
def grammar():
    return EventGrammar(MidiTokVocabulary(_remi()))


@pytest.fixture(scope="module")
def rows(grammar):
    """Four scales in REMI, from BOS to EOS: (4, T) ids."""
    tokenizer = grammar.vocabulary.tokenizer
    found = []
    for key in (60, 62, 65, 67):
        piece = symusic.Score(24)
        piece.tracks.append(symusic.Track())
        for index, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12)):
            piece.tracks[0].notes.append(symusic.Note(24 * index, 24, key + step, 127))
        ids = tokenizer.encode(piece)[0].ids
        found.append([tokenizer["BOS_None"], *ids, tokenizer["EOS_None"]])
    assert all(result.valid for result in EventValidator(grammar).validate_sequences(found))
    return torch.tensor(found)


@pytest.fixture
def remi_llama(grammar, llama):
    return lambda: llama(vocab_size=grammar.vocab_size)


@pytest.fixture
def trainer(remi_llama, grammar, rows, tmp_path):
    """Return a function that builds a Trainer with loss and callback."""

    def build(steps, more=(), **section):
        quiet = {"live_pieces": 3, "ramp_steps": 2, "grammar_score_threshold": 0.0, "positions": 64}
        loss = GrammarTrainerLoss(MusicalGrammarSection(**(quiet | section)), grammar)
        callback = GrammarTrainerCallback(loss, max_tokens=24)
        data = [{"input_ids": row, "labels": row} for row in rows]
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), max_steps=steps, per_device_train_batch_size=4,
            eval_strategy="steps", eval_steps=2, save_strategy="no", report_to="none",
            disable_tqdm=True, use_cpu=True, lr_scheduler_type="constant", learning_rate=0.0,
        )  # fmt: skip
        built = transformers.Trainer(
            model=remi_llama(), args=arguments, train_dataset=data, eval_dataset=data,
            compute_loss_func=loss, callbacks=[callback, *more],
        )  # fmt: skip
        return built, callback

    return build


def _logits(labels, grammar):
    torch.manual_seed(0)
    return torch.randn(*labels.shape, grammar.vocab_size, requires_grad=True)


def test_the_loss_is_cross_entropy_and_grammar_loss(grammar, rows):
    logits = _logits(rows, grammar)
    nats = F.cross_entropy(logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten())
    expected, components = MusicalGrammarLoss(grammar=grammar)(logits[:, :-1], rows[:, 1:], nats)
    loss = GrammarTrainerLoss(grammar=grammar)
    found = loss({"logits": logits}, rows)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert loss.components == pytest.approx(
        {name: float(value.detach()) for name, value in components.items()}, rel=1e-4
    )
    assert float(expected.detach()) > float(nats.detach()) + 0.1


def test_the_loss_follows_each_piece_of_a_row(grammar, rows):
    """The rest of a piece, two pieces, and hidden labels."""
    rest = torch.tensor([_IGNORED] * 3)
    packed = torch.cat([rows[0, 9:], rows[1], rows[2], rest])[None]
    logits = _logits(packed, grammar)
    alone = F.cross_entropy(logits[0, :-1], packed[0, 1:], ignore_index=_IGNORED)
    found = GrammarTrainerLoss(grammar=grammar)({"logits": logits}, packed) - alone
    begins = [len(rows[0]) - 9, 2 * len(rows[0]) - 9]
    pieces = torch.stack([logits[0, begin : begin + len(rows[0]) - 1] for begin in begins])
    zero = torch.zeros(())
    expected, _ = MusicalGrammarLoss(grammar=grammar)(pieces, rows[1:3, 1:], zero)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_live_validation_measures_what_the_validator_says(grammar, remi_llama):
    live = validate_live(remi_llama(), 4, max_tokens=30, grammar=grammar)
    results = list(EventValidator(grammar).validate_sequences(p.tokens for p in live.pieces))
    assert [piece.result for piece in live.pieces] == results
    scores = [result.grammar_score for result in results]
    assert live.metrics["grammar_score"] == pytest.approx(sum(scores) / 4)
    assert live.metrics["valid"] == 0.0
    assert 0.3 < live.metrics["illegal_mass"] < 1
    assert "notes_per_quarter" not in live.metrics


@pytest.mark.slow
def test_live_validation_takes_options_such_as_the_mask(grammar, remi_llama):
    live = validate_live(
        remi_llama(), 6, max_tokens=400, grammar=grammar,
        prefix_allowed_tokens_fn=grammar.allowed_tokens,
    )  # fmt: skip
    ended = [piece for piece in live.pieces if piece.tokens[-1] == grammar.end_id]
    assert ended
    assert all(piece.result.valid for piece in ended)


def test_what_does_not_fit_is_refused(grammar, llama):
    with pytest.raises(GrammarError, match="prefix_allowed_tokens_fn=grammar"):
        GrammarLogitsProcessor(grammar)
    with pytest.raises(GrammarError, match=r"got MidiTokVocabulary\).*EventGrammar\(vocabulary\)"):
        GrammarTrainerLoss(grammar=grammar.vocabulary)
    with pytest.raises(GrammarError, match=r"meter is for a MusicalGrammar \(got 3/4"):
        GrammarTrainerCallback(GrammarTrainerLoss(grammar=grammar), meter=Meter(3, 4))
    endless = EventGrammar(MidiTokVocabulary(_remi(special_tokens=["PAD", "BOS"])))
    with pytest.raises(GrammarError, match="it has no END"):
        GrammarTrainerLoss(grammar=endless)
    with pytest.raises(TokenError, match=f"the vocabulary has {grammar.vocab_size}"):
        validate_live(llama(vocab_size=20), 1, max_tokens=4, grammar=grammar)


@pytest.mark.slow
def test_the_callback_validates_and_stops(trainer, grammar, tmp_path):
    built, callback = trainer(30, early_stop_patience=2, saved_pieces=3)
    built.train()
    steps = [found["step"] for found in callback.validations]
    assert steps == list(range(2, built.state.global_step + 1, 2))
    assert built.state.global_step < 30
    assert "improved in 2 validations" in callback.events[-1]
    logged = [line for line in built.state.log_history if "eval_live_grammar_score" in line]
    assert [line["step"] for line in logged] == steps
    saved = [json.loads(path.read_text()) for path in (tmp_path / "samples/000002").glob("*.json")]
    scores = [
        EventValidator(grammar).validate_sequence(piece["ids"]).grammar_score for piece in saved
    ]
    assert len(saved) == 3
    assert callback.validations[0]["grammar_score"] == pytest.approx(sum(scores) / 3)
    assert [piece["grammar_score"] for piece in saved] == pytest.approx(scores)


@pytest.mark.slow
def test_a_collapse_is_rolled_back(trainer):
    """A state of the score 0.9 was the best; the untrained model stays below the threshold."""
    built, callback = trainer(8, grammar_score_threshold=0.9, early_stop_patience=2)
    callback.monitor.after_validation(Validation(2, 99.0, 0.9))
    built.train()
    assert callback.rollbacks >= 1
    assert "for 2 consecutive validations" in callback.events[1]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_rolled_back(trainer):
    class Spoil(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 3:
                torch.nn.init.constant_(model.lm_head.weight, float("nan"))

    built, callback = trainer(6, more=[Spoil()])
    built.train()
    assert callback.rollbacks == 1
    assert "loss is nan" in callback.events[0]
    assert all(bool(weight.isfinite().all()) for weight in built.model.parameters())
