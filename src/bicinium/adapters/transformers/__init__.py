"""Bridge to Hugging Face Transformers: logits processor, model, loss and Trainer callback.

Needs ``pip install 'bicinium[transformers]'``. Importing it registers the model with AutoConfig,
AutoModel and AutoModelForCausalLM.
"""

from bicinium.optional_imports import require_extra

with require_extra("transformers", "bicinium.adapters.transformers"):
    import accelerate  # noqa: F401  Trainer needs it, and says so only when it is constructed.
    import lightning_fabric  # noqa: F401  The validation of training needs it.
    import torch  # noqa: F401
    import transformers  # noqa: F401

from bicinium.adapters.transformers.callback import GrammarTrainerCallback
from bicinium.adapters.transformers.live import validate_live
from bicinium.adapters.transformers.logits import GrammarLogitsProcessor
from bicinium.adapters.transformers.loss import GrammarTrainerLoss
from bicinium.adapters.transformers.model import BiciniumConfig, BiciniumForCausalLM

__all__ = [
    "BiciniumConfig",
    "BiciniumForCausalLM",
    "GrammarLogitsProcessor",
    "GrammarTrainerCallback",
    "GrammarTrainerLoss",
    "validate_live",
]
