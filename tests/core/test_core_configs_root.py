"""The root of a config: absolute, and with the home folder for a leading tilde."""

from __future__ import annotations

from pathlib import Path

import pytest

from polystore import DiskConfig, ZarrConfig


@pytest.mark.parametrize("config", [DiskConfig, ZarrConfig])
def test_a_leading_tilde_is_the_home_folder_as_in_a_shell(
    config: type[DiskConfig | ZarrConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    home = str(tmp_path / "home")
    assert config(root="~").root == home
    assert config(root="~/plate").root == config(root=Path("~/plate")).root == f"{home}/plate"
    assert config(root="./~/plate").root == str(tmp_path / "~/plate")
    assert config(root="a~").root == str(tmp_path / "a~")
    assert config(root="~nobody-of-that-name/a").root == str(tmp_path / "~nobody-of-that-name/a")
