"""bicinium's model as a Transformers model: ``from_pretrained``, ``generate()``, ``Trainer``.

The network is ``model.transformer.Transformer``, unchanged; its inputs are computed from the token
ids at every call. It keeps no keys and values between calls, so ``generate()`` reads the whole
piece for each token. To compose fast, use ``bicinium.compose``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    GenerationConfig,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    initialization,
)
from transformers.modeling_outputs import CausalLMOutput

from bicinium.adapters.transformers.sequences import first_starts
from bicinium.errors import CheckpointError, TokenError
from bicinium.grammar import MusicalGrammarConfig
from bicinium.model.checkpoint import load_checkpoint, save_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.from_tokens import SequenceConditions
from bicinium.model.transformer import Transformer
from bicinium.tokenizer.vocabulary import END, PAD, START, vocabulary_hash


class BiciniumConfig(PreTrainedConfig):
    """Configuration of the model. ``network`` holds the fields of ``ModelConfig``.

    Raises CheckpointError if it was saved with another vocabulary or grammar, or does not fit this
    version.
    """

    model_type = "bicinium"

    network: dict[str, Any] | None = None  # None: the defaults
    vocabulary: str | None = None  # hash; None: that of this version
    grammar: str | None = None
    record: dict[str, Any] | None = None  # how the weights were trained
    bos_token_id: int | None = START
    eos_token_id: int | None = END
    pad_token_id: int | None = PAD

    def __post_init__(self, **kwargs: Any) -> None:
        try:
            self.network = ModelConfig.model_validate(self.network or {}).model_dump(mode="json")
        except ValidationError as error:
            raise CheckpointError(
                f"This configuration is of no bicinium model: {error.errors()[0]['msg']}."
            ) from error
        self.vocabulary = _same_hash("vocabulary", self.vocabulary, vocabulary_hash())
        self.grammar = _same_hash("grammar", self.grammar, MusicalGrammarConfig().config_hash)
        super().__post_init__(**kwargs)

    @property
    def model(self) -> ModelConfig:
        """The configuration of the network."""
        return ModelConfig.model_validate(self.network)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self.model.vocab_size

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.model.d_model

    @property
    def num_hidden_layers(self) -> int:
        """Number of blocks."""
        return self.model.n_layers

    @property
    def num_attention_heads(self) -> int:
        """Number of heads of a block."""
        return self.model.n_heads

    @property
    def max_position_embeddings(self) -> int:
        """Number of tokens that the model was trained on at once."""
        return self.model.context


def _same_hash(name: str, found: str | None, expected: str) -> str:
    if found not in (None, expected):
        raise CheckpointError(
            f"The model was trained with another {name} ({found}, here {expected}). "
            "Use the version of bicinium that made it, or train again."
        )
    return expected


class BiciniumForCausalLM(PreTrainedModel, GenerationMixin):
    """bicinium's transformer. Token ids in, logits of the next token out."""

    config_class = BiciniumConfig
    main_input_name = "input_ids"
    _no_split_modules: ClassVar[list[str]] = ["Block"]

    def __init__(self, config: BiciniumConfig) -> None:
        super().__init__(config)
        self.network = Transformer(config.model)
        if not next(self.network.parameters()).is_meta:
            for module in self.network.modules():  # It has set its weights itself.
                module._is_hf_initialized = True  # type: ignore[assignment]
        self.post_init()
        self.generation_config = GenerationConfig(
            bos_token_id=START, eos_token_id=END, pad_token_id=PAD, use_cache=False
        )

    @classmethod
    def from_bicinium(cls, name: str | Path | None = None) -> BiciniumForCausalLM:
        """Return a model of bicinium in evaluation mode: ``default``, a model file, or a run.

        Raises CheckpointError if there is no such model.
        """
        checkpoint = load_checkpoint(name)
        config = BiciniumConfig(
            network=checkpoint.config.model_dump(mode="json"), record=checkpoint.record
        )
        model = cls(config)
        weights = {key: torch.from_numpy(value) for key, value in checkpoint.weights.items()}
        model.network.load_state_dict(weights)
        return model.eval()

    def save_bicinium(self, path: str | Path) -> None:
        """Write a model file, which ``bicinium compose --model`` takes."""
        record = self.config.record or {}
        save_checkpoint(Path(path), self.network.config, self.network.weights(), record)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        conditions: SequenceConditions | Sequence[SequenceConditions] | None = None,
        **kwargs: Any,
    ) -> CausalLMOutput:
        """Return logits (B, T, V), and the cross-entropy of ``labels`` (B, T) if they are given.

        input_ids: (B, T); each row begins with START, after padding with PAD if any.
        attention_mask: ignored, because START tells where a row begins, and attention is causal.
        labels: the tokens themselves, -100 where none counts; they are shifted here.
        conditions: what is known of the pieces, one for all, or one for each prompt.

        The logits of padding before START mean nothing. Raises TokenError for other rows.
        """
        if input_ids is None:
            raise TokenError("The model needs input_ids: its inputs are computed from token ids.")
        rows, length = input_ids.shape
        first = torch.from_numpy(first_starts(input_ids.cpu().numpy())).to(input_ids.device)
        places = torch.arange(length, device=input_ids.device)
        source = places + first[:, None]  # Each row is moved to the left.
        tokens = input_ids.gather(1, source.clamp(max=length - 1))
        tokens = tokens.masked_fill(source >= length, PAD)
        logits = self.network(tokens, _of_rows(conditions, rows))
        if bool(first.any()):
            back = (places - first[:, None]).clamp(min=0)
            logits = logits.gather(1, back[..., None].expand(-1, -1, logits.shape[-1]))
        loss = None
        if labels is not None:
            size = self.config.vocab_size
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=size, **kwargs)
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, conditions: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the arguments of ``forward``: always the whole sequences, for want of a cache."""
        return {"input_ids": input_ids, "conditions": conditions}

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of all inputs; tokens are its first rows."""
        return self.network.embedding

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise what a checkpoint lacks."""
        super()._init_weights(module)
        if isinstance(module, nn.EmbeddingBag):
            initialization.normal_(module.weight, std=0.02)

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False


def _of_rows(
    conditions: SequenceConditions | Sequence[SequenceConditions] | None, rows: int
) -> SequenceConditions | list[SequenceConditions] | None:
    """Return conditions for each row; each prompt has as many rows, such as its beams."""
    if conditions is None or isinstance(conditions, SequenceConditions):
        return conditions
    if rows % max(1, len(conditions)):
        raise TokenError(f"There are {len(conditions)} conditions for {rows} sequences.")
    return [one for one in conditions for _ in range(rows // len(conditions))]


AutoConfig.register(BiciniumConfig.model_type, BiciniumConfig)
AutoModel.register(BiciniumConfig, BiciniumForCausalLM)
AutoModelForCausalLM.register(BiciniumConfig, BiciniumForCausalLM)
