"""The memory of what was read: whatever befalls its file, it tells nothing wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from bicinium.data.import_cache import ImportCache
from bicinium.errors import CorpusError

Refuses = Callable[..., AbstractContextManager[None]]

_PAGE = 4096
TEXTS = {f"key {index}": f"Präludium {index} " * (30 * index) for index in range(16)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of all texts: some share a page, some fill several."""
    path = tmp_path / "readings.sqlite"
    with ImportCache(path) as store:
        store.save(TEXTS)
    return path


def test_what_was_saved_is_told_until_it_is_forgotten(path: Path) -> None:
    with ImportCache(path) as store:
        assert store.load(["key 3", "key 4", "no key"]) == {k: TEXTS[k] for k in ("key 3", "key 4")}
        store.save({"key 3": "anew"})
        store.retain({"key 3", "key 5"})
    with ImportCache(path) as store:
        assert store.load(TEXTS) == {"key 3": "anew", "key 5": TEXTS["key 5"]}


def test_without_a_path_nothing_is_remembered() -> None:
    with ImportCache(None) as store:
        store.save(TEXTS)
        assert store.load(TEXTS) == TEXTS
    with ImportCache(None) as store:
        assert store.load(TEXTS) == {}


@pytest.mark.parametrize("damage", [b"\0" * 8, b"damaged!", b"\0" * _PAGE, b"{" * _PAGE])
def test_damage_at_any_place_is_found_and_mended(path: Path, damage: bytes) -> None:
    """Entries that can still be read are as they were saved, and all can be saved again."""
    good = path.read_bytes()
    assert len(good) > 10 * _PAGE
    for start in range(0, len(good), _PAGE // 2):
        path.write_bytes((good[:start] + damage + good[start + len(damage) :])[: len(good)])
        with ImportCache(path) as store:
            assert store.load(TEXTS).items() <= TEXTS.items()
            store.save(TEXTS)
        with ImportCache(path) as store:
            assert store.load(TEXTS) == TEXTS


@pytest.mark.parametrize("table", [b"(key TEXT PRIMARY KEY, te\xfft TEXT)",
                                   b"\xe9key TEXT PRIMARY KEY, text TEXT)"])  # fmt: skip
def test_a_store_whose_table_is_another_is_begun_anew(path: Path, table: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(b"(key TEXT PRIMARY KEY, text TEXT)", table))
    with ImportCache(path) as store:
        assert store.load(TEXTS) == {}
        store.save(TEXTS)
        assert store.load(TEXTS) == TEXTS


@pytest.mark.parametrize("size", [1, 50, 100, _PAGE, 3 * _PAGE + 7])
def test_a_store_that_breaks_off_is_begun_anew(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with ImportCache(path) as store:
        assert store.load(TEXTS) == {}
        store.save(TEXTS)
        assert store.load(TEXTS) == TEXTS


@pytest.mark.parametrize(
    ("lock", "use"),
    [
        ("EXCLUSIVE", lambda store: None),
        ("IMMEDIATE", lambda store: store.save({"key 1": "anew"})),
        ("IMMEDIATE", lambda store: store.retain({"key 1"})),
    ],
    ids=["opening", "saving", "forgetting"],
)
def test_a_store_that_another_process_holds_is_left_alone(
    path: Path,
    refuses: Refuses,
    lock: str,
    use: Callable[[ImportCache], None],
) -> None:
    before = path.read_bytes()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        with (
            refuses(CorpusError, r"readings.sqlite is in use by another process. Wait until"),
            ImportCache(path, timeout_seconds=0.0) as store,
        ):
            use(store)
    assert path.read_bytes() == before
    with ImportCache(path) as store:
        assert store.load(TEXTS) == TEXTS


def test_a_place_that_cannot_be_written_to_is_one_sentence(
    tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(CorpusError, r"readings.sqlite cannot be used \(unable to .*\). Delete it, or"):
        ImportCache(tmp_path / "nowhere" / "readings.sqlite")
