"""`bicinium studio`: the options that start no studio."""

from __future__ import annotations

import pytest


def test_the_plugin_is_installed_and_nothing_is_served(run_cli, tmp_path):
    result = run_cli("studio", "--install-plugin", "--plugin-folder", tmp_path)
    assert result.status == 0
    assert f"The plugin is in {tmp_path / 'bicinium'}." in result.words
    assert (tmp_path / "bicinium" / "bicinium.qml").is_file()


@pytest.mark.parametrize("option", [["--plugin-folder", "x"], ["--force"]])
def test_options_of_installing_need_installing(run_cli, option):
    run_cli("studio", *option).assert_error("belong to --install-plugin")
