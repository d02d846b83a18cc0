"""Read the bytes of a file that somebody else made, with limits before memory is taken."""

from __future__ import annotations

import io
import lzma
import re
import stat
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

from bicinium.errors import NotationFileError, ScoreError

MAX_BYTES = 32_000_000  # of one file, packed or unpacked; the longest sonatas take 10 million


def read_source(path: Path, error: type[ScoreError] = NotationFileError) -> bytes:
    """Return the bytes of a regular file. Raises ``error`` if it is no file, or too large."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            if status.st_size > MAX_BYTES:
                raise error(
                    f"{path} has {status.st_size:,} bytes; music files have at most {MAX_BYTES:,}."
                )
            return path.read_bytes()
    except (OSError, ValueError) as failure:  # ValueError: a name with a null character
        reason = getattr(failure, "strerror", None) or failure
        raise error(f"{path} cannot be opened: {reason}.") from failure
    raise error(f"{path} is not a file.")


def unpack_score(data: bytes, path: Path) -> bytes:
    """Return the score in a compressed MusicXML file.

    Its container names the score. Without a container, it is the only XML file. Raises
    NotationFileError if there is none, or if it is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            name = _score_name(archive)
            if name is None:
                raise NotationFileError(f"{path} is an archive that holds no score.")
            with archive.open(name) as file:
                unpacked = file.read(MAX_BYTES + 1)
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, LookupError,
        NotImplementedError, RuntimeError, SyntaxError,
    ) as error:  # fmt: skip
        raise NotationFileError(f"{path} is damaged and cannot be unpacked.") from error
    if len(unpacked) > MAX_BYTES:
        raise NotationFileError(
            f"{path} unpacks to more than {MAX_BYTES:,} bytes, which no score needs."
        )
    return unpacked


def _score_name(archive: zipfile.ZipFile) -> str | None:
    """Return the name of the score in an archive, or None."""
    names = archive.namelist()
    container = "META-INF/container.xml"
    if container in names:
        with archive.open(container) as file:
            text = file.read(100_000).decode("utf-8", "replace")
        for _, name in re.findall(r"full-path\s*=\s*([\"'])(.*?)\1", text):
            if name in names and not name.lower().endswith(".pdf"):
                return name
    scores = [
        name
        for name in names
        if name.lower().endswith((".xml", ".musicxml"))
        and not name.startswith(("META-INF/", "__MACOSX/"))
    ]
    return scores[0] if len(scores) == 1 else None


def decode_text(data: bytes) -> str:
    """Return text in UTF-8 or UTF-16, as its first bytes say, or else in Latin-1."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_number(text: str) -> Fraction:
    """Return a number in plain digits. Raises ValueError for any other text.

    An exponent is refused: a fraction of 1e1000000000 would take hours.
    """
    if not re.fullmatch(r"\s*[+-]?\d{1,12}(\.\d{1,12}|/\d{1,9})?\s*", text):
        raise ValueError(f"{text[:30]!r} is not a number")
    return Fraction(text.strip())
