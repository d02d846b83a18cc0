"""`bicinium compose`: compose pieces and write them as files."""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bicinium.cli.options import MODEL_HELP, AsJson, Force, Perform, Quantize, Unfold
from bicinium.cli.output import (
    check_outputs,
    check_writable,
    option_names,
    print_deprecations,
    print_error,
    print_json,
    print_losses,
    report_write_errors,
)
from bicinium.cli.piece_table import piece_row, print_pieces
from bicinium.errors import RequestError
from bicinium.progress import progress_bar

if TYPE_CHECKING:
    from bicinium.generation.candidates import ProgressCallback
    from bicinium.generation.composition import Composition, IncompleteError
    from bicinium.generation.streaming import NoteEvent
    from bicinium.request import ComposeRequest


def compose(
    context: typer.Context,
    n: Annotated[
        int | None,
        typer.Option("-n", help="Number of pieces (default: 4, or 1 from your own file)."),
    ] = None,
    bars: Annotated[int | None, typer.Option(help="Length in bars (default: 16).")] = None,
    key: Annotated[str | None, typer.Option(help="Key, like 'D minor' (default: random).")] = None,
    meter: Annotated[str | None, typer.Option(help="Metre, like 3/4 (default: random).")] = None,
    tempo: Annotated[
        float | None,
        typer.Option(
            help="Beats a minute: quarters in 3/4, dotted quarters in 6/8 (default: the model's)."
        ),
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="Style, like bach (default: a random keyboard style).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the first piece; equal seeds, equal pieces (default: random)."),
    ] = None,
    best_of: Annotated[
        int | None,
        typer.Option(help="Candidates for each piece, of which the best is kept (default: 12)."),
    ] = None,
    continue_from: Annotated[
        Path | None, typer.Option("--continue", help="A score to continue, to --bars bars in all.")
    ] = None,
    upper: Annotated[
        Path | None, typer.Option(help="An upper voice, to which the lower is written.")
    ] = None,
    lower: Annotated[
        Path | None, typer.Option(help="A lower voice, to which the upper is written.")
    ] = None,
    manner: Annotated[
        str | None,
        typer.Option(help="Of a second voice: simple, chorale or invention (default: as fits)."),
    ] = None,
    rewrite: Annotated[
        Path | None, typer.Option(help="A score of which --rewrite-bars are composed anew.")
    ] = None,
    rewrite_bars: Annotated[
        str | None,
        typer.Option(help="First and last bar to rewrite, as printed, like 3-4; an upbeat is 0."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            help='Letters like "A B A\' C", binary, rondo, theme-and-variation, invention, '
            "minuet-and-trio, or a JSON file (default: that of a real piece)."
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            help="Opening of the upper voice, like 'D4:1/8 E4:1/8 r:1/4'; it is answered."
        ),
    ] = None,
    answer: Annotated[
        str, typer.Option(help="Interval of the answer: octave or fifth.")
    ] = "octave",
    canon: Annotated[
        str | None,
        typer.Option(
            help="A canon, like '1 bar at the octave below' or '2 beats at the fifth above'."
        ),
    ] = None,
    invertible: Annotated[
        int | None,
        typer.Option(
            help="Voices that may change places at the 8th, 10th or 12th; both are written."
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Under 1 more predictable, over 1 more varied (default: 1)."),
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Probability of the tokens drawn from (default: 0.99).")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Number of tokens drawn from (default: 0, all).")
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(help="Least probability beside the most likely token (default: 0)."),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance on style (default: 1.5 in keyboard styles, else 1)."),
    ] = None,
    motif_strength: Annotated[
        float | None,
        typer.Option(help="Bias to repeated motifs (default: 1 in keyboard styles, else 0)."),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="Setting, like leap=1 or max_leap=9; 'list' shows all of them."),
    ] = None,
    no_constraints: Annotated[
        bool, typer.Option("--no-constraints", help="Turn all constraints off.")
    ] = False,
    rules: Annotated[
        str | None,
        typer.Option(
            help="Rules of counterpoint to choose by and to report: bach, species1 to species5, "
            "each also with -school, or a YAML file, as in check."
        ),
    ] = None,
    max_quote: Annotated[
        int | None, typer.Option(help="Most bars of the training set that a piece may quote.")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            help="Seconds; then the best so far (default: 30, and 2 a bar of each piece)."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title (default: that of the given file, or the key).")
    ] = None,
    composer: Annotated[
        str | None, typer.Option(help="Composer (default: that of the given file, or bicinium).")
    ] = None,
    no_grammar: Annotated[bool, typer.Option("--no-grammar", help="Forbid no token.")] = False,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "default",
    out: Annotated[Path, typer.Option(help="Folder of the files.")] = Path("out"),
    formats: Annotated[
        str, typer.Option(help="Any of mid, musicxml, mxl, svg, png, pdf, roll.svg, wav, ogg.")
    ] = "mid",
    perform: Perform = False,
    force: Force = False,
    quantize: Quantize = False,
    unfold: Unfold = False,
    streamed: Annotated[
        bool, typer.Option("--stream", help="Print the notes of one piece as they are composed.")
    ] = False,
    as_json: AsJson = False,
    recurrence: Annotated[float | None, typer.Option(hidden=True)] = None,
    repetition_penalty: Annotated[float | None, typer.Option(hidden=True)] = None,
) -> None:
    """Compose two-voice pieces and write them as MIDI, scores, images and sound."""
    from bicinium.api import stream

    if constraint and "list" in constraint:
        _print_constraints()
        return
    with print_deprecations(), option_names(context.params):
        request = _request(context.params)
    print_losses(request.source_losses)
    if streamed:
        if n not in (None, 1) or best_of not in (None, 1) or formats != "mid" or as_json:
            raise RequestError(
                "--stream composes one piece and writes no files. Leave out -n, --best-of, "
                "--formats and --json."
            )
        print_error(f"streaming with --seed {request.seed}")
        for event in stream(request=request):
            _print_event(event)
        return
    with option_names(context.params):
        names = _file_names(request, out, _suffixes(formats))
    check_outputs(itertools.chain(*names), force, request.files)
    _compose_files(request, names, perform, as_json)


_FILES = ("upper", "lower", "continue_from", "rewrite")  # of one's own
_INVERTED = "-inverted"  # in the names of files with an inversion
# Parameters that are not options of the request.
_OUTPUT = (
    "constraint",
    "no_constraints",
    "no_grammar",
    "out",
    "formats",
    "perform",
    "force",
    "streamed",
)


def _request(parameters: dict[str, Any]) -> ComposeRequest:
    """Turn the parameters of the command into a request; their names are those of its options."""
    from bicinium.generation.constraints import Constraints
    from bicinium.request import ComposeRequest

    settings, none = parameters["constraint"], parameters["no_constraints"]
    if settings and none:
        raise RequestError("--constraint and --no-constraints contradict each other. Use one.")
    options = {
        name: value
        for name, value in parameters.items()
        if value is not None and name not in (*_OUTPUT, "as_json")
    }
    if any(name in options for name in _FILES):
        options.setdefault("n", 1)
    if "rewrite_bars" in options:
        options["rewrite_bars"] = _bar_numbers(options["rewrite_bars"])
    return ComposeRequest.from_options(
        **options,
        constraints=Constraints.none() if none else Constraints.parse(settings or []),
        use_grammar=not parameters["no_grammar"],
    )


def _file_names(request: ComposeRequest, out: Path, suffixes: list[str]) -> list[list[Path]]:
    """Return the files of each piece, one in each format, and those of its inversion."""
    from bicinium.api import file_stems

    if not request.use_grammar:
        suffixes = [*suffixes, "tokens.json"]  # instead of the others, for invalid pieces
    ends = [f".{suffix}" for suffix in suffixes]
    if request.invertible:
        ends += [f"{_INVERTED}.{suffix}" for suffix in suffixes]
    return [[out / f"{stem}{end}" for end in ends] for stem in file_stems(request)]


def _compose_files(
    request: ComposeRequest, names: list[list[Path]], perform: bool, as_json: bool
) -> None:
    """Compose the pieces, write a file of each in every format, and print what they are."""
    out = names[0][0].parent
    check_writable(out)
    started = time.perf_counter()
    with progress_bar() as progress:
        pieces, incomplete = _compose_all(request, progress)
    seconds = time.perf_counter() - started
    rows = []
    with report_write_errors(out, "written to"):
        out.mkdir(parents=True, exist_ok=True)
        for piece in pieces:
            files = names[piece.seed - request.seed]
            inversion = piece.inverted(request.invertible) if request.invertible else piece
            paths = [
                (inversion if _INVERTED in path.name else piece).save(path, perform)
                for path in files
                if not path.name.endswith(".tokens.json")
            ]
            rows.append(piece_row(piece, list(dict.fromkeys(paths)), request))
    tokens_per_second = sum(len(piece.tokens) for piece in pieces) / seconds
    if as_json:
        print_json({"pieces": rows, "tokens_per_second": round(tokens_per_second)})
    else:
        print_pieces(rows, seconds)
    if incomplete:
        raise incomplete
    if not all(row["valid"] for row in rows):
        raise typer.Exit(1)


def _compose_all(
    request: ComposeRequest, progress: ProgressCallback
) -> tuple[list[Composition], IncompleteError | None]:
    """Return the pieces, and an error if some are missing. Raises it if all are."""
    from bicinium.api import compose_many
    from bicinium.generation.composition import IncompleteError

    try:
        return compose_many(request=request, progress=progress), None
    except IncompleteError as error:
        if not error.pieces:
            raise
        return error.pieces, error


def _suffixes(formats: str) -> list[str]:
    """Read a list of formats like ``mid,musicxml``. Raises an error for one not installed."""
    from bicinium.render.export import output_format, require_libraries

    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    if not names:
        raise RequestError("--formats names no format. Leave it out, or name one.")
    suffixes = list(dict.fromkeys(output_format(Path(f"*.{name}")) for name in names))
    require_libraries(*suffixes)
    return suffixes


def _print_constraints() -> None:
    """Print every setting of ``--constraint`` with its default and its description."""
    from bicinium.generation.constraints.config import DESCRIPTIONS, Constraints

    usual = Constraints()
    for name, sentence in DESCRIPTIONS.items():
        value = getattr(usual, name)
        if name == "ranges":
            value = ",".join(f"{low}-{high}" for low, high in value)
        typer.echo(f"{name}={value}  {sentence}")


def _print_event(event: NoteEvent) -> None:
    """Print one line of JSON and flush it."""
    from dataclasses import asdict

    typer.echo(json.dumps(asdict(event)))
    sys.stdout.flush()


def _bar_numbers(text: str) -> tuple[int, int]:
    """Read ``3-4`` or ``3`` as the first and the last bar."""
    first, _, last = text.partition("-")
    if not first.strip().isdecimal() or not (last or first).strip().isdecimal():
        raise RequestError(f"--rewrite-bars must be like 3-4 (got {text!r}).")
    return int(first), int(last or first)
