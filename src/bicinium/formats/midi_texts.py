"""Title and composer in MIDI files: a track name and a text of the first track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bicinium.formats.midi_events import TrackEvents

TEXT, TRACK_NAME = 0x01, 0x03  # types of meta events
COMPOSER_LABEL = "Composer: "
# Names that programs give to a first track themselves.
_GENERIC_NAMES = {
    "acoustic grand piano", "conductor", "conductor track", "control track", "grand piano",
    "master", "master track", "new song", "piano", "tempo", "tempo map", "tempo track", "track 0",
    "track 1", "untitled",
}  # fmt: skip


def decode(data: bytes) -> str:
    """Return a text of a MIDI file, which is UTF-8 or Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def charset_of(texts: Sequence[str]) -> str:
    """Return the name of the encoding for these texts: Latin-1, which more programs read, or UTF-8.

    A text in Latin-1 that would be read as UTF-8 needs UTF-8.
    """
    for text in texts:
        try:
            if decode(text.encode("latin-1")) != text:
                return "utf-8"
        except UnicodeEncodeError:
            return "utf-8"
    return "latin-1"


def title_and_composer(tracks: Sequence[TrackEvents]) -> tuple[str, str]:
    """Return the title and the composer of a file; "" if it does not name them.

    The title is the name of the first track, if this track is the only one or has no notes. Else
    it is the name of an instrument. The composer is a text that begins with "Composer:".
    """
    if not tracks:
        return "", ""
    first = tracks[0]
    title = ""
    if len(tracks) == 1 or not first.count:
        title = next(_texts(first, TRACK_NAME), "")
    texts = _texts(first, TEXT)
    label = COMPOSER_LABEL.strip().casefold()
    composers = (text[len(label) :].strip() for text in texts if text.casefold().startswith(label))
    return "" if title.casefold() in _GENERIC_NAMES else title, next(composers, "")


def _texts(track: TrackEvents, kind: int) -> Iterator[str]:
    """Yield the texts of a type, without white space around them."""
    return (decode(data).strip("\0 \t\r\n") for _, of, data in track.metas if of == kind)
