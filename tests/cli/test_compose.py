"""`bicinium compose`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import pytest

from bicinium import api, studio
from bicinium.formats.registry import read_score
from bicinium.generation.constraints.config import DESCRIPTIONS, Constraints
from bicinium.generation.rerank import DEFAULT_BEST_OF
from bicinium.generation.sampling import DEFAULT_SAMPLING
from bicinium.music.score import Score
from bicinium.render.export import write_score


def test_help_states_the_default_number_of_candidates(run_cli: Callable[..., Any]) -> None:
    assert f"the best is kept (default: {DEFAULT_BEST_OF})" in run_cli("compose", "--help").words


def test_help_and_studio_slider_show_the_default_sampling(
    run_cli: Callable[..., Any],
) -> None:
    words = run_cli("compose", "--help").words
    assert f"(default: {DEFAULT_SAMPLING.temperature:g})" in words
    assert f"(default: {DEFAULT_SAMPLING.top_p:g})" in words
    page = Path(studio.__file__).parent / "static" / "index.html"
    slider = re.search(r'<input name="temperature"[^>]*', page.read_text(encoding="utf-8"))
    assert slider is not None
    assert f'value="{DEFAULT_SAMPLING.temperature:g}"' in slider[0]


def test_compose_writes_pieces_and_prints_their_paths(
    run_cli: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    ran = run_cli(
        "compose", "-n", 3, "--bars", 2, "--key", "D minor", "--meter", "3/4", "--seed", 5,
        "--model", tiny_model, "--out", "pieces/new",
    )  # fmt: skip
    assert ran.status == 0
    for seed in (5, 6, 7):
        path = f"pieces/new/d-minor-3-4-seed-{seed}.mid"
        assert (tmp_path / path).is_file()
        assert path in ran.out
    assert ran.out.count("D minor") == ran.out.count("3/4") == 3
    assert ran.out.count("valid") == 3
    assert run_cli("validate", "pieces").status == 0


def test_compose_json_prints_one_document(run_cli: Callable[..., Any], tiny_model: Path) -> None:
    ran = run_cli(
        "compose", "-n", 2, "--bars", 3, "--tempo", 88, "--seed", 0, "--model", tiny_model, "--json"
    )
    assert ran.status == 0
    document = json.loads(ran.out)
    assert document["tokens_per_second"] > 0
    assert len(document["pieces"]) == 2
    for index, piece in enumerate(document["pieces"]):
        assert piece["valid"] is True
        assert piece["grammar_score"] == 1
        assert (piece["bars"], piece["tempo"], piece["seed"]) == (3, 88, index)
        assert piece["notes"] > 0
        assert piece["tokens"] > piece["notes"]
        assert re.fullmatch(r"[A-G][b#]? (major|minor)", piece["key"])
        assert piece["meter"] in ("2/4", "3/4", "4/4", "6/8")
        assert piece["files"][0] == piece["path"]
        assert all(Path(path).is_file() for path in piece["files"])


def test_compose_without_grammar_writes_token_files_and_exits_with_1(
    run_cli: Callable[..., Any], tiny_model: Path
) -> None:
    ran = run_cli("compose", "-n", 2, "--bars", 2, "--model", tiny_model, "--no-grammar", "--json")
    assert ran.status == 1
    for piece in json.loads(ran.out)["pieces"]:
        assert piece["valid"] is False
        assert piece["path"].endswith(".tokens.json")
        judged = run_cli("validate", piece["path"], "--json")
        assert judged.status == 1
        (verdict,) = json.loads(judged.out)["files"]
        assert verdict["grammar_score"] == piece["grammar_score"]
        assert verdict["violations"]


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--upper", "a.mid", "--continue", "b.mid"], "--continue and --upper cannot be combined"),
        (["--best-of", "0"], r": --best-of must be 1 or more"),
        (["--rewrite", "a.mid"], ": --rewrite needs both a file"),
        (["--bars", "0"], r": --bars must be between 1 and 256 \(got 0\)"),
        (["--key", "H"], "'H' is not a key"),
        (["--meter", "5/7"], "5/7 is not a metre"),
        (["--meter", "13/16"], "has not learned the metre 13/16"),
        (["--style", "salieri"], "has not learned the style 'salieri'"),
        (["--tempo", "1000"], "tempo must be between .* .got 1000"),
        (["-n", "0"], ": -n must be 1 or more .got 0"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--top-p", "0"], "--top-p must be over 0"),
        (["--temperature", "-1"], "--temperature must be over 0"),
        (["--out", "valid.mid/below"], "cannot be written to"),
    ],
)
def test_compose_rejects_invalid_options(
    run_cli: Callable[..., Any],
    tiny_model: Path,
    valid_midi: Path,
    tmp_path: Path,
    arguments: list[str],
    pattern: str,
) -> None:
    run_cli("compose", "--bars", 1, "--model", tiny_model, *arguments).assert_error(pattern)
    assert [path.name for path in tmp_path.iterdir()] == [valid_midi.name]


def test_compose_checks_the_output_folder_before_composing(
    run_cli: Callable[..., Any],
    valid_midi: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        api,
        "compose_many",
        lambda *args, **asked: pytest.fail("composed before checking the folder"),
    )
    for out in (valid_midi, valid_midi / "below"):
        run_cli("compose", "--model", tiny_model, "--out", out).assert_error("cannot be written to")


def test_constraint_list_can_be_parsed_again(run_cli: Callable[..., Any]) -> None:
    ran = run_cli("compose", "--constraint", "list")
    assert ran.status == 0
    settings = [line.split("  ")[0] for line in ran.out.splitlines()]
    assert [setting.partition("=")[0] for setting in settings] == list(DESCRIPTIONS)
    assert Constraints.parse(settings) == Constraints()


def test_compose_rejects_a_missing_or_invalid_model(
    run_cli: Callable[..., Any], valid_midi: Path
) -> None:
    run_cli("compose", "--model", "none.safetensors").assert_error("here is no model at")
    run_cli("compose", "--model", valid_midi).assert_error("is not a bicinium checkpoint")


def test_compose_writes_every_requested_format(
    run_cli: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    ran = run_cli(
        "compose", "-n", 2, "--bars", 2, "--seed", 3, "--model", tiny_model, "--out", "new",
        "--key", "Bb", "--meter", "6/8", "--formats", "musicxml, mid,mxl,roll.svg", "--json",
    )  # fmt: skip
    assert ran.status == 0
    names = [[Path(name).name for name in row["files"]] for row in json.loads(ran.out)["pieces"]]
    suffixes = ("musicxml", "mid", "mxl", "roll.svg")
    assert names == [
        [f"b-flat-major-6-8-seed-{seed}.{suffix}" for suffix in suffixes] for seed in (3, 4)
    ]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        [*names[0], *names[1]]
    )
    named = "new/b-flat-major-6-8-seed-3"
    text = (tmp_path / f"{named}.musicxml").read_text()
    assert '<miscellaneous-field name="seed">3<' in text
    assert re.search('name="model">tiny, sha256 [0-9a-f]{16}<', text)
    assert "seed: 3; " in mido.MidiFile(tmp_path / f"{named}.mid").tracks[0][0].text
    assert run_cli("validate", f"{named}.musicxml", f"{named}.mxl").status == 0


@pytest.mark.parametrize(
    ("formats", "pattern"),
    [("mid,doc", "names no format that can be written"), (",", "--formats names no format")],
)
def test_compose_rejects_unknown_formats(
    run_cli: Callable[..., Any], tiny_model: Path, tmp_path: Path, formats: str, pattern: str
) -> None:
    run_cli("compose", "--model", tiny_model, "--formats", formats).assert_error(pattern)
    assert list(tmp_path.iterdir()) == []


def test_compose_reports_a_missing_extra_before_composing(
    run_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    ran = run_cli("compose", "--formats", "mid,ogg", "--out", "new")
    ran.assert_error(r"OGG needs soundfile: install it with pip install 'bicinium\[sound\]'")
    assert list(tmp_path.iterdir()) == []


def test_compose_does_not_import_heavy_packages(tiny_model: Path, tmp_path: Path) -> None:
    program = """if True:
        import sys
        from bicinium.cli.main import main
        try:
            main()
        finally:
            heavy = {'torch', 'music21', 'verovio', 'typst'} & set(sys.modules)
            print('loaded:', *heavy, file=sys.stderr)"""
    command = [sys.executable, "-c", program, "compose", "-n", "1", "--bars", "2", "--json",
               "--formats", "mid,musicxml,roll.svg"]  # fmt: skip
    ran = subprocess.run(
        [*command, "--model", str(tiny_model)], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["pieces"][0]["valid"]
    assert ran.stderr.splitlines()[-1] == "loaded:"
    path = json.loads(ran.stdout)["pieces"][0]["path"]
    assert (tmp_path / path).is_file()


def test_renamed_options_still_work_with_a_note(
    run_cli: Callable[..., Any], tiny_model: Path
) -> None:
    command = ("compose", "-n", 1, "--bars", 1, "--model", tiny_model, "--json")
    old, new = (
        run_cli(*command, "--seed", 1, "--force", option, 2.0)
        for option in ("--recurrence", "--motif-strength")
    )
    assert "--recurrence was renamed --motif-strength. Its value is used." in old.err
    assert json.loads(old.out)["pieces"][0]["tokens"] == json.loads(new.out)["pieces"][0]["tokens"]
    run_cli(*command, "--repetition-penalty", 1).assert_error("--repetition-penalty was removed")
    run_cli(*command, "--constraint", "rhythm=1").assert_error("rhythm was removed")


def test_seeds_are_fresh_unless_given(run_cli: Callable[..., Any], tiny_model: Path) -> None:
    command = ("compose", "-n", 1, "--bars", 1, "--model", tiny_model)
    drawn = [json.loads(run_cli(*command, "--json").out)["pieces"][0]["seed"] for _ in range(2)]
    assert drawn[0] != drawn[1]  # fails by chance once in a million
    assert re.search(r"with --seed \d+\n$", run_cli(*command).err)


def test_the_title_and_composer_of_a_given_file_are_kept(
    run_cli: Callable[..., Any], tiny_model: Path, made_up_score: Callable[..., Score]
) -> None:
    tune = replace(made_up_score(1, 2), title="Lullaby", composer="Ada")
    write_score(tune, "tune.musicxml")
    command = ("compose", "-n", 1, "--upper", "tune.musicxml", "--model", tiny_model)
    command = (*command, "--formats", "musicxml", "--seed", 3)
    for options, named in (
        ((), ("Lullaby", "Ada")),
        (("--title", "Cradle", "--force"), ("Cradle", "Ada")),
        (("--composer", "Ada and I", "--force"), ("Lullaby", "Ada and I")),
    ):
        assert run_cli(*command, *options).status == 0
        piece = read_score("out/tune-seed-3.musicxml")
        assert (piece.title, piece.composer) == named
    run_cli("compose", "-n", 1, "--bars", 1, "--seed", 1, "--key", "C", "--meter", "4/4",
            "--model", tiny_model, "--formats", "musicxml", "--title", "Mine")  # fmt: skip
    piece = read_score("out/c-major-4-4-seed-1.musicxml")
    assert (piece.title, piece.composer) == ("Mine", "bicinium")


def test_the_inversion_is_written_too(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    ran = run_cli(
        "compose", "-n", 1, "--bars", 3, "--key", "C major", "--meter", "2/4", "--seed", 4,
        "--invertible", 8, "--best-of", 4, "--out", "pieces",
    )  # fmt: skip
    assert ran.status == 0
    names = sorted(path.name for path in (tmp_path / "pieces").iterdir())
    assert names == ["c-major-2-4-seed-4-inverted.mid", "c-major-2-4-seed-4.mid"]
    assert run_cli("check", "pieces").status == 0


def test_pieces_are_written_although_others_could_not_be_composed(
    run_cli: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    ran = run_cli(
        "compose", "-n", 6, "--bars", 3, "--key", "C major", "--meter", "2/4", "--seed", 1,
        "--best-of", 1, "--constraint", "leap=1", "--constraint", "max_leap=1",
        "--model", tiny_model,
    )  # fmt: skip
    assert ran.status == 2
    assert ran.err.endswith(" 1 of 6 pieces are missing.\n")
    seeds = [path.stem.rpartition("-")[2] for path in sorted((tmp_path / "out").iterdir())]
    assert seeds == ["1", "2", "3", "5", "6"]
    assert sum(line.startswith("C major") for line in ran.out.splitlines()) == 5


def test_a_time_limit_that_is_too_short_is_one_sentence(
    run_cli: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    options = ("--bars", 4, "--seed", 1, "--model", tiny_model)
    run_cli("compose", *options, "--time-limit", 1e-9).assert_error("within the time limit")
    run_cli("compose", *options, "--time-limit", 0).assert_error("--time-limit must be over 0")
    assert not list(tmp_path.glob("out/*"))


def test_the_faults_under_rules_are_reported(
    run_cli: Callable[..., Any], tiny_model: Path, valid_midi: Path
) -> None:
    asked = ["compose", "--upper", valid_midi, "--best-of", 1, "--seed", 4, "--no-constraints",
             "--rules", "species1", "--model", tiny_model]  # fmt: skip
    ran = run_cli(*asked)
    assert ran.status == 0, ran
    name = next(Path("out").iterdir()).name
    assert re.search(
        rf"^{name}: (no fault|.*\d (error|hint|warning)s?) under species1$", ran.out, re.M
    )
    (piece,) = json.loads(run_cli(*asked, "--force", "--json").out)["pieces"]
    report = json.loads(
        run_cli("check", piece["path"], "--rules", "species1", "--cantus", "upper", "--json").out
    )["files"][0]
    assert piece["counterpoint"]["faults"] == report["faults"]
    told = [fault for fault in report["faults"] if fault["severity"] != "hint"]
    shown = sorted(told, key=lambda fault: fault["severity"])[:5]  # errors before warnings
    assert len(told) > len(shown)
    for fault in shown:
        assert f"{fault['severity']}, bar {fault['bar']}, beat {fault['beat']:g}" in ran.out
    assert f"and {len(told) - 5} more; bicinium check shows all" in ran.out
    run_cli("compose", "--rules", "fugue").assert_error("There is no rule set 'fugue'")
    run_cli("compose", "--rules", "species2").assert_error("rules species2 need a cantus firmus")
