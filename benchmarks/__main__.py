"""``python -m benchmarks`` runs all; ``python -m benchmarks NAME …`` one, with its options.

Only by name: ``baselines`` and ``critic``, which have to be told what to do and take long.
"""

import importlib
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: two threads are slower

NAMES = (
    "decoder_speed",
    "grammar_speed",
    "grammar_loss",
    "compose_pieces",
    "composing",
    "completion",
    "self_similarity",
    "corpus_speed",
    "quality_calibration",
    "musescore",
    "spelling",
    "ablation",
    "shapes",
    "studio",
)
BY_NAME_ONLY = ("baselines", "critic")

if __name__ == "__main__":
    chosen, options = (sys.argv[1:2], sys.argv[2:]) if len(sys.argv) > 1 else (list(NAMES), [])
    for name in chosen:
        if name not in NAMES + BY_NAME_ONLY:
            known = ", ".join(NAMES + BY_NAME_ONLY)
            sys.exit(f"there is no benchmark {name!r}; there are {known}")
        print(f"== {name}")
        importlib.import_module(f"benchmarks.{name}").main(options)
