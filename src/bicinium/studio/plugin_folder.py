"""Copies the MuseScore plugin to MuseScore's folder of plugins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bicinium.atomic_write import atomic_write
from bicinium.errors import RequestError

_NAME = "bicinium"  # of the plugin's own folder
PLUGIN = Path(__file__).parent / "plugins" / "musescore"


def musescore_folders(home: Path | None = None) -> list[Path]:
    """Return the plugin folders of the MuseScore versions that this user has."""
    documents = (home or Path.home()) / "Documents"
    return [
        documents / name / "Plugins"
        for name in ("MuseScore3", "MuseScore4")
        if (documents / name).is_dir()
    ]


def install_plugin(folders: Sequence[Path], replace: bool = False) -> list[Path]:
    """Copy the plugin to a folder of its own in each of these. Return the folders.

    Raises RequestError if another file would be replaced, unless ``replace``. Then nothing is
    written.
    """
    if not folders:
        raise RequestError(
            "No folder of MuseScore was found in Documents. Start MuseScore once, or name its "
            "folder of plugins with --plugin-folder."
        )
    targets = [folder / _NAME for folder in folders]
    for target in targets:
        for source, path in _files(target):
            if path.exists() and path.read_bytes() != source.read_bytes() and not replace:
                raise RequestError(
                    f"{path} exists and is another file. Use --force to replace it, or name "
                    "another folder with --plugin-folder."
                )
    for target in targets:
        target.mkdir(parents=True, exist_ok=True)
        for source, path in _files(target):
            with atomic_write(path) as temporary:
                temporary.write_bytes(source.read_bytes())
    return targets


def _files(target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file of the plugin, and where it goes."""
    for source in sorted(PLUGIN.iterdir()):
        yield source, target / source.name
