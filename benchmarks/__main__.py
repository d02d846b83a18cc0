"""``python -m benchmarks`` measures speed and writes docs/benchmarks.md.

``python -m benchmarks --repetitions N`` does it with N repetitions of everything.
``python -m benchmarks NAME …`` runs one part, or one experiment on quality, with its options.
"""

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: two threads are slower

SPEED = (
    "transformers_speed",
    "composing_speed",
    "network_speed",
    "grammar_speed",
    "inputs_speed",
    "midi_speed",
    "studio",
)
EXPERIMENTS = (
    "ablation",
    "baselines",
    "canons",
    "completion",
    "second_voice",
    "compose_pieces",
    "composing",
    "corpus_scale",
    "counterpoint_rates",
    "critic",
    "form",
    "grammar_loss",
    "live",
    "musescore",
    "music21_round_trip",
    "music21_rules",
    "quality_calibration",
    "random_requests",
    "reading_cases",
    "reading_programs",
    "reading_suites",
    "repair",
    "self_similarity",
    "shapes",
    "species",
    "spelling",
)
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def measured(name: str, options: list[str]) -> str:
    """Return the tables of a part as Markdown; if it cannot run, the reason."""
    from benchmarks.report import NotMeasuredError

    module = importlib.import_module(f"benchmarks.{name}")
    try:
        return "\n".join(table.markdown() for table in module.measure(options))
    except NotMeasuredError as reason:
        return f"## {name}\n\nNot measured: {reason}\n"


def main() -> None:
    """Run what the command line names."""
    if len(sys.argv) == 1 or sys.argv[1] == "--repetitions":
        from benchmarks.report import page

        parts, load = [], [os.getloadavg()[0]]
        for name in SPEED:
            print(f"== {name}", flush=True)
            parts.append(measured(name, sys.argv[1:]))
            print(parts[-1], flush=True)
            PAGE.write_text(page(parts, [*load, os.getloadavg()[0]]))
    elif (name := sys.argv[1]) in SPEED:
        print(measured(name, sys.argv[2:]))
    elif name in EXPERIMENTS:
        importlib.import_module(f"benchmarks.{name}").main(sys.argv[2:])
    else:
        sys.exit(f"There is no benchmark {name!r}. Choose {', '.join(SPEED + EXPERIMENTS)}.")


if __name__ == "__main__":
    main()
