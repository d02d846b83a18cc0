"""Engrave the examples of the counterpoint rules: ``python tools/engrave_rules.py``.

Reads tests/counterpoint/rule_examples.yaml, and writes two pictures of each rule to
docs/pictures/rules: one that breaks the rule, with the notes of the fault in colour, and one that
keeps it.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import yaml
from PIL import Image, ImageChops

from bicinium.counterpoint import RULES, RuleSet, check_score
from bicinium.music.score import Score
from bicinium.render.export import write_score
from bicinium.reports.counterpoint_report import note_marks

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "counterpoint"
PICTURES = ROOT / "docs" / "pictures" / "rules"
MARGIN, SHARE = 12, 0.75  # pixels around the notes; the size of the picture


def main() -> None:
    """Write the pictures."""
    sys.path.insert(0, str(TESTS))
    from conftest import make_score

    PICTURES.mkdir(parents=True, exist_ok=True)
    examples = yaml.safe_load((TESTS / "rule_examples.yaml").read_text(encoding="utf-8"))
    for rule, example in examples.items():
        cantus = 1 if example.get("cantus") else None
        for kind in ("broken", "kept"):
            score = make_score(*example[kind].split(" / "))
            _engrave(score, rule, cantus, PICTURES / f"{rule}-{kind}.png")


def _engrave(score: Score, rule: str, cantus: int | None, path: Path) -> None:
    report = check_score(score, RuleSet("one rule", "", (RULES[rule](),)), cantus)
    write_score(score, path, marks=note_marks(report))
    with Image.open(io.BytesIO(path.read_bytes())) as page:
        white = Image.new("RGB", page.size, "white")
        picture = page.convert("RGB")
        box = ImageChops.difference(picture, white).getbbox()
    assert box is not None
    left, top, right, bottom = box
    cut = picture.crop((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN))
    size = round(cut.width * SHARE), round(cut.height * SHARE)
    small = cut.resize(size, Image.Resampling.LANCZOS)
    small.quantize(48, Image.Quantize.FASTOCTREE).save(path, optimize=True)


if __name__ == "__main__":
    main()
