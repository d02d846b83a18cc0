"""The command line: what it prints, what it leaves, and how it ends.

Exit status: 0 done; 1 the thing checked is not valid; 2 the call or a file is wrong, which one
sentence on standard error says.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mido
import pytest

from bicinium import api, studio
from bicinium.cli.main import main
from bicinium.data.prepare import MIN_QUALITY_SCORE
from bicinium.data.shards import load_pieces
from bicinium.errors import RequestError
from bicinium.formats.midi import write_midi
from bicinium.formats.registry import read_score
from bicinium.generation.constraints.config import DESCRIPTIONS, Constraints
from bicinium.generation.engine import DEFAULT_SAMPLING
from bicinium.generation.rerank import DEFAULT_BEST_OF
from bicinium.music.score import Score


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


@pytest.fixture
def bicinium(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ran]:
    """Run the command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bicinium", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
        said = capsys.readouterr()
        return Ran(status, said.out, said.err)

    return run


def _assert_refused(ran: Ran, pattern: str) -> None:
    """One sentence on standard error, nothing else."""
    assert ran.status == 2
    assert ran.out == ""
    assert re.fullmatch(r"bicinium: (?:(?!\. )[^\n])+[^\n.]\n", ran.err), ran.err
    assert re.search(pattern, ran.err)


@pytest.fixture
def good(tmp_path: Path, made_up_score: Callable[..., Score]) -> Path:
    path = tmp_path / "good.mid"
    write_midi(made_up_score(1), path)
    return path


@pytest.fixture
def founding_failure(tmp_path: Path) -> Path:
    """What the first model wrote: it began pitch 60 and ended pitch 100."""
    path = tmp_path / "failure.mid"
    track = mido.MidiTrack(
        [
            mido.Message("note_on", note=60, velocity=80, time=0),
            mido.Message("note_off", note=100, velocity=0, time=480),
        ]
    )
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(path)
    return path


# ------------------------------------------------------------------ help


def test_help_names_every_command(bicinium: Callable[..., Ran]) -> None:
    ran = bicinium("--help")
    assert ran.status == 0
    for command in ("compose", "convert", "validate", "train", "corpus", "runs", "doctor"):
        assert re.search(rf"\b{command}\b", ran.out)


@pytest.mark.parametrize(
    "command",
    [
        ["compose"],
        ["convert"],
        ["validate"],
        ["train"],
        ["corpus", "prepare"],
        ["runs", "compare"],
        ["doctor"],
    ],
)
def test_every_command_has_help(bicinium: Callable[..., Ran], command: list[str]) -> None:
    ran = bicinium(*command, "--help")
    assert ran.status == 0
    assert "--help" in ran.out


def _help_of(bicinium: Callable[..., Ran], *command: str) -> str:
    return " ".join(bicinium(*command, "--help").out.replace("│", " ").split())


def test_help_says_how_many_candidates_are_composed(bicinium: Callable[..., Ran]) -> None:
    assert f"keep the best; {DEFAULT_BEST_OF} if left out" in _help_of(bicinium, "compose")


@pytest.mark.parametrize("command", ["prepare", "validate"])
def test_help_says_what_quality_is_asked_for(bicinium: Callable[..., Ran], command: str) -> None:
    assert f"[default: {MIN_QUALITY_SCORE}]" in _help_of(bicinium, "corpus", command)


def test_help_and_the_studios_slider_say_what_the_default_sampling_is(
    bicinium: Callable[..., Ran],
) -> None:
    words = _help_of(bicinium, "compose")
    assert f"{DEFAULT_SAMPLING.temperature:g} if left out" in words
    assert f"{DEFAULT_SAMPLING.top_p:g} if left out" in words
    page = Path(studio.__file__).parent / "static" / "index.html"
    slider = re.search(r'<input name="temperature"[^>]*', page.read_text(encoding="utf-8"))
    assert slider is not None
    assert f'value="{DEFAULT_SAMPLING.temperature:g}"' in slider[0]


def test_an_option_that_is_none_is_an_error_without_traceback(bicinium: Callable[..., Ran]) -> None:
    ran = bicinium("compose", "--barz", "4")
    assert ran.status == 2
    assert "--barz" in ran.err
    assert "Traceback" not in ran.err


# ------------------------------------------------------------------ compose


def test_compose_writes_the_pieces_and_says_where_they_are(
    bicinium: Callable[..., Ran], tiny_model: Path, tmp_path: Path
) -> None:
    ran = bicinium(
        "compose", "-n", 3, "--bars", 2, "--key", "D minor", "--meter", "3/4", "--seed", 5,
        "--model", tiny_model, "--out", "pieces/new",
    )  # fmt: skip
    assert ran.status == 0
    for seed in (5, 6, 7):
        path = f"pieces/new/bicinium-{seed:04d}.mid"
        assert (tmp_path / path).is_file()
        assert path in ran.out
    assert ran.out.count("D minor") == ran.out.count("3/4") == 3
    assert ran.out.count("valid") == 3
    assert bicinium("validate", "pieces").status == 0


def test_compose_json_prints_one_document_and_nothing_else(
    bicinium: Callable[..., Ran], tiny_model: Path
) -> None:
    ran = bicinium("compose", "-n", 2, "--bars", 3, "--tempo", 88, "--model", tiny_model, "--json")
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


def test_compose_without_grammar_leaves_token_files_and_ends_with_1(
    bicinium: Callable[..., Ran], tiny_model: Path
) -> None:
    ran = bicinium("compose", "-n", 2, "--bars", 2, "--model", tiny_model, "--no-grammar", "--json")
    assert ran.status == 1
    for piece in json.loads(ran.out)["pieces"]:
        assert piece["valid"] is False
        assert piece["path"].endswith(".tokens.json")
        judged = bicinium("validate", piece["path"], "--json")
        assert judged.status == 1
        (verdict,) = json.loads(judged.out)["files"]
        assert verdict["grammar_score"] == piece["grammar_score"]
        assert verdict["violations"]


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--bars", "0"], "0 bars cannot be composed: ask for 1 to 256"),
        (["--key", "H"], "'H' is not a key"),
        (["--meter", "5/7"], "5/7 is not a metre"),
        (["--meter", "13/16"], "13/16 is not one the model has learned"),
        (["--style", "salieri"], "'salieri' is not one the model has learned"),
        (["--tempo", "1000"], "tempo 1000 must be"),
        (["-n", "0"], "0 pieces cannot be composed"),
        (["--seed", "-1"], "seed -1 must be 0 or more"),
        (["--top-p", "0"], "top-p 0.0 must be"),
        (["--temperature", "-1"], "temperature -1.0 must be"),
        (["--out", "good.mid/below"], "cannot be written to"),
    ],
)
def test_compose_refuses_what_cannot_be_in_one_sentence(
    bicinium: Callable[..., Ran],
    tiny_model: Path,
    good: Path,
    tmp_path: Path,
    arguments: list[str],
    pattern: str,
) -> None:
    _assert_refused(bicinium("compose", "--bars", 1, "--model", tiny_model, *arguments), pattern)
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


def test_compose_refuses_a_folder_that_cannot_be_before_it_composes(
    bicinium: Callable[..., Ran],
    good: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "compose_many", lambda *args, **asked: pytest.fail("it composed"))
    for out in (good, good / "below"):
        _assert_refused(
            bicinium("compose", "--model", tiny_model, "--out", out), "cannot be written to"
        )


def test_constraints_are_listed_as_they_are_taken(bicinium: Callable[..., Ran]) -> None:
    ran = bicinium("compose", "--constraint", "list")
    assert ran.status == 0
    settings = [line.split("  ")[0] for line in ran.out.splitlines()]
    assert [setting.partition("=")[0] for setting in settings] == list(DESCRIPTIONS)
    assert Constraints.parse(settings) == Constraints()


def test_compose_refuses_a_model_that_is_none(bicinium: Callable[..., Ran], good: Path) -> None:
    _assert_refused(bicinium("compose", "--model", "none.safetensors"), "there is no model at")
    _assert_refused(bicinium("compose", "--model", good), "is not a bicinium checkpoint")


def test_compose_writes_every_format_that_is_asked_for(
    bicinium: Callable[..., Ran], tiny_model: Path, tmp_path: Path
) -> None:
    ran = bicinium(
        "compose", "-n", 2, "--bars", 2, "--seed", 3, "--model", tiny_model, "--out", "new",
        "--formats", "musicxml, mid,mxl,roll.svg", "--json",
    )  # fmt: skip
    assert ran.status == 0
    names = [[Path(name).name for name in row["files"]] for row in json.loads(ran.out)["pieces"]]
    suffixes = ("musicxml", "mid", "mxl", "roll.svg")
    assert names == [[f"bicinium-000{seed}.{suffix}" for suffix in suffixes] for seed in (3, 4)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        [*names[0], *names[1]]
    )
    text = (tmp_path / "new" / "bicinium-0003.musicxml").read_text()
    assert '<miscellaneous-field name="seed">3<' in text
    assert re.search('name="model">tiny, sha256 [0-9a-f]{16}<', text)
    assert bicinium("validate", "new/bicinium-0003.musicxml", "new/bicinium-0003.mxl").status == 0


@pytest.mark.parametrize(
    ("formats", "pattern"),
    [("mid,doc", "names no format that can be written"), (",", "no format is asked for")],
)
def test_compose_refuses_formats_that_are_none(
    bicinium: Callable[..., Ran], tiny_model: Path, tmp_path: Path, formats: str, pattern: str
) -> None:
    _assert_refused(bicinium("compose", "--model", tiny_model, "--formats", formats), pattern)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ convert


def test_convert_goes_from_midi_to_notation_and_back(
    bicinium: Callable[..., Ran], good: Path, tmp_path: Path
) -> None:
    ran = bicinium("convert", good, "piece.mxl")
    assert ran.status == 0
    assert re.search(r"piece\.mxl: bars 8, metre 4/4, .*, notes \d+", ran.out)
    assert bicinium("convert", "piece.mxl", "again.mid").status == 0
    assert read_score(tmp_path / "again.mid").voices == read_score(good).voices


def test_convert_refuses_what_it_cannot_read_or_write(
    bicinium: Callable[..., Ran], good: Path, tmp_path: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "broken.musicxml").write_text("<score-partwise>")
    _assert_refused(bicinium("convert", "broken.musicxml", "a.mid"), "is not well-formed XML")
    _assert_refused(bicinium("convert", "absent.mid", "a.mid"), "absent.mid cannot be opened")
    _assert_refused(bicinium("convert", good, "a.doc"), "a.doc names no format")
    _assert_refused(bicinium("convert", good, "no/a.mid"), "no/a.mid cannot be written")
    (tmp_path / "broken.musicxml").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_convert_takes_two_voices_and_says_how_to_reduce_more(
    bicinium: Callable[..., Ran], tmp_path: Path
) -> None:
    chord = [(0, 60), (0, 64), (0, 67), (96, 60), (0, 64), (0, 67)]
    track = mido.MidiTrack(
        mido.Message("note_on", note=pitch, velocity=80 if i < 3 else 0, time=ticks)
        for i, (ticks, pitch) in enumerate(chord)
    )
    mido.MidiFile(tracks=[track], ticks_per_beat=24).save(tmp_path / "chord.mid")
    _assert_refused(bicinium("convert", "chord.mid", "a.musicxml"), "bicinium convert --reduce")
    assert bicinium("convert", "chord.mid", "a.musicxml", "--reduce").status == 0


# ------------------------------------------------------------------ validate


def test_validate_praises_what_is_valid(bicinium: Callable[..., Ran], good: Path) -> None:
    ran = bicinium("validate", good)
    assert ran.status == 0
    assert "valid" in ran.out
    assert "INVALID" not in ran.out
    assert "1 valid, 0 invalid" in ran.out


def test_the_founding_failure_is_invalid_by_pairing_with_both_pitches_named(
    bicinium: Callable[..., Ran], founding_failure: Path
) -> None:
    ran = bicinium("validate", founding_failure)
    assert ran.status == 1
    assert "INVALID" in ran.out
    assert re.search(r"pairing: .*E7 ends without having begun; sounding: C4", ran.out)
    assert re.search(r"pairing: .*C4 never ends", ran.out)
    (verdict,) = json.loads(bicinium("validate", founding_failure, "--json").out)["files"]
    assert verdict["valid"] is False
    assert verdict["grammar_score"] < 0.3
    assert {violation["rule"] for violation in verdict["violations"]} == {"pairing"}


def test_the_founding_failure_in_tokens_is_invalid_likewise(
    bicinium: Callable[..., Ran], tmp_path: Path
) -> None:
    """START, TEMPO, VELOCITY, NOTE_ON 43, a quarter, NOTE_OFF 171, rest of the bar, END."""
    path = tmp_path / "failure.json"
    path.write_text("[0, 742, 711, 43, 203, 171, 251, 1]")
    ran = bicinium("validate", path, "--json")
    assert ran.status == 1
    (verdict,) = json.loads(ran.out)["files"]
    assert verdict["grammar_score"] < 0.3
    first = verdict["violations"][0]
    assert (first["rule"], first["index"], first["bar"]) == ("pairing", 5, 1)
    assert "E7" in first["message"]
    assert "C4" in first["message"]


def test_validate_json_prints_one_document_and_nothing_else(
    bicinium: Callable[..., Ran], good: Path, founding_failure: Path
) -> None:
    ran = bicinium("validate", good, founding_failure, "--json")
    assert ran.status == 1
    document = json.loads(ran.out)
    assert (document["valid"], document["invalid"]) == (1, 1)
    assert [file["path"] for file in document["files"]] == [str(good), str(founding_failure)]
    assert [file["valid"] for file in document["files"]] == [True, False]
    assert document["files"][0]["violations"] == []
    assert document["files"][0]["notes"] > 20
    for violation in document["files"][1]["violations"]:
        assert set(violation) == {"index", "tick", "bar", "beat", "part", "rule", "message"}


def test_the_table_of_a_folder_has_a_line_for_each_file_that_nothing_cuts(
    bicinium: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    good: Path,
    founding_failure: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / ("a folder with a name as long as a title " * 3)
    folder.mkdir()
    for index in range(30):
        (folder / f"piece-{index:02d}.mid").write_bytes(good.read_bytes())
    founding_failure.rename(folder / "failure.mid")
    ran = bicinium("validate", folder)
    table, found, summary = ran.out.rstrip().split("\n\n")
    header, *rows = table.splitlines()
    assert header.split() == ["verdict", "score", "notes", "violations", "judged", "as", "file"]
    assert len(rows) == 31
    assert all(re.search(r"(piece-\d\d|failure)\.mid$", row) for row in rows)
    assert found.splitlines()[0].endswith("failure.mid (pairing 2)")
    assert len(found.splitlines()) == 3
    assert summary == "30 valid, 1 invalid"


def test_validate_takes_folders_and_looks_below_them(
    bicinium: Callable[..., Ran], good: Path, founding_failure: Path, tmp_path: Path
) -> None:
    deep = tmp_path / "folder" / "deep"
    deep.mkdir(parents=True)
    good.rename(deep / "good.MID")
    founding_failure.rename(tmp_path / "folder" / "failure.midi")
    (deep / "readme.txt").write_text("not looked at")
    ran = bicinium("validate", "folder")
    assert ran.status == 1
    assert "1 valid, 1 invalid" in ran.out


def test_validate_of_a_file_that_cannot_be_read_says_why(
    bicinium: Callable[..., Ran], tmp_path: Path
) -> None:
    """It is a thing that was checked and is not valid: exit status 1."""
    (tmp_path / "letter.txt").write_text("Dear Anna Magdalena")
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "cut.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01")
    (tmp_path / "wrong.json").write_text('{"notes": []}')
    ran = bicinium("validate", "letter.txt", "empty.mid", "cut.mid", "wrong.json")
    assert ran.status == 1
    assert ran.out.count("INVALID") == 4
    assert ran.out.count("is not a MIDI file") == 2
    assert ran.out.count("is damaged and cannot be read as MIDI") == 1
    assert "is not a token file" in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "{}",
        "5",
        '"123"',
        "[null]",
        '["a"]',
        "[1.5]",
        f"[{10**30}]",
        '{"tokens": [0, 1], "meter": 3}',
        '{"tokens": [0, 1], "meter": "5/7"}',
        '{"tokens": [0, 1], "meter": "3/4", "bars": "many"}',
        '{"tokens": [0, 1], "meter": "3/4", "bars": -2}',
        '{"tokens": 3}',
        "[" * 100_000,
    ],
    ids=lambda content: content[:40],
)
def test_any_nonsense_in_a_token_file_is_invalid_without_traceback(
    bicinium: Callable[..., Ran], tmp_path: Path, content: str
) -> None:
    (tmp_path / "odd.json").write_text(content)
    ran = bicinium("validate", "odd.json", "--json")
    assert ran.status == 1
    (verdict,) = json.loads(ran.out)["files"]
    assert verdict["valid"] is False
    assert verdict["grammar_score"] == 0
    assert "\n" not in verdict["violations"][0]["message"]


def test_a_key_signature_that_is_none_makes_a_file_invalid_without_traceback(
    bicinium: Callable[..., Ran], good: Path
) -> None:
    data = good.read_bytes()
    signature = data.index(b"\xff\x59\x02") + 3
    good.write_bytes(data[:signature] + b"\x40\x07" + data[signature + 2 :])
    ran = bicinium("validate", good)
    assert ran.status == 1
    assert "cannot be read as MIDI: Could not decode key" in ran.out


def test_validate_of_nothing_is_refused(bicinium: Callable[..., Ran], tmp_path: Path) -> None:
    _assert_refused(bicinium("validate", "absent.mid"), "there is nothing at absent.mid")
    (tmp_path / "empty").mkdir()
    _assert_refused(bicinium("validate", "empty"), "there is no music below empty")


# ------------------------------------------------------------------ corpus, train


def test_corpus_prepare_says_what_was_kept_and_what_was_not(
    bicinium: Callable[..., Ran], midi_folder: Path, founding_failure: Path, tmp_path: Path
) -> None:
    ran = bicinium(
        "corpus", "prepare", midi_folder, founding_failure,
        "--out", "set", "--jobs", 1, "--min-quality-score", 0,
    )  # fmt: skip
    assert ran.status == 0
    assert re.search(r"left out failure\.mid: .*no notes", ran.out)
    assert "kept 8 of 9 pieces" in ran.out
    assert len(load_pieces(tmp_path / "set")) == 8
    assert (tmp_path / "set" / "manifest.csv").is_file()


def test_corpus_prepare_refuses_a_file_for_a_folder(
    bicinium: Callable[..., Ran], midi_folder: Path, good: Path
) -> None:
    for out in (good, good / "below"):
        _assert_refused(
            bicinium("corpus", "prepare", midi_folder, "--out", out), "cannot be written to"
        )


def test_corpus_prepare_refuses_what_is_no_corpus(
    bicinium: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BICINIUM_CORPUS", raising=False)
    _assert_refused(bicinium("corpus", "prepare"), "name a folder of MIDI files")
    _assert_refused(bicinium("corpus", "prepare", "absent"), "there is no corpus at absent")
    (tmp_path / "empty").mkdir()
    _assert_refused(bicinium("corpus", "prepare", "empty"), "there are no MIDI files below empty")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_corpus_validate_and_report_judge_raw_and_prepared_music(
    bicinium: Callable[..., Ran], midi_folder: Path, founding_failure: Path, tmp_path: Path
) -> None:
    raw = bicinium("corpus", "validate", midi_folder, "--min-quality-score", 0, "--jobs", 1)
    assert raw.status == 0
    assert "8 fit, 0 not" in raw.out
    strict = bicinium("corpus", "validate", midi_folder, "--min-quality-score", 0.9, "--json")
    assert strict.status == 1
    document = json.loads(strict.out)
    assert document["fit"] + document["unfit"] == len(document["pieces"]) == 8
    assert all(piece["fit"] == (piece["quality_score"] >= 0.9) for piece in document["pieces"])
    failure = bicinium("corpus", "validate", founding_failure)
    assert failure.status == 1
    assert "holds no notes" in failure.out
    bicinium("corpus", "prepare", midi_folder, "--out", "set", "--min-quality-score", 0)
    prepared = bicinium("corpus", "validate", "set", "--min-quality-score", 0)
    assert prepared.status == 0
    assert "8 fit, 0 not" in prepared.out
    assert bicinium("corpus", "report", "set").out == "the report is set/report.html\n"
    assert "8 pieces of 8" in (tmp_path / "set" / "report.html").read_text()
    _assert_refused(bicinium("corpus", "validate", "absent"), "there is nothing at absent")
    _assert_refused(bicinium("corpus", "report", "absent"), "there is no prepared corpus at absent")


def test_corpus_fetch_lists_with_licence_and_credit_and_fails_without_a_server(
    bicinium: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bicinium.data import download as fetch

    listed = bicinium("corpus", "fetch", "inventions", "--list")
    assert listed.status == 0
    assert len(listed.out.splitlines()) == 15
    assert re.search(r"J\. S\. Bach, Invention 1 \(.+; typeset by .+\)", listed.out)
    _assert_refused(bicinium("corpus", "fetch", "fugues"), "'fugues' is not in the catalogue")
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    failed = bicinium("corpus", "fetch", "arabesque", "--server", "http://127.0.0.1:9/")
    assert failed.status == 1
    assert "0 of 1 works are in data/mutopia" in failed.out


def test_quality_stands_in_the_json_of_validate_and_compose(
    bicinium: Callable[..., Ran], tiny_model: Path, good: Path, founding_failure: Path
) -> None:
    ran = bicinium("validate", "--json", good, founding_failure)
    valid, empty = json.loads(ran.out)["files"]
    assert 0 <= valid["quality_score"] <= 1
    assert empty["quality_score"] is None
    composed = bicinium("compose", "-n", 1, "--bars", 4, "--model", tiny_model, "--json")
    (piece,) = json.loads(composed.out)["pieces"]
    again = json.loads(bicinium("validate", "--json", piece["path"]).out)["files"][0]
    assert again["quality_score"] == pytest.approx(piece["quality_score"], abs=1e-3)


def test_train_refuses_what_cannot_be_run(bicinium: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("training: {max_step: 3}\n")
    _assert_refused(bicinium("train", "run.yaml"), "did you mean training.max_steps")
    _assert_refused(bicinium("train", "absent.yaml"), "absent.yaml cannot be read")
    (tmp_path / "run.yaml").write_text("data: {prepared: nowhere}\n")
    _assert_refused(bicinium("train", "run.yaml"), "there is no prepared corpus at nowhere")
    _assert_refused(bicinium("train"), "name a configuration, or --resume RUN")
    for config in ([], ["run.yaml"]):
        _assert_refused(
            bicinium("train", *config, "--resume", "runs/none"), "there is no run at runs/none"
        )
    _assert_refused(
        bicinium("train", "run.yaml", "--set", "model.vocab_size=100"), "there are 774 tokens"
    )


_TINY_RUN = """
model: {d_model: 32, n_layers: 1, n_heads: 2, d_ff: 32, context: 64}
training:
  {max_steps: 3, batch_size: 2, precision: 32-true, threads: 1, warmup_steps: 1,
  musical_grammar: {validate_every_n_batches: 2, live_pieces: 2, live_bars: 1}}
"""


def test_train_ends_with_a_model_that_compose_takes(
    bicinium: Callable[..., Ran], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(_TINY_RUN)
    data = f"data.prepared={prepared}"
    ran = bicinium("train", "run.yaml", "--set", data, "--run", "runs/one")
    assert ran.status == 0
    assert "runs/one/model.safetensors" in ran.out
    model = tmp_path / "runs" / "one" / "model.safetensors"
    assert bicinium("compose", "-n", 1, "--bars", 2, "--model", model).status == 0
    _assert_refused(
        bicinium("train", "run.yaml", "--set", data, "--run", "runs/one"), "holds a run already"
    )


def test_runs_compare_prints_a_table_and_draws_the_curves(
    bicinium: Callable[..., Ran], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(_TINY_RUN)
    data = f"data.prepared={prepared}"
    for name in ("one", "two"):
        assert bicinium("train", "run.yaml", "--set", data, "--run", f"runs/{name}").status == 0
    ran = bicinium("runs", "compare", "runs/one", "runs/two")
    assert ran.status == 0
    assert re.search(r"^run +one +two$", ran.out, re.MULTILINE)
    assert re.search(r"^steps +3 +3$", ran.out, re.MULTILINE)
    assert re.search(r"^live/grammar_score +[\d.e-]+ +[\d.e-]+$", ran.out, re.MULTILINE)
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")
    ran = bicinium("runs", "compare", "runs/one", "--out", "one.png", "--json")
    assert [row["run"] for row in json.loads(ran.out)["runs"]] == ["one"]
    assert json.loads(ran.out)["curves"] == "one.png"
    _assert_refused(bicinium("runs", "compare", "runs/none"), "runs/none holds no run")
    _assert_refused(
        bicinium("runs", "compare", "runs/one", "--out", "no/x.png"), "no/x.png cannot be written"
    )


def test_a_run_that_cannot_be_saved_ends_with_1_and_a_sentence(
    bicinium: Callable[..., Ran],
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bicinium.training.loop import TrainingRun

    (tmp_path / "run.yaml").write_text(_TINY_RUN + f"data: {{prepared: {prepared}}}\n")
    logits = TrainingRun._logits
    monkeypatch.setattr(
        TrainingRun, "_logits", lambda self, batch: logits(self, batch) * float("nan")
    )
    ran = bicinium("train", "run.yaml", "--run", "runs/one")
    assert ran.status == 1
    sentence = ran.err.splitlines()[-1]
    assert sentence.startswith("bicinium: training collapsed at step 1 after 3 rollbacks")
    assert "collapse.md" in sentence
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("when", ["a step", "a validation"])
def test_ctrl_c_saves_says_how_to_go_on_and_ends_with_130(
    bicinium: Callable[..., Ran], prepared: Path, tmp_path: Path, when: str
) -> None:
    """A real signal to a real process, which then goes on where it stopped."""
    grammar = (
        "validate_every_n_batches: 5000, live_pieces: 1"
        if when == "a step"
        else "validate_every_n_batches: 3, live_pieces: 64, live_bars: 250"
    )
    text = _TINY_RUN.replace("validate_every_n_batches: 2, live_pieces: 2, live_bars: 1", grammar)
    text = text.replace("max_steps: 3", "max_steps: 5000, checkpoint_every_steps: 10000")
    (tmp_path / "run.yaml").write_text(text + f"data: {{prepared: {prepared}}}\n")
    program = "import sys; from bicinium.cli.main import main; sys.argv[0] = 'bicinium'; main()"
    run = [sys.executable, "-c", program, "train"]
    ran = subprocess.Popen(
        [*run, "run.yaml", "--run", "runs/one"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "runs" / "one" / "checkpoints" / "last.ckpt"
    metrics = last.parents[1] / "metrics.jsonl"
    # steps are recorded from the first; before its validation the third is saved
    _wait_until(lambda: metrics.is_file() if when == "a step" else _step_of(last) == 3)
    time.sleep(0.5)
    ran.send_signal(signal.SIGINT)
    _, said = ran.communicate(timeout=60)
    assert ran.returncode == 130, said
    assert said.rstrip().splitlines()[-1] == (
        "stopped and saved; go on with: bicinium train --resume runs/one"
    )
    assert "Traceback" not in said
    stopped = _step_of(last)
    assert stopped == 3 if when == "a validation" else 0 < stopped < 5000
    settings = [f"training.max_steps={stopped + 1}"]
    settings += [f"training.musical_grammar.{name}=1" for name in ("live_pieces", "live_bars")]
    again = bicinium("train", "--resume", "runs/one", *(f"--set={each}" for each in settings))
    assert again.status == 0, again.err
    assert f"resumed: {stopped + 1} steps in all" in again.err
    assert _step_of(last) == stopped + 1


def _step_of(checkpoint: Path) -> int:
    """The step at which it was saved; -1 where there is none."""
    import torch

    return torch.load(checkpoint, weights_only=True)["step"] if checkpoint.is_file() else -1


def _wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


# ------------------------------------------------------------------ doctor


def test_doctor_finds_the_model_in_the_package_well(bicinium: Callable[..., Ran]) -> None:
    ran = bicinium("doctor")
    assert ran.status == 0
    assert len(ran.out.splitlines()) == 5
    assert all(line.startswith("ok ") for line in ran.out.splitlines())


def test_doctor_finds_what_is_wrong_and_ends_with_1(
    bicinium: Callable[..., Ran], tiny_model: Path
) -> None:
    ran = bicinium("doctor", tiny_model)
    assert ran.status == 1
    assert re.search(r"^WRONG +does it pair notes unaided\?", ran.out, re.MULTILINE)
    assert re.search(r"^ok +is it causal\?", ran.out, re.MULTILINE)
    ran = bicinium("doctor", tiny_model, "--json")
    assert ran.status == 1
    findings = json.loads(ran.out)["findings"]
    assert len(findings) == 5
    assert all(set(finding) == {"question", "good", "evidence"} for finding in findings)
    assert not all(finding["good"] for finding in findings)
    _assert_refused(bicinium("doctor", "none.safetensors"), "there is no model at none")


# ------------------------------------------------------------------ evaluate


def test_evaluate_says_at_once_that_nothing_is_nothing_to_listen_to(
    bicinium: Callable[..., Ran], tiny_model: Path, midi_folder: Path, tmp_path: Path
) -> None:
    ran = bicinium("evaluate", tiny_model, "--data", midi_folder, "--pieces", 0, "--listen")
    _assert_refused(ran, "0 pieces are nothing to listen to")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("as_json", [True, False])
def test_evaluate_keeps_its_numbers_where_there_is_nothing_to_listen_to(
    bicinium: Callable[..., Ran],
    tiny_model: Path,
    midi_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    from bicinium.evaluation import audio_clips as clips
    from bicinium.evaluation import listening_test as listen

    def refuse(found: object) -> str:
        raise RequestError("there is nothing to listen to")

    monkeypatch.setattr(clips, "check_installed", lambda purpose: None)
    monkeypatch.setattr(listen, "listening_page", refuse)
    ran = bicinium(
        "evaluate", tiny_model, "--data", midi_folder, "--pieces", 1, "--listen", "--out", "there",
        *["--json"] * as_json,
    )  # fmt: skip
    assert ran.status == 2
    assert ran.err.strip() == "bicinium: there is nothing to listen to"
    document = json.loads((tmp_path / "there" / "report.json").read_text())
    assert json.loads(ran.out) == document if as_json else "bits per note" in ran.out
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [
        "report.html", "report.json",
    ]  # fmt: skip


# ------------------------------------------------------------------ as a program


def test_compose_says_what_is_not_installed_before_it_composes(
    bicinium: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "midirenderer", None)
    ran = bicinium("compose", "--formats", "mid,wav", "--out", "new")
    _assert_refused(
        ran, r"sound needs midirenderer: install it with pip install 'bicinium\[sound\]'"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_program_runs_on_its_own_and_composes_without_what_is_heavy(
    tiny_model: Path, tmp_path: Path
) -> None:
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
    assert (tmp_path / "out" / "bicinium-0000.mid").is_file()


def test_the_installed_command_ends_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("bicinium")
    if not command.exists():
        pytest.skip("the command is not installed beside this Python")
    ran = subprocess.run(
        [command, "validate", "absent.mid"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == "bicinium: there is nothing at absent.mid\n"
