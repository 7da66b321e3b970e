"""Settings that cannot be read: each is an error of its kind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from polystore import (
    FileManager,
    InvalidKey,
    NotAFile,
    NotFound,
    PermissionDenied,
    TooLarge,
    UnknownFormat,
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("none.toml", NotFound),
        ("folder.toml", NotAFile),
        ("pipe.toml", NotAFile),
        ("large.toml", TooLarge),
        ("stores.ini", UnknownFormat),
        ("stores", UnknownFormat),
        ("", UnknownFormat),
        ("a\0.toml", InvalidKey),
        (b"stores.toml", InvalidKey),
        (3, InvalidKey),
        (None, InvalidKey),
        ("loop.toml", InvalidKey),
        ("x" * 300 + ".toml", InvalidKey),
        ("/dev/zero.toml", NotFound),
    ],
)
def test_what_cannot_be_read_is_an_error(
    path: object, kind: type[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.toml").mkdir()
    os.mkfifo("pipe.toml")
    Path("loop.toml").symlink_to("loop.toml")
    with Path("large.toml").open("wb") as file:
        file.truncate(2**30)
    error = FileManager.from_file(cast("str", path)).failure()
    assert isinstance(error, kind)
    assert error.advice


def test_a_link_to_a_file_is_read_and_one_to_a_device_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[stores]")
    (tmp_path / "b.toml").symlink_to("a.toml")
    (tmp_path / "c.toml").symlink_to("/dev/zero")
    assert FileManager.from_file(tmp_path / "b.toml").unwrap().names == ()
    assert isinstance(FileManager.from_file(tmp_path / "c.toml").failure(), NotAFile)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_others_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.toml").touch(0o000)
    assert isinstance(FileManager.from_file(tmp_path / "a.toml").failure(), PermissionDenied)
