"""The training configuration: keys, values, renamed keys and error messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import yaml

from bicinium.errors import ConfigError
from bicinium.tokenizer.vocabulary import VOCAB_SIZE
from bicinium.training.config import TrainConfig, changed_keys, load_config

Refuses = Callable[..., AbstractContextManager[None]]

_CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "training_configs"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  seed: 2024-13-45", "training.seed: Input should be a valid integer"),
        ("training:\n  seed: !!int x", "line 2: 'x' is not a valid int"),
        ("training:\n  seed: !!timestamp x", "line 2: 'x' is not a valid timestamp"),
        ("a: !!python/object:os.system x", "line 1: could not determine a constructor"),
        ("[" * 5000, "it is nested too deeply"),
        ("training: {seed: 99999999999999}", "less than or equal to 4294967295"),
        ("training: {learning_rate: .inf}", "training.learning_rate: .*finite"),
        ("training: {musical_grammar: {live_bars: 300}}", "less than or equal to 256"),
        ("model: {meters: [7/9]}", "7/9 is not a metre"),
    ],
)
def test_odd_yaml_is_one_sentence(
    written: Callable[[str], Path], refuses: Refuses, text: str, message: str
) -> None:
    with refuses(ConfigError, message):
        load_config(written(text))


def test_the_recipe_of_the_shipped_weights_loads() -> None:
    config = load_config(_CONFIGS / "default_model.yaml")
    grammar = config.training.musical_grammar
    assert (grammar.validate_every_n_batches, grammar.early_stop_patience) == (400, 10)
    assert (config.training.optimizer, config.training.learning_rate) == ("muon", 3e-3)
    assert config.data.exclude_styles == ("palestrina",)


def test_the_baseline_loads_and_has_no_grammar() -> None:
    config = load_config(_CONFIGS / "baseline_without_grammar.yaml")
    assert not config.training.musical_grammar.enabled
    assert not config.model.state_embedding


def test_the_configuration_of_the_plan_has_its_keys_and_values(plan: str) -> None:
    """No key more, no key less: the file is what the user wrote."""
    text = (_CONFIGS / "musical_grammar.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == yaml.safe_load(plan)
    assert load_config(_CONFIGS / "musical_grammar.yaml").data.prepared == Path("data/prepared")


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("model.foresight", "model.lookahead", False),
        ("training.start_from", "training.init_from", "model.safetensors"),
        ("data.styles_left_out", "data.exclude_styles", ["palestrina"]),
        ("data.foresight_share", "data.lookahead_probability", 0.1),
        (
            "training.musical_grammar.on_policy_slips",
            "training.musical_grammar.on_policy_error_rate",
            0.2,
        ),
    ],
)
def test_a_renamed_key_works_and_warns_of_the_new_name(
    written: Callable[[str], Path], old: str, new: str, value: object
) -> None:
    now = load_config(written(""), [f"{new}={value}"])
    with pytest.warns(DeprecationWarning, match=f"{old} was renamed to {new}"):
        before = load_config(written(""), [f"{old}={value}"])
    assert before == now != TrainConfig()


def test_old_and_new_name_with_different_values_are_rejected(
    written: Callable[[str], Path], refuses: Refuses
) -> None:
    text = "data: {foresight_share: 0.1, lookahead_probability: 0.2}"
    with refuses(ConfigError, "foresight_share is the old name of lookahead_probability"):
        load_config(written(text))


def test_the_removed_section_is_ignored_if_off_and_rejected_if_on(
    written: Callable[[str], Path], refuses: Refuses
) -> None:
    off = load_config(written("training: {tilting: {pieces: null, weight: 0.001}}"))
    assert off == TrainConfig()
    with refuses(ConfigError, "tilting was removed"):
        load_config(written("training: {tilting: {pieces: judged.npz}}"))


def test_the_saved_configuration_of_an_older_run_counts_as_unchanged() -> None:
    now = TrainConfig().model_dump(mode="json")
    before = {name: dict(section) for name, section in now.items()}
    before["data"]["styles_left_out"] = before["data"].pop("exclude_styles")
    before["data"]["foresight_share"] = before["data"].pop("lookahead_probability")
    assert changed_keys(before, now) == []
    before["model"]["memory"] = before["model"].pop("bar_lag")
    assert changed_keys(before, now) == []
    before["data"]["foresight_share"] = 0.1
    assert changed_keys(before, now) == ["data.lookahead_probability (0.1, now 0.4)"]


def test_the_yaml_of_the_plan_loads_unchanged(written: Callable[[str], Path], plan: str) -> None:
    config = load_config(written(plan))
    said = yaml.safe_load(plan)
    for section, values in (
        (config.model, said["model"]),
        (config.training.musical_grammar, said["training"]["musical_grammar"]),
        (config.data, said["data"]),
    ):
        assert {name: getattr(section, name) for name in values} == values
    assert len(said["training"]["musical_grammar"]) == 7


@pytest.mark.parametrize(
    "key",
    [
        *("mode", "vocab_size", "d_model", "n_layers"),
        *("enabled", "note_pairing_weight", "sequence_coherence_weight"),
        *("repetition_penalty_weight", "validate_every_n_batches", "grammar_score_threshold"),
        *("early_stop_patience", "validate_grammar", "filter_poor_grammar", "min_grammar_score"),
    ],
)
def test_a_typo_in_any_key_of_the_plan_is_rejected_and_the_key_named(
    written: Callable[[str], Path], refuses: Refuses, plan: str, key: str
) -> None:
    slipped = plan.replace(f"{key}:", f"{key}x:")
    assert slipped != plan
    with refuses(ConfigError, rf"unknown key [\w.]*{key}x; did you mean [\w.]*{key}\?"):
        load_config(written(slipped))


def test_an_empty_file_is_the_default_configuration(written: Callable[[str], Path]) -> None:
    assert load_config(written("")) == TrainConfig()
    assert load_config(written("# only a comment\n")) == TrainConfig()


def test_values_of_the_file_are_read(written: Callable[[str], Path]) -> None:
    text = "training: {max_steps: 7, learning_rate: 1e-4}\ndata: {prepared: somewhere}\n"
    config = load_config(written(text))
    assert config.training.max_steps == 7
    assert config.training.learning_rate == 1e-4  # YAML itself reads this as a word
    assert config.data.prepared == Path("somewhere")
    assert config.training.batch_size == TrainConfig().training.batch_size


@pytest.mark.parametrize(
    ("text", "place", "nearest"),
    [
        ("trainin: {}", "trainin", "training"),
        ("model: {d_modle: 64}", "model.d_modle", "model.d_model"),
        ("training: {max_step: 5}", "training.max_step", "training.max_steps"),
        (
            "training: {musical_grammar: {pairing_weight: 1}}",
            "training.musical_grammar.pairing_weight",
            "training.musical_grammar.note_pairing_weight",
        ),
        ("data: {zzz: 1}", "data.zzz", "data."),
    ],
)
def test_an_unknown_key_is_rejected_and_the_nearest_named(
    written: Callable[[str], Path], refuses: Refuses, text: str, place: str, nearest: str
) -> None:
    with refuses(ConfigError, rf"unknown key {place}; did you mean {nearest}"):
        load_config(written(text))


def test_overrides_take_precedence_over_the_file(written: Callable[[str], Path]) -> None:
    path = written("training: {max_steps: 7, seed: 3}\n")
    config = load_config(
        path,
        [
            "training.max_steps=9",
            "training.musical_grammar.enabled=false",
            "data.prepared=elsewhere",
            "model.styles=[bach, classical]",
            "training.learning_rate=2e-3",
        ],
    )
    assert config.training.max_steps == 9
    assert config.training.seed == 3
    assert not config.training.musical_grammar.enabled
    assert config.data.prepared == Path("elsewhere")
    assert config.model.styles == ("bach", "classical")
    assert config.training.learning_rate == 2e-3


def test_the_later_of_two_overrides_counts(written: Callable[[str], Path]) -> None:
    assert load_config(written(""), ["training.seed=1", "training.seed=2"]).training.seed == 2


@pytest.mark.parametrize(
    ("override", "pattern"),
    [
        ("training.max_steps", "has no value"),
        ("training.max_step=3", "did you mean training.max_steps"),
        ("training.seed.deeper=3", "seed is a value, not a section"),
        ("training.seed=[", "cannot be read"),
        ("training.seed=abc", "training.seed"),
        ("=3", "unknown key"),
    ],
)
def test_an_invalid_override_is_rejected(
    written: Callable[[str], Path], refuses: Refuses, override: str, pattern: str
) -> None:
    with refuses(ConfigError, pattern):
        load_config(written("training: {seed: 1}\n"), [override])


@pytest.mark.parametrize("size", [0, 773, 775, 50257])
def test_another_vocabulary_size_is_rejected(
    written: Callable[[str], Path], refuses: Refuses, size: int
) -> None:
    with refuses(ConfigError, rf"vocab_size must be {VOCAB_SIZE} \(got {size}\)"):
        load_config(written(f"model: {{vocab_size: {size}}}"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("training: {max_steps: 0}", "training.max_steps"),
        ("training: {max_steps: many}", "training.max_steps"),
        ("training: {batch_size: -1}", "training.batch_size"),
        ("training: {learning_rate: 0}", "training.learning_rate"),
        ("training: {precision: 7-bit}", "training.precision"),
        ("training: {musical_grammar: {note_pairing_weight: -1}}", "note_pairing_weight"),
        ("training: {musical_grammar: {ramp_after_steps: -1}}", "ramp_after_steps"),
        ("training: 3", "training"),
        ("model: {mode: lstm}", "model.mode"),
        ("model: {d_model: 30}", "d_model must be a multiple"),
        ("model: {n_heads: 0}", "model.n_heads"),
        ("model: {n_layers: 0}", "model.n_layers"),
        ("model: {context: 0}", "model.context"),
        ("model: {dropout: 1.5}", "model.dropout"),
        ("data: {condition_dropout: 2}", "data.condition_dropout"),
        ("- a list", "must hold keys"),
        ("just words", "must hold keys"),
        ("\ntraining: {max_steps: 5", "cannot be read as a configuration: line 2: "),
        ("a: b: c", "line 1: mapping values are not allowed here"),
    ],
)
def test_an_invalid_value_is_rejected_and_its_place_named(
    written: Callable[[str], Path], refuses: Refuses, text: str, place: str
) -> None:
    with refuses(ConfigError, place):
        load_config(written(text))


def test_a_missing_file_is_rejected(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(ConfigError, "none.yaml cannot be read as a configuration: No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_binary_file_is_rejected(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "noise.yaml"
    path.write_bytes(b"\xff\xfe\x00binary")
    with refuses(ConfigError, "cannot be read"):
        load_config(path)


# ------------------------------------------------------------------ changes on resume


def _changed(before: list[str], now: list[str], path: Path) -> list[str]:
    one, other = (load_config(path, settings).model_dump(mode="json") for settings in (before, now))
    return changed_keys(one, other)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.d_model=64", ["model.d_model (256, now 64)"]),
        ("model.context=512", ["model.context (1024, now 512)"]),
        ("data.keyboard_repeats=9", ["data.keyboard_repeats (3, now 9)"]),
        ("training.seed=8", ["training.seed (1, now 8)"]),
        ("training.batch_size=2", ["training.batch_size (8, now 2)"]),
    ],
)
def test_keys_of_model_and_batches_must_not_change_on_resume(
    written: Callable[[str], Path], setting: str, said: list[str]
) -> None:
    path = written("")
    assert _changed([], [setting], path) == said
    assert len(_changed([setting], ["model.rope_base=500"], path)) == 2


@pytest.mark.parametrize(
    "setting",
    [
        "training.max_steps=9",
        "training.learning_rate=1e-4",
        "training.devices=2",
        "training.musical_grammar.rollback=false",
        "data.prepared=elsewhere",
    ],
)
def test_other_keys_may_change_on_resume(written: Callable[[str], Path], setting: str) -> None:
    assert _changed([], [setting], written("")) == []


def test_a_key_unknown_to_this_version_counts_as_changed(
    written: Callable[[str], Path],
) -> None:
    now = load_config(written("")).model_dump(mode="json")
    before = {**now, "model": {**now["model"], "biases": True}}
    assert changed_keys(before, now) == ["model.biases (True, now None)"]
