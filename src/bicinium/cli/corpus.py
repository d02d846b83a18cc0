"""`bicinium corpus`: download, prepare and check training data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bicinium.cli.options import AsJson, Force, Quantize, Unfold
from bicinium.cli.output import check_outputs, check_writable, print_error, print_json, write_page
from bicinium.optional_imports import require_extra

if TYPE_CHECKING:
    from bicinium.data.piece_record import PieceRecord
    from bicinium.data.prepare import CorpusSummary

_MIN_QUALITY_SCORE = 0.05  # The value of data.select, which is slow to import.


def corpus_prepare(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Folders or files of music, or music21 (default: $BICINIUM_CORPUS)."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the training set.")] = Path("data/prepared"),
    style: Annotated[
        str | None,
        typer.Option(
            help="Style of all pieces, or unknown (default: that of the manifest, the composer, or "
            "the sub-folder)."
        ),
    ] = None,
    min_grammar_score: Annotated[
        float, typer.Option(help="Minimum grammar score of a piece.")
    ] = 1.0,
    min_quality_score: Annotated[
        float, typer.Option(help="Minimum quality score of a piece.")
    ] = _MIN_QUALITY_SCORE,
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 is one per core.")] = -1,
    cluster: Annotated[
        str | None,
        typer.Option(help="Dask scheduler whose workers read the files, like tcp://host:8786."),
    ] = None,
    quantize: Quantize = False,
    unfold: Unfold = False,
    force: Force = False,
) -> None:
    """Read, check and encode music for training, and list the rejected pieces with reasons.

    Unchanged files are not read again. After Ctrl-C the same command continues.
    """
    from bicinium.data.prepare import MANIFEST_NAME, prepare
    from bicinium.data.sources import find_sources

    def print_rejected(record: PieceRecord) -> None:
        if not record.kept:
            typer.echo(f"left out {record.name}: {record.reason}")

    check_outputs([out / MANIFEST_NAME], force)
    check_writable(out)
    try:
        with require_extra("train", "a training set"):
            summary = prepare(
                find_sources(sources or [], style, quantize=quantize, unfold=unfold),
                out,
                min_grammar_score,
                jobs,
                min_quality_score=min_quality_score,
                cluster=cluster,
                on_record=print_rejected,
            )
    except KeyboardInterrupt:
        print_error("Stopped. The same command continues with the remaining files.")
        raise typer.Exit(130) from None
    _print_summary(summary, out)


def _print_summary(summary: CorpusSummary, out: Path) -> None:
    """Print how many pieces were kept, and what became of the others."""
    from bicinium.data.prepare import MANIFEST_NAME

    for outcome, count in summary.outcomes.most_common():
        typer.echo(f"{count:6d}  {outcome}")
    styles = (f"{name} {count}" for name, count in summary.styles.most_common())
    typer.echo(f"styles: {', '.join(styles)}")
    for kind, count in summary.losses.items():
        pieces = summary.pieces_with_loss[kind]
        typer.echo(f"{count:6d}  {kind.label} (kept pieces concerned: {pieces})")
    typer.echo(
        f"kept {summary.kept} of {summary.outcomes.total()} pieces, {summary.notes} notes; "
        f"{summary.dropped_share:.1%} of their notes belong to neither voice; "
        f"all is in {out}, reasons and licences in {out / MANIFEST_NAME}"
    )


def corpus_fetch(
    groups: Annotated[
        list[str] | None,
        typer.Argument(
            help="inventions, mozart-sonatas, chopin-etudes, arabesque, keyboard (default: all)."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("data/mutopia"),
    server: Annotated[
        str, typer.Option(help="Server of the Mutopia Project.")
    ] = "https://www.mutopiaproject.org/",
    only_list: Annotated[
        bool, typer.Option("--list", help="Print the catalogue; download nothing.")
    ] = False,
    force: Force = False,
) -> None:
    """Download keyboard works, and print the licence and the typesetter of each.

    After Ctrl-C the same command continues. Exit status 1 if a download fails.
    """
    from bicinium.data.download import CatalogueEntry, Download, Outcome, catalogue, download

    def line(entry: CatalogueEntry) -> str:
        return f"{entry.composer}, {entry.title} ({entry.licence}; typeset by {entry.maintainer})"

    def print_outcome(done: Download) -> None:
        reason = f": {done.reason}" if done.reason else ""
        typer.echo(f"{done.outcome:<11}  {line(done.entry)}{reason}")

    entries = catalogue(groups or [])
    if only_list:
        for entry in entries:
            typer.echo(f"{entry.group:<14}  {line(entry)}")
        return
    if not (out / "fetched.json").exists():
        check_outputs([out / "manifest.csv"], force)
    outcomes = download(entries, out, server, progress=print_outcome, replace=force)
    failed = sum(done.outcome is Outcome.FAILED for done in outcomes)
    typer.echo(
        f"{len(outcomes) - failed} of {len(outcomes)} works are in {out}; "
        f"prepare them with: bicinium corpus prepare {out}"
    )
    if unpinned := sum(not entry.sha256 for entry in entries):
        print_error(
            f"{unpinned} works have no hash in the catalogue, so the first download of each is "
            "taken as it comes."
        )
    if failed:
        raise typer.Exit(1)


def corpus_validate(
    folder: Annotated[Path, typer.Argument(help="Folder of raw music, or a prepared corpus.")],
    min_grammar_score: Annotated[
        float, typer.Option(help="Minimum grammar score of a piece.")
    ] = 1.0,
    min_quality_score: Annotated[
        float, typer.Option(help="Minimum quality score of a piece.")
    ] = _MIN_QUALITY_SCORE,
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 is one per core.")] = -1,
    quantize: Quantize = False,
    unfold: Unfold = False,
    as_json: AsJson = False,
) -> None:
    """Check whether the pieces of a folder are fit for training. Writes nothing.

    Exit status 1 if a piece is not fit.
    """
    from bicinium.data.validate import validate_corpus

    checked = validate_corpus(
        folder, min_grammar_score, min_quality_score, jobs, quantize=quantize, unfold=unfold
    )
    unfit = sum(not piece.kept for piece in checked)
    if as_json:
        rows = [_checked_row(piece) for piece in checked]
        print_json({"pieces": rows, "fit": len(rows) - unfit, "unfit": unfit})
    else:
        typer.echo("fit  grammar  quality   notes  piece")
        for piece in checked:
            typer.echo(
                f"{'yes' if piece.kept else 'NO ':<3}  {piece.grammar_score:7.3f}  "
                f"{piece.quality_score:7.3f}  {piece.notes:6d}  {piece.name}"
                + (f": {piece.reason}" if piece.reason else "")
            )
        typer.echo(f"{len(checked) - unfit} fit, {unfit} not")
    if unfit:
        raise typer.Exit(1)


def _checked_row(piece: PieceRecord) -> dict[str, Any]:
    return {
        "name": piece.name,
        "fit": piece.kept,
        "grammar_score": piece.grammar_score,
        "quality_score": piece.quality_score,
        "notes": piece.notes,
        "reason": piece.reason,
        "reject_reason": piece.rejection.reason if piece.rejection else "",
        "losses": [str(loss) for loss in piece.losses],
    }


def corpus_report_page(
    folder: Annotated[Path, typer.Argument(help="Prepared corpus.")] = Path("data/prepared"),
    out: Annotated[
        Path | None, typer.Option(help="HTML file (default: report.html in the folder).")
    ] = None,
    force: Force = False,
) -> None:
    """Write an HTML page on the contents of a prepared corpus, with rejections and reasons."""
    from bicinium.data.report import corpus_report

    path = out or folder / "report.html"
    check_outputs([path], force)
    page = corpus_report(folder)
    write_page(path, page)
    typer.echo(f"report: {path}")
