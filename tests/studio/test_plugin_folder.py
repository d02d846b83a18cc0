"""Installing the MuseScore plugin."""

from __future__ import annotations

from bicinium.errors import RequestError
from bicinium.studio.plugin_folder import PLUGIN, install_plugin, musescore_folders

FILES = {"Button.qml", "Field.qml", "bicinium.js", "bicinium.qml"}


def test_it_goes_to_a_folder_of_its_own_in_each_musescore(tmp_path):
    for name in ("MuseScore3", "MuseScore4", "MuseScore5"):
        (tmp_path / "Documents" / name).mkdir(parents=True)
    folders = musescore_folders(tmp_path)
    assert [folder.parent.name for folder in folders] == ["MuseScore3", "MuseScore4"]
    targets = install_plugin(folders)
    for target in targets:
        assert {path.name for path in target.iterdir()} == FILES
        for path in target.iterdir():
            assert path.read_bytes() == (PLUGIN / path.name).read_bytes()
    assert install_plugin(folders) == targets  # again, and nothing is in the way


def test_another_file_is_replaced_only_if_asked(tmp_path, refuses):
    mine = tmp_path / "second" / "bicinium" / "bicinium.qml"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    folders = [tmp_path / "first", tmp_path / "second"]
    with refuses(RequestError, "bicinium.qml exists and is another file. Use --force"):
        install_plugin(folders)
    assert mine.read_text() == "mine"
    assert not (tmp_path / "first").exists()
    install_plugin(folders, replace=True)
    assert mine.read_bytes() == (PLUGIN / "bicinium.qml").read_bytes()


def test_without_musescore_it_says_what_to_do(tmp_path, refuses):
    with refuses(RequestError, "Start MuseScore once, or name its folder"):
        install_plugin(musescore_folders(tmp_path))
