"""Folders moved whole, where another process comes between the look and the move."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from polystore.backends.heldfolder import HIDDEN_FOLDER, pin
from polystore.backends.wholefolder import (
    Check,
    hidden_folder,
    look_at,
    rename_onto_nothing,
    settle_instead,
    settle_new,
    withdraw,
)


@pytest.fixture
def parent(tmp_path: Path) -> Generator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def make(path: Path, content: str) -> None:
    path.mkdir()
    (path / "content").write_text(content)


def content_of(folder: int) -> str:
    fd = os.open("content", os.O_RDONLY, dir_fd=folder)
    with os.fdopen(fd) as file:
        return file.read()


def refuse(word: str) -> Check:
    """Give a check that lets go all folders but those with a word in them."""

    def check(folder: int) -> None:
        if content_of(folder) == word:
            raise IsADirectoryError(errno.EISDIR, word)

    return check


def after_the_first(check: Check, act: Callable[[], object]) -> Check:
    """Give a check after whose first look something happens."""
    waiting = [act]

    def looking(folder: int) -> None:
        try:
            check(folder)
        finally:
            if waiting:
                waiting.pop()()

    return looking


def swap_in(folder: Path, content: str) -> Callable[[], None]:
    """Give what another process does: put another folder in the place of one."""

    def swap() -> None:
        folder.rename(folder.with_name(f"{HIDDEN_FOLDER}elsewhere"))
        make(folder, content)

    return swap


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_that_was_just_replaced_is_looked_at_again(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "a", "must stay")
    with pytest.raises(IsADirectoryError):
        look_at(parent, "a", refuse("must stay"))
    check = after_the_first(refuse("must stay"), swap_in(tmp_path / "a", "may go"))
    look_at(parent, "a", check)


@pytest.mark.parametrize("between", ["may go", "must stay"])
def test_what_comes_between_look_and_exchange(tmp_path: Path, parent: int, between: str) -> None:
    make(tmp_path / "a", "old")
    check = after_the_first(refuse("must stay"), swap_in(tmp_path / "a", between))

    def replace() -> None:
        with hidden_folder(parent) as hidden:
            (tmp_path / hidden.name / "content").write_text("new")
            settle_instead(parent, hidden, "a", check)

    if between == "must stay":
        with pytest.raises(IsADirectoryError):
            replace()
    else:
        replace()
    expected = "must stay" if between == "must stay" else "new"
    assert (tmp_path / "a" / "content").read_text() == expected
    assert names_in(tmp_path) == ["a"], "the old one, swapped out, and the new one are gone"


@pytest.mark.parametrize("between", ["may go", "must stay"])
def test_what_comes_between_look_and_withdrawal(tmp_path: Path, parent: int, between: str) -> None:
    make(tmp_path / "a", "old")
    check = after_the_first(refuse("must stay"), swap_in(tmp_path / "a", between))
    if between == "must stay":
        with pytest.raises(IsADirectoryError):
            withdraw(parent, "a", check)
        assert (tmp_path / "a" / "content").read_text() == "must stay"
        assert names_in(tmp_path) == ["a"]
    else:
        withdraw(parent, "a", check)
        assert names_in(tmp_path) == []


def test_what_a_reader_holds_stays_until_it_lets_go(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "a", "old")
    reader = os.open(tmp_path / "a", os.O_RDONLY)
    try:
        assert pin(reader)
        withdraw(parent, "a", refuse("must stay"))
        assert content_of(reader) == "old"
        assert not (tmp_path / "a").exists()
    finally:
        os.close(reader)


def test_a_taken_name_is_left(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "a", "old")
    with pytest.raises(FileExistsError), hidden_folder(parent) as hidden:
        settle_new(parent, hidden, "a")
    assert names_in(tmp_path) == ["a"]


def test_without_noreplace_a_rename_of_folders_does(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "new", "new")
    make(tmp_path / "taken", "taken")
    (tmp_path / "file").touch()
    for other in ("taken", "file"):
        with pytest.raises(FileExistsError):
            rename_onto_nothing(parent, "new", other)
    rename_onto_nothing(parent, "new", "free")
    assert (tmp_path / "free" / "content").read_text() == "new"
